//! The options of Liquibase 4.28: what each is called, and what this program does with it.
//!
//! Policy: an option is obeyed or refused by its name, whether it comes from the command line, a variable or the defaults file. An option
//! that this program does not implement is accepted with the values that describe what it does anyway. An option that has no effect on
//! PostgreSQL in Liquibase either is accepted with a warning.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches};

/// An option of Liquibase.
#[derive(Debug)]
pub struct LiquibaseOption {
    /// Its name on the command line.
    pub name: &'static str,
    /// Other names on the command line and in the defaults file, besides the spelling in camel case.
    pub aliases: &'static [&'static str],
    scope: Scope,
    /// What this program does with it.
    pub support: Support,
    /// The name of its value, and its help; options without help are hidden.
    help: Option<(&'static str, &'static str)>,
}

/// What an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// `liquibase.name`, `LIQUIBASE_NAME`
    Global,
    /// `liquibase.command.name`, `LIQUIBASE_COMMAND_NAME`
    Command,
    /// As [`Scope::Command`], for commands whose names begin with one of these; their flags are declared with the command.
    Of(&'static [&'static str]),
}

/// What this program does with an option.
#[derive(Debug, Clone, Copy)]
pub enum Support {
    /// It is obeyed.
    Obeyed,
    /// These values, which describe what this program does, are accepted, and others are refused.
    Only(&'static [&'static str]),
    /// It has no effect on PostgreSQL, in Liquibase either.
    NoEffect,
    /// It is obeyed on the command line and refused elsewhere.
    OnlyAsFlag,
    /// It is refused; the text says what to do instead.
    Refused(&'static str),
}

use Scope::{Command, Global, Of};
use Support::{NoEffect, Obeyed, Only, OnlyAsFlag, Refused};

const FALSE: Support = Only(&["false"]);
const TRUE: Support = Only(&["true"]);

const fn option(name: &'static str, scope: Scope, support: Support) -> LiquibaseOption {
    LiquibaseOption { name, aliases: &[], scope, support, help: None }
}

const fn shown(name: &'static str, scope: Scope, value: &'static str, help: &'static str) -> LiquibaseOption {
    LiquibaseOption { name, aliases: &[], scope, support: Obeyed, help: Some((value, help)) }
}

impl LiquibaseOption {
    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Whether it applies to a command.
    pub fn is_for(&self, command: &str) -> bool {
        match self.scope {
            Global | Command => true,
            Of(commands) => commands.iter().any(|start| command.starts_with(start)),
        }
    }

    /// Whether it may be named without `command`.
    fn is_global(&self) -> bool {
        self.scope == Global
    }

    fn is_called(&self, plain_name: &str) -> bool {
        std::iter::once(&self.name).chain(self.aliases).any(|name| plain(name) == plain_name)
    }
}

