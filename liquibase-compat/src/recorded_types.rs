//! Compares the SQL of types, defaults and values with what the real Liquibase recorded in `tests/data/types`.

use crate::change::ChangeError;
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::changeset_error::SqlGenerationError;
use crate::options::Options;
use crate::recorded_text::unescaped;
use crate::source::EmbeddedSource;
use crate::validation_problem::ValidationProblem;

/// Why the SQL of a recorded type is not Liquibase's; `None` if it must be.
fn intended_difference(data_type: &str, recorded: &str) -> Option<&'static str> {
    let words = data_type.trim().to_lowercase();
    if recorded.contains("](") {
        return Some("the parameters of an array belong before its brackets");
    }
    if words.starts_with("interval") && words != "interval" && !words.starts_with("interval{") && words != "interval[]"
    {
        return Some("Liquibase repeats the words of an interval, which PostgreSQL does not accept");
    }
    None
}

/// The part of a recorded text that does not depend on the Java virtual machine.
fn without_java_modules(text: &str) -> &str {
    if text.contains("cannot be cast to class") { text.split(" (").next().unwrap_or(text) } else { text }
}

/// What happens to a changeset: its SQL, the problems that validation finds, or the error.
fn outcome(set: &ChangeSet) -> String {
    let problems: Vec<ValidationProblem> = set.changes.iter().flat_map(|change| change.problems()).collect();
    match problems.first() {
        Some(ValidationProblem::DataType(error)) => return format!("error: {error}"),
        Some(problem) => return format!("invalid: {problem}"),
        None => {}
    }
    match set.statements("public") {
        Ok(statements) => statements.join("; "),
        Err(SqlGenerationError::Change(ChangeError::DataType(error))) => format!("error: {error}"),
        Err(error) => format!("error: {error}"),
    }
}

fn attribute(name: &str, value: &str) -> String {
    let escaped = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
        .replace('\t', "&#9;")
        .replace('\n', "&#10;");
    format!(" {name}=\"{escaped}\"")
}

/// The outcome of each change, which is the only one of its changeset.
fn outcomes(changes: &[String]) -> Vec<String> {
    let sets: Vec<String> = changes
        .iter()
        .enumerate()
        .map(|(index, change)| format!("<changeSet id=\"{index}\" author=\"a\">{change}</changeSet>"))
        .collect();
    let text = format!("<databaseChangeLog>{}</databaseChangeLog>", sets.join("\n"));
    let source = EmbeddedSource::of_texts(&[("log.xml", &text)]);
    let changelog = Changelog::load(&source, "log.xml", &Options::default()).unwrap();
    assert_eq!(changelog.changesets.len(), changes.len());
    changelog.changesets.iter().map(outcome).collect()
}

fn create_table(column: &str) -> String {
    format!("<createTable tableName=\"t\"><column name=\"c\"{column}/></createTable>")
}

fn add_column(column: &str) -> String {
    format!("<addColumn tableName=\"t\"><column name=\"c\"{column}/></addColumn>")
}

/// One recorded cell: a label for messages, the change, the data type, and what Liquibase did.
struct Recorded {
    label: String,
    change: String,
    data_type: String,
    outcome: String,
}

/// Compares the outcomes, after `shown` has cut them to the recorded part.
fn compare(file: &str, cells: &[Recorded], shown: impl Fn(&str) -> String) {
    let changes: Vec<String> = cells.iter().map(|cell| cell.change.clone()).collect();
    let mut found = Vec::new();
    for (cell, ours) in cells.iter().zip(outcomes(&changes)) {
        let ours = shown(&ours);
        let recorded = without_java_modules(&cell.outcome);
        if ours.trim_end() != recorded.trim_end() && intended_difference(&cell.data_type, recorded).is_none() {
            found.push(format!("{}\n  recorded {recorded}\n  ours     {ours}", cell.label));
        }
    }
    let total = cells.len();
    assert!(found.is_empty(), "{file}: {} of {total} differ\n{}", found.len(), found.join("\n"));
}

/// The rows of a file. The first columns are what was given, with escapes; the others are outcomes, in which only line ends are escaped.
fn rows(text: &str, given: usize, outcomes: usize) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let cells = line.splitn(given + outcomes, '\t').enumerate();
        let row: Vec<String> = cells
            .map(|(index, cell)| if index < given { unescaped(cell) } else { cell.replace("\\n", "\n") })
            .collect();
        assert_eq!(row.len(), given + outcomes, "{line}");
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn types_are_written_as_liquibase_writes_them() {
    let mut cells = Vec::new();
    for row in rows(include_str!("../tests/data/types/types.tsv"), 1, 5) {
        let data_type = &row[0];
        let type_attribute = attribute("type", data_type);
        let identity = format!("{type_attribute} autoIncrement=\"true\"");
        let options = " generationType=\"ALWAYS\" startWith=\"5\" incrementBy=\"2\"";
        let changes = [
            create_table(&type_attribute),
            create_table(&identity),
            add_column(&format!("{identity}{options}")),
            format!("<modifyDataType tableName=\"t\" columnName=\"c\"{}/>", attribute("newDataType", data_type)),
            format!("<createSequence sequenceName=\"t\"{}/>", attribute("dataType", data_type)),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let label = format!("{data_type:?} in column {}", index + 2);
            cells.push(Recorded { label, change, data_type: data_type.clone(), outcome: row[index + 1].clone() });
        }
    }
    assert!(cells.len() > 11_000, "only {}", cells.len());
    compare("types.tsv", &cells, str::to_owned);
}

