//! The checksums of every recorded changelog equal those of Liquibase, in both versions, for every changeset in its order.
//!
//! No database is needed: checksums depend only on the changelog.

use std::path::{Path, PathBuf};

use liquibase_compat::{Changelog, ChecksumVersion, DirectorySource, Options};
use serde_json::Value;

/// Liquibase fails while it reads this case, because it loads the class at once. This crate refuses it in validation.
const REFUSED_LATER: &str = "xml-customchange";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The options of the recorded run. Contexts and properties affect checksums.
fn options(golden: &Value) -> Options {
    let mut options = Options::default();
    let arguments = golden["meta"]["update_args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for argument in arguments {
        if let Some(contexts) = argument.strip_prefix("--contexts=") {
            options.contexts = contexts.split(',').map(str::to_owned).collect();
        }
        if let Some(filter) = argument.strip_prefix("--label-filter=") {
            options.label_filter = filter.to_owned();
        }
    }
    let parameters = golden["meta"]["params"].as_object().into_iter().flatten();
    options.properties =
        parameters.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    options
}

/// The changesets with their checksums, `file::id::author checksum`, as recorded and as computed now.
fn compared(
    golden: &Value,
    changelog: &Changelog,
    number: u64,
    version: ChecksumVersion,
) -> (Vec<String>, Vec<String>) {
    let recorded = golden["checksums"].as_array().into_iter().flatten().filter(|entry| entry["v"] == number);
    let recorded = recorded
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("null").to_owned();
            format!("{}::{}::{} {}", text("file"), text("id"), text("author"), text("sum"))
        })
        .collect();
    let made = changelog.checksums(version).map(|(id, sum)| format!("{id} {sum}")).collect();
    (recorded, made)
}

fn check(name: &str) -> Result<(), String> {
    let golden = std::fs::read_to_string(data().join("golden").join(format!("{name}.json"))).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    if golden.get("checksums").is_none() {
        // Recorded through the command line, which does not print them; `golden` compares the history instead.
        return Ok(());
    }
    let source = DirectorySource::new(data().join("corpus").join(name)).unwrap();
    let loaded = Changelog::load(&source, golden["changelog"].as_str().unwrap(), &options(&golden));
    let no_sums = golden["checksums"].as_array().is_none_or(Vec::is_empty);
    let changelog = match loaded {
        Ok(changelog) => changelog,
        Err(_) if no_sums && golden["update"]["error"].is_string() => return Ok(()),
        Err(error) => return Err(format!("{error}")),
    };
    if no_sums && golden["update"]["error"].is_string() && name != REFUSED_LATER {
        return Err(format!("Liquibase refuses it: {}", golden["update"]["error"]));
    }
    for (number, version) in [(9, ChecksumVersion::V9), (8, ChecksumVersion::V8)] {
        let (recorded, made) = compared(&golden, &changelog, number, version);
        // There is no checksum if a file is missing; then only the changesets are compared.
        let equal = recorded.iter().zip(&made).all(|(recorded, made)| recorded == made || recorded.contains(" ERR "));
        if !no_sums && (recorded.len() != made.len() || !equal) {
            return Err(format!("version {number}:\n  recorded {recorded:#?}\n  made {made:#?}"));
        }
    }
    Ok(())
}

#[test]
fn every_recorded_changelog_has_its_recorded_checksums() {
    let mut names: Vec<String> = std::fs::read_dir(data().join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wrong: Vec<String> =
        names.iter().filter_map(|name| check(name).err().map(|error| format!("{name}: {error}"))).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}