/// All options.
#[rustfmt::skip]
pub const OPTIONS: &[LiquibaseOption] = &[
    shown("url", Command, "URL", "The database: jdbc:postgresql://HOST:PORT/NAME or postgres://HOST:PORT/NAME [default: the appliance's own]"),
    shown("username", Command, "NAME", "The role to log in as"),
    shown("password", Command, "TEXT", "Its password; better given in $LIQUIBASE_COMMAND_PASSWORD or the defaults file, which others cannot see"),
    shown("changelog-file", Command, "FILE", "The changelog, below the search path [default: the one built in]"),
    shown("search-path", Global, "DIRECTORIES", "The directories that changelogs are in, separated by commas [default: the current directory]"),
    shown("contexts", Command, "LIST", "The contexts of the run, separated by commas").also(&["context-filter"]),
    shown("label-filter", Command, "EXPRESSION", "An expression over labels").also(&["labels"]),
    shown("default-schema-name", Command, "SCHEMA", "The schema of names without a schema, which must exist [default: that of the connection]"),
    shown("liquibase-schema-name", Global, "SCHEMA", "The schema of DATABASECHANGELOG and DATABASECHANGELOGLOCK [default: the default schema]").also(&["schema-name"]),
    shown("database-changelog-table-name", Global, "NAME", "The name of DATABASECHANGELOG"),
    shown("database-changelog-lock-table-name", Global, "NAME", "The name of DATABASECHANGELOGLOCK"),
    shown("defaults-file", Global, "FILE", "A Java properties file with values for these options [default: ./liquibase.properties, where it exists]"),
    shown("output-file", Global, "FILE", "Write what would go to standard output to this file"),
    shown("log-level", Global, "LEVEL", "How much is told on standard error: off, severe, warning, info, fine"),
    shown("changelog-lock-wait-time-in-minutes", Global, "MINUTES", "How long to wait for another migration [default: 5]"),
    shown("changelog-lock-poll-rate", Global, "SECONDS", "The longest time between two attempts to take the lock"),
    shown("allow-duplicated-changeset-identifiers", Global, "BOOLEAN", "Run changelogs in which several changesets have one identity"),
    shown("duplicate-file-mode", Global, "MODE", "What happens if several directories have the file: ERROR or WARN [default: ERROR]"),
    shown("strict", Global, "BOOLEAN", "Refuse unknown keys of the defaults file and unknown variables LIQUIBASE_*"),
    shown("show-summary", Command, "MODE", "Whether an update prints its summary: SUMMARY or OFF [default: SUMMARY]"),
    option("classpath", Global, Obeyed),
    option("headless", Global, Obeyed),
    option("tag-version", Of(&["rollback"]), Obeyed),

    option("show-summary-output", Command, Only(&["all", "console"])),
    option("always-drop-instead-of-replace", Global, FALSE),
    option("always-override-stored-logic-schema", Global, FALSE),
    option("auto-reorg", Global, NoEffect),
    option("changelog-parse-mode", Global, Only(&["STRICT"])),
    option("convert-data-types", Global, TRUE),
    option("custom-log-data-file", Global, NoEffect),
    option("custom-log-data-frequency", Global, NoEffect),
    option("database-class", Global, Only(&["liquibase.database.core.PostgresDatabase"])),
    option("dbclhistory-capture-extensions", Global, NoEffect),
    option("dbclhistory-capture-sql", Global, NoEffect),
    option("dbclhistory-enabled", Global, FALSE),
    option("dbclhistory-severity", Global, NoEffect),
    option("ddl-lock-timeout", Global, NoEffect),
    option("diff-column-order", Global, NoEffect),
    option("driver", Global, Only(&["org.postgresql.Driver"])),
    option("driver-properties-file", Global, Refused("write the parameters into the URL")),
    option("error-on-circular-include-all", Global, TRUE),
    option("file-encoding", Global, Only(&["UTF-8", "UTF8"])),
    option("filter-log-messages", Global, NoEffect),
    option("generate-changeset-created-values", Global, FALSE),
    option("generated-changeset-ids-contains-description", Global, FALSE),
    option("include-catalog-in-specification", Global, NoEffect),
    option("include-relations-for-computed-columns", Global, NoEffect),
    option("include-system-classpath", Global, NoEffect),
    option("license-key", Global, NoEffect),
    option("liquibase-catalog-name", Global, Refused("a catalog of PostgreSQL is a database; name it in the URL")),
    option("liquibase-tablespace-name", Global, Refused("create the two tables in that tablespace before the first run")),
    option("log-channels", Global, NoEffect),
    option("log-file", Global, Refused("redirect standard error to the file")),
    option("log-format", Global, Only(&["TEXT"])),
    option("mirror-console-messages-to-log", Global, NoEffect),
    option("mirror-output-to-console", Global, FALSE),
    option("missing-property-mode", Global, Only(&["PRESERVE"])),
    option("monitor-performance", Global, FALSE),
    option("on-missing-include-changelog", Global, Only(&["FAIL"])),
    option("output-file-encoding", Global, Only(&["UTF-8", "UTF8"])),
    option("output-line-separator", Global, Only(&["\n", "\\n"])),
    option("preserve-schema-case", Global, FALSE),
    option("pro-global-end-delimiter", Global, NoEffect),
    option("pro-global-end-delimiter-prioritized", Global, NoEffect),
    option("pro-license-key", Global, NoEffect),
    option("pro-mark-unused-not-drop", Global, NoEffect),
    option("pro-sql-inline", Global, NoEffect),
    option("pro-strict", Global, NoEffect),
    option("pro-synonyms-drop-public", Global, NoEffect),
    option("prompt-for-non-local-database", Global, FALSE),
    option("property-provider-class", Global, Refused("use the URL and its parameters")),
    option("psql-args", Global, NoEffect),
    option("psql-keep-temp", Global, NoEffect),
    option("psql-keep-temp-name", Global, NoEffect),
    option("psql-keep-temp-path", Global, NoEffect),
    option("psql-log-file", Global, NoEffect),
    option("psql-path", Global, NoEffect),
    option("psql-timeout", Global, NoEffect),
    option("secure-parsing", Global, TRUE),
    option("should-run", Global, TRUE),
    option("should-snapshot-data", Global, NoEffect),
    option("show-banner", Global, NoEffect),
    option("sql-log-level", Global, NoEffect),
    option("sql-show-sql-warnings", Global, NoEffect),
    option("sqlcmd-args", Global, NoEffect),
    option("sqlcmd-catalog-name", Global, NoEffect),
    option("sqlcmd-keep-temp", Global, NoEffect),
    option("sqlcmd-keep-temp-name", Global, NoEffect),
    option("sqlcmd-keep-temp-overwrite", Global, NoEffect),
    option("sqlcmd-keep-temp-path", Global, NoEffect),
    option("sqlcmd-log-file", Global, NoEffect),
    option("sqlcmd-path", Global, NoEffect),
    option("sqlcmd-timeout", Global, NoEffect),
    option("sqlplus-args", Global, NoEffect),
    option("sqlplus-create-spool", Global, NoEffect),
    option("sqlplus-keep-temp-name", Global, NoEffect),
    option("sqlplus-keep-temp-overwrite", Global, NoEffect),
    option("sqlplus-keep-temp-path", Global, NoEffect),
    option("sqlplus-path", Global, NoEffect),
    option("sqlplus-sqlerror", Global, NoEffect),
    option("sqlplus-timeout", Global, NoEffect),
    option("support-property-escaping", Global, FALSE),
    option("ui-service", Global, NoEffect),
    option("use-procedure-schema", Global, TRUE),
    option("validate-xml-changelog-files", Global, TRUE),

    option("default-catalog-name", Command, Refused("a catalog of PostgreSQL is a database; name it in the URL")),
    option("change-exec-listener-class", Command, Refused("it is Java")),
    option("change-exec-listener-properties-file", Command, Refused("it is Java")),
    option("report-enabled", Command, FALSE),
    option("report-name", Command, NoEffect),
    option("report-path", Command, NoEffect),
    option("rollback-on-error", Command, FALSE),
    option("output-default-schema", Command, TRUE),
    option("output-default-catalog", Command, NoEffect),
    option("rollback-script", Command, Refused("write the rollback into the changesets")),
    option("schemas", Command, Refused("use --default-schema-name, once for each schema")),
    option("drop-dbclhistory", Command, NoEffect),
    option("add-row", Command, Only(&["true"])),
    option("format", Command, Only(&["TABULAR"])),
    option("data-output-directory", Command, Refused("data is not generated")),
    option("diff-types", Command, Refused("the changelog has sequences, tables, keys, indexes and views")),
    option("exclude-objects", Command, Refused("remove the changesets from the generated changelog")),
    option("include-objects", Command, Refused("remove the other changesets from the generated changelog")),
    option("include-catalog", Command, FALSE),
    option("include-schema", Command, FALSE),
    option("include-tablespace", Command, FALSE),
    option("output-schemas", Command, Refused("use --default-schema-name")),
    option("reference-default-schema-name", Command, Refused("use --default-schema-name")),
    option("context-for-generated", Command, Refused("write it into the generated changelog")),

    option("tag", Of(&["tag", "rollback", "update-to-tag", "changelog-sync-to-tag"]), OnlyAsFlag),
    option("count", Of(&["update-count", "rollback-count"]), OnlyAsFlag),
    option("date", Of(&["rollback-to-date"]), OnlyAsFlag),
    option("verbose", Of(&["status", "unexpected-changesets"]), OnlyAsFlag),
    option("force", Of(&["drop-all"]), OnlyAsFlag),
    option("require-force", Of(&["drop-all"]), OnlyAsFlag),
    option("author", Of(&["generate-changelog"]), OnlyAsFlag),
    option("overwrite-output-file", Of(&["generate-changelog"]), OnlyAsFlag),
    option("changeset-identifier", Of(&["calculate-checksum"]), OnlyAsFlag),
    option("changeset-path", Of(&["calculate-checksum"]), OnlyAsFlag),
    option("changeset-id", Of(&["calculate-checksum"]), OnlyAsFlag),
    option("changeset-author", Of(&["calculate-checksum"]), OnlyAsFlag),
];

