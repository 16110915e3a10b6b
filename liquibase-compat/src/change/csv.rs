//! Reads CSV by the rules of Liquibase's reader.
//!
//! A cell may be in quotes. In quotes, a doubled quote or a quote after a backslash is a literal quote, and line ends are kept. Blanks before
//! the opening quote are ignored. A backslash before any other character is removed. A line end outside of quotes ends a row.

/// Why a text is not CSV.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// The text ends inside of quotes.
    #[error("Unterminated quoted field at end of CSV line. The quote begins in line {line}")]
    UnterminatedQuote {
        /// The line of the opening quote, 1-based.
        line: usize,
    },
}

/// The cells of each row. An empty line is a row of one empty cell.
pub(super) fn read_rows(text: &str, separator: char, quote: Option<char>) -> Result<Vec<Vec<String>>, CsvError> {
    let mut reader = Reader { rest: text, line: 1, separator, quote };
    let mut rows = Vec::new();
    while !reader.rest.is_empty() {
        rows.push(reader.row()?);
    }
    Ok(rows)
}

struct Reader<'a> {
    rest: &'a str,
    /// 1-based.
    line: usize,
    separator: char,
    quote: Option<char>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        if self.rest.starts_with(wanted) { self.next() } else { None }
    }

    /// The character after a backslash, if a backslash can escape it.
    fn escaped(&mut self) -> Option<char> {
        let quote = self.quote;
        self.next_if(|c| c == '\\' || Some(c) == quote)
    }

    fn row(&mut self) -> Result<Vec<String>, CsvError> {
        let mut cells = Vec::new();
        loop {
            cells.push(self.cell()?);
            match self.next() {
                Some(c) if c == self.separator => {}
                Some('\r') => {
                    self.next_if(|c| c == '\n');
                    return Ok(cells);
                }
                _ => return Ok(cells),
            }
        }
    }

    fn cell(&mut self) -> Result<String, CsvError> {
        let mut cell = String::new();
        let separator = self.separator;
        let blank = |c| (c == ' ' || c == '\t') && c != separator;
        let blanks = self.rest.len() - self.rest.trim_start_matches(blank).len();
        if let Some(quote) = self.quote
            && self.rest[blanks..].starts_with(quote)
        {
            self.rest = &self.rest[blanks..];
        }
        while let Some(c) = self.rest.chars().next() {
            if c == self.separator || c == '\n' || c == '\r' {
                break;
            }
            self.next();
            if Some(c) == self.quote {
                if self.next_if(|next| next == c && !cell.is_empty()).is_some() {
                    cell.push(c);
                } else {
                    self.quoted(c, &mut cell)?;
                }
            } else if c == '\\' {
                cell.extend(self.escaped());
            } else {
                cell.push(c);
            }
        }
        Ok(cell)
    }

    /// Reads up to the closing quote.
    fn quoted(&mut self, quote: char, cell: &mut String) -> Result<(), CsvError> {
        let begin = self.line;
        while let Some(c) = self.next() {
            if c == quote {
                if self.next_if(|next| next == quote).is_none() {
                    return Ok(());
                }
                cell.push(quote);
            } else if c == '\\' {
                cell.extend(self.escaped());
            } else if c != '\r' || !self.rest.starts_with('\n') {
                cell.push(c);
            }
        }
        Err(CsvError::UnterminatedQuote { line: begin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_follow_the_rules_of_liquibase() {
        for (text, cells) in [
            ("a,b", vec![vec!["a", "b"]]),
            ("a,\"b, c\"\r\n\n\"multi\nline\",\n", vec![vec!["a", "b, c"], vec![""], vec!["multi\nline", ""]]),
            ("\"say \"\"hi\"\"\", \"x\" ", vec![vec!["say \"hi\"", "x "]]),
            ("\"a\\\"b\",c\\\\d\\e", vec![vec!["a\"b", "c\\de"]]),
            (" a ,b", vec![vec![" a ", "b"]]),
        ] {
            assert_eq!(read_rows(text, ',', Some('"')).unwrap(), cells, "{text}");
        }
        assert_eq!(read_rows("'x;y';z", ';', Some('\'')).unwrap(), [["x;y", "z"]]);
        assert_eq!(read_rows("\"x\",z", ',', None).unwrap(), [["\"x\"", "z"]]);
        assert!(read_rows("a,\"b", ',', Some('"')).is_err());
    }
}
