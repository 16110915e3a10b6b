//! The schema: made, recognised, adopted, and never touched when it is newer than we are.

use crate::support::{API, Appliance, Builder, Sql, create, record, records, shared_postgres};

const PEER_9: &str = "9:1349b20f523a652524043cf1442abb77";
const PEER_8: &str = "8:774829b03b433876014c3f2f278e1ddd";

/// The two tables as Liquibase makes them, its lock row, and the reference's changeset with that checksum.
fn liquibase(checksum: &str) -> String {
    format!(
        "CREATE TABLE databasechangeloglock (id integer NOT NULL, locked boolean NOT NULL,
           lockgranted timestamp, lockedby varchar(255), CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (id));
         INSERT INTO databasechangeloglock VALUES (1, FALSE, NULL, NULL);
         CREATE TABLE databasechangelog (id varchar(255) NOT NULL, author varchar(255) NOT NULL,
           filename varchar(255) NOT NULL, dateexecuted timestamp NOT NULL, orderexecuted integer NOT NULL,
           exectype varchar(10) NOT NULL, md5sum varchar(35), description varchar(255), comments varchar(255),
           tag varchar(255), liquibase varchar(20), contexts varchar(255), labels varchar(255), deployment_id varchar(10));
         CREATE TABLE records (id text NOT NULL, name text, status text, date date,
           CONSTRAINT records_pkey PRIMARY KEY (id));
         INSERT INTO databasechangelog VALUES ('1', 'Abhishek Dubey', 'migration/db.changelog-master.xml',
           '2024-01-02 03:04:05', 1, 'EXECUTED', '{checksum}', 'createTable tableName=records', '', NULL, '4.28.0',
           NULL, NULL, '4164245000');
         INSERT INTO records VALUES ('1', 'One', 'Present', '2023-08-01'), ('nulls', NULL, NULL, NULL);"
    )
}

fn on(database: &str) -> Builder {
    Appliance::builder().postgres(shared_postgres(), database).config("redis: { mode: off }\n")
}

fn prepared(statements: &str) -> (String, Sql) {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    sql.run(statements);
    (database, sql)
}

/// id, author, file, exectype, checksum of every changeset that ran, in order.
fn history(sql: &Sql) -> Vec<Vec<String>> {
    let rows = sql.rows(
        "SELECT id, author, filename, exectype, md5sum FROM databasechangelog ORDER BY dateexecuted, orderexecuted",
    );
    rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect()
}

/// The key is (id, date), and what was in the table is still there.
fn has_our_key(sql: &Sql) {
    let key = "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_index JOIN pg_attribute ON attrelid = indrelid
                 AND attnum = ANY (indkey) WHERE indrelid = 'records'::regclass AND indisunique GROUP BY indexrelid";
    assert_eq!(sql.rows(key), vec![vec![Some("date,id".to_owned())]]);
}

