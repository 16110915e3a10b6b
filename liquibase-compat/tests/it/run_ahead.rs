//! Changesets that are sent without waiting for each other: an error in one must prevent all behind it, as if they had waited.

use liquibase_compat::{Error, Outcome};

use crate::support::{Database, log};

/// The preconditions of the changeset that creates table `t` with a number.
type Conditions = fn(usize) -> String;

/// Preconditions that hold: none, some that are looked up in the catalogs, one that is SQL, and one that needs the table before.
const CONDITIONS: [(&str, Conditions); 4] = [
    ("without preconditions", |_| String::new()),
    ("catalogs", |number| mark_ran(&format!("<not><tableExists tableName='t{number}'/></not>"))),
    ("SQL", |number| {
        let sql = format!("SELECT count(*) FROM pg_tables WHERE tablename = 't{number}'");
        mark_ran(&format!("<sqlCheck expectedResult='0'>{sql}</sqlCheck>"))
    }),
    ("the table before", |number| match number {
        1 => String::new(),
        _ => mark_ran(&format!(
            "<or><tableExists tableName='t{}'/><rowCount tableName='t{0}' expectedRows='0'/></or>",
            number - 1
        )),
    }),
];

fn mark_ran(conditions: &str) -> String {
    format!("<preConditions onFail='MARK_RAN'>{conditions}</preConditions>")
}

/// More changesets than are sent at once; number `special` is replaced.
fn changesets(special: usize, replacement: &str) -> String {
    changesets_with(|_| String::new(), special, replacement)
}

fn changesets_with(conditions: Conditions, special: usize, replacement: &str) -> String {
    let plain = |number| {
        let conditions = conditions(number);
        format!(
            "<changeSet id='{number}' author='a'>{conditions}<sql>CREATE TABLE t{number} (id int)</sql></changeSet>"
        )
    };
    (1..=40).map(|number| if number == special { replacement.to_owned() } else { plain(number) }).collect()
}

/// The tables of the changesets, and the ids and the order in the history.
async fn state(database: &Database) -> (usize, Vec<String>) {
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]+$'";
    let count = database.rows(tables).await[0].parse().expect("a number");
    (count, database.rows("SELECT id, orderexecuted FROM databasechangelog ORDER BY orderexecuted").await)
}

fn numbered(ids: impl Iterator<Item = usize>) -> Vec<String> {
    ids.zip(1..).map(|(id, order)| format!("{id}|{order}")).collect()
}

#[tokio::test]
async fn every_changeset_runs_once_and_in_order() {
    for (what, conditions) in CONDITIONS {
        let database = Database::new().await;
        let changelog = log(&changesets_with(conditions, 0, ""));
        assert_eq!(database.update(&changelog).await.unwrap().run_count(), 40, "{what}");
        assert_eq!(state(&database).await, (40, numbered(1..=40)), "{what}");
        assert_eq!(database.update(&changelog).await.unwrap().previously_run, 40, "{what}");
    }
}

#[tokio::test]
async fn a_changeset_that_its_preconditions_exclude_is_marked_or_skipped_between_those_that_run() {
    for (on_fail, rows) in [("MARK_RAN", 40), ("CONTINUE", 30)] {
        let database = Database::new().await;
        let changeset = |number: usize| {
            // Every fourth one has a condition that the changeset before it makes false.
            let conditions = match number % 4 {
                0 => format!("<not><tableExists tableName='t{}'/></not>", number - 1),
                1 => String::new(),
                _ => format!("<tableExists tableName='t{}'/>", number - 1),
            };
            format!(
                "<changeSet id='{number}' author='a'><preConditions onFail='{on_fail}'>{conditions}</preConditions>\
                 <sql>CREATE TABLE t{number} (id int)</sql></changeSet>"
            )
        };
        let report = database.update(&log(&(1..=40).map(changeset).collect::<String>())).await.unwrap();
        let excluded = |outcome: &Outcome| matches!(outcome, Outcome::MarkedRan | Outcome::Skipped { .. });
        for (position, (_, outcome)) in report.changesets.iter().enumerate() {
            assert_eq!(excluded(outcome), position % 4 == 3, "{position}: {outcome:?}");
        }
        let (tables, history) = state(&database).await;
        assert_eq!((tables, history.len()), (30, rows));
        let marked = "SELECT count(*) FROM databasechangelog WHERE exectype = 'MARK_RAN' AND id::int % 4 = 0";
        assert_eq!(database.rows(marked).await, [(rows - 30).to_string()]);
    }
}

