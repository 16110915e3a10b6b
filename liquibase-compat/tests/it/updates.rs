//! Failing updates, histories of older versions, and preconditions.

use liquibase_compat::{Error, Options, Outcome, RunReason, status};

use crate::support::{Database, log};

const FAILING_LOG: &str = "<changeSet id='1' author='a'><createTable tableName='one'><column name='id' type='int'/></createTable></changeSet>\
                   <changeSet id='2' author='a'><sql>create table two(id int); insert into two values (1); bad sql</sql></changeSet>\
                   <changeSet id='3' author='a'><sql>create table three(id int)</sql></changeSet>";

#[tokio::test]
async fn a_failing_changeset_is_undone_completely() {
    let database = Database::new().await;
    let error = database.update(&log(FAILING_LOG)).await.unwrap_err();
    let Error::ChangeSet { changeset, source, report } = &error else { panic!("{error}") };
    assert_eq!(changeset.to_string(), "log.xml::2::a");
    let reason = source.to_string();
    assert!(reason.contains("syntax error") && reason.contains("[Failed SQL: (0) bad sql]"), "{reason}");
    assert_eq!(report.run_count(), 1);
    assert_eq!(database.rows("SELECT id FROM databasechangelog").await, ["1"]);
    assert_eq!(
        database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").await,
        ["databasechangelog", "databasechangeloglock", "one"]
    );
    assert_eq!(database.rows("SELECT * FROM databasechangeloglock").await, ["1|false|-|-"]);
}

#[tokio::test]
async fn with_fail_on_error_false_the_run_continues_and_the_next_run_tries_again() {
    let database = Database::new().await;
    let tolerant = log(&FAILING_LOG.replace("id='2' author='a'", "id='2' author='a' failOnError='false'"));
    let report = database.update(&tolerant).await.unwrap();
    assert!(matches!(report.changesets[1].1, Outcome::FailedAndIgnored { .. }));
    assert_eq!(database.rows("SELECT id FROM databasechangelog ORDER BY orderexecuted").await, ["1", "3"]);
    let pending = status(&database.connect().await, &tolerant, &Options::default()).await.unwrap();
    assert_eq!((pending.len(), pending[0].reason), (1, RunReason::New));
}

#[tokio::test]
async fn a_changed_changeset_is_refused() {
    let database = Database::new().await;
    database.update(&log("<changeSet id='1' author='a'><sql>select 1</sql></changeSet>")).await.unwrap();
    let before = database.rows("SELECT * FROM databasechangelog").await;
    let changed = "<changeSet id='1' author='a'><sql>select 2</sql></changeSet>";
    let error = database.update(&log(changed)).await.unwrap_err();
    assert!(matches!(error, Error::Validation(_)));
    let text = error.to_string();
    assert!(
        text.starts_with("Validation Failed:\n     1 changesets check sum\n          log.xml::1::a was: 9:"),
        "{text}"
    );
    assert!(text.contains(" but is now: 9:"), "{text}");
    assert_eq!(database.rows("SELECT * FROM databasechangelog").await, before);
    let accepted = changed.replace("<sql>", "<validCheckSum>any</validCheckSum><sql>");
    assert_eq!(database.update(&log(&accepted)).await.unwrap().previously_run, 1);
}

#[tokio::test]
async fn run_on_change_and_run_always_update_their_row() {
    let database = Database::new().await;
    let changesets = |sql: &str| {
        log(&format!(
            "<changeSet id='1' author='a' runOnChange='true'><sql>{sql}</sql></changeSet>\
             <changeSet id='2' author='a' runAlways='true'><sql>select 1</sql></changeSet>"
        ))
    };
    database.update(&changesets("select 1")).await.unwrap();
    let report = database.update(&changesets("select 2")).await.unwrap();
    assert!(report.changesets.iter().all(|(_, outcome)| *outcome == Outcome::Reran), "{report:?}");
    assert_eq!(
        database.rows("SELECT id, exectype, orderexecuted FROM databasechangelog ORDER BY 3").await,
        ["1|RERAN|3", "2|RERAN|4"]
    );
    assert_eq!(database.update(&changesets("select 2")).await.unwrap().run_count(), 1);
}

#[tokio::test]
async fn a_history_of_an_old_version_gets_missing_columns_and_checksums() {
    let database = Database::new().await;
    database
        .run(
            "CREATE TABLE databasechangelog (id varchar(63) NOT NULL, author varchar(63) NOT NULL, filename varchar(200) NOT NULL, \
             dateexecuted timestamp NOT NULL, md5sum varchar(32)); \
             INSERT INTO databasechangelog VALUES ('1', 'a', 'log.xml', now(), NULL)",
        )
        .await;
    let changelog = log("<changeSet id='1' author='a'><sql>bad sql, but it has run</sql></changeSet>\
                         <changeSet id='2' author='a'><empty/></changeSet>");
    let pending = status(&database.connect().await, &changelog, &Options::default()).await.unwrap();
    assert_eq!(pending.len(), 1, "status reads an old table without changing it");
    let report = database.update(&changelog).await.unwrap();
    assert_eq!((report.run_count(), report.checksums_upgraded), (1, 1));
    let columns = "SELECT id, orderexecuted, exectype, length(md5sum), comments FROM databasechangelog ORDER BY id";
    assert_eq!(database.rows(columns).await, ["1|-1|EXECUTED|34|-", "2|1|EXECUTED|34|"]);
}

