//! Parses query strings into typed values.
//!
//! Policy: queries are decoded as the Python service does it: `+` is a space, a `%` that begins no escape stands for itself, bytes
//! that are not UTF-8 become U+FFFD, the first of several values counts, unknown parameters are ignored. All problems are
//! reported in one answer. An empty filter does not filter.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::error::{ErrorStatus, HttpError};
use crate::attendance::{ACCEPTED_FORMS, Cursor, Date, ListQuery, Problem, Visibility, truncate_for_message};

/// The largest `limit`: records of one page.
const MAX_PAGE_SIZE: u32 = 10_000;
/// Every character is escaped except the unreserved ones of RFC 3986.
pub(super) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The sentence of the Python service, with its trailing space: clients compare it.
const CHECK_PARAMS: &str = "Unable to process request, please check query params ";

/// The query of `search`.
#[derive(Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// The employee.
    pub id: String,
    /// The day; without it, the employee's latest record is wanted.
    pub date: Option<Date>,
}

/// A parameter that is asked for, with its value in a query, not decoded; `None` if it is absent.
#[derive(Debug, Clone, Copy)]
struct Parameter<'a> {
    name: &'static str,
    value: Option<&'a str>,
}

/// The first value of each parameter, found in one pass.
fn parameters<'a, const N: usize>(query: &'a str, names: [&'static str; N]) -> [Parameter<'a>; N] {
    let mut found = names.map(|name| Parameter { name, value: None });
    for (key, value) in pairs(query) {
        let key = decode(key);
        if let Some(parameter) = found.iter_mut().find(|parameter| parameter.name == key) {
            parameter.value.get_or_insert(value);
        }
    }
    found
}

impl<'a> Parameter<'a> {
    /// The decoded value; empty counts as absent.
    fn get(self) -> Option<Cow<'a, str>> {
        Some(decode(self.value?)).filter(|value| !value.is_empty())
    }

    /// A text that PostgreSQL can be asked for: it cannot contain NUL.
    fn text(self, problems: &mut Vec<Problem>) -> Option<String> {
        let value = self.get()?;
        if value.contains('\0') {
            problems.push(Problem::new(self.name, "must not contain a NUL character"));
        }
        Some(value.into_owned())
    }

    fn date(self, problems: &mut Vec<Problem>) -> Option<Date> {
        let value = self.get()?;
        let date = Date::parse(&value);
        if date.is_none() {
            problems.push(Problem::new(
                self.name,
                format!("`{}` is not a date: {ACCEPTED_FORMS}", truncate_for_message(&value)),
            ));
        }
        date
    }

    fn limit(self, problems: &mut Vec<Problem>) -> Option<u32> {
        let value = self.get()?;
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        let limit = value.parse().ok().filter(|limit| digits && (1..=MAX_PAGE_SIZE).contains(limit));
        if limit.is_none() {
            problems.push(Problem::new(
                self.name,
                format!("`{}` is not a number from 1 to {MAX_PAGE_SIZE}", truncate_for_message(&value)),
            ));
        }
        limit
    }

    fn cursor(self, problems: &mut Vec<Problem>) -> Option<Cursor> {
        let cursor = Cursor::decode(&self.get()?);
        if cursor.is_none() {
            problems.push(Problem::new(
                self.name,
                "is not a cursor of ours: take it from the Link header of the page before",
            ));
        }
        cursor
    }
}

/// The parameters of a query with their values, neither decoded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let (pair, next) = split_at_byte(rest?, b'&');
        rest = next;
        let (name, value) = split_at_byte(pair, b'=');
        Some((name, value.unwrap_or_default()))
    })
}

