//! Compares the SQL of every change with the SQL that the real Liquibase recorded.

use serde_json::Value;

use crate::changelog::Changelog;
use crate::options::Options;
use crate::source::DirectorySource;

/// Cases that differ from Liquibase's SQL on purpose, or because the recording masks the difference, and why.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[
    ("err-loaddata-text-autotype", "the file is looked up before the SQL is written"),
    ("xml-value-files", "a value from a file is written as a literal, not as a parameter of a prepared statement"),
    ("xml-loaddata-types", "times are masked"),
    ("xml-checksum-attr-variants", "times are masked"),
    ("xml-sql", "the script repeats the delimiter"),
    ("err-delimiter-inline", "the script repeats the delimiter"),
    ("sql-attributes", "the script repeats the delimiter"),
    ("sql-basic", "the script repeats the delimiter"),
    ("sql-go-delimiter", "the script repeats the delimiter"),
    ("yaml-scalars", "times are masked"),
];

/// The statements of a changeset in a recorded script, without those for the history.
fn recorded(script: &str, id: &str, comments: &str) -> Option<String> {
    let start = script.find(&format!("-- Changeset {id}\n"))?;
    let rest = script[start..].split_once('\n').map(|(_, rest)| rest)?;
    let end =
        rest.find("INSERT INTO public.databasechangelog ").or_else(|| rest.find("UPDATE public.databasechangelog"))?;
    let comment = |line: &str| line.strip_prefix("-- ").is_some_and(|text| comments.lines().any(|one| one == text));
    let noise = |line: &str| line.starts_with("SET SEARCH_PATH") || line.starts_with("-- WARNING") || comment(line);
    let lines: Vec<&str> = rest[..end].lines().filter(|line| !noise(line)).collect();
    Some(normalise(&lines.join("\n")))
}

/// Blanks and semicolons are ignored in the comparison.
fn normalise(sql: &str) -> String {
    sql.replace(';', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn generated_sql_equals_the_recorded_sql_of_liquibase() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut compared = 0;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data.join("golden")).unwrap() {
        let golden: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let (Some(case), Some(file)) = (golden["case"].as_str(), golden["changelog"].as_str()) else { continue };
        let script = golden["update_sql"]["stdout"].as_str().or_else(|| golden["update_sql"]["sql"].as_str());
        let Some(script) = script.filter(|_| !KNOWN_DIFFERENCES.iter().any(|(name, _)| *name == case)) else {
            continue;
        };
        let mut options = Options::default();
        for argument in golden["update"]["args"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(contexts) = argument.strip_prefix("--contexts=") {
                options.contexts = contexts.split(',').map(str::to_owned).collect();
            }
        }
        for (name, value) in golden["meta"]["params"].as_object().into_iter().flatten() {
            options.properties.push((name.clone(), value.as_str().unwrap().to_owned()));
        }
        let source = DirectorySource::new(data.join("corpus").join(case)).unwrap();
        let Ok(changelog) = Changelog::load(&source, file, &options) else { continue };
        for set in &changelog.changesets {
            let Some(recorded) = recorded(script, &set.id.to_string(), &set.comments) else { continue };
            let Ok(statements) = set.statements("public") else { continue };
            compared += 1;
            let ours = normalise(&statements.join("; "));
            if ours != recorded {
                found.push(format!("{case} {}:\n  {ours}\n  {recorded}", set.id));
            }
        }
    }
    assert!(found.is_empty(), "{} of {compared} differ\n{}", found.len(), found.join("\n"));
    assert!(compared > 100, "only {compared} changesets were compared");
}
