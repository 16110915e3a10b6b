//! The table of all keys.
//!
//! Policy: the defaults, the file, the environment, `--set`, `config show`, the template and the reload are all driven by this
//! table; a key that is not in it does not exist.

use super::key::{Key, VARIABLE_PREFIX};
use super::suggest;

/// A section of the file, or the keys at the top level.
#[derive(Debug)]
pub struct Section {
    /// Its name; `None` for the keys at the top level. A section within another one is named `outer.inner` and comes directly after it.
    pub name: Option<&'static str>,
    /// The explanation above it in the template, in the form of [`Key::documentation`].
    pub documentation: &'static str,
    /// Its keys, grouped by the struct that holds their values, in the template's order.
    pub groups: &'static [&'static [Key]],
}

/// All sections, in the template's order.
#[derive(Debug)]
pub struct Table(pub &'static [&'static Section]);

impl Section {
    /// Its name within the section around it.
    pub fn own_name(&self) -> Option<&'static str> {
        self.name.map(|name| name.rsplit_once('.').map_or(name, |(_, own)| own))
    }

    /// What precedes its name in a file.
    pub fn indentation(&self) -> String {
        "  ".repeat(self.name.map_or(0, |name| name.matches('.').count()))
    }

    /// What precedes its keys in a file.
    pub fn keys_indentation(&self) -> String {
        "  ".repeat(self.name.map_or(0, |name| name.matches('.').count() + 1))
    }

    /// Its keys, in the template's order.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }
}

impl Table {
    /// Every key, in the template's order.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.0.iter().flat_map(|section| section.keys())
    }

    /// The key of this path.
    pub fn find(&self, path: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.path == path)
    }

    /// The key that this environment variable sets.
    pub fn find_variable(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.variable() == name)
    }

    /// Whether a section of this name exists.
    pub fn is_section(&self, name: &str) -> bool {
        self.0.iter().any(|section| section.name == Some(name))
    }

    /// The known key that an unknown one was probably meant to be.
    pub fn nearest_key(&self, unknown: &str) -> Option<&'static Key> {
        let nearest = suggest::nearest(unknown, self.keys().map(|key| key.path));
        nearest.and_then(|path| self.find(path)).or_else(|| self.misplaced_key(unknown))
    }

    /// The key of this name in another section, if there is exactly one.
    fn misplaced_key(&self, unknown: &str) -> Option<&'static Key> {
        let name = unknown.rsplit('.').next()?;
        let mut candidates = self.keys().filter(|key| key.name() == name);
        let only = candidates.next()?;
        candidates.next().is_none().then_some(only)
    }

    /// The known variable that an unknown one was probably meant to be.
    pub fn nearest_variable(&self, unknown: &str) -> Option<String> {
        // Compared as keys, so that a single underscore between section and key counts as one small mistake, not as two.
        let path = unknown.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase().replace("__", ".");
        self.nearest_key(&path).map(Key::variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kind::Kind;

    static SERVER: Section = Section {
        name: Some("server"),
        documentation: "",
        groups: &[&[Key::new("server.listen", Kind::Text, ""), Key::new("server.max_body", Kind::Text, "")]],
    };
    static POSTGRES: Section = Section {
        name: Some("postgres"),
        documentation: "",
        groups: &[
            &[Key::new("postgres.host", Kind::Text, ""), Key::new("postgres.port", Kind::Text, "")],
            &[Key::new("postgres.pool_size", Kind::Text, "")],
        ],
    };
    static REDIS: Section =
        Section { name: Some("redis"), documentation: "", groups: &[&[Key::new("redis.port", Kind::Text, "")]] };
    static TABLE: Table = Table(&[&SERVER, &POSTGRES, &REDIS]);

    fn nearest_key(unknown: &str) -> Option<&'static str> {
        TABLE.nearest_key(unknown).map(|key| key.path)
    }

    #[test]
    fn variables_are_found_and_suggested() {
        let found = TABLE.find_variable("ATTENDANCE_API__POSTGRES__POOL_SIZE");
        assert_eq!(found.map(|key| key.path), Some("postgres.pool_size"));
        let nearest = TABLE.nearest_variable("ATTENDANCE_API__POSTGRES_HOST");
        assert_eq!(nearest.as_deref(), Some("ATTENDANCE_API__POSTGRES__HOST"));
    }

    #[test]
    fn a_key_in_the_wrong_section_is_suggested_where_it_belongs() {
        assert_eq!(nearest_key("listen"), Some("server.listen"));
        assert_eq!(nearest_key("flask.max_body"), Some("server.max_body"));
        assert_eq!(nearest_key("port"), None, "two sections have one");
    }
}
