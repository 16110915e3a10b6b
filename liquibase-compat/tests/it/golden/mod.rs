//! Compares the results of this crate with recordings of the real Liquibase.
//!
//! `data/corpus/CASE` is a changelog, and `data/golden/CASE.json` records what Liquibase 4.28.0 did with it on an empty database: the
//! history with its checksums, the schema and the data, after the update and after further commands (`case.rs`). A case is replayed up
//! to the first command that only the command line has. The tests of the command line replay all cases to their end.

mod case;
mod compare;

use std::path::{Path, PathBuf};

use case::Case;

use crate::recording::copy;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Cases in which this crate differs on purpose: it refuses a changeset without an author, which Liquibase runs and fails to record.
const KNOWN_DIFFERENCES: &[&str] = &["yaml-no-author"];

/// Replays the cases whose names have one of these prefixes. Returns every difference from the recordings.
async fn differences(prefixes: &[&str]) -> Vec<String> {
    let work = std::env::temp_dir().join(format!("liquibase-compat-{}-{}", prefixes.join(""), std::process::id()));
    let mut names: Vec<String> = std::fs::read_dir(data().join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            prefixes.iter().any(|prefix| name.starts_with(prefix)) && !KNOWN_DIFFERENCES.contains(&name.as_str())
        })
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no recorded cases {prefixes:?} in {}", data().display());
    let mut found = Vec::new();
    for name in names {
        let directory = work.join(&name);
        copy(&data().join("corpus").join(&name), &directory);
        let golden = std::fs::read_to_string(data().join("golden").join(format!("{name}.json"))).unwrap();
        let case = Case::new(directory, serde_json::from_str(&golden).unwrap()).await;
        found.extend(case.replay().await.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    std::fs::remove_dir_all(work).unwrap();
    found
}

#[tokio::test]
async fn every_xml_case_has_the_result_of_liquibase() {
    let found = differences(&["xml-"]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_yaml_and_json_case_has_the_result_of_liquibase() {
    let found = differences(&["yaml-", "json-"]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_sql_case_has_the_result_of_liquibase() {
    let found = differences(&["sql-"]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_additional_case_has_the_result_of_liquibase() {
    let found = differences(&["own-"]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_refused_case_has_the_result_of_liquibase() {
    let found = differences(&["err-"]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
