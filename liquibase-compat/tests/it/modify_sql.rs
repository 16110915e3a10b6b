//! modifySql: how it changes statements, and which checksums remain valid.

use liquibase_compat::{Changelog, EmbeddedSource, Error, Options};

use crate::support::Database;

/// A changeset whose SQL is modified except in production.
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
async fn a_modification_for_another_context_affects_neither_sql_nor_checksum() {
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
async fn a_rollback_is_modified_only_with_apply_to_rollback() {
    let database = Database::new().await;
    let said = LOG.replace("<append value=' WITH (fillfactor=70)'/>", "<replace replace='mod' with='mod_x'/>");
    for (xml, left) in [(said.clone(), 0), (said.replace("applyToRollback='true'", ""), 1)] {
        let (changelog, options) = load(&xml, &[]);
        database.update_with(&changelog, &options).await.unwrap();
        let undone = database.rollback_with(&changelog, &options, 1).await;
        assert_eq!(undone.is_err(), left == 1, "without it, the rollback drops the table `mod`, which does not exist");
        assert_eq!(database.rows("SELECT 1 FROM pg_class WHERE relname = 'mod_x'").await.len(), left);
    }
}

/// Version 8 checksums name the contexts of modifySql differently in Liquibase 4.1 and in 4.28.
#[tokio::test]
async fn both_forms_of_version_8_checksums_are_accepted() {
    for sum in ["8:3fa524ecc9920d192e0bab9b085b79b5", "8:585631c0799f594ec1400cd8155de21c"] {
        let database = Database::new().await;
        let (changelog, options) = load(LOG, &["test"]);
        database.update_with(&changelog, &options).await.unwrap();
        database.run(&format!("UPDATE databasechangelog SET md5sum = '{sum}'")).await;
        let report = database.update_with(&changelog, &options).await.unwrap();
        assert_eq!((report.changesets.len(), report.checksums_upgraded), (0, 1), "{sum}");
    }
}
