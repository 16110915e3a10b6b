//! modifySql: what it does to statements, and which checksums it leaves valid.

use liquibase_compat::{Changelog, EmbeddedSource, Error, Options};

use crate::support::Database;

/// A changeset whose SQL is modified outside of production.
const LOG: &str = "<databaseChangeLog><changeSet id='1' author='a'>\
    <createTable tableName='mod'><column name='id' type='int'/></createTable>\
    <modifySql context='!prod' applyToRollback='true'><append value=' WITH (fillfactor=70)'/></modifySql>\
    </changeSet></databaseChangeLog>";

fn load(xml: &str, contexts: &[&str]) -> (Changelog, Options) {
    let options = Options::default().with_contexts(contexts.iter().copied());
    (Changelog::load(&EmbeddedSource::of_texts(&[("log.xml", xml)]), "log.xml", &options).unwrap(), options)
}

async fn fillfactor(database: &Database) -> Vec<String> {
    database.rows("SELECT reloptions::text FROM pg_class WHERE relname = 'mod'").await
}

#[tokio::test]
async fn what_is_not_meant_for_the_run_is_left_out_of_sql_and_checksum() {
    let (test, prod) = (Database::new().await, Database::new().await);
    let (changelog, options) = load(LOG, &["test"]);
    test.update_with(&changelog, &options).await.unwrap();
    assert_eq!(fillfactor(&test).await, ["{fillfactor=70}"]);
    let (changelog, options) = load(LOG, &["prod"]);
    prod.update_with(&changelog, &options).await.unwrap();
    assert_eq!(fillfactor(&prod).await, ["-"]);
    let error = test.update_with(&changelog, &options).await.unwrap_err();
    assert!(matches!(error, Error::Validation(_)), "the checksum depends on the contexts: {error}");
}

#[tokio::test]
async fn a_rollback_is_modified_where_that_is_said() {
    let database = Database::new().await;
    let said = LOG.replace("<append value=' WITH (fillfactor=70)'/>", "<replace replace='mod' with='mod_x'/>");
    for (xml, left) in [(said.clone(), 0), (said.replace("applyToRollback='true'", ""), 1)] {
        let (changelog, options) = load(&xml, &[]);
        database.update_with(&changelog, &options).await.unwrap();
        let undone = database.rollback_with(&changelog, &options, 1).await;
        assert_eq!(undone.is_err(), left == 1, "without it, the table of the changelog is dropped, which is not there");
        assert_eq!(database.rows("SELECT 1 FROM pg_class WHERE relname = 'mod_x'").await.len(), left);
    }
}

/// Version 8 names the contexts of modifySql in two ways, as Liquibase 4.1 and as the later mode of that version; both are right.
#[tokio::test]
async fn both_sums_of_version_8_are_accepted() {
    for sum in ["8:3fa524ecc9920d192e0bab9b085b79b5", "8:585631c0799f594ec1400cd8155de21c"] {
        let database = Database::new().await;
        let (changelog, options) = load(LOG, &["test"]);
        database.update_with(&changelog, &options).await.unwrap();
        database.run(&format!("UPDATE databasechangelog SET md5sum = '{sum}'")).await;
        let report = database.update_with(&changelog, &options).await.unwrap();
        assert_eq!((report.changesets.len(), report.checksums_upgraded), (0, 1), "{sum}");
    }
}