#[tokio::test]
async fn preconditions_hold_or_fail_as_in_liquibase() {
    let database = Database::new().await;
    database.run("CREATE TABLE \"Mixed\" (id int PRIMARY KEY, a int, b int, UNIQUE (b, a)); CREATE INDEX by_a ON \"Mixed\" (a)").await;
    let conditions = [
        ("<tableExists tableName='MIXED'/>", true),
        ("<tableExists tableName='gone'/>", false),
        ("<columnExists tableName='mixed' columnName='A'/>", true),
        ("<primaryKeyExists tableName='mixed'/>", true),
        ("<primaryKeyExists tableName='mixed' primaryKeyName='other'/>", false),
        ("<uniqueConstraintExists tableName='mixed' columnNames='b, a'/>", true),
        ("<uniqueConstraintExists tableName='mixed' columnNames='a'/>", false),
        ("<indexExists indexName='by_a'/>", true),
        ("<indexExists tableName='mixed' columnNames='a'/>", true),
        ("<indexExists tableName='mixed' columnNames='a, b'/>", false),
        ("<foreignKeyConstraintExists foreignKeyTableName='mixed' foreignKeyName='x'/>", false),
        ("<sqlCheck expectedResult='2'>select 1 + 1;</sqlCheck>", true),
        ("<sqlCheck expectedResult='t'>select true</sqlCheck>", true),
        ("<tableIsEmpty tableName='Mixed'/>", true),
        ("<rowCount tableName='Mixed' expectedRows='1'/>", false),
        ("<dbms type='oracle'/>", false),
        ("<runningAs username='Postgres'/>", true),
        ("<changeSetExecuted id='0' author='a' changeLogFile='log.xml'/>", false),
        ("<not><viewExists viewName='v'/><sequenceExists sequenceName='s'/></not>", true),
        ("<or><viewExists viewName='v'/><tableExists tableName='mixed'/></or>", true),
    ];
    let changesets: String = conditions
        .iter()
        .enumerate()
        .map(|(index, (condition, _))| {
            format!(
                "<changeSet id='{}' author='a'><preConditions onFail='CONTINUE'>{condition}</preConditions><empty/></changeSet>",
                index + 1
            )
        })
        .collect();
    let report = database.update(&log(&changesets)).await.unwrap();
    for ((condition, holds), (_, outcome)) in conditions.iter().zip(&report.changesets) {
        assert_eq!(*outcome == Outcome::Executed, *holds, "{condition}: {outcome:?}");
    }
}

/// The messages are those of Liquibase 4.28, but for the address of a Java object in the last one.
#[tokio::test]
async fn the_message_about_preconditions_of_a_changelog_has_every_condition() {
    let or = "<or><dbms type='oracle'/><or><dbms type='h2'/></or><not><dbms type='postgresql'/></not></or>";
    let dbms = |name: &str| format!("log.xml : DBMS Precondition failed: expected {name}, got postgresql");
    let failed = |count: usize, lines: &[String]| {
        let lines: String = lines.iter().map(|line| format!("\n     {line}")).collect();
        format!("Validation Failed:\n     {count} preconditions failed\n     Preconditions Failed{lines}")
    };
    for (conditions, message) in [
        ("<preConditions><dbms type='oracle'/><dbms type='h2'/></preConditions>".to_owned(), failed(1, &[dbms("oracle")])),
        (
            format!("<preConditions>{or}</preConditions>"),
            failed(3, &[dbms("oracle"), dbms("h2"), "log.xml : Not precondition failed".to_owned()]),
        ),
        (
            format!("<preConditions onFailMessage='no'>{or}</preConditions>"),
            failed(1, &["log.xml : no".to_owned()]),
        ),
        (
            "<preConditions><or><sqlCheck expectedResult='1'>bad sql</sqlCheck><dbms type='postgresql'/></or></preConditions>".to_owned(),
            "Validation Failed:\n     1 preconditions generated an error\n     Precondition Error\n     log.xml : ERROR: syntax error at or \
             near \"bad\"\n  Position: 1"
                .to_owned(),
        ),
        (
            "<preConditions onErrorMessage='sorry' onFailMessage='no'><sqlCheck expectedResult='1'>bad sql</sqlCheck></preConditions>"
                .to_owned(),
            "Validation Failed:\n     1 preconditions generated an error\n     sorry\n     log.xml : ERROR: syntax error at or \
             near \"bad\"\n  Position: 1"
                .to_owned(),
        ),
    ] {
        let database = Database::new().await;
        let error = database.update(&log(&format!("{conditions}{FAILING_LOG}"))).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn a_failed_precondition_halts_with_its_message() {
    let database = Database::new().await;
    let changelog = log("<changeSet id='1' author='a'><preConditions onFailMessage='make it first'>\
                         <tableExists tableName='gone'/></preConditions><empty/></changeSet>");
    let error = database.update(&changelog).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Migration failed for changeset log.xml::1::a:\n     Reason: \n          log.xml : make it first\n  - Caused by: Preconditions Failed"
    );
}

#[tokio::test]
async fn a_primary_key_without_a_name_can_be_dropped() {
    let database = Database::new().await;
    let changelog =
        log("<changeSet id='1' author='a'><createTable tableName='order'><column name='id' type='int'/></createTable>\
                         <addPrimaryKey tableName='order' columnNames='id'/></changeSet>\
                         <changeSet id='2' author='a'><dropPrimaryKey tableName='order'/><rollback/></changeSet>");
    database.update(&changelog).await.unwrap();
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND conrelid = '\"order\"'::regclass";
    assert_eq!(database.rows(keys).await, ["0"]);
}