/// A name without what its spellings differ in.
pub fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// `changelogFile` for `changelog-file`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut text, part| {
        let mut letters = part.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text + letters.as_str()
    })
}

/// What a key of the defaults file or a variable names.
#[derive(Debug, Clone, Copy)]
pub enum Named {
    /// An option that applies to the command; `true` if the key names the command, which takes precedence.
    Option(&'static LiquibaseOption, bool),
    /// An option of another command.
    OtherCommand,
    /// Nothing.
    Unknown,
}

/// What `key` names for `command`: `liquibase.command.update.defaultSchemaName`, `liquibase.liquibaseSchemaName`, `url`, or the words of a
/// variable joined with `.`. `commands` are the names of all commands.
pub fn named(key: &str, command: &str, commands: &[String]) -> Named {
    let lower = key.to_ascii_lowercase();
    let (is_qualified, rest) = match lower.strip_prefix("liquibase.") {
        Some(rest) => (true, rest),
        None => (false, lower.as_str()),
    };
    let (is_of_command, name) = match rest.strip_prefix("command.") {
        Some(name) if is_qualified => (true, name),
        _ => (false, rest),
    };
    let find = |name: &str| {
        let name = plain(name);
        let of_scope = |option: &&LiquibaseOption| match (is_qualified, is_of_command) {
            (true, false) => option.is_global(),
            (true, true) => !option.is_global() || option.name.starts_with("driver"),
            (false, _) => true,
        };
        OPTIONS.iter().filter(of_scope).find(|option| option.is_called(&name))
    };
    if let Some(option) = find(name) {
        return if option.is_for(command) { Named::Option(option, false) } else { Named::OtherCommand };
    }
    if is_of_command {
        let (plain_key, plain_command) = (plain(name), plain(command));
        let own = plain_key.strip_prefix(&plain_command).and_then(find);
        if let Some(option) = own {
            return Named::Option(option, true);
        }
        // `update.x` is a key of the command `update`, also if the command is `status`.
        let is_of_other =
            |other: &String| plain_key.strip_prefix(&plain(other)).is_some_and(|rest| find(rest).is_some());
        if commands.iter().any(is_of_other) {
            return Named::OtherCommand;
        }
    }
    Named::Unknown
}

/// The other spellings of each option on the command line. The parser of the command line needs them for as long as the program runs.
static FLAG_ALIASES: LazyLock<Vec<BTreeSet<String>>> = LazyLock::new(|| {
    let aliases = |option: &LiquibaseOption| {
        let names = std::iter::once(&option.name).chain(option.aliases);
        let spellings = names.flat_map(|name| [(*name).to_owned(), camel_case(name)]);
        // Liquibase accepts both spellings of this word.
        let spellings = spellings.flat_map(|name| [name.replace("changelog", "changeLog"), name]);
        spellings.filter(|name| name != option.name).collect()
    };
    OPTIONS.iter().map(aliases).collect()
});

/// The options that were given on the command line.
#[derive(Debug, Default)]
pub struct Flags(Vec<(&'static LiquibaseOption, String)>);

impl Flags {
    /// The options, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static LiquibaseOption, &str)> {
        self.0.iter().map(|(option, value)| (*option, value.as_str()))
    }
}

impl clap::Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flags = OPTIONS.iter().zip(&*FLAG_ALIASES).filter(|(option, _)| !matches!(option.scope, Of(_)));
        flags.fold(command, |command, (option, aliases)| {
            let aliases = aliases.iter().map(String::as_str);
            let flag = Arg::new(option.name).long(option.name).aliases(aliases).global(true).num_args(1);
            command.arg(match option.help {
                Some((value, help)) => flag.value_name(value).help(help).hide_env_values(true),
                None => flag.value_name("VALUE").hide(true),
            })
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let flags = OPTIONS.iter().filter(|option| !matches!(option.scope, Of(_)));
        self.0 = flags.filter_map(|option| Some((option, matches.get_one::<String>(option.name)?.clone()))).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Option<&'static str> {
        let commands = ["rollback", "rollback-count", "status", "update"].map(str::to_owned);
        match named(key, "update", &commands) {
            Named::Option(option, _) => Some(option.name),
            Named::OtherCommand => Some("another command"),
            Named::Unknown => None,
        }
    }

    #[test]
    fn every_spelling_of_a_key_names_its_option() {
        for (key, option) in [
            ("changelog-file", Some("changelog-file")),
            ("changeLogFile", Some("changelog-file")),
            ("liquibase.command.changelogFile", Some("changelog-file")),
            ("liquibase.command.update.changelog_file", Some("changelog-file")),
            ("liquibase.command.rollback.changelogFile", Some("another command")),
            ("liquibase.command.rollbackCount.count", Some("another command")),
            ("DEFAULTSCHEMANAME", Some("default-schema-name")),
            ("liquibaseSchemaName", Some("liquibase-schema-name")),
            ("liquibase.liquibaseSchemaName", Some("liquibase-schema-name")),
            ("databaseChangeLogTableName", Some("database-changelog-table-name")),
            ("liquibase.databaseChangeLogLockTableName", Some("database-changelog-lock-table-name")),
            ("liquibase.pro.licenseKey", Some("pro-license-key")),
            // Liquibase ignores an option of a command without `command`, and a global one with it.
            ("liquibase.defaultSchemaName", None),
            ("liquibase.command.liquibaseSchemaName", None),
            ("bogus", None),
        ] {
            assert_eq!(name(key), option, "{key}");
        }
    }

    #[test]
    fn names_are_written_in_camel_case() {
        assert_eq!(camel_case("changelog-lock-wait-time-in-minutes"), "changelogLockWaitTimeInMinutes");
        assert_eq!(camel_case("url"), "url");
    }
}
