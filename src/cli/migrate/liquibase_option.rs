//! The options of Liquibase 4.28: what each is called, and what this program does with it.
//!
//! Policy: an option is obeyed or refused by its name, whether it comes from the command line, a variable or the defaults file. An option
//! that this program does not implement is accepted with the values that describe what it does anyway. An option that has no effect on
//! PostgreSQL in Liquibase either is accepted with a warning.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches};

/// An option of Liquibase.
#[derive(Debug, Clone)]
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

/// The options with a help text, all of which are obeyed.
#[rustfmt::skip]
const SHOWN: &[LiquibaseOption] = &[
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
    shown("log-level", Global, "LEVEL", "The messages on standard error: off, severe, warning, info or fine"),
    shown("changelog-lock-wait-time-in-minutes", Global, "MINUTES", "How long to wait for another migration [default: 5]"),
    shown("changelog-lock-poll-rate", Global, "SECONDS", "The longest time between two attempts to take the lock"),
    shown("allow-duplicated-changeset-identifiers", Global, "BOOLEAN", "Run changelogs in which several changesets have one identity"),
    shown("duplicate-file-mode", Global, "MODE", "What happens if several directories have the file: ERROR or WARN [default: ERROR]"),
    shown("missing-property-mode", Global, "MODE", "What stands for an unknown ${name}: PRESERVE, EMPTY or ERROR [default: PRESERVE]"),
    shown("on-missing-include-changelog", Global, "MODE", "What happens if an included file is missing: FAIL or WARN [default: FAIL]"),
    shown("support-property-escaping", Global, "BOOLEAN", "Write ${name} for ${:name}"),
    shown("strict", Global, "BOOLEAN", "Refuse unknown keys of the defaults file and unknown variables LIQUIBASE_*"),
    shown("show-summary", Command, "MODE", "Whether an update prints its summary: SUMMARY or OFF [default: SUMMARY]"),
];

/// Further options that are obeyed.
const OBEYED: &[(&str, Scope)] = &[("classpath", Global), ("headless", Global), ("tag-version", Of(&["rollback"]))];

/// Global options that are accepted with values that describe what this program does.
const ONLY_GLOBAL: &[(&str, &[&str])] = &[
    ("always-drop-instead-of-replace", &["false"]),
    ("always-override-stored-logic-schema", &["false"]),
    ("changelog-parse-mode", &["STRICT"]),
    ("convert-data-types", &["true"]),
    ("database-class", &["liquibase.database.core.PostgresDatabase"]),
    ("dbclhistory-enabled", &["false"]),
    ("driver", &["org.postgresql.Driver"]),
    ("error-on-circular-include-all", &["true"]),
    ("file-encoding", &["UTF-8", "UTF8"]),
    ("generate-changeset-created-values", &["false"]),
    ("generated-changeset-ids-contains-description", &["false"]),
    ("log-format", &["TEXT"]),
    ("mirror-output-to-console", &["false"]),
    ("monitor-performance", &["false"]),
    ("output-file-encoding", &["UTF-8", "UTF8"]),
    ("output-line-separator", &["\n", "\\n"]),
    ("preserve-schema-case", &["false"]),
    ("prompt-for-non-local-database", &["false"]),
    ("secure-parsing", &["true"]),
    ("should-run", &["true"]),
    ("use-procedure-schema", &["true"]),
    ("validate-xml-changelog-files", &["true"]),
];

/// Options of commands that are accepted with values that describe what this program does.
const ONLY_COMMAND: &[(&str, &[&str])] = &[
    ("show-summary-output", &["all", "console"]),
    ("report-enabled", &["false"]),
    ("rollback-on-error", &["false"]),
    ("output-default-schema", &["true"]),
    ("add-row", &["true"]),
    ("format", &["TABULAR"]),
    ("include-catalog", &["false"]),
    ("include-schema", &["false"]),
    ("include-tablespace", &["false"]),
];

