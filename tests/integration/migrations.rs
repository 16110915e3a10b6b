//! The schema: created, recognised, adopted, and left alone if it is newer than the appliance.

use std::time::Duration;

use crate::support::{API, Appliance, Builder, Sql, TcpProxy, create, eventually, record, records, shared_postgres};

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
    assert_eq!(
        sql.value(columns),
        "id text,name text,status text,date date,created_at timestamp with time zone,created_by text"
    );
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
    assert_eq!(sql.value("SELECT created_at IS NOT NULL AND created_by IS NULL FROM records WHERE id='py'"), "t");
    assert_eq!(sql.rows("SELECT id, name, status, date FROM records WHERE id='py'").len(), 1);
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
fn migrate_waits_for_the_answer_of_a_distant_server() {
    let (database, _sql) = database_with("");
    let proxy = TcpProxy::start(shared_postgres().port);
    proxy.delay(Duration::from_millis(300));
    let url = format!("--url=jdbc:postgresql://127.0.0.1:{}/{database}", proxy.port);
    let password = &shared_postgres().password;
    let builder = Appliance::builder().command(&["migrate", &url, "--username=postgres", "history"]);
    builder.env("LIQUIBASE_COMMAND_PASSWORD", password).finish().expect(0);
}

#[test]
fn a_changelog_lock_of_a_killed_appliance_is_released() {
    for delay in [50, 150, 300, 600] {
        let (database, _sql) = database_with("");
        let mut first = appliance_on(&database).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        first.kill();
        appliance_on(&database).start().stop();
    }
}

/// The tables, columns and indexes of the public schema.
const SHAPE: &str = "SELECT string_agg(line, chr(10) ORDER BY line) FROM (
    SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'databasechangelog%'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'databasechangelog%') AS shape";

#[test]
fn the_schema_is_rolled_back_to_the_original_one_and_updated_again() {
    let (database, sql) = database_with("");
    let migrate = |words: &[&str]| {
        let builder = appliance_on(&database).command(&[&["migrate"], words].concat());
        let data = builder.data().display().to_string();
        builder.arg("--data-dir").arg(&data).finish().expect(0)
    };
    migrate(&["update"]);
    let shape = sql.value(SHAPE);
    assert!(
        shape.contains("record_changes.sequence bigint") && shape.contains("USING brin (date, created_at)"),
        "{shape}"
    );
    sql.run("INSERT INTO records (id, name, status, date) VALUES ('1', 'n', 's', '2026-01-01')");
    let count: usize = sql.value("SELECT count(*) FROM databasechangelog").parse().unwrap();
    migrate(&["rollback-count", &(count - 1).to_string()]);
    let original = sql.value(SHAPE);
    let columns: Vec<&str> =
        original.lines().filter(|line| line.contains('.') && !line.starts_with("CREATE")).collect();
    assert_eq!(
        columns,
        ["records.date date YES ", "records.id text NO ", "records.name text YES ", "records.status text YES "]
    );
    assert!(original.contains("records_pkey ON public.records USING btree (id)"), "{original}");
    assert_eq!(sql.value("SELECT count(*) FROM records"), "1");
    migrate(&["update"]);
    assert_eq!(sql.value(SHAPE), shape);
    assert_eq!(sql.value("SELECT created_at IS NULL FROM records"), "t", "an existing record has no time of creation");
}

#[test]
fn a_create_in_a_small_table_does_not_update_the_index_of_days() {
    let (database, sql) = database_with("");
    let appliance = appliance_on(&database).start();
    create(&appliance, &record("1", "n", "s", "2026-01-01")).expect(200);
    // The number of ranges without a summary, which a create would have to correct.
    assert_eq!(sql.value("SELECT brin_summarize_new_values('records_brin')"), "1");
}

/// The changelog of an operator, who makes the table.
const OPERATORS_CHANGELOG: &str = "--liquibase formatted sql
--changeset operator:1
CREATE TABLE records (id varchar(64) NOT NULL, name text, status varchar(64), date date, UNIQUE (id, date));
";

#[test]
fn the_tables_beside_records_come_after_the_changelog_of_an_operator() {
    let directory = crate::support::Scratch::new("changelog");
    std::fs::write(directory.path().join("operator.sql"), OPERATORS_CHANGELOG).unwrap();
    let (database, sql) = database_with("");
    let config = format!(
        "redis: {{ mode: off }}\nmigrations: {{ changelog: operator.sql, search_path: {}, labels: some, contexts: other }}\n",
        directory.path().display()
    );
    let start = || Appliance::builder().postgres(shared_postgres(), &database).config(&config).start();
    let appliance = start();
    let files: Vec<String> = history(&sql).into_iter().map(|row| format!("{} {}", row[2], row[3])).collect();
    assert_eq!(files[0], "operator.sql EXECUTED");
    assert_eq!(files[1..], vec!["migration/db.changelog-records.xml EXECUTED"; 6][..], "{files:?}");
    create(&appliance, &record("1", "n", "s", "2026-01-01")).expect(200);
    let path = format!("{API}/records/1/2026-01-01");
    let body = r#"{"name":"n","status":"t","reason":"r"}"#;
    let correct = crate::support::Request::new("PUT", &path).header("Content-Type", "application/json").body(body);
    appliance.send(&correct).expect(200);
    assert_eq!(appliance.get(&format!("{path}/history")).expect(200).json().as_array().unwrap().len(), 2);
    appliance.send(&crate::support::Request::new("DELETE", &format!("{path}?reason=r"))).expect(204);
    drop(appliance);
    let before = sql.rows("SELECT * FROM databasechangelog ORDER BY orderexecuted");
    drop(start());
    assert_eq!(sql.rows("SELECT * FROM databasechangelog ORDER BY orderexecuted"), before);
}

