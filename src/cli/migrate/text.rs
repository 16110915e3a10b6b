//! The texts that Liquibase prints, in its wording and layout, because scripts read them.

use std::fmt::Write as _;

use liquibase_compat::{Event, FilterReason, HistoryRow, Report};

/// `UPDATE SUMMARY` and the changesets that were filtered out. `total` is the number of changesets in the changelog.
pub fn summary(report: &Report, total: usize) -> String {
    let filtered = report.filtered_out;
    let mut text = String::from("\nUPDATE SUMMARY\n");
    // Writing to a String cannot fail.
    for (name, count) in
        [("Run:", report.changesets.len()), ("Previously run:", report.previously_run), ("Filtered out:", filtered)]
    {
        let _ = writeln!(text, "{name:<21}{count:>10}");
    }
    let _ = write!(text, "-------------------------------\n{:<21}{total:>10}\n\n", "Total change sets:");
    if filtered > 0 {
        text.push_str("\nFILTERED CHANGE SETS SUMMARY\n");
        for (reason, count) in &report.filter_counts {
            let _ = writeln!(text, "{:<21}{count:>10}", reason_name(*reason));
        }
        text.push('\n');
    }
    text
}

const fn reason_name(reason: FilterReason) -> &'static str {
    match reason {
        FilterReason::Context => "Context mismatch:",
        FilterReason::Label => "Label mismatch:",
        FilterReason::AlreadyRan => "Already ran:",
        FilterReason::Dbms => "DBMS mismatch:",
        FilterReason::Ignored => "Ignored:",
        FilterReason::AfterCount => "After count:",
        FilterReason::AfterTag => "After tag:",
        _ => "Other:",
    }
}

/// An event of a run, for standard error.
pub fn event(event: &Event<'_>) -> String {
    match event {
        Event::Running(changeset) => format!("Running Changeset: {changeset}"),
        Event::Output { message, .. } => (*message).to_owned(),
        Event::RollingBack(changeset) => format!("Rolling Back Changeset: {changeset}"),
        Event::PreconditionWarning { changeset, message } => format!(
            "WARNING: Executing {changeset} despite precondition failure due to onFail='WARN':\n      1 preconditions failed\n     {message}\n"
        ),
        Event::FailedAndIgnored { changeset, reason } => {
            format!("WARNING: {changeset} failed, and failOnError='false' lets the run go on: {reason}")
        }
        event => format!("{event:?}"),
    }
}

/// The output of `history`: one table per deployment.
pub fn history(rows: &[HistoryRow], url: &str) -> String {
    let mut text = format!("Liquibase History for {url}\n\n");
    if rows.is_empty() {
        text.push_str("No changesets deployed\n");
    }
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|row| row.deployment_id == first.deployment_id).count();
        text.push_str(&table(&rest[..same]));
        text.push('\n');
        rest = &rest[same..];
    }
    text
}

fn table(rows: &[HistoryRow]) -> String {
    let head = ["Deployment ID", "Update Date", "Changelog Path", "Changeset Author", "Changeset ID", "Tag"];
    let mut cells: Vec<[String; 6]> = vec![head.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        [
            row.deployment_id.clone().unwrap_or_default(),
            short_date(&row.date_executed),
            row.file.clone(),
            row.author.clone(),
            row.id.clone(),
            row.tag.clone().unwrap_or_default(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let mut text = rule.clone();
    for row in &cells {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        text.push_str(&rule);
    }
    text
}

/// `1/31/26, 10:00 AM` from `2026-01-31 10:00:00.000000`; a text of another form is not changed.
fn short_date(stored: &str) -> String {
    let numbers: Vec<u32> =
        stored.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).take(5).collect();
    let [year, month, day, hour, minute] = numbers[..] else { return stored.to_owned() };
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{month}/{day}/{:02}, {hour}:{minute:02} {half}", year % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_the_history_have_liquibases_short_form() {
        assert_eq!(short_date("2026-01-31 00:05:09.000001"), "1/31/26, 12:05 AM");
        assert_eq!(short_date("2026-11-02 15:40:00.000000"), "11/2/26, 3:40 PM");
        assert_eq!(short_date("infinity"), "infinity");
    }

    #[test]
    fn the_summary_has_liquibases_layout() {
        let mut report = Report::default();
        report.filtered_out = 1;
        report.filter_counts = vec![(FilterReason::Ignored, 1)];
        report.previously_run = 4;
        let expected = "\nUPDATE SUMMARY\nRun:                          0\nPreviously run:               4\n\
            Filtered out:                 1\n-------------------------------\nTotal change sets:            5\n\n\n\
            FILTERED CHANGE SETS SUMMARY\nIgnored:                      1\n\n";
        assert_eq!(summary(&report, 5), expected);
    }
}
