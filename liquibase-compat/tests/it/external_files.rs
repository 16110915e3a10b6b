//! Changes that read files: data, values, SQL.

use liquibase_compat::{Changelog, EmbeddedSource, Error, Options};

use crate::support::Database;

const TABLE: &str = "<createTable tableName='t'><column name='id' type='int'/><column name='name' type='varchar(50)'/>\
                     <column name='ok' type='boolean'/><column name='day' type='date'/><column name='note' type='text'/></createTable>";

/// A changelog of one changeset, with these files in its directory.
fn load(changes: &str, files: &[(&str, &str)]) -> Changelog {
    let xml = format!("<databaseChangeLog><changeSet id='1' author='a'>{changes}</changeSet></databaseChangeLog>");
    let mut all = vec![("log.xml", xml.as_str())];
    all.extend(files);
    Changelog::load(&EmbeddedSource::of_texts(&all), "log.xml", &Options::default()).unwrap()
}

/// The rows of `t` after a changeset that creates it and then runs these changes.
async fn rows(changes: &str, files: &[(&str, &str)]) -> Vec<String> {
    let database = Database::new().await;
    database.update(&load(&format!("{TABLE}{changes}"), files)).await.unwrap();
    database.rows("SELECT * FROM t ORDER BY id").await
}

async fn error_of(changes: &str, files: &[(&str, &str)]) -> String {
    let database = Database::new().await;
    database.update(&load(&format!("{TABLE}{changes}"), files)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn columns_without_a_type_have_the_type_of_the_table() {
    let csv = "id,name,ok,day\n1,,y,2020-01-31\n2,NULL,0,\n3,now(),,NOW\n";
    let loaded = rows("<loadData tableName='t' file='a.csv'/>", &[("a.csv", csv)]).await;
    assert_eq!(loaded[0], "1||true|2020-01-31|-");
    assert_eq!(loaded[1], "2|-|false|-|-");
    assert!(loaded[2].starts_with("3|20"), "the function is called: {loaded:?}");
}

#[tokio::test]
async fn cells_of_a_text_column_are_files_unless_it_has_a_type() {
    let files = [("a.csv", "id,note\n1,n/one.txt\n"), ("n/one.txt", "the text")];
    assert_eq!(rows("<loadData tableName='t' file='a.csv'/>", &files).await, ["1|-|-|-|the text"]);
    let said = "<loadData tableName='t' file='a.csv'><column name='note' type='string'/></loadData>";
    assert_eq!(rows(said, &files).await, ["1|-|-|-|n/one.txt"]);
    let missing = error_of("<loadData tableName='t' file='a.csv'/>", &files[..1]).await;
    assert!(missing.contains("The file n/one.txt was not found"), "{missing}");
    let upsert = "<loadUpdateData tableName='t' file='a.csv' primaryKey='id'/>";
    assert_eq!(rows(upsert, &files).await, ["1|-|-|-|n/one.txt"]);
}

#[tokio::test]
async fn columns_are_found_by_name_header_or_index() {
    let csv = "Nr\tskip\tlabel\t3rd\n1\tx\t' a\tb'\t\n2\tx\t''\tno\n";
    let change = "<loadData tableName='t' file='a.csv' separator='\\t' quotchar=\"'\"><column header='Nr' name='id' type='numeric'/>\
                  <column name='skip' type='skip'/><column index='2' name='name' type='STRING' defaultValue='none'/>\
                  <column header='3rd' name='ok' type='boolean' defaultValueBoolean='true'/></loadData>";
    assert_eq!(rows(change, &[("a.csv", csv)]).await, ["1| a\tb|true|-|-", "2|none|false|-|-"]);
}

#[tokio::test]
async fn existing_rows_are_updated_and_missing_rows_inserted() {
    let change = "<insert tableName='t'><column name='id' valueNumeric='1'/><column name='name' value='old'/><column name='note' value='kept'/></insert>\
                  <loadUpdateData tableName='t' file='a.csv' primaryKey='id'><column name='note' type='string' allowUpdate='false'/></loadUpdateData>";
    let csv = "id,name,note\n# nothing\n1,new $$ one,x\n\n2,two,y\n";
    assert_eq!(rows(change, &[("a.csv", csv)]).await, ["1|new $$ one|-|-|kept", "2|two|-|-|y"]);
    let only = change.replace("primaryKey='id'", "primaryKey='id' onlyUpdate='true'");
    assert_eq!(rows(&only, &[("a.csv", csv)]).await, ["1|new $$ one|-|-|kept"]);
}

#[tokio::test]
async fn a_malformed_csv_file_is_refused_with_its_line() {
    let load = "<loadData tableName='t' file='a.csv'/>";
    let uneven = error_of(load, &[("a.csv", "id,name\n1,a\n2,b,c\n")]).await;
    assert!(uneven.contains("CSV file a.csv Line 3 has 3 values defined, Header has 2."), "{uneven}");
    assert!(error_of(load, &[("a.csv", "")]).await.contains("Data file a.csv was empty"));
    assert!(error_of(load, &[]).await.contains("The file a.csv was not found"));
    assert!(error_of(load, &[("a.csv", "id,name\n1,\"a\n")]).await.contains("Unterminated quoted field"));
}

#[tokio::test]
async fn properties_are_replaced_in_sql_files() {
    let database = Database::new().await;
    let files = [
        ("sql/a.sql", "create table ${name} (id int);\ninsert into ${name} values (1);"),
        ("v.sql", "select id from ${name};"),
    ];
    let changes = "<sqlFile path='sql/a.sql'/><createView viewName='v' path='v.sql' relativeToChangelogFile='true'/>";
    let xml = format!(
        "<databaseChangeLog><property name='name' value='made'/><changeSet id='1' author='a'>{changes}</changeSet></databaseChangeLog>"
    );
    let all = [("log.xml", xml.as_str()), files[0], files[1]];
    let changelog = Changelog::load(&EmbeddedSource::of_texts(&all), "log.xml", &Options::default()).unwrap();
    database.update(&changelog).await.unwrap();
    assert_eq!(database.rows("SELECT * FROM v").await, ["1"]);
}

#[tokio::test]
async fn a_change_that_runs_a_program_is_refused_unless_it_has_run() {
    let database = Database::new().await;
    let changelog = load("<executeCommand executable='touch'><arg value='file'/></executeCommand>", &[]);
    let error = database.update(&changelog).await.unwrap_err();
    assert!(matches!(&error, Error::Validation(_)), "{error}");
    assert!(error.to_string().contains("executeCommand is not supported"), "{error}");
    database
        .run(
            "INSERT INTO databasechangelog (id, author, filename, dateexecuted, orderexecuted, exectype) \
             VALUES ('1', 'a', 'log.xml', now(), 1, 'EXECUTED')",
        )
        .await;
    assert!(database.update(&changelog).await.unwrap().changesets.is_empty());
}
