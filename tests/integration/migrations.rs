//! The schema: created, recognised, adopted, and left alone if it is newer than the appliance.

use crate::support::{API, Appliance, Builder, Sql, create, record, records, shared_postgres};

const PEER_9: &str = "9:1349b20f523a652524043cf1442abb77";
const PEER_8: &str = "8:774829b03b433876014c3f2f278e1ddd";

/// A database that Liquibase has migrated: its two tables, the lock row, and the reference's changeset with `checksum`.
fn liquibase_schema(checksum: &str) -> String {
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

fn appliance_on(database: &str) -> Builder {
    Appliance::builder().postgres(shared_postgres(), database).config("redis: { mode: off }\n")
}

fn database_with(statements: &str) -> (String, Sql) {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    sql.run(statements);
    (database, sql)
}

/// Id, author, file, exectype and checksum of each executed changeset, in order.
fn history(sql: &Sql) -> Vec<Vec<String>> {
    let rows = sql.rows(
        "SELECT id, author, filename, exectype, md5sum FROM databasechangelog ORDER BY dateexecuted, orderexecuted",
    );
    rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect()
}

/// Fails unless the unique key of the table is (id, date).
fn assert_has_our_key(sql: &Sql) {
    let key = "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_index JOIN pg_attribute ON attrelid = indrelid
                 AND attnum = ANY (indkey) WHERE indrelid = 'records'::regclass AND indisunique GROUP BY indexrelid";
    assert_eq!(sql.rows(key), vec![vec![Some("date,id".to_owned())]]);
}

#[test]
fn an_empty_database_gets_the_schema_of_the_reference_and_our_key() {
    let (database, sql) = database_with("");
    let appliance = appliance_on(&database).start();
    let history = history(&sql);
    assert_eq!(history[0], ["1", "Abhishek Dubey", "migration/db.changelog-master.xml", "EXECUTED", PEER_9]);
    assert!(history.len() >= 2);
    assert!(history.iter().all(|row| row[4].starts_with("9:")), "{history:?}");
    assert_has_our_key(&sql);
    let columns = "SELECT string_agg(column_name || ' ' || data_type, ',' ORDER BY ordinal_position)
                     FROM information_schema.columns WHERE table_name = 'records'";
    assert_eq!(sql.value(columns), "id text,name text,status text,date date");
    assert_eq!(sql.value("SELECT locked FROM databasechangeloglock"), "f");
    assert_ne!(sql.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'attendance_api'"), "0");
    drop(appliance);
}

#[test]
fn a_second_start_changes_nothing() {
    let (database, sql) = database_with("");
    appliance_on(&database).start().stop();
    let everything = "SELECT * FROM databasechangelog ORDER BY orderexecuted";
    let before = sql.rows(everything);
    appliance_on(&database).start().stop();
    assert_eq!(sql.rows(everything), before);
}

#[test]
fn a_database_migrated_by_the_real_liquibase_is_recognised() {
    for checksum in [PEER_9, PEER_8] {
        let (database, sql) = database_with(&liquibase_schema(checksum));
        let appliance = appliance_on(&database).start();
        let history = history(&sql);
        assert_eq!(history[0], ["1", "Abhishek Dubey", "migration/db.changelog-master.xml", "EXECUTED", PEER_9]);
        let kept = "SELECT dateexecuted || ' ' || orderexecuted || ' ' || deployment_id FROM databasechangelog WHERE id = '1' AND author = 'Abhishek Dubey'";
        assert_eq!(sql.value(kept), "2024-01-02 03:04:05 1 4164245000", "only the checksum may be brought up to date");
        assert_has_our_key(&sql);
        assert_eq!(records(&appliance, "").len(), 2, "existing rows survive");
        create(&appliance, &record("1", "One", "Absent", "2023-08-02")).expect(200);
        create(&appliance, &record("1", "One", "Absent", "2023-08-01")).expect(409);
    }
}

#[test]
fn a_path_written_another_way_is_the_same_changeset() {
    for path in ["classpath:migration/db.changelog-master.xml", "./migration/db.changelog-master.xml"] {
        let (database, sql) = database_with(&liquibase_schema(PEER_9));
        sql.run(&format!("UPDATE databasechangelog SET filename = '{path}'"));
        drop(appliance_on(&database).start());
        assert_eq!(history(&sql).iter().filter(|row| row[1] == "Abhishek Dubey").count(), 1);
    }
}

#[test]
fn an_existing_table_is_adopted() {
    let tables = [
        "CREATE TABLE records (id text PRIMARY KEY, name text, status text, date date);",
        "CREATE TABLE records (id text, name text, status text, date date);",
        "CREATE TABLE records (id text CONSTRAINT somebodys_key PRIMARY KEY, name text, status text, date date);",
    ];
    for table in tables {
        let (database, sql) = database_with(&format!(
            "{table} INSERT INTO records VALUES ('1', 'One', 'Present', '2023-08-01'), ('nulls', NULL, NULL, NULL);"
        ));
        let appliance = appliance_on(&database).start();
        assert_eq!(history(&sql)[0][3], "MARK_RAN");
        assert_has_our_key(&sql);
        assert_eq!(records(&appliance, "").len(), 2);
        create(&appliance, &record("1", "One", "Absent", "2023-08-02")).expect(200);
        create(&appliance, &record("1", "One", "Absent", "2023-08-01")).expect(409);
    }
}

#[test]
fn a_python_instance_on_the_same_database_keeps_working() {
    let (database, sql) = database_with(&liquibase_schema(PEER_9));
    let appliance = appliance_on(&database).start();
    // The statements the Python service sends.
    sql.run("INSERT INTO records(id, name, status, date) VALUES('py', 'P', 'Present', '2023-08-05')");
    assert_eq!(sql.value("SELECT name FROM records WHERE id='py'"), "P");
    assert_eq!(appliance.get(&format!("{API}/search?id=py")).expect(200).json()["name"], "P");
}

#[test]
fn appliances_that_start_together_migrate_once() {
    let (database, sql) = database_with("");
    let mut both = [appliance_on(&database).spawn(), appliance_on(&database).spawn(), appliance_on(&database).spawn()];
    both.iter_mut().for_each(Appliance::wait_listening);
    let distinct = "SELECT count(*) = count(DISTINCT id || author || filename) FROM databasechangelog";
    assert_eq!(sql.value(distinct), "t");
    for (number, appliance) in both.iter().enumerate() {
        create(appliance, &record(&format!("{number}"), "n", "s", "2023-08-01")).expect(200);
    }
}

#[test]
fn a_changed_changeset_is_rejected_and_the_schema_stays_unchanged() {
    let (database, sql) = database_with(&liquibase_schema("9:00000000000000000000000000000000"));
    let finished = appliance_on(&database).finish().expect(1);
    let output = finished.output();
    assert!(output.contains("9:00000000000000000000000000000000") && output.contains(PEER_9), "{output}");
    assert_eq!(history(&sql).len(), 1);
}

#[test]
fn the_database_of_a_newer_appliance_is_rejected_with_a_message() {
    let (database, sql) = database_with("");
    appliance_on(&database).start().stop();
    let table = "SELECT table_schema || '.' || table_name FROM information_schema.columns
                  WHERE table_schema = 'attendance_api' AND column_name = 'checksum'";
    let table = sql.value(table);
    assert!(!table.is_empty(), "refinery's history is in our schema");
    sql.run(&format!("INSERT INTO {table} SELECT 9999, 'from_the_future', applied_on, '1' FROM {table} LIMIT 1"));
    let output = appliance_on(&database).finish().expect(65).output();
    assert!(output.contains("newer"), "{output}");
    assert!(output.contains("9999") || output.contains("from_the_future"), "{output}");
}

#[test]
fn migrate_status_changes_nothing_and_migrate_update_applies_the_schema() {
    let (database, sql) = database_with("");
    let migrate = |what: &str| {
        let builder = appliance_on(&database).command(&["migrate", what]);
        let data = builder.data().display().to_string();
        builder.arg("--data-dir").arg(&data).finish().expect(0)
    };
    let pending = migrate("status").stdout;
    assert!(pending.contains("migration/db.changelog-master.xml"), "{pending}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'records'";
    assert_eq!(sql.value(tables), "0", "status changes nothing");
    migrate("update");
    assert_eq!(sql.value(tables), "1");
    assert_has_our_key(&sql);
    assert_ne!(migrate("status").stdout, pending);
    drop(appliance_on(&database).start());
}

#[test]
fn a_changelog_lock_of_a_killed_appliance_is_released() {
    for delay in [50, 150, 300, 600] {
        let (database, _sql) = database_with("");
        let mut first = appliance_on(&database).spawn();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        first.kill();
        appliance_on(&database).start().stop();
    }
}