#[test]
fn an_empty_database_gets_the_schema_of_the_reference_and_our_key() {
    let (database, sql) = prepared("");
    let appliance = on(&database).start();
    let history = history(&sql);
    assert_eq!(history[0], ["1", "Abhishek Dubey", "migration/db.changelog-master.xml", "EXECUTED", PEER_9]);
    assert!(history.len() >= 2);
    assert!(history.iter().all(|row| row[4].starts_with("9:")), "{history:?}");
    has_our_key(&sql);
    let columns = "SELECT string_agg(column_name || ' ' || data_type, ',' ORDER BY ordinal_position)
                     FROM information_schema.columns WHERE table_name = 'records'";
    assert_eq!(sql.value(columns), "id text,name text,status text,date date");
    assert_eq!(sql.value("SELECT locked FROM databasechangeloglock"), "f");
    assert_ne!(sql.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'attendance_api'"), "0");
    drop(appliance);
}

#[test]
fn a_second_start_changes_nothing() {
    let (database, sql) = prepared("");
    on(&database).start().stop();
    let everything = "SELECT * FROM databasechangelog ORDER BY orderexecuted";
    let before = sql.rows(everything);
    on(&database).start().stop();
    assert_eq!(sql.rows(everything), before);
}

#[test]
fn a_database_migrated_by_the_real_liquibase_is_recognised() {
    for checksum in [PEER_9, PEER_8] {
        let (database, sql) = prepared(&liquibase(checksum));
        let appliance = on(&database).start();
        let history = history(&sql);
        assert_eq!(history[0], ["1", "Abhishek Dubey", "migration/db.changelog-master.xml", "EXECUTED", PEER_9]);
        let kept = "SELECT dateexecuted || ' ' || orderexecuted || ' ' || deployment_id FROM databasechangelog WHERE id = '1' AND author = 'Abhishek Dubey'";
        assert_eq!(sql.value(kept), "2024-01-02 03:04:05 1 4164245000", "only the checksum may be brought up to date");
        has_our_key(&sql);
        assert_eq!(records(&appliance, "").len(), 2, "existing rows survive");
        create(&appliance, &record("1", "One", "Absent", "2023-08-02")).expect(200);
        create(&appliance, &record("1", "One", "Absent", "2023-08-01")).expect(409);
    }
}

#[test]
fn a_path_written_another_way_is_the_same_changeset() {
    for path in ["classpath:migration/db.changelog-master.xml", "./migration/db.changelog-master.xml"] {
        let (database, sql) = prepared(&liquibase(PEER_9));
        sql.run(&format!("UPDATE databasechangelog SET filename = '{path}'"));
        drop(on(&database).start());
        assert_eq!(history(&sql).iter().filter(|row| row[1] == "Abhishek Dubey").count(), 1);
    }
}

#[test]
fn a_table_made_by_hand_is_adopted() {
    let tables = [
        "CREATE TABLE records (id text PRIMARY KEY, name text, status text, date date);",
        "CREATE TABLE records (id text, name text, status text, date date);",
        "CREATE TABLE records (id text CONSTRAINT somebodys_key PRIMARY KEY, name text, status text, date date);",
    ];
    for table in tables {
        let (database, sql) = prepared(&format!(
            "{table} INSERT INTO records VALUES ('1', 'One', 'Present', '2023-08-01'), ('nulls', NULL, NULL, NULL);"
        ));
        let appliance = on(&database).start();
        assert_eq!(history(&sql)[0][3], "MARK_RAN");
        has_our_key(&sql);
        assert_eq!(records(&appliance, "").len(), 2);
        create(&appliance, &record("1", "One", "Absent", "2023-08-02")).expect(200);
        create(&appliance, &record("1", "One", "Absent", "2023-08-01")).expect(409);
    }
}

#[test]
fn a_python_instance_on_the_same_database_keeps_working() {
    let (database, sql) = prepared(&liquibase(PEER_9));
    let appliance = on(&database).start();
    // The statements the Python service sends.
    sql.run("INSERT INTO records(id, name, status, date) VALUES('py', 'P', 'Present', '2023-08-05')");
    assert_eq!(sql.value("SELECT name FROM records WHERE id='py'"), "P");
    assert_eq!(appliance.get(&format!("{API}/search?id=py")).expect(200).json()["name"], "P");
}

#[test]
fn two_appliances_that_start_at_once_migrate_once() {
    let (database, sql) = prepared("");
    let mut both = [on(&database).spawn(), on(&database).spawn(), on(&database).spawn()];
    both.iter_mut().for_each(Appliance::wait_listening);
    let distinct = "SELECT count(*) = count(DISTINCT id || author || filename) FROM databasechangelog";
    assert_eq!(sql.value(distinct), "t");
    for (number, appliance) in both.iter().enumerate() {
        create(appliance, &record(&format!("{number}"), "n", "s", "2023-08-01")).expect(200);
    }
}

#[test]
fn a_changed_changeset_is_refused_and_nothing_is_touched() {
    let (database, sql) = prepared(&liquibase("9:00000000000000000000000000000000"));
    let finished = on(&database).finish().expect(1);
    let said = finished.all();
    assert!(said.contains("9:00000000000000000000000000000000") && said.contains(PEER_9), "{said}");
    assert_eq!(history(&sql).len(), 1);
}

#[test]
fn the_database_of_a_newer_appliance_is_refused_with_a_sentence() {
    let (database, sql) = prepared("");
    on(&database).start().stop();
    let table = "SELECT table_schema || '.' || table_name FROM information_schema.columns
                  WHERE table_schema = 'attendance_api' AND column_name = 'checksum'";
    let table = sql.value(table);
    assert!(!table.is_empty(), "refinery's history is in our schema");
    sql.run(&format!("INSERT INTO {table} SELECT 9999, 'from_the_future', applied_on, '1' FROM {table} LIMIT 1"));
    let said = on(&database).finish().expect(65).all();
    assert!(said.contains("newer"), "{said}");
    assert!(said.contains("9999") || said.contains("from_the_future"), "{said}");
}

#[test]
fn migrate_status_and_update_are_commands() {
    let (database, sql) = prepared("");
    let migrate = |what: &str| {
        let builder = on(&database).command(&["migrate", what]);
        let data = builder.data().display().to_string();
        builder.arg("--data-dir").arg(&data).finish().expect(0)
    };
    let pending = migrate("status").stdout;
    assert!(pending.contains("migration/db.changelog-master.xml"), "{pending}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'records'";
    assert_eq!(sql.value(tables), "0", "status changes nothing");
    migrate("update");
    assert_eq!(sql.value(tables), "1");
    has_our_key(&sql);
    assert_ne!(migrate("status").stdout, pending);
    drop(on(&database).start());
}

#[test]
fn a_lock_left_by_a_killed_appliance_heals() {
    for delay in [50, 150, 300, 600] {
        let (database, _sql) = prepared("");
        let mut first = on(&database).spawn();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        first.kill();
        on(&database).start().stop();
    }
}
