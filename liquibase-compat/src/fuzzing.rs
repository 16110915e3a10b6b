//! Ways in for the fuzz targets in `fuzz/`, to what is not public. Compiled only for them.

use crate::changelog::Changelog;
use crate::checksum::ChecksumVersion;
use crate::expression;
use crate::options::Options;
use crate::source::EmbeddedSource;
use crate::sql::{Splitting, split as cut};

/// Reads a text as the changelog at `path`, and sums it up if it is one.
pub fn changelog(path: &str, text: &str) {
    let source = EmbeddedSource::of_texts(&[(path, text)]);
    if let Ok(changelog) = Changelog::load(&source, path, &Options::default()) {
        assert!(changelog.checksums(ChecksumVersion::V9).all(|(_, sum)| sum.version() == 9));
    }
}

/// Decides an expression, and a dbms list, for these items.
pub fn expression(text: &str, items: &str) {
    let items: Vec<String> = items.split(',').map(str::to_owned).collect();
    let _ = expression::matches(text, &items) | expression::matches(text, &[]) | expression::for_postgresql(text);
}

/// Cuts SQL; nothing but delimiters and blanks may be lost.
pub fn split(sql: &str, delimiter: Option<&str>, strip_comments: bool) {
    let whole: usize = cut(sql, Splitting { split: false, strip_comments, delimiter }).iter().map(String::len).sum();
    let pieces: usize = cut(sql, Splitting { split: true, strip_comments, delimiter }).iter().map(String::len).sum();
    assert!(pieces <= whole);
}
