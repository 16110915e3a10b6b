//! The options of a run.
//!
//! Properties and contexts also decide what a changelog contains and which checksums it has. The caller must therefore pass the
//! same options to [`Changelog::load`](crate::Changelog::load) and to the command that uses the changelog.

use crate::database_properties::DatabaseProperties;
use crate::event::Event;
use crate::locations::Locations;

/// Which changesets run, and the values of the properties in them.
///
/// ```
/// use liquibase_compat::Options;
///
/// let options = Options::default()
///     .with_contexts(["prod"])
///     .with_label_filter("!slow")
///     .with_property("owner", "app");
/// assert_eq!(options.contexts, ["prod"]);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The contexts of the run. If empty, changesets of every context run.
    pub contexts: Vec<String>,
    /// An expression over labels. If empty, every changeset passes.
    pub label_filter: String,
    /// Values of `${name}`; they take precedence over properties of the changelog.
    pub properties: Vec<(String, String)>,
    /// The schemas and tables of the run.
    pub locations: Locations,
    /// The values of `${database.…}` that are read from the database.
    pub database: Option<DatabaseProperties>,
    /// Which row a rollback to a tag goes to if several rows have the tag.
    pub tag_version: TagVersion,
    /// Several changesets may have one identity.
    pub allow_duplicate_ids: bool,
    /// What stands for an unknown `${name}`.
    pub missing_property: MissingProperty,
    /// `${:name}` stands for the text `${name}`.
    pub property_escaping: bool,
    /// An `include` of a file that does not exist is left out with a warning.
    pub tolerate_missing_includes: bool,
    /// Called for each [`Event`] of a run.
    pub observer: Option<fn(&Event<'_>)>,
}

/// Which row a rollback to a tag goes to if several rows have the tag (`--tag-version`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagVersion {
    /// The oldest row with the tag, as Liquibase does by default.
    #[default]
    Oldest,
    /// The newest row with the tag.
    Newest,
}

/// What stands for a `${name}` without a value (`--missing-property-mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingProperty {
    /// It stays as it is.
    #[default]
    Preserve,
    /// Nothing.
    Empty,
    /// The changelog is refused.
    Error,
}

impl Options {
    /// Sets what stands for an unknown `${name}`.
    #[must_use]
    pub fn with_missing_property(mut self, missing: MissingProperty) -> Self {
        self.missing_property = missing;
        self
    }

    /// Sets whether `${:name}` stands for the text `${name}`.
    #[must_use]
    pub fn with_property_escaping(mut self, escaping: bool) -> Self {
        self.property_escaping = escaping;
        self
    }

    /// Sets whether an `include` of a file that does not exist is left out with a warning (`--on-missing-include-changelog=WARN`).
    #[must_use]
    pub fn with_missing_includes(mut self, tolerated: bool) -> Self {
        self.tolerate_missing_includes = tolerated;
        self
    }

    /// Sets the schemas and tables of the run.
    #[must_use]
    pub fn with_locations(mut self, locations: Locations) -> Self {
        self.locations = locations;
        self
    }

    /// Sets the row that a rollback to a tag goes to.
    #[must_use]
    pub fn with_tag_version(mut self, version: TagVersion) -> Self {
        self.tag_version = version;
        self
    }

    /// Permits several changesets with one identity.
    #[must_use]
    pub fn with_duplicate_ids(mut self, allowed: bool) -> Self {
        self.allow_duplicate_ids = allowed;
        self
    }

    /// Sets the contexts of the run.
    #[must_use]
    pub fn with_contexts<T: Into<String>>(mut self, contexts: impl IntoIterator<Item = T>) -> Self {
        self.contexts = contexts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the expression that the labels of a changeset must satisfy.
    #[must_use]
    pub fn with_label_filter(mut self, filter: impl Into<String>) -> Self {
        self.label_filter = filter.into();
        self
    }

    /// Adds the value of one property.
    #[must_use]
    pub fn with_property(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_properties([(name.into(), value.into())])
    }

    /// Adds the values of properties.
    #[must_use]
    pub fn with_properties(mut self, properties: impl IntoIterator<Item = (String, String)>) -> Self {
        self.properties.extend(properties);
        self
    }

    /// Sets the function that is called for each event of a run.
    #[must_use]
    pub fn with_observer(mut self, observer: fn(&Event<'_>)) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn notify(&self, event: &Event<'_>) {
        if let Some(observer) = self.observer {
            observer(event);
        }
    }
}
