//! The documentation of every key, as a configuration file.

use super::config::TABLE;
use super::key::Key;
use super::table::Section;

/// The explanation above the first key.
const HEADER: &str = "\
# Configuration of attendance-api.
#
# Everything here is optional: without any configuration, the appliance
# runs its own PostgreSQL and its own Redis and listens on port 8080. Every
# value below is the default; a key without a value has none.
#
# A value is taken from the first of these that sets it:
#   1. a flag: --listen, --data-dir, or --set server.max_body=2MiB
#   2. an environment variable: ATTENDANCE_API__SERVER__MAX_BODY=2MiB
#      (section and key in upper case, with two underscores)
#   3. this file, which is the first of these that is named or exists:
#      --config FILE, $CONFIG_FILE, ./config.yaml,
#      /etc/attendance-api/config.yaml
#   4. the default
#
# Durations are written 50ms, 20s, 5m, 1h, or as a number of seconds.
# Sizes are written 64KiB, 1MiB, 10MB, or as a number of bytes.
# `attendance-api config check` checks a configuration;
# `attendance-api config show` prints where each value came from.
";

/// The documentation of the configuration without the marks of comments, for other forms than a file.
#[derive(Debug)]
pub struct Documentation {
    /// The explanation above the first key, preformatted.
    pub introduction: String,
    /// The sections, in their order.
    pub sections: &'static [&'static Section],
}

/// The texts of which the template consists.
pub fn documentation() -> Documentation {
    let uncommented = |line: &str| format!("{}\n", line.strip_prefix("# ").unwrap_or_default());
    Documentation { introduction: HEADER.lines().map(uncommented).collect(), sections: TABLE.0 }
}

/// A configuration file that explains every key. Each key is commented out, so the file changes nothing until a `#` is removed.
pub fn template() -> String {
    render("#")
}

/// The template with this text in front of every key.
pub(super) fn render(mark: &str) -> String {
    let sections: String = TABLE.0.iter().map(|section| render_section(section, mark)).collect();
    format!("{HEADER}{sections}")
}

fn render_section(section: &Section, mark: &str) -> String {
    let (outer, inner) = (section.indentation(), section.keys_indentation());
    let head = section.own_name().map(|name| format!("{outer}{name}:\n")).unwrap_or_default();
    let keys: String = section.keys().map(|key| render_key(key, &inner, mark)).collect();
    // A section within another one is a part of it.
    let separator = if outer.is_empty() { "\n" } else { "" };
    format!("{separator}{}{head}{keys}", comment(section.documentation, &outer))
}

fn render_key(key: &Key, indent: &str, mark: &str) -> String {
    let value = key.default.map(|text| format!(" {text}")).unwrap_or_default();
    format!("{}{indent}{mark}{}:{value}\n", comment(key.documentation, indent), key.name())
}

fn comment(documentation: &str, indent: &str) -> String {
    documentation.lines().map(|line| format!("{indent}#{line}\n")).collect()
}
