//! The function calls of JDBC, as functions of PostgreSQL.

/// Functions whose arguments are separated by commas, without the parenthesis at the end: name, number of arguments, PostgreSQL's text.
const RENAMED: &[(&str, usize, &str)] = &[
    ("ceiling", 1, "ceil("),
    ("log", 1, "ln("),
    ("log10", 1, "log("),
    ("power", 2, "pow("),
    ("truncate", 2, "trunc("),
    ("char", 1, "chr("),
    ("lcase", 1, "lower("),
    ("ltrim", 1, "trim(leading from "),
    ("rtrim", 1, "trim(trailing from "),
    ("space", 1, "repeat(' ',"),
    ("ucase", 1, "upper("),
    ("dayofmonth", 1, "extract(day from "),
    ("dayofyear", 1, "extract(doy from "),
    ("hour", 1, "extract(hour from "),
    ("minute", 1, "extract(minute from "),
    ("month", 1, "extract(month from "),
    ("quarter", 1, "extract(quarter from "),
    ("second", 1, "extract(second from "),
    ("week", 1, "extract(week from "),
    ("year", 1, "extract(year from "),
    ("ifnull", 2, "coalesce("),
];

/// Functions without arguments.
const CONSTANTS: &[(&str, &str)] =
    &[("curdate", "current_date"), ("curtime", "current_time"), ("database", "current_database()"), ("user", "user")];

/// The prefix of the names of intervals.
const INTERVAL_PREFIX: &str = "SQL_TSI_";

/// The SQL of a function call; `None` if the function has other arguments. An unknown function stays as it is.
pub(super) fn call(name: &str, arguments: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    if let Some((_, count, text)) = RENAMED.iter().find(|(known, ..)| *known == lower) {
        return (arguments.len() == *count).then(|| format!("{text}{})", arguments.join(",")));
    }
    if let Some((_, text)) = CONSTANTS.iter().find(|(known, _)| *known == lower) {
        return arguments.is_empty().then(|| (*text).to_owned());
    }
    match (lower.as_str(), arguments) {
        ("concat", _) => Some(format!("({})", arguments.join("||"))),
        ("insert", [text, from, count, new]) => Some(format!("overlay({text} placing {new} from {from} for {count})")),
        ("left", [text, count]) => Some(format!("substring({text} for {count})")),
        ("right", [text, count]) => Some(format!("substring({text} from (length({text})+1-{count}))")),
        ("length", [text]) => Some(format!("length(trim(trailing from {text}))")),
        ("locate", [part, text]) => Some(format!("position({part} in {text})")),
        ("locate", [part, text, from]) => {
            let position = format!("position({part} in substring({text} from {from}))");
            Some(format!("({from}*sign({position})+{position})"))
        }
        ("substring", [_, _] | [_, _, _]) => Some(format!("substr({})", arguments.join(","))),
        ("dayname", [time]) => Some(format!("to_char({time},'Day')")),
        ("monthname", [time]) => Some(format!("to_char({time},'Month')")),
        ("dayofweek", [time]) => Some(format!("extract(dow from {time})+1")),
        ("timestampadd", [interval, count, time]) => Some(format!("({}+{time})", interval_sql(interval, count)?)),
        ("timestampdiff", [interval, from, to]) => {
            let part = interval_name(interval).filter(|name| matches!(*name, "day" | "second" | "hour" | "minute"))?;
            Some(format!("extract({part} from ({to}-{from}))"))
        }
        (
            "insert" | "left" | "right" | "length" | "locate" | "substring" | "dayname" | "monthname" | "dayofweek"
            | "timestampadd" | "timestampdiff",
            _,
        ) => None,
        _ => Some(format!("{name}({})", arguments.join(","))),
    }
}

/// The name of an interval of PostgreSQL.
fn interval_name(written: &str) -> Option<&'static str> {
    let written = written.trim();
    let name = written.get(INTERVAL_PREFIX.len()..)?;
    if !written[..INTERVAL_PREFIX.len()].eq_ignore_ascii_case(INTERVAL_PREFIX) {
        return None;
    }
    let names = ["day", "second", "hour", "minute", "month", "quarter", "week", "year"];
    names.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

fn interval_sql(interval: &str, count: &str) -> Option<String> {
    Some(match interval_name(interval)? {
        "quarter" => format!("CAST(({count}::int * 3) || ' month' as interval)"),
        name => format!("CAST({count}||' {name}' as interval)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_written_with_functions_of_postgresql() {
        for (name, arguments, sql) in [
            ("CEILING", &["x"][..], "ceil(x)"),
            ("curdate", &[], "current_date"),
            ("dayOfWeek", &["d"], "extract(dow from d)+1"),
            ("insert", &["a", "1", "2", "b"], "overlay(a placing b from 1 for 2)"),
            (
                "locate",
                &["a", "b", "3"],
                "(3*sign(position(a in substring(b from 3)))+position(a in substring(b from 3)))",
            ),
            ("timestampadd", &["sql_tsi_day", "3", "now()"], "(CAST(3||' day' as interval)+now())"),
            ("timestampdiff", &["SQL_TSI_HOUR", "a", "b"], "extract(hour from (b-a))"),
            ("my_function", &["a", " b"], "my_function(a, b)"),
        ] {
            let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(call(name, &arguments).as_deref(), Some(sql), "{name}");
        }
        for (name, arguments) in [("ceiling", 2), ("curdate", 1), ("left", 3), ("timestampadd", 3)] {
            assert_eq!(call(name, &vec!["x".to_owned(); arguments]), None, "{name}");
        }
    }
}
