//! The query of the endpoints that the Python service does not have, read strictly.
//!
//! Policy: these endpoints change data, or compute what wages depend on; so a query that may mean something else than its client expects is
//! refused. An unknown parameter is named with the nearest known one, and so is one that is repeated or cannot be decoded. An empty parameter counts as absent.
//! All problems are reported in one answer. (`search` and `search/all` read their queries as the Python service does, see `query.rs`.)

use std::fmt::Write as _;

use percent_encoding::utf8_percent_encode;

use super::error::HttpError;
use super::percent::decode_strictly;
use super::query::ESCAPED;
use crate::attendance::{Date, Problem, truncate_for_message};
use crate::config::nearest;

/// The most entries of a page. `search/all` and summaries, whose entries are smaller, have limits of their own.
const MAX_PAGE_SIZE: u32 = 1000;
/// The entries of a page without `limit`.
const DEFAULT_PAGE_SIZE: u32 = 500;
/// Further problems are not listed.
const MAX_PROBLEMS: usize = 16;

/// The parameters of one query, and what is wrong with them.
#[derive(Debug)]
pub struct QueryParameters {
    values: Vec<(&'static str, String)>,
    problems: Vec<Problem>,
}

impl QueryParameters {
    /// Reads a query whose parameters may be the known ones.
    pub fn parse(query: &str, known: &[&'static str]) -> Self {
        let mut parameters = Self { values: Vec::with_capacity(known.len()), problems: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.add(&name.replace('+', " "), &value.replace('+', " "), known);
        }
        parameters
    }

    fn add(&mut self, raw_name: &str, raw_value: &str, known: &[&'static str]) {
        let decoded = decode_strictly(raw_name);
        let name = decoded.as_deref().unwrap_or(raw_name);
        let Some(name) = known.iter().copied().find(|known| *known == name) else {
            return self.report(name, unknown(name, known));
        };
        if self.values.iter().any(|(earlier, _)| *earlier == name) {
            return self.report(name, "is given more than once");
        }
        match decode_strictly(raw_value) {
            Ok(value) => self.values.push((name, value)),
            Err(error) => self.report(name, error.to_string()),
        }
    }

    /// Adds a problem of a parameter.
    pub fn report(&mut self, name: &str, problem: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new(name, problem));
        }
    }

    /// Whether a parameter is there and not empty.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.values.iter().find(|(known, _)| *known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    /// A text that must be there; empty if it is not, which is a problem then.
    pub fn required_text(&mut self, name: &str) -> String {
        match self.value(name) {
            Some(value) => value.to_owned(),
            None => {
                self.report_absence(name);
                String::new()
            }
        }
    }

    /// A value that a function reads from the text. `expected` completes "is not …" for the problem.
    pub fn parsed<T>(&mut self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let parsed = parse(value);
        if parsed.is_none() {
            let problem = format!("`{}` is not {expected}", truncate_for_message(value));
            self.report(name, problem);
        }
        parsed
    }

    /// A day, `YYYY-MM-DD`.
    pub fn date(&mut self, name: &str) -> Option<Date> {
        self.parsed(name, "a day: write YYYY-MM-DD", Date::parse_iso)
    }

    /// A day that must be there; `None` comes with a problem.
    pub fn required_date(&mut self, name: &str) -> Option<Date> {
        if !self.has(name) {
            self.report_absence(name);
        }
        self.date(name)
    }

    /// The days `from` and `to`, in order if both are there.
    pub fn dates(&mut self) -> (Option<Date>, Option<Date>) {
        let (from, to) = (self.date("from"), self.date("to"));
        if let (Some(first), Some(last)) = (from, to)
            && last < first
        {
            self.report("to", format!("must not be before `from`: {last} is before {first}"));
        }
        (from, to)
    }

    /// The parameter `limit` of lists whose pages have at most 1000 entries; 500 without it.
    pub fn page_size(&mut self) -> u32 {
        self.limit(MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE)
    }

