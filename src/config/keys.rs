//! Every key of the configuration, in one table.
//!
//! Policy: the file, the environment, `--set`, `config show` and the check of `defaults.yaml` are all driven by this
//! table; a key that is not in it does not exist.

use super::kind::Kind;
use super::suggest;

/// The environment variables of the configuration begin with this.
pub const VARIABLE_PREFIX: &str = "ATTENDANCE_API__";

const MS: u64 = 1;
const S: u64 = 1000;
const H: u64 = 3600 * S;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// How much of a value may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Public,
    /// None of it.
    Secret,
    /// A URL: all but the password in it.
    UrlPassword,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`, or the bare key at the top level.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// How much of its value may be seen.
    pub secrecy: Secrecy,
}

/// The table, in the order of `defaults.yaml`.
pub static KEYS: &[Key] = &[
    public("data_dir", Kind::Path),
    public("server.listen", Kind::Address),
    public("server.workers", Kind::Integer(1, 1024)),
    public("server.max_connections", Kind::Integer(1, 1_000_000)),
    public("server.max_body", Kind::Size(KIB, GIB)),
    // hyper's read buffer is never smaller than 8 KiB
    public("server.max_head", Kind::Size(8 * KIB, MIB)),
    public("server.head_timeout", Kind::Duration(100 * MS, H)),
    public("server.body_timeout", Kind::Duration(100 * MS, H)),
    public("server.idle_timeout", Kind::Duration(100 * MS, 24 * H)),
    public("server.write_timeout", Kind::Duration(100 * MS, H)),
    public("server.drain_timeout", Kind::Duration(0, H)),
    public("api.date_format", Kind::Enum(&["iso", "http"])),
    public("postgres.host", Kind::Text),
    public("postgres.port", Kind::Port),
    public("postgres.user", Kind::Text),
    secret("postgres.password"),
    public("postgres.database", Kind::Text),
    public("postgres.sslmode", Kind::Enum(&["disable", "prefer", "require", "verify-full"])),
    url("postgres.url", Kind::PostgresUrl),
    public("postgres.connect_timeout", Kind::Duration(S, 24 * H)),
    public("postgres.pool_size", Kind::Integer(1, 1000)),
    public("postgres.request_timeout", Kind::Duration(10 * MS, H)),
    public("postgres.bin_dir", Kind::Path),
    public("postgres.shared_buffers", Kind::Size(MIB, 1024 * GIB)),
    public("postgres.init_timeout", Kind::Duration(S, 24 * H)),
    public("postgres.start_timeout", Kind::Duration(S, 24 * H)),
    public("postgres.stop_timeout", Kind::Duration(S, H)),
    public("migrations.changelog", Kind::Text),
    public("migrations.search_path", Kind::Path),
    public("migrations.contexts", Kind::Text),
    public("migrations.labels", Kind::Text),
    public("redis.mode", Kind::Enum(&["managed", "external", "off"])),
    public("redis.host", Kind::Text),
    public("redis.port", Kind::Port),
    public("redis.username", Kind::Text),
    secret("redis.password"),
    public("redis.database", Kind::Integer(0, 1_000_000)),
    url("redis.url", Kind::RedisUrl),
    public("redis.program", Kind::Path),
    public("redis.max_memory", Kind::Size(16 * MIB, 1024 * GIB)),
    public("redis.timeout", Kind::Duration(MS, 10 * S)),
    public("redis.ttl", Kind::Duration(S, 24 * H)),
    public("redis.max_value", Kind::Size(KIB, 64 * MIB)),
    public("redis.local_memory", Kind::Size(0, 64 * GIB)),
    public("log.format", Kind::Enum(&["auto", "json", "text"])),
    public("log.level", Kind::Enum(&["error", "warn", "info", "debug", "trace"])),
    public("log.access", Kind::Enum(&["all", "errors", "off"])),
];

const fn public(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, secrecy: Secrecy::Public }
}

const fn secret(path: &'static str) -> Key {
    Key { path, kind: Kind::Text, secrecy: Secrecy::Secret }
}

const fn url(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, secrecy: Secrecy::UrlPassword }
}

impl Key {
    /// The key of this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The key that this environment variable sets.
    pub fn of_variable(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.variable() == name)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.to_ascii_uppercase().replace('.', "__"))
    }

    /// The section it stands in; `None` at the top level.
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }

    /// Its name within its section.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Its value as it may be shown.
    pub fn mask(&self, text: &str) -> String {
        match self.secrecy {
            Secrecy::Public => text.to_owned(),
            Secrecy::Secret => "***".to_owned(),
            Secrecy::UrlPassword => super::url::masked(text),
        }
    }
}

/// Whether a section of this name exists.
pub fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.section() == Some(name))
}

/// The known key that an unknown one was probably meant to be.
pub fn nearest_key(unknown: &str) -> Option<&'static str> {
    suggest::nearest(unknown, KEYS.iter().map(|key| key.path)).or_else(|| misplaced_key(unknown))
}

/// The one key of this name in another section.
fn misplaced_key(unknown: &str) -> Option<&'static str> {
    let name = unknown.rsplit('.').next()?;
    let mut named = KEYS.iter().filter(|key| key.name() == name);
    let only = named.next()?;
    named.next().is_none().then_some(only.path)
}

/// The known variable that an unknown one was probably meant to be.
pub fn nearest_variable(unknown: &str) -> Option<String> {
    // compared as keys, so that a single underscore between section and key is one small mistake, not two
    let path = unknown.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase().replace("__", ".");
    nearest_key(&path).and_then(Key::find).map(Key::variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_and_suggested() {
        assert_eq!(Key::of_variable("ATTENDANCE_API__POSTGRES__POOL_SIZE").map(|k| k.path), Some("postgres.pool_size"));
        assert_eq!(Key::of_variable("ATTENDANCE_API__DATA_DIR").map(|k| k.path), Some("data_dir"));
        assert_eq!(
            nearest_variable("ATTENDANCE_API__POSTGRES_HOST").as_deref(),
            Some("ATTENDANCE_API__POSTGRES__HOST")
        );
    }

    #[test]
    fn a_key_in_the_wrong_section_is_suggested_where_it_belongs() {
        assert_eq!(nearest_key("listen"), Some("server.listen"));
        assert_eq!(nearest_key("flask.max_body"), Some("server.max_body"));
        assert_eq!(nearest_key("port"), None);
    }

    #[test]
    fn every_key_is_there_once() {
        let mut paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
    }
}
