//! Nothing is silently ignored: each name that means nothing here is refused or is in a warning, wherever it is written.

use crate::support::{Database, scratch, text};

/// A name that nothing has.
const NAME: &str = "bogus";

/// A complete XML changelog in which each `@` is a place for an attribute, and each `#` one for an element.
const XML: &str = r#"<databaseChangeLog@>
  <property name="a" value="b"@>#</property>
  <preConditions@><dbms type="postgresql"@/><sqlCheck expectedResult="1"@>select 1#</sqlCheck>#</preConditions>
  <include file="inner.sql"@/><includeAll path="more"@/>
  <changeSet id="1" author="me"@><validCheckSum@>1:any</validCheckSum>
    <preConditions onFail="HALT"@><not@><tableExists tableName="t"@/>#</not></preConditions>
    <createTable tableName="t"@><column name="a" type="int"@><constraints nullable="false"@/>#</column>#</createTable>
    <addColumn tableName="t"@><column name="b" type="int"@/></addColumn>
    <insert tableName="t"@><column name="a" valueNumeric="1"@/></insert>
    <update tableName="t"@><column name="b" valueNumeric="1"@/><where>a = :value</where><whereParams><param valueNumeric="1"@/></whereParams></update>
    <sql@>select 1#</sql><createView viewName="v"@>select 1</createView><loadData tableName="t" file="t.csv"@><column name="a" type="numeric"@/></loadData>
    <rollback@>select 1#</rollback><modifySql@><replace replace="x" with="y"@/>#</modifySql>
  </changeSet>#
</databaseChangeLog>"#;

/// As [`XML`], in JSON: each `@` is a place for a key.
const JSON: &str = r#"{"databaseChangeLog": [
  {"property": {"name": "a", "value": "b"@}},
  {"preConditions": [{"dbms": {"type": "postgresql"@}}]},
  {"include": {"file": "inner.sql"@}}, {"includeAll": {"path": "more"@}},
  {"changeSet": {"id": "1", "author": "me", "preConditions": [{"tableExists": {"tableName": "databasechangelog"@}}], "changes": [
    {"createTable": {"tableName": "t", "columns": [{"column": {"name": "a", "type": "int", "constraints": {"nullable": false@}@}}]@}},
    {"insert": {"tableName": "t", "columns": [{"column": {"name": "a", "valueNumeric": 1@}}]@}},
    {"sql": {"sql": "select 1"@}}, {"loadData": {"tableName": "t", "file": "t.csv", "columns": [{"column": {"name": "a", "type": "numeric"@}}]@}}],
    "rollback": [{"sql": {"sql": "select 1"@}}], "modifySql": {"replace": {"replace": "x", "with": "y"@}@}@}}
]}"#;

/// The text without its places, and then with something in one place at a time.
fn variants(template: &str, place: char, inserted: &str) -> Vec<String> {
    let filled = |chosen: Option<usize>| -> String {
        let mut index = 0;
        let mut out = String::new();
        for c in template.chars() {
            if c == place {
                if chosen == Some(index) {
                    out.push_str(inserted);
                }
                index += 1;
            } else if !matches!(c, '@' | '#') {
                out.push(c);
            }
        }
        out
    };
    let count = template.chars().filter(|c| *c == place).count();
    std::iter::once(None).chain((0..count).map(Some)).map(filled).collect()
}

/// Whether a run of this changelog succeeds, and its standard error.
fn update(file: &str, changelog: &str) -> (bool, String) {
    let (database, directory) = (Database::new(), scratch("unknown-names"));
    std::fs::create_dir_all(directory.join("more")).unwrap();
    for (name, content) in [
        (file, changelog),
        ("inner.sql", "--liquibase formatted sql\n--changeset me:inner\nselect 1;\n"),
        ("more/one.sql", "--liquibase formatted sql\n--changeset me:more\nselect 1;\n"),
        ("t.csv", "a\n5\n"),
    ] {
        std::fs::write(directory.join(name), content).unwrap();
    }
    let output = database.migrate(&directory, &[&format!("--changelog-file={file}"), "update"]);
    (output.status.success(), text(&output.stderr))
}

fn check(file: &str, variants: &[String]) {
    let (succeeds, stderr) = update(file, &variants[0]);
    assert!(succeeds, "{file}: {stderr}");
    let mut silent = Vec::new();
    for changelog in &variants[1..] {
        let (_, stderr) = update(file, changelog);
        if !stderr.contains(NAME) {
            let line = changelog.lines().find(|line| line.contains(NAME)).unwrap_or_default();
            silent.push(format!("{line}\n  {stderr}"));
        }
    }
    assert!(silent.is_empty(), "{file}: {} of {} say nothing\n{}", silent.len(), variants.len(), silent.join("\n"));
}

#[test]
fn unknown_attributes_and_elements_of_xml_are_refused() {
    check("log.xml", &variants(XML, '@', " bogus=\"1\""));
    check("log.xml", &variants(XML, '#', "<bogus/>"));
}

#[test]
fn unknown_keys_of_json_and_yaml_are_refused_or_named() {
    let scalars = variants(JSON, '@', ", \"bogus\": 1");
    check("log.json", &scalars);
    // JSON is YAML.
    check("log.yaml", &scalars);
    check("log.json", &variants(JSON, '@', ", \"bogus\": [{\"a\": 1}]"));
}

#[test]
fn unknown_attributes_of_formatted_sql_are_named() {
    let template = "--liquibase formatted sql\n--property name:a value:b@\n--changeset me:1 runAlways:false@\n\
        --preconditions onFail:HALT@\n--precondition-sql-check expectedResult:1 select 1\nselect 1;\n--rollback empty\n";
    check("log.sql", &variants(template, '@', " bogus:1"));
}

#[test]
fn unknown_settings_are_refused_or_named() {
    let (database, directory) = (Database::new(), scratch("unknown-settings"));
    std::fs::write(directory.join("log.sql"), "--liquibase formatted sql\n").unwrap();
    std::fs::write(directory.join("bogus.properties"), "bogus: 1\n").unwrap();
    std::fs::write(directory.join("command.properties"), "liquibase.command.update.bogus: 1\n").unwrap();
    let log = "--changelog-file=log.sql";
    let url = format!("--url={}?bogus=1", database.url());
    for (arguments, variable) in [
        (vec!["--defaults-file=bogus.properties", log, "update"], None),
        (vec!["--defaults-file=command.properties", log, "update"], None),
        (vec!["-Dliquibase.bogus=1", log, "update"], None),
        (vec![log, "update"], Some("LIQUIBASE_BOGUS")),
        (vec![log, "update"], Some("LIQUIBASE_COMMAND_UPDATE_BOGUS")),
        (vec![log, "--bogus=1", "update"], None),
        (vec![log, "update", "--bogus=1"], None),
        (vec![&url, log, "update"], None),
    ] {
        let mut command = match arguments.contains(&url.as_str()) {
            true => {
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_attendance-api"));
                command.arg("migrate").args(&arguments).current_dir(&directory);
                command
            }
            false => database.command(&directory, &arguments),
        };
        if let Some(variable) = variable {
            command.env(variable, "1");
        }
        let stderr = text(&command.output().unwrap().stderr);
        assert!(stderr.to_lowercase().contains(NAME), "{arguments:?} {variable:?}: {stderr}");
    }
}
