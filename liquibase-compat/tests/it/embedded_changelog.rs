//! The changelog of the appliance on empty databases, databases of Liquibase, and tables that were created by hand.

use liquibase_compat::{Error, Lock, LockOptions, Outcome};

use crate::support::{Database, RECORDS, pg_dump, records};

const ROWS_SQL: &str = "SELECT id, author, filename, exectype, md5sum, description, comments, tag, liquibase, contexts, labels \
                    FROM databasechangelog ORDER BY orderexecuted";
/// The changesets of the embedded changelog, and those that come after the table `records` and its key.
pub(crate) const CHANGESETS: usize = 8;
const LATER_CHANGESETS: usize = CHANGESETS - 2;
const REFERENCE_CHECKSUM: &str = "9:1349b20f523a652524043cf1442abb77";

/// SQL for a database as Liquibase leaves it after the changelog of the Python service.
fn made_by_liquibase(sum: &str, writer: &str) -> String {
    format!(
        "CREATE TABLE records (id TEXT NOT NULL, name TEXT, status TEXT, date date, CONSTRAINT records_pkey PRIMARY KEY (id)); \
         CREATE TABLE databasechangelog (ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, FILENAME VARCHAR(255) NOT NULL, \
         DATEEXECUTED TIMESTAMP WITHOUT TIME ZONE NOT NULL, ORDEREXECUTED INTEGER NOT NULL, EXECTYPE VARCHAR(10) NOT NULL, \
         MD5SUM VARCHAR(35), DESCRIPTION VARCHAR(255), COMMENTS VARCHAR(255), TAG VARCHAR(255), LIQUIBASE VARCHAR(20), \
         CONTEXTS VARCHAR(255), LABELS VARCHAR(255), DEPLOYMENT_ID VARCHAR(10)); \
         INSERT INTO databasechangelog (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, MD5SUM, DESCRIPTION, COMMENTS, \
         EXECTYPE, LIQUIBASE, DEPLOYMENT_ID) VALUES ('1', 'Abhishek Dubey', '{RECORDS}', NOW(), 1, '{sum}', \
         'createTable tableName=records', '', 'EXECUTED', '{writer}', '4970303030'); \
         INSERT INTO records VALUES ('7', 'Seven', 'Present', '2023-08-01'), ('8', 'Eight', 'Absent', NULL)"
    )
}

#[tokio::test]
async fn an_empty_database_gets_the_whole_schema() {
    let database = Database::new().await;
    let report = database.update(&records()).await.unwrap();
    assert_eq!(report.run_count(), CHANGESETS);
    let rows = database.rows(ROWS_SQL).await;
    assert_eq!(
        rows[0],
        format!("1|Abhishek Dubey|{RECORDS}|EXECUTED|{REFERENCE_CHECKSUM}|createTable tableName=records||-|4.28.0|-|-")
    );
    assert!(
        rows[1].starts_with(&format!("2|attendance-api|{RECORDS}|EXECUTED|9:a070d06af73e901f88de9bdc51109305|")),
        "{}",
        rows[1]
    );
    let schema = pg_dump(&database.name);
    assert!(schema.contains("ADD CONSTRAINT records_id_date_key UNIQUE (id, date)"), "{schema}");
    assert!(schema.contains("id text NOT NULL") && !schema.contains("records_pkey"), "{schema}");
}

#[tokio::test]
async fn a_second_update_has_nothing_to_do() {
    let database = Database::new().await;
    database.update(&records()).await.unwrap();
    let before = database.rows("SELECT * FROM databasechangelog").await;
    let report = database.update(&records()).await.unwrap();
    assert_eq!((report.run_count(), report.previously_run, report.checksums_upgraded), (0, CHANGESETS, 0));
    assert_eq!(database.rows("SELECT * FROM databasechangelog").await, before);
    assert_eq!(database.rows("SELECT * FROM databasechangeloglock").await, ["1|false|-|-"]);
}