/// Splits a text at the first occurrence of an ASCII character. For texts as short as those of a query this costs less than
/// the search of the standard library.
fn split_at_byte(text: &str, separator: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// A name or a value as the Python service decodes it.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

/// Parses the query of `search`.
///
/// # Errors
/// A 400 with all problems, if there are any.
pub fn search(query: &str) -> Result<SearchQuery, HttpError> {
    let [id, date] = parameters(query, ["id", "date"]);
    let mut problems = Vec::new();
    let id = id.text(&mut problems);
    if id.is_none() {
        problems.push(Problem::new("id", "is required"));
    }
    let is_id_valid = problems.is_empty();
    let date = date.date(&mut problems);
    match id {
        Some(id) if problems.is_empty() => Ok(SearchQuery { id, date }),
        _ if is_id_valid => Err(HttpError::bad_query(problems)),
        _ => Err(HttpError::new(ErrorStatus::BAD_REQUEST, CHECK_PARAMS).with_details(problems)),
    }
}

/// Parses the query of `search/all`.
///
/// # Errors
/// A 400 with all problems, if there are any.
pub fn search_all(query: &str) -> Result<ListQuery, HttpError> {
    let [id, status, name, from, to, limit, after] =
        parameters(query, ["id", "status", "name", "from", "to", "limit", "after"]);
    let mut problems = Vec::new();
    let list = ListQuery {
        visibility: Visibility::All,
        id: id.text(&mut problems),
        status: status.text(&mut problems),
        name: name.text(&mut problems),
        from: from.date(&mut problems),
        to: to.date(&mut problems),
        limit: limit.limit(&mut problems),
        after: after.cursor(&mut problems),
    };
    if problems.is_empty() { Ok(list) } else { Err(HttpError::bad_query(problems)) }
}

/// The query of the page that begins after the cursor `after`, with the filters of `list`.
pub fn next_page(list: &ListQuery, after: &str) -> String {
    let date = |date: Option<Date>| date.map(|date| date.to_string());
    let mut query = String::new();
    for (name, value) in [
        ("id", list.id.clone()),
        ("status", list.status.clone()),
        ("name", list.name.clone()),
        ("from", date(list.from)),
        ("to", date(list.to)),
        ("limit", list.limit.map(|limit| limit.to_string())),
        ("after", Some(after.to_owned())),
    ] {
        let Some(value) = value else { continue };
        let separator = if query.is_empty() { "" } else { "&" };
        // Writing to a String cannot fail.
        let _ = write!(query, "{separator}{name}={}", utf8_percent_encode(&value, ESCAPED));
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::json::Charset;

    fn id(query: &str) -> Option<String> {
        search(query).ok().map(|search| search.id)
    }

    fn answer(error: HttpError) -> String {
        String::from_utf8(error.body("id", Charset::Ascii)).unwrap()
    }

    #[test]
    fn queries_are_decoded_as_the_python_service_does() {
        for (query, expected) in [
            ("id=1", "1"),
            ("id=a%20b", "a b"),
            ("id=a+b", "a b"),
            ("id=a%2Bb", "a+b"),
            ("id=%C3%BC", "ü"),
            ("id=a%25b", "a%b"),
            ("id=a%b", "a%b"),
            ("id=%zz", "%zz"),
            ("id=x%26y", "x&y"),
            ("%69d=1", "1"),
            ("foo=bar&id=2", "2"),
            ("id=1&id=2", "1"),
            ("id=1;id=2", "1;id=2"),
            ("id=%ff", "\u{fffd}"),
            ("id=1=2", "1=2"),
            ("&&id=1&", "1"),
        ] {
            assert_eq!(id(query).as_deref(), Some(expected), "{query}");
        }
    }

    #[test]
    fn a_search_without_a_valid_id_gets_the_sentence_of_the_python_service() {
        for query in ["", "id=", "id", "ID=1", "name=One", "id=&id=2", "id=1%00"] {
            let answer = answer(search(query).unwrap_err());
            let sentence = "\"message\":\"Unable to process request, please check query params \"";
            assert!(answer.contains(sentence) && answer.contains("\"field\":\"id\""), "{query}: {answer}");
        }
    }

    #[test]
    fn all_problems_are_reported_in_one_answer() {
        let answer = answer(search_all("id=%00&from=x&to=y&limit=0&after=z").unwrap_err());
        for field in ["id", "from", "to", "limit", "after"] {
            assert!(answer.contains(&format!("\"field\":\"{field}\"")), "{field}: {answer}");
        }
        for limit in ["0", "10001", "-1", "+5", "1.5", "99999999999", "x"] {
            assert!(search_all(&format!("limit={}", limit.replace('+', "%2B"))).is_err(), "{limit}");
        }
        assert_eq!(search_all("limit=10000").unwrap().limit, Some(10_000));
        assert_eq!(search_all("id=&status=&limit=&after=&from=").unwrap(), ListQuery::default());
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let list = search_all("name=a+%26+%C3%BC&from=2023-08-01&limit=2").unwrap();
        assert_eq!(next_page(&list, "c_-1"), "name=a%20%26%20%C3%BC&from=2023-08-01&limit=2&after=c_-1");
    }
}
