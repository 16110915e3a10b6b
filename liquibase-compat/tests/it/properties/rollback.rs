//! Rolling back a changeset restores the schema, for every change that has an inverse; and what ran does not run again.
//!
//! One changelog contains a changeset for each such change. The test applies one changeset after the other and dumps the schema before
//! each. Then it rolls back one after the other, and compares with the dumps. It repeats this for several kinds of names and quoting
//! strategies.

use liquibase_compat::{Changelog, EmbeddedSource, Options};

use super::Random;
use crate::support::{Database, pg_dump};

/// The schema before: the tables `item` and `other`, and a row. The ids are NOT NULL from the start, because PostgreSQL keeps columns NOT
/// NULL when a primary key is dropped.
const BASE: &str = r#"
    <createTable tableName="{item}"><column name="{id}" type="int"><constraints nullable="false"/></column><column name="{name}" type="varchar(50)"/>
      <column name="{code}" type="varchar(2)"/><column name="{price}" type="numeric(10,2)"/></createTable>
    <createTable tableName="{other}"><column name="{id}" type="int"><constraints nullable="false"/></column><column name="{ref}" type="int"/></createTable>
    <insert tableName="{item}"><column name="{id}" valueNumeric="1"/><column name="{name}" value="one"/><column name="{code}" value="DE"/></insert>"#;

/// A change of every kind that has an inverse. Each uses what the changes before it left.
const CHANGES: &[&str] = &[
    r#"<createTable tableName="{made}" remarks="it's made"><column name="{id}" type="bigint" autoIncrement="true"><constraints primaryKey="true"/></column>
       <column name="{name}" type="varchar(9)" defaultValue="x" remarks="a name"><constraints nullable="false" unique="true"/></column></createTable>"#,
    r#"<addColumn tableName="{item}"><column name="{added}" type="int" defaultValueNumeric="5"><constraints nullable="false"/></column>
       <column name="{second}" type="text" value="v" remarks="r"/></addColumn>"#,
    r#"<addPrimaryKey tableName="{item}" columnNames="{id}" constraintName="{pk}"/>"#,
    r#"<addPrimaryKey tableName="{other}" columnNames="{id}"/>"#,
    r#"<addUniqueConstraint tableName="{item}" columnNames="{name},{code}" constraintName="{uq}" deferrable="true" initiallyDeferred="true"/>"#,
    r#"<addForeignKeyConstraint baseTableName="{other}" baseColumnNames="{ref}" referencedTableName="{item}" referencedColumnNames="{id}"
       constraintName="{fk}" onDelete="CASCADE" onUpdate="NO ACTION"/>"#,
    r#"<addNotNullConstraint tableName="{item}" columnName="{name}" columnDataType="varchar(50)" defaultNullValue="none"/>"#,
    r#"<dropNotNullConstraint tableName="{item}" columnName="{name}" columnDataType="varchar(50)"/>"#,
    r#"<addDefaultValue tableName="{item}" columnName="{name}" defaultValue="O'Brien"/>"#,
    r#"<addDefaultValue tableName="{item}" columnName="{price}" columnDataType="numeric(10,2)" defaultValueNumeric="1.50"/>"#,
    r#"<createSequence sequenceName="{seq}" startValue="7" incrementBy="3" cacheSize="2" cycle="true" maxValue="100"/>"#,
    r#"<renameSequence oldSequenceName="{seq}" newSequenceName="{seq2}"/>"#,
    r#"<createIndex tableName="{item}" indexName="{ix}"><column name="{price}" descending="true"/><column name="{name}"/></createIndex>"#,
    r#"<createView viewName="{v}" remarks="seen">select 1 as one</createView>"#,
    r#"<renameView oldViewName="{v}" newViewName="{v2}"/>"#,
    r#"<renameColumn tableName="{item}" oldColumnName="{price}" newColumnName="{cost}" columnDataType="numeric(10,2)"/>"#,
    r#"<renameTable oldTableName="{other}" newTableName="{third}"/>"#,
    r#"<addLookupTable existingTableName="{item}" existingColumnName="{code}" newTableName="{codes}" newColumnName="{code}" constraintName="{fkc}"/>"#,
    r#"<loadUpdateData tableName="{item}" file="rows.csv" primaryKey="{id}"/>"#,
    r#"<tagDatabase tag="T"/>"#,
    r#"<output>said</output>"#,
    "<empty/>",
];