#[tokio::test]
async fn a_database_migrated_by_liquibase_is_recognised() {
    for (sum, writer, upgraded) in
        [(REFERENCE_CHECKSUM, "4.28.0", 0), ("8:774829b03b433876014c3f2f278e1ddd", "4.1.1", 1)]
    {
        let database = Database::new().await;
        database.run(&made_by_liquibase(sum, writer)).await;
        let report = database.update(&records()).await.unwrap();
        assert_eq!((report.run_count(), report.checksums_upgraded), (CHANGESETS - 1, upgraded), "{writer}");
        let first =
            "SELECT md5sum, liquibase, deployment_id, orderexecuted FROM databasechangelog ORDER BY orderexecuted";
        assert_eq!(database.rows(first).await[0], format!("{REFERENCE_CHECKSUM}|{writer}|4970303030|1"));
        assert_eq!(database.rows("SELECT id, name FROM records ORDER BY id").await, ["7|Seven", "8|Eight"]);
    }
}

#[tokio::test]
async fn other_spellings_of_the_path_are_the_same_changeset() {
    let database = Database::new().await;
    database.run(&made_by_liquibase(REFERENCE_CHECKSUM, "4.28.0")).await;
    database.run("UPDATE databasechangelog SET filename = 'classpath:/Migration/db.changelog-master.xml'").await;
    assert_eq!(database.update(&records()).await.unwrap().run_count(), CHANGESETS - 1);
}

#[tokio::test]
async fn a_table_made_by_hand_is_adopted() {
    for (table, id_stays_not_null) in [
        ("CREATE TABLE records (id text, name text, status text, date date)", false),
        ("CREATE TABLE records (id text CONSTRAINT \"Odd Key\" PRIMARY KEY, name text, status text, date date)", true),
    ] {
        let database = Database::new().await;
        database.run(table).await;
        database.run("INSERT INTO records VALUES ('1', 'One', 'Present', NULL)").await;
        let report = database.update(&records()).await.unwrap();
        let outcomes: Vec<&Outcome> = report.changesets.iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes[0], &Outcome::MarkedRan);
        assert_eq!(outcomes[1..], vec![&Outcome::Executed; CHANGESETS - 1]);
        assert_eq!(database.rows("SELECT id FROM records").await, ["1"]);
        let schema = pg_dump(&database.name);
        assert!(schema.contains("UNIQUE (id, date)") && !schema.contains("records_pkey"), "{schema}");
        assert!(!schema.contains("Odd Key"), "{schema}");
        let records = schema.split(";").find(|statement| statement.contains("CREATE TABLE public.records ")).unwrap();
        assert_eq!(records.contains("id text NOT NULL"), id_stays_not_null, "{schema}");
    }
}

#[tokio::test]
async fn the_new_key_can_be_rolled_back_while_no_row_needs_it() {
    let database = Database::new().await;
    database.update(&records()).await.unwrap();
    database.rollback(&records(), LATER_CHANGESETS).await.unwrap();
    database
        .run("INSERT INTO records VALUES ('1', 'One', 'Present', '2023-08-01'), ('1', 'One', 'Absent', '2023-08-02')")
        .await;
    let refused = database.rollback(&records(), 1).await.unwrap_err();
    assert!(matches!(refused, Error::RollbackImpossible { .. }), "{refused}");
    assert!(refused.to_string().contains("Key (id)=(1) is duplicated"), "{refused}");
    assert_eq!(database.rows("SELECT count(*) FROM databasechangelog").await, ["2"]);
    assert_eq!(database.rows("SELECT locked FROM databasechangeloglock").await, ["false"]);

    database.run("DELETE FROM records WHERE date = '2023-08-02'").await;
    database.rollback(&records(), 1).await.unwrap();
    assert_eq!(database.rows("SELECT id FROM databasechangelog").await, ["1"]);
    let schema = pg_dump(&database.name);
    assert!(schema.contains("records_pkey PRIMARY KEY (id)") && !schema.contains("UNIQUE"), "{schema}");
    database.update(&records()).await.unwrap();
    database.rollback(&records(), CHANGESETS).await.unwrap();
    assert_eq!(pg_dump(&database.name), "");
}

#[tokio::test]
async fn other_migrations_can_run_on_the_connection_of_the_lock() {
    let database = Database::new().await;
    let mut client = database.connect().await;
    let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await.unwrap();
    lock.client().batch_execute("CREATE SCHEMA attendance_api").await.unwrap();
    liquibase_compat::update(&mut lock, &records(), &liquibase_compat::Options::default()).await.unwrap();
    assert_eq!(
        lock.client().query_one("SHOW search_path", &[]).await.unwrap().get::<_, String>(0),
        "\"$user\", public"
    );
    lock.release().await.unwrap();
}