#[test]
fn defaults_are_written_as_liquibase_writes_them() {
    let mut cells = Vec::new();
    for row in rows(include_str!("../tests/data/types/defaults.tsv"), 3, 3) {
        let [data_type, name, value] = [&row[0], &row[1], &row[2]];
        let default = attribute(name, value);
        let column = format!("{}{default}", attribute("type", data_type));
        let column_data_type =
            if data_type.is_empty() { String::new() } else { attribute("columnDataType", data_type) };
        let changes = [
            create_table(&column),
            add_column(&column),
            format!("<addDefaultValue tableName=\"t\" columnName=\"c\"{column_data_type}{default}/>"),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            // There is no column without a type.
            if data_type.is_empty() && index < 2 {
                continue;
            }
            let label = format!("{data_type:?} {name}={value:?} in column {}", index + 4);
            cells.push(Recorded { label, change, data_type: data_type.clone(), outcome: row[index + 3].clone() });
        }
    }
    let shown = |sql: &str| {
        let sql = sql.strip_prefix("CREATE TABLE public.t (c ").unwrap_or(sql);
        let sql = sql.strip_prefix("ALTER TABLE public.t ADD c ").unwrap_or(sql);
        sql.strip_prefix("ALTER TABLE public.t ALTER COLUMN  c SET DEFAULT ").unwrap_or(sql).to_owned()
    };
    compare("defaults.tsv", &cells, shown);
}

#[test]
fn the_value_of_rows_without_one_is_converted_for_booleans() {
    let cell = |row: Vec<String>| {
        let data_type = if row[0].is_empty() { String::new() } else { attribute("columnDataType", &row[0]) };
        let value = attribute("defaultNullValue", &row[1]);
        Recorded {
            label: format!("{:?} {:?}", row[0], row[1]),
            change: format!("<addNotNullConstraint tableName=\"t\" columnName=\"c\"{data_type}{value}/>"),
            data_type: row[0].clone(),
            outcome: row[2].clone(),
        }
    };
    let cells: Vec<Recorded> =
        rows(include_str!("../tests/data/types/not_null.tsv"), 2, 1).into_iter().map(cell).collect();
    compare("not_null.tsv", &cells, str::to_owned);
}

#[test]
fn values_are_written_as_liquibase_writes_them() {
    let mut cells = Vec::new();
    for row in rows(include_str!("../tests/data/types/values.tsv"), 2, 3) {
        let value = attribute(&row[0], &row[1]);
        let changes = [
            format!("<insert tableName=\"t\"><column name=\"c\"{value}/></insert>"),
            format!("<update tableName=\"t\"><column name=\"c\"{value}/><where>x</where></update>"),
            add_column(&format!(" type=\"int\"{value}")),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let label = format!("{}={:?} in column {}", row[0], row[1], index + 3);
            cells.push(Recorded { label, change, data_type: "int".to_owned(), outcome: row[index + 2].clone() });
        }
    }
    compare("values.tsv", &cells, str::to_owned);
}

/// The types that were recorded before the files in `types`, in `tests/data/types.txt`.
#[test]
fn the_list_of_types_is_mapped_as_recorded() {
    let lines: Vec<(&str, &str)> =
        include_str!("../tests/data/types.txt").lines().map(|line| line.split_once('\t').unwrap()).collect();
    let cell = |(data_type, recorded): &(&str, &str)| {
        let (data_type, identity) = match data_type.strip_suffix(" [autoIncrement]") {
            Some(data_type) => (data_type, " autoIncrement=\"true\""),
            None => (*data_type, ""),
        };
        Recorded {
            label: data_type.to_owned(),
            change: create_table(&format!("{}{identity}", attribute("type", data_type))),
            data_type: data_type.to_owned(),
            outcome: (*recorded).to_owned(),
        }
    };
    let cells: Vec<Recorded> = lines.iter().map(cell).collect();
    let shown = |sql: &str| {
        let sql = sql.strip_prefix("CREATE TABLE public.t (c ").and_then(|sql| sql.strip_suffix(')')).unwrap_or(sql);
        sql.strip_suffix(" GENERATED BY DEFAULT AS IDENTITY").unwrap_or(sql).to_owned()
    };
    compare("types.txt", &cells, shown);
}