#[test]
fn a_table_that_an_operator_makes_later_gets_its_columns_then() {
    let directory = crate::support::Scratch::new("changelog");
    let changelog = directory.path().join("operator.sql");
    std::fs::write(&changelog, "--liquibase formatted sql\n--changeset operator:0\nSELECT 1;\n").unwrap();
    let (database, sql) = database_with("");
    let config = format!(
        "redis: {{ mode: off }}\nmigrations: {{ changelog: operator.sql, search_path: {} }}\n",
        directory.path().display()
    );
    let start = || Appliance::builder().postgres(shared_postgres(), &database).config(&config).start();
    drop(start());
    assert_eq!(sql.value("SELECT to_regclass('record_changes') IS NOT NULL"), "t");
    let with_table =
        format!("--liquibase formatted sql\n--changeset operator:0\nSELECT 1;\n{}", &OPERATORS_CHANGELOG[26..]);
    std::fs::write(&changelog, with_table).unwrap();
    let appliance = start();
    create(&appliance, &record("1", "n", "s", "2026-01-01")).expect(200);
    assert_eq!(sql.value("SELECT created_at IS NOT NULL FROM records"), "t");
}

#[test]
fn another_table_of_the_name_employees_is_an_error_that_names_it() {
    let (database, sql) = database_with("CREATE TABLE employees (number int)");
    let output = appliance_on(&database).finish().expect(1).output();
    assert!(output.contains("employees") && output.contains("already exists"), "{output}");
    assert_eq!(sql.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'employees'"), "1");
}

/// A database of version 0.1.0: its two changesets, and a million records.
#[test]
fn a_million_records_of_version_0_1_0_are_upgraded_and_keep_their_content() {
    let (database, sql) = database_with("");
    appliance_on(&database).start().stop();
    sql.run(
        "DROP TABLE employees, calendar_days, record_changes; ALTER TABLE records DROP COLUMN created_at, DROP COLUMN created_by;
         DELETE FROM databasechangelog WHERE filename LIKE '%records.xml';
         INSERT INTO records SELECT 'e' || n % 5000, 'n', 's', DATE '2025-01-01' + n / 5000 FROM generate_series(0, 999999) AS n",
    );
    let file = sql.value("SELECT pg_relation_filenode('records')");
    let mut appliance = appliance_on(&database).start();
    assert_eq!(sql.value("SELECT pg_relation_filenode('records')"), file, "the table is not rewritten");
    assert_eq!(sql.value("SELECT count(*) FROM records WHERE created_at IS NULL AND created_by IS NULL"), "1000000");
    let upgraded = appliance.wait_log("the upgrade", |line| line["message"] == "the schema is up to date");
    eprintln!("1,000,000 records were upgraded in {} ms", upgraded["duration_ms"]);
    create(&appliance, &record("new", "n", "s", "2026-01-01")).expect(200);
    // It reads the whole table, for which a busy machine may need longer than a request may wait (503).
    let newest = eventually("the newest record is listed", || {
        let answer = appliance.get(&format!("{API}/records?order=created&limit=1"));
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(newest[0]["id"], "new");
    appliance.stop();
}

#[test]
fn the_url_that_a_command_prints_leads_to_the_managed_database() {
    let appliance = Appliance::builder().existing_cluster().start();
    let data = appliance.data().display().to_string();
    let password = std::fs::read_to_string(appliance.data().join("postgres/password")).expect("the tests may read it");
    let status = |arguments: &[&str]| {
        let builder =
            Appliance::builder().command(&["migrate", "status"]).env("LIQUIBASE_COMMAND_PASSWORD", password.trim());
        arguments.iter().fold(builder, |builder, word| builder.arg(word)).finish().expect(0).stdout
    };
    let url = |text: &str| {
        let (_, url) = text.split_once('@').unwrap_or_else(|| panic!("no URL in {text}"));
        url.split_whitespace().next().expect("a URL").to_owned()
    };
    let printed = url(&status(&["--data-dir", &data]));
    assert!(printed.starts_with("jdbc:postgresql://%2F"), "{printed}");
    assert_eq!(url(&status(&["--url", &printed, "--username=postgres"])), printed);
}
