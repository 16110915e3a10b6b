//! Reads with what the cache needs of them, which is computed once.

use std::fmt::Write as _;

use super::date::Date;
use super::json::Charset;
use super::listing::ListQuery;
use super::record::RecordFormat;
use super::visibility::Visibility;
use crate::cache::Scope;
use crate::config::DateFormat;

/// Every list depends on this scope, and every change affects it.
pub(super) const LISTS: Scope<'static> = Scope::whole("a");

/// The scope of one employee's records.
pub(super) fn employee(id: &str) -> Scope<'_> {
    Scope::member("e", id)
}

/// A search for one record, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFind {
    pub(super) id: String,
    /// `None` asks for the latest record.
    pub(super) date: Option<Date>,
    pub(super) visibility: Visibility,
    pub(super) key: String,
}

/// A list of records, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedList {
    pub(super) query: ListQuery,
    pub(super) key: String,
}

impl PreparedFind {
    /// Without a cache, there is no `format` for a key.
    pub(super) fn new(id: String, date: Option<Date>, visibility: Visibility, format: Option<RecordFormat>) -> Self {
        let key = format.map(|format| visibility.narrow_key(find_key(format, &id, date))).unwrap_or_default();
        Self { id, date, visibility, key }
    }

    /// Whether the caller may see the record.
    pub(super) fn is_visible(&self) -> bool {
        self.visibility.includes(&self.id)
    }
}

impl PreparedList {
    /// Without a cache, there is no `format` for a key.
    pub(super) fn new(query: ListQuery, format: Option<RecordFormat>) -> Self {
        let key = format.map(|format| query.visibility.narrow_key(list_key(format, &query))).unwrap_or_default();
        Self { query, key }
    }

    /// Which records are listed.
    pub fn query(&self) -> &ListQuery {
        &self.query
    }
}

/// A part of every key, because several instances with different settings may share a cache.
pub(super) fn format_key(format: RecordFormat) -> &'static str {
    match (format.date, format.charset) {
        (DateFormat::Iso, Charset::Ascii) => "Iso",
        (DateFormat::Http, Charset::Ascii) => "Http",
        (DateFormat::Iso, Charset::Utf8) => "IsoUtf8",
        (DateFormat::Http, Charset::Utf8) => "HttpUtf8",
    }
}

/// Includes everything that a record's JSON depends on.
fn find_key(format: RecordFormat, id: &str, date: Option<Date>) -> String {
    let mut key = String::with_capacity(id.len() + 24);
    key.push_str("s:");
    key.push_str(format_key(format));
    key.push(':');
    match date {
        None => key.push_str("latest"),
        // Writing to a String cannot fail.
        Some(date) => drop(write!(key, "{date}")),
    }
    key.push(':');
    key.push_str(id);
    key
}

/// Includes everything that a list's JSON depends on. Texts have their length before them, so that no two queries share a key.
fn list_key(format: RecordFormat, query: &ListQuery) -> String {
    let mut key = String::with_capacity(64);
    // Writing to a String cannot fail; a dash stands for a filter that is absent.
    let _ = write!(key, "l:{}", format_key(format));
    for text in [&query.id, &query.status, &query.name] {
        let _ = match text {
            Some(text) => write!(key, ":{}={text}", text.len()),
            None => key.write_str(":-"),
        };
    }
    for date in [query.from, query.to] {
        let _ = match date {
            Some(date) => write!(key, ":{date}"),
            None => key.write_str(":-"),
        };
    }
    let _ = write!(key, ":{}:", query.limit.unwrap_or_default());
    if let Some(after) = &query.after {
        key.push_str(&after.encode());
    }
    key
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_reads_have_different_keys() {
        let day = Date::parse("2023-08-01");
        let text = |text: &str| Some(text.to_owned());
        let lists = [
            ListQuery::default(),
            ListQuery { id: text("1"), ..ListQuery::default() },
            ListQuery { status: text("1"), ..ListQuery::default() },
            ListQuery { name: text("1"), ..ListQuery::default() },
            ListQuery { id: text("1:1=1"), ..ListQuery::default() },
            ListQuery { id: text("1"), status: text("1"), ..ListQuery::default() },
            ListQuery { from: day, ..ListQuery::default() },
            ListQuery { to: day, ..ListQuery::default() },
            ListQuery { limit: Some(1), ..ListQuery::default() },
            ListQuery { visibility: Visibility::Employee("1".into()), ..ListQuery::default() },
            ListQuery { visibility: Visibility::Employee("2".into()), ..ListQuery::default() },
        ];
        let visibilities = [Visibility::All, Visibility::Employee("1".into()), Visibility::Employee("2".into())];
        let finds = [("1", None), ("1", day), ("latest:1", None), ("2023-08-01:1", None)];
        let mut keys = HashSet::new();
        let formats = [DateFormat::Iso, DateFormat::Http]
            .into_iter()
            .flat_map(|date| [Charset::Ascii, Charset::Utf8].map(|charset| RecordFormat { date, charset }));
        for format in formats {
            keys.extend(lists.iter().map(|query| PreparedList::new(query.clone(), Some(format)).key));
            for visibility in &visibilities {
                let find = |(id, date): &(&str, _)| {
                    PreparedFind::new((*id).to_owned(), *date, visibility.clone(), Some(format))
                };
                keys.extend(finds.iter().map(|each| find(each).key));
            }
        }
        assert_eq!(keys.len(), 4 * (lists.len() + visibilities.len() * finds.len()), "{keys:?}");
    }
}