/// A way of writing names.
struct Naming {
    title: &'static str,
    strategy: &'static str,
    written: fn(&str) -> String,
}

const NAMINGS: &[Naming] = &[
    Naming { title: "plain", strategy: "LEGACY", written: str::to_owned },
    Naming { title: "upper case", strategy: "LEGACY", written: str::to_uppercase },
    Naming { title: "mixed case", strategy: "LEGACY", written: |name| format!("My{name}") },
    Naming { title: "blanks and quotes", strategy: "LEGACY", written: |name| format!("a {name}'s") },
    Naming { title: "all quoted", strategy: "QUOTE_ALL_OBJECTS", written: |name| format!("My{name}") },
    Naming { title: "folded", strategy: "QUOTE_ONLY_RESERVED_WORDS", written: |name| format!("My{name}") },
];

/// The text with every `{name}` written in this way.
fn named(text: &str, naming: &Naming) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(&(naming.written)(name));
        rest = after;
    }
    out + rest
}

/// The changelog of the base and these changes.
fn changelog(naming: &Naming, changes: &[&str]) -> Changelog {
    let mut xml = format!("<databaseChangeLog objectQuotingStrategy=\"{}\">", naming.strategy);
    for (index, change) in std::iter::once(&BASE).chain(changes).enumerate() {
        xml.push_str(&format!("<changeSet id=\"{index}\" author=\"me\">{}</changeSet>", named(change, naming)));
    }
    xml.push_str("</databaseChangeLog>");
    let csv = named("{id},{name},{code}\n1,\"changed\",DE\n2,NULL,DE\n", naming);
    let source = EmbeddedSource::of_texts(&[("log.xml", xml.as_str()), ("rows.csv", csv.as_str())]);
    Changelog::load(&source, "log.xml", &Options::default()).unwrap()
}

async fn check_rollbacks(naming: &Naming, changes: &[&str]) {
    let database = Database::new().await;
    let mut dumps = Vec::new();
    for count in 0..=changes.len() {
        let changelog = changelog(naming, &changes[..count]);
        let done = database.update(&changelog).await;
        assert!(done.is_ok(), "{}: {:?} of {:?}", naming.title, done, changes.get(count.wrapping_sub(1)));
        dumps.push(pg_dump(&database.name));
    }
    let all = changelog(naming, changes);
    let client = database.connect().await;
    let pending = liquibase_compat::status(&client, &all, &Options::default()).await.unwrap();
    assert!(pending.is_empty(), "{}: a changeset that ran is pending: {pending:?}", naming.title);
    assert!(database.update(&all).await.unwrap().changesets.is_empty());
    for (index, change) in changes.iter().enumerate().rev() {
        database.rollback(&all, 1).await.unwrap_or_else(|error| panic!("{}: {error} of {change}", naming.title));
        assert_eq!(pg_dump(&database.name), dumps[index], "{}: {change}", naming.title);
    }
}

#[tokio::test]
async fn a_rollback_restores_the_schema_for_every_change_with_an_inverse() {
    for naming in NAMINGS {
        check_rollbacks(naming, CHANGES).await;
    }
}

/// The changes that do not depend on each other, in random orders.
#[tokio::test]
async fn a_rollback_restores_the_schema_in_any_order_of_changes() {
    let independent: Vec<&str> = CHANGES
        .iter()
        .copied()
        .filter(|change| {
            [
                "createTable",
                "addPrimaryKey tableName=\"{other}\"",
                "createSequence",
                "createIndex",
                "createView",
                "addDefaultValue",
                "addNotNull",
                "addColumn",
            ]
            .iter()
            .any(|kind| change.trim_start().starts_with(&format!("<{kind}")))
        })
        .collect();
    for seed in 0..4 {
        let mut changes = independent.clone();
        Random(seed).shuffle(&mut changes);
        check_rollbacks(&NAMINGS[0], &changes).await;
    }
}