    /// The parameter `limit`: the size of a page, from 1 to `max`.
    pub fn limit(&mut self, max: u32, default: u32) -> u32 {
        let parse = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|limit| is_number && (1..=max).contains(limit))
        };
        self.parsed("limit", &format!("a number from 1 to {max}"), parse).unwrap_or(default)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let find = |text: &str| choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        self.parsed(name, &format!("one of {}", words.join(", ")), find)
    }

    /// The place after which a page begins, which `decode` reads.
    pub fn after<T>(&mut self, decode: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.parsed("after", "a cursor of ours: take it from the Link header of the page before", decode)
    }

    /// The number after which a page begins: 1 to 18 digits, so that it fits.
    pub fn after_number(&mut self) -> Option<i64> {
        let is_number = |text: &&str| text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
        self.after(|text| Some(text).filter(is_number)?.parse().ok())
    }

    /// Reports a parameter that must be there and is not.
    pub fn require(&mut self, name: &str) {
        if !self.has(name) {
            self.report_absence(name);
        }
    }

    fn report_absence(&mut self, name: &str) {
        let is_named = self.problems.iter().any(|problem| problem.field == name);
        let is_empty = self.values.iter().any(|(known, _)| *known == name);
        if !is_named {
            self.report(name, if is_empty { "must not be empty" } else { "is required" });
        }
    }

    /// Ends the reading of the query.
    ///
    /// # Errors
    /// All problems, if there are any.
    pub fn check(&mut self) -> Result<(), HttpError> {
        let problems = std::mem::take(&mut self.problems);
        if problems.is_empty() { Ok(()) } else { Err(HttpError::bad_query(problems)) }
    }

    /// Ends the reading of the query with a value that was read from it; without a value, there is a problem.
    ///
    /// # Errors
    /// All problems, if there are any.
    pub fn checked<T>(&mut self, value: Option<T>) -> Result<T, HttpError> {
        self.check()?;
        // The problem of an absent value is among those that were reported.
        value.ok_or_else(|| HttpError::bad_query(Vec::new()))
    }

    /// This query for the page that begins after `cursor`.
    pub fn next_page(&self, cursor: &str) -> String {
        let mut query = String::new();
        let kept = self.values.iter().map(|(name, value)| (*name, value.as_str())).filter(|(name, _)| *name != "after");
        for (name, value) in kept.chain([("after", cursor)]).filter(|(_, value)| !value.is_empty()) {
            let separator = if query.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{separator}{name}={}", utf8_percent_encode(value, ESCAPED));
        }
        query
    }
}

/// Checks the query of a resource that has no parameters.
///
/// # Errors
/// When it has one.
pub fn none(query: &str) -> Result<(), HttpError> {
    QueryParameters::parse(query, &[]).check()
}

fn unknown(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("is not a parameter of this resource; did you mean `{nearest}`?"),
        None if known.is_empty() => "is not a parameter: this resource has none".to_owned(),
        None => format!("is not a parameter of this resource, which has {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::json::Charset;

    const KNOWN: [&str; 5] = ["from", "to", "id", "limit", "after"];

    fn answer(query: &str) -> String {
        let mut parameters = QueryParameters::parse(query, &KNOWN);
        parameters.dates();
        parameters.limit(10, 5);
        let error = parameters.check().unwrap_err();
        assert_eq!(error.status(), 400);
        String::from_utf8(error.body("id", Charset::Ascii)).unwrap()
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest_known_one() {
        assert!(
            answer("form=2026-01-01")
                .contains(r#"{"field":"form","problem":"is not a parameter of this resource; did you mean `from`?"}"#)
        );
        assert!(answer("From=2026-01-01").contains("did you mean `from`?"));
        assert!(answer("something=1").contains("which has from, to, id, limit, after"));
        assert!(answer("%ff=1").contains(r#""field":"%ff""#));
    }

    #[test]
    fn repeated_and_malformed_values_are_named_together() {
        let text = answer("id=1&id=2&from=2026-02-30&to=x%zz&limit=0");
        for part in [
            "\"field\":\"id\",\"problem\":\"is given more than once\"",
            "`2026-02-30` is not a day: write YYYY-MM-DD",
            "\"field\":\"to\",\"problem\":\"has a `%`",
            "`0` is not a number from 1 to 10",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(answer("from=2026-02-02&to=2026-02-01").contains("2026-02-01 is before 2026-02-02"));
        assert!(answer("from=20260201").contains("is not a day"));
        assert!(answer(&"x=1&".repeat(2000)).len() < 3000);
    }

    #[test]
    fn a_required_parameter_is_missed_once() {
        for (query, problem) in [("", "is required"), ("id=", "must not be empty"), ("id=%", "has a `%`")] {
            let mut parameters = QueryParameters::parse(query, &KNOWN);
            assert_eq!(parameters.required_text("id"), "");
            assert_eq!(parameters.problems.len(), 1);
            assert!(parameters.problems[0].problem.contains(problem), "{query}");
        }
    }

    #[test]
    fn the_number_of_a_cursor_has_digits_only() {
        for (query, expected) in [("after=42", Some(42)), ("after=", None), ("after=0", Some(0))] {
            let mut parameters = QueryParameters::parse(query, &KNOWN);
            assert_eq!((parameters.after_number(), parameters.check().is_ok()), (expected, true), "{query}");
        }
        for query in ["after=%2B7", "after=-7", "after=7x", "after=%207", "after=1234567890123456789"] {
            let mut parameters = QueryParameters::parse(query, &KNOWN);
            assert_eq!((parameters.after_number(), parameters.check().is_ok()), (None, false), "{query}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_parameters() {
        let mut parameters = QueryParameters::parse("id=a+%26&after=old&from=&limit=3", &KNOWN);
        assert_eq!((parameters.limit(10, 5), parameters.text("id").as_deref()), (3, Some("a &")));
        assert!(parameters.check().is_ok());
        assert_eq!(parameters.next_page("c_1"), "id=a%20%26&limit=3&after=c_1");
    }
}
