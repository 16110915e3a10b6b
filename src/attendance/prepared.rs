//! Reads with what the cache needs to know of them, which is computed once.

use std::fmt::Write as _;

use super::date::Date;
use super::listing::ListQuery;
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
    pub(super) key: String,
}

/// A list of records, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedList {
    pub(super) query: ListQuery,
    pub(super) key: String,
}

impl PreparedFind {
    pub(super) fn new(id: String, date: Option<Date>, format: DateFormat) -> Self {
        let key = find_key(format, &id, date);
        Self { id, date, key }
    }
}

impl PreparedList {
    pub(super) fn new(query: ListQuery, format: DateFormat) -> Self {
        let key = list_key(format, &query);
        Self { query, key }
    }

    /// Which records are listed.
    pub fn query(&self) -> &ListQuery {
        &self.query
    }
}

/// Includes everything that a record's JSON depends on.
fn find_key(format: DateFormat, id: &str, date: Option<Date>) -> String {
    let mut key = String::with_capacity(id.len() + 24);
    key.push_str(match format {
        DateFormat::Iso => "s:Iso:",
        DateFormat::Http => "s:Http:",
    });
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
fn list_key(format: DateFormat, query: &ListQuery) -> String {
    let mut key = String::with_capacity(64);
    // Writing to a String cannot fail; a dash stands for a filter that is absent.
    let _ = write!(key, "l:{format:?}");
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
        ];
        let finds = [("1", None), ("1", day), ("latest:1", None), ("2023-08-01:1", None)];
        let mut keys = HashSet::new();
        for format in [DateFormat::Iso, DateFormat::Http] {
            keys.extend(lists.iter().map(|query| PreparedList::new(query.clone(), format).key));
            keys.extend(finds.iter().map(|(id, date)| PreparedFind::new((*id).to_owned(), *date, format).key));
        }
        assert_eq!(keys.len(), 2 * (lists.len() + finds.len()), "{keys:?}");
    }
}
