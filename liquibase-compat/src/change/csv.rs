//! Reads CSV by the rules of Liquibase's reader.
//!
//! A cell is in quotes if it begins with one; a quote elsewhere is an ordinary character, and so is a backslash. A quoted cell ends at a quote
//! before a separator or at the end of a line; a doubled quote is a literal one. A line whose last cell has an opening quote and no closing
//! one, or an odd number of quotes, continues in the next line.

use std::borrow::Cow;

/// Why a text is not CSV.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// The text ends inside of quotes.
    #[error("Unterminated quoted field at end of CSV line. Its record begins in line {line}")]
    UnterminatedQuote {
        /// The line of the start of the record, 1-based.
        line: usize,
    },
}

/// The cells of each row. An empty line is a row of one empty cell.
pub(crate) fn read_rows(text: &str, separator: char, quote: Option<char>) -> Result<Vec<Vec<String>>, CsvError> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut rows = Vec::new();
    // The cells of the record before the one that continues, and the text of that one.
    let mut cells: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    let mut record_line = 1;
    for (index, line) in text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate() {
        if text.is_empty() {
            break;
        }
        let line = match open.take() {
            Some(begun) => Cow::Owned(begun + line),
            None => {
                record_line = index + 1;
                Cow::Borrowed(line)
            }
        };
        open = split_cells(&line, separator, quote, &mut cells);
        if open.is_none() {
            rows.push(std::mem::take(&mut cells));
        }
    }
    if open.is_some() { Err(CsvError::UnterminatedQuote { line: record_line }) } else { Ok(rows) }
}

/// Appends the cells of a line. Returns the start of the last one if it continues in the next line.
///
/// A separator at the end of a line belongs to a cell that continues, and Liquibase loses it.
fn split_cells(line: &str, separator: char, quote: Option<char>, cells: &mut Vec<String>) -> Option<String> {
    let mut rest = line;
    loop {
        let length = match quote {
            Some(quote) if rest.starts_with(quote) => quoted_length(rest, separator, quote),
            _ => rest.find(separator).unwrap_or(rest.len()),
        };
        let (cell, after) = rest.split_at(length);
        let next = after.strip_prefix(separator);
        let is_last = next.is_none_or(str::is_empty);
        if is_last && quote.is_some_and(|quote| is_unterminated(cell, quote)) {
            return Some(format!("{cell}\n"));
        }
        cells.push(unquoted(cell, quote));
        match next {
            Some(next) if !next.is_empty() => rest = next,
            Some(_) => {
                cells.push(String::new());
                return None;
            }
            None => return None,
        }
    }
}

/// The length of a quoted cell up to the separator after its closing quote, or up to the end of the line.
fn quoted_length(rest: &str, separator: char, quote: char) -> usize {
    let width = quote.len_utf8();
    let mut next = rest[width..].find(quote).map(|index| index + width);
    let mut is_escaped = false;
    while let Some(index) = next {
        let after = index + width;
        if after >= rest.len() {
            break;
        }
        if !is_escaped && rest[after..].starts_with(separator) {
            return after;
        }
        // A quote after a quote is a doubled one; the second of a pair cannot close the cell.
        loop {
            let from = next.map_or(rest.len(), |index| index + width);
            next = rest[from..].find(quote).map(|index| index + from);
            is_escaped = !is_escaped;
            let doubled = next.is_some_and(|index| rest[index + width..].starts_with(quote));
            if !doubled {
                break;
            }
        }
    }
    rest.len()
}

fn is_unterminated(cell: &str, quote: char) -> bool {
    let is_open = cell.starts_with(quote) && !cell.ends_with(quote);
    is_open || cell.matches(quote).count() % 2 == 1
}

/// The text of a cell, without the quotes around it.
fn unquoted(cell: &str, quote: Option<char>) -> String {
    let Some(quote) = quote.filter(|quote| cell.contains(*quote)) else { return cell.to_owned() };
    let inner = match cell.strip_prefix(quote) {
        Some(rest) if rest.contains(quote) => rest.strip_suffix(quote).unwrap_or(rest),
        _ => cell,
    };
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded_text::unescaped;

    /// What Liquibase 4.28.0 read: the text, and each cell in brackets, or ERR. Rows end with ` | `.
    #[test]
    fn cells_are_those_that_liquibase_recorded() {
        let mut found = Vec::new();
        for line in include_str!("../../tests/data/csv.tsv").lines() {
            let (text, recorded) = line.split_once('\t').unwrap();
            let ours = match read_rows(&unescaped(text), ',', Some('"')) {
                Ok(rows) => rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>().join(" "),
                Err(_) => "ERR".to_owned(),
            };
            if ours != recorded {
                found.push(format!("{text}\n  {ours}\n  {recorded}"));
            }
        }
        assert!(found.is_empty(), "{} differ\n{}", found.len(), found.join("\n"));
    }

    #[test]
    fn separator_and_quote_can_be_chosen() {
        assert_eq!(read_rows("'x;y';z", ';', Some('\'')).unwrap(), [["x;y", "z"]]);
        assert_eq!(read_rows("\"x\",z", ',', None).unwrap(), [["\"x\"", "z"]]);
    }
}
