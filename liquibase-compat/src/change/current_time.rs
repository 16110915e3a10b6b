//! The words `now` and `today` in a CSV file, with an offset: `now+1hour`, `TODAY-2`.
//!
//! Liquibase computes such a time when it reads the file. Here the server does, so that a script of an `-sql` command is right when it runs.

use super::load_data_error::LoadDataError;

/// The units of an offset, any beginning of which names the unit; the first that fits is used.
const UNITS: &[&str] = &["years", "days", "hours", "minutes"];

/// The SQL for a cell that begins with one of the words, in a column of this type of loadData; `None` if the cell does not.
pub(super) fn sql(cell: &str, type_: &str) -> Option<Result<String, LoadDataError>> {
    let lower = cell.to_lowercase();
    let offset = match (lower.strip_prefix("now"), lower.strip_prefix("today")) {
        (Some(rest), _) => now_offset(rest, cell),
        (None, Some(rest)) => today_offset(rest).ok_or_else(|| LoadDataError::TodayOffset { cell: cell.to_owned() }),
        (None, None) => return None,
    };
    Some(offset.map(|offset| moment(&offset, type_)))
}

/// The offset behind `now`: a sign, a number and a unit.
fn now_offset(text: &str, cell: &str) -> Result<String, LoadDataError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let bad_offset = || LoadDataError::NowOffset { cell: cell.to_owned() };
    let digits = text.get(1..).unwrap_or_default();
    let unit = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_unit = UNITS.iter().any(|known| unit.get(..1).is_some_and(|first| known.starts_with(first)));
    let number = text.strip_suffix(unit).filter(|_| is_unit).ok_or_else(bad_offset)?;
    let known = UNITS.iter().find(|known| known.starts_with(unit));
    let offset = interval(number, known.unwrap_or(&"")).ok_or_else(bad_offset)?;
    known.map(|_| offset).ok_or_else(|| LoadDataError::NowUnit { unit: unit.to_owned() })
}

/// The offset behind `today`: a sign and a number of days.
fn today_offset(text: &str) -> Option<String> {
    if text.is_empty() { Some(String::new()) } else { interval(text, "days") }
}

/// ` + INTERVAL '1 days'`.
fn interval(number: &str, unit: &str) -> Option<String> {
    let (sign, digits) = number.split_at_checked(1)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_valid = matches!(sign, "+" | "-") && is_number && digits.parse::<i32>().is_ok();
    is_valid.then(|| format!(" {sign} INTERVAL '{digits} {unit}'"))
}

fn moment(offset: &str, type_: &str) -> String {
    match type_ {
        "DATE" if offset.is_empty() => "CURRENT_DATE".to_owned(),
        "DATE" => format!("CAST(NOW(){offset} AS DATE)"),
        "TIME" => format!("CAST(NOW(){offset} AS TIME(0))"),
        _ => format!("NOW(){offset}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_and_their_offsets_are_computed_by_the_server() {
        for (cell, type_, expected) in [
            ("now", "DATE", "CURRENT_DATE"),
            ("TODAY", "DATETIME", "NOW()"),
            ("NOW", "TIME", "CAST(NOW() AS TIME(0))"),
            ("now+1h", "DATETIME", "NOW() + INTERVAL '1 hours'"),
            ("NOW-20minute", "DATETIME", "NOW() - INTERVAL '20 minutes'"),
            ("now+1y", "DATE", "CAST(NOW() + INTERVAL '1 years' AS DATE)"),
            ("Today-2", "DATE", "CAST(NOW() - INTERVAL '2 days' AS DATE)"),
        ] {
            assert_eq!(sql(cell, type_).and_then(Result::ok).as_deref(), Some(expected), "{cell}");
        }
    }

    #[test]
    fn another_offset_is_an_error_and_other_text_is_none_of_the_words() {
        for cell in ["now()", "now+1", "now+1x", "now+h", "now1h", "today+1d", "today+", "nowadays", "now+99999999999d"]
        {
            assert!(sql(cell, "DATE").is_some_and(|sql| sql.is_err()), "{cell}");
        }
        assert!(sql("2020-01-31", "DATE").is_none());
        assert!(sql("current_timestamp", "DATE").is_none());
    }
}