/// Options that are refused, and what to do instead.
const REFUSED: &[(&str, Scope, &str)] = &[
    ("driver-properties-file", Global, "write the parameters into the URL"),
    ("liquibase-catalog-name", Global, "a catalog of PostgreSQL is a database; name it in the URL"),
    ("liquibase-tablespace-name", Global, "create the two tables in that tablespace before the first run"),
    ("log-file", Global, "redirect standard error to the file"),
    ("property-provider-class", Global, "use the URL and its parameters"),
    ("default-catalog-name", Command, "a catalog of PostgreSQL is a database; name it in the URL"),
    ("change-exec-listener-class", Command, "it is Java"),
    ("change-exec-listener-properties-file", Command, "it is Java"),
    ("rollback-script", Command, "write the rollback into the changesets"),
    ("schemas", Command, "use --default-schema-name, once for each schema"),
    ("data-output-directory", Command, "data is not generated"),
    ("diff-types", Command, "the changelog has sequences, tables, keys, indexes and views"),
    ("exclude-objects", Command, "remove the changesets from the generated changelog"),
    ("include-objects", Command, "remove the other changesets from the generated changelog"),
    ("output-schemas", Command, "use --default-schema-name"),
    ("reference-default-schema-name", Command, "use --default-schema-name"),
    ("context-for-generated", Command, "write it into the generated changelog"),
];

/// Global options that have no effect on PostgreSQL.
#[rustfmt::skip]
const NO_EFFECT_GLOBAL: &[&str] = &[
    "auto-reorg", "custom-log-data-file", "custom-log-data-frequency", "dbclhistory-capture-extensions",
    "dbclhistory-capture-sql", "dbclhistory-severity", "ddl-lock-timeout", "diff-column-order", "filter-log-messages",
    "include-catalog-in-specification", "include-relations-for-computed-columns", "include-system-classpath",
    "license-key", "log-channels", "mirror-console-messages-to-log", "pro-global-end-delimiter",
    "pro-global-end-delimiter-prioritized", "pro-license-key", "pro-mark-unused-not-drop", "pro-sql-inline",
    "pro-strict", "pro-synonyms-drop-public", "psql-args", "psql-keep-temp", "psql-keep-temp-name",
    "psql-keep-temp-path", "psql-log-file", "psql-path", "psql-timeout", "should-snapshot-data", "show-banner",
    "sql-log-level", "sql-show-sql-warnings", "sqlcmd-args", "sqlcmd-catalog-name", "sqlcmd-keep-temp",
    "sqlcmd-keep-temp-name", "sqlcmd-keep-temp-overwrite", "sqlcmd-keep-temp-path", "sqlcmd-log-file", "sqlcmd-path",
    "sqlcmd-timeout", "sqlplus-args", "sqlplus-create-spool", "sqlplus-keep-temp-name", "sqlplus-keep-temp-overwrite",
    "sqlplus-keep-temp-path", "sqlplus-path", "sqlplus-sqlerror", "sqlplus-timeout", "ui-service",
];

/// Options of commands that have no effect on PostgreSQL.
#[rustfmt::skip]
const NO_EFFECT_COMMAND: &[&str] = &[
    "report-name", "report-path", "output-default-catalog", "drop-dbclhistory",
];

/// The flags of single commands: their names, and the beginnings of the names of their commands.
const FLAGS: &[(&[&str], &[&str])] = &[
    (&["tag"], &["tag", "rollback", "update-to-tag", "changelog-sync-to-tag"]),
    (&["count"], &["update-count", "rollback-count"]),
    (&["date"], &["rollback-to-date"]),
    (&["verbose"], &["status", "unexpected-changesets"]),
    (&["force", "require-force"], &["drop-all"]),
    (&["author", "overwrite-output-file"], &["generate-changelog"]),
    (&["changeset-identifier", "changeset-path", "changeset-id", "changeset-author"], &["calculate-checksum"]),
];

/// All options.
pub static OPTIONS: LazyLock<Vec<LiquibaseOption>> = LazyLock::new(|| {
    let mut all = SHOWN.to_vec();
    all.extend(OBEYED.iter().map(|(name, scope)| option(name, *scope, Obeyed)));
    all.extend(ONLY_GLOBAL.iter().map(|(name, values)| option(name, Global, Only(values))));
    all.extend(ONLY_COMMAND.iter().map(|(name, values)| option(name, Command, Only(values))));
    all.extend(REFUSED.iter().map(|(name, scope, remedy)| option(name, *scope, Refused(remedy))));
    all.extend(NO_EFFECT_GLOBAL.iter().map(|name| option(name, Global, NoEffect)));
    all.extend(NO_EFFECT_COMMAND.iter().map(|name| option(name, Command, NoEffect)));
    for (names, commands) in FLAGS {
        all.extend(names.iter().map(|name| option(name, Of(commands), OnlyAsFlag)));
    }
    all
});

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