#[tokio::test]
async fn the_sql_of_a_check_behind_a_changeset_that_fails_does_not_run() {
    for sql in ["ROLLBACK; CREATE TABLE t99 (id int); SELECT 0", "SELECT nextval('checks')"] {
        let database = Database::new().await;
        database.run("CREATE SEQUENCE checks").await;
        let checked = mark_ran(&format!("<sqlCheck expectedResult='0'>{sql}</sqlCheck>"));
        let changelog = "<changeSet id='1' author='a'><sql>CREATE TABLE t1 (id int)</sql></changeSet>\
                         <changeSet id='2' author='a'><sql>bad sql</sql></changeSet>"
            .to_owned()
            + &format!("<changeSet id='3' author='a'>{checked}<sql>CREATE TABLE t3 (id int)</sql></changeSet>");
        assert!(database.update(&log(&changelog)).await.is_err(), "{sql}");
        assert_eq!(state(&database).await, (1, numbered(1..=1)), "{sql}");
        assert_eq!(database.rows("SELECT is_called FROM checks").await, ["false"], "{sql}");
    }
}

#[tokio::test]
async fn nothing_runs_behind_a_changeset_that_fails_wherever_it_fails() {
    let deferred =
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)";
    let failures = [
        ("a wrong statement", "<sql>bad sql</sql>"),
        ("a later statement", "<sql>CREATE TABLE t99 (id int); INSERT INTO t99 VALUES ('x')</sql>"),
        ("a constraint that is checked at the commit", "<sql>INSERT INTO c VALUES (7)</sql>"),
        ("the row of the history", "<sql>DROP TABLE databasechangelog</sql>"),
    ];
    for ((what, change), (kind, conditions)) in
        failures.into_iter().flat_map(|failure| CONDITIONS.map(|conditions| (failure, conditions)))
    {
        let specials: &[usize] = if kind == "without preconditions" { &[1, 7, 16, 17, 40] } else { &[1, 7, 40] };
        for &special in specials {
            let database = Database::new().await;
            database.run(deferred).await;
            let failing = format!("<changeSet id='{special}' author='a'>{}{change}</changeSet>", conditions(special));
            let changelog = log(&changesets_with(conditions, special, &failing));
            let error = database.update(&changelog).await.unwrap_err();
            let Error::ChangeSet { changeset, report, .. } = &error else { panic!("{what}, {kind}: {error}") };
            assert_eq!(
                (changeset.id.as_str(), report.run_count()),
                (special.to_string().as_str(), special - 1),
                "{what}, {kind}"
            );
            assert_eq!(state(&database).await, (special - 1, numbered(1..special)), "{what}, {kind}, {special}");
        }
    }
}

#[tokio::test]
async fn with_fail_on_error_false_those_behind_run_and_the_order_has_no_gap() {
    for (special, (kind, conditions)) in [1, 7, 16, 17, 40]
        .into_iter()
        .flat_map(|special| CONDITIONS.into_iter().take(3).map(move |conditions| (special, conditions)))
    {
        let database = Database::new().await;
        let failing =
            format!("<changeSet id='{special}' author='a' failOnError='false'><sql>bad sql</sql></changeSet>");
        let report = database.update(&log(&changesets_with(conditions, special, &failing))).await.unwrap();
        assert!(matches!(report.changesets[special - 1].1, Outcome::FailedAndIgnored { .. }), "{kind}");
        assert_eq!(report.changesets.len(), 40, "{kind}");
        assert_eq!(state(&database).await, (39, numbered((1..=40).filter(|number| *number != special))), "{kind}");
    }
}

#[tokio::test]
async fn what_a_changeset_needs_of_the_one_before_it_is_there() {
    let database = Database::new().await;
    let checked = "<preConditions><tableExists tableName='t19'/><changeSetExecuted id='19' author='a' changeLogFile='log.xml'/>\
                   <not><tableExists tableName='t21'/></not></preConditions>";
    let special =
        format!("<changeSet id='20' author='a'>{checked}<sql>CREATE TABLE t20 AS SELECT * FROM t19</sql></changeSet>");
    assert_eq!(database.update(&log(&changesets(20, &special))).await.unwrap().run_count(), 40);
    assert_eq!(state(&database).await, (40, numbered(1..=40)));
}

#[tokio::test]
async fn checks_go_on_behind_a_changeset_that_removes_the_prepared_statements_of_the_session() {
    for statement in ["DEALLOCATE ALL", "CREATE SCHEMA other; DEALLOCATE ALL"] {
        let database = Database::new().await;
        let catalogs = CONDITIONS[1].1;
        let special = format!("<changeSet id='20' author='a'>{}<sql>{statement}</sql></changeSet>", catalogs(20));
        let report = database.update(&log(&changesets_with(catalogs, 20, &special))).await.unwrap();
        assert_eq!(report.run_count(), 40, "{statement}");
        assert_eq!(state(&database).await, (39, numbered(1..=40)), "{statement}");
    }
}
