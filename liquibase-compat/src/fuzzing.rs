//! Entry points for the fuzz targets in `fuzz/`, into items that are not public. Compiled only for fuzzing.

use crate::changelog::Changelog;
use crate::checksum::ChecksumVersion;
use crate::expression;
use crate::options::Options;
use crate::source::EmbeddedSource;
use crate::sql::{Splitting, split as split_sql};

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
    let _ = expression::matches(text, &items) | expression::matches(text, &[]) | expression::for_postgresql(text);
}

/// Splits SQL. The parts must not be longer than the whole.
pub fn split(sql: &str, delimiter: Option<&str>, strip_comments: bool) {
    let whole: usize =
        split_sql(sql, Splitting { split: false, strip_comments, delimiter }).iter().map(String::len).sum();
    let pieces: usize =
        split_sql(sql, Splitting { split: true, strip_comments, delimiter }).iter().map(String::len).sum();
    assert!(pieces <= whole);
}
