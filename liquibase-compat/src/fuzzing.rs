//! Entry points for the fuzz targets in `fuzz/`, into items that are not public. Compiled only for fuzzing.

use crate::change::read_csv_rows;
use crate::changelog::Changelog;
use crate::checksum::ChecksumVersion;
use crate::expression;
use crate::options::Options;
use crate::source::EmbeddedSource;
use crate::sql::{DataType, Splitting, Value, jdbc as driver, parse_number, split as split_sql};

/// Reads a text as the changelog at `path`, and computes its checksums if it is valid.
pub fn changelog(path: &str, text: &str) {
    let source = EmbeddedSource::of_texts(&[(path, text)]);
    if let Ok(changelog) = Changelog::load(&source, path, &Options::default()) {
        assert!(changelog.checksums(ChecksumVersion::V9).all(|(_, sum)| sum.version() == 9));
    }
}

/// Evaluates an expression, and a dbms list, for these items.
pub fn expression(text: &str, items: &str) {
    let items: Vec<String> = items.split(',').map(str::to_owned).collect();
    let _ = (expression::contexts_match(text, &items), expression::contexts_match(text, &[]));
    let _ = (expression::labels_match(text, "a,b"), expression::for_postgresql(text));
}

/// Splits SQL. The parts must not be longer than the whole.
pub fn split(sql: &str, delimiter: Option<&str>, strip_comments: bool) {
    let whole: usize =
        split_sql(sql, Splitting { split: false, strip_comments, delimiter }).iter().map(String::len).sum();
    let pieces: usize =
        split_sql(sql, Splitting { split: true, strip_comments, delimiter }).iter().map(String::len).sum();
    assert!(pieces <= whole);
}

/// Writes a data type, and a default of it.
pub fn data_type(written: &str, value: &str) {
    if let Ok(data_type) = DataType::parse_column(written, false) {
        let _ = data_type.sql();
        for value in [Value::Text(value), Value::Number(value), Value::Date(value)] {
            let _ = data_type.default_sql(&value);
        }
    }
    let _ = DataType::parse_column(written, true);
    // A number that was read and printed is read as it is.
    if let Some(number) = parse_number(value).filter(|number| !number.ends_with("Infinity")) {
        assert_eq!(parse_number(&number), Some(number));
    }
}

/// Reads the rows of a data file. The cells must not be longer than the file.
pub fn csv(text: &str, separator: char, quote: Option<char>) {
    if let Ok(rows) = read_csv_rows(text, separator, quote) {
        assert!(rows.iter().flatten().map(String::len).sum::<usize>() <= text.len());
    }
}

/// Does what the JDBC driver does to a statement. Text without escapes and question marks stays as it is.
pub fn jdbc(sql: &str) {
    let native = driver::native(sql);
    let _ = (driver::executed(&native), driver::queried(sql));
    let sent = driver::sent(sql);
    if !sql.contains(['?', '{']) {
        let joined = sent.join(";");
        assert_eq!(native, if sql.contains(';') { joined.trim_matches(|c: char| c <= ' ') } else { sql });
        // What is joined is split in the same places; nothing is sent of semicolons alone.
        assert!(sent.is_empty() || driver::sent(&joined) == sent, "{sent:?}");
    }
}
