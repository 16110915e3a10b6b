//! One key of the configuration: everything that is known about it.
//!
//! Policy: a key without a default may be empty; a key with a default always has a value.

use super::kind::Kind;
use super::url;

/// Environment variables that set a key begin with this.
pub const VARIABLE_PREFIX: &str = "ATTENDANCE_API__";

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Public,
    /// None of it.
    Secret,
    /// A URL: everything except the password in it.
    UrlPassword,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`, `section.section.key`, or the bare key at the top level.
    pub path: &'static str,
    /// Which values are valid.
    pub kind: Kind,
    /// The value when no layer sets the key, as a user would write it.
    pub default: Option<&'static str>,
    /// The explanation in the template: lines that begin with a space and end with a line break.
    pub documentation: &'static str,
    /// How much of its value may be shown.
    pub secrecy: Secrecy,
    /// Whether SIGHUP changes it; if not, a change needs a restart.
    pub is_reloadable: bool,
}

impl Key {
    /// A key that may be empty, is shown, and needs a restart. URLs hide the password that may be in them.
    pub const fn new(path: &'static str, kind: Kind, documentation: &'static str) -> Self {
        let secrecy = match kind {
            Kind::PostgresUrl | Kind::RedisUrl => Secrecy::UrlPassword,
            _ => Secrecy::Public,
        };
        Self { path, kind, default: None, documentation, secrecy, is_reloadable: false }
    }

    /// Declares the default.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// Declares that its value is never shown.
    pub const fn secret(mut self) -> Self {
        self.secrecy = Secrecy::Secret;
        self
    }

    /// Declares that SIGHUP changes it.
    pub const fn reloadable(mut self) -> Self {
        self.is_reloadable = true;
        self
    }

    /// Whether it may be without a value.
    pub const fn may_be_empty(&self) -> bool {
        self.default.is_none()
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.to_ascii_uppercase().replace('.', "__"))
    }

    /// Its section; `None` at the top level.
    pub fn section(&self) -> Option<&'static str> {
        self.path.rsplit_once('.').map(|(section, _)| section)
    }

    /// Its name within its section.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Its value as it may be shown.
    pub fn mask(&self, text: &str) -> String {
        match self.secrecy {
            Secrecy::Public => text.to_owned(),
            Secrecy::Secret => "***".to_owned(),
            Secrecy::UrlPassword => url::masked(text),
        }
    }
}
