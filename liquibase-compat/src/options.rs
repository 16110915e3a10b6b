//! The options of a run.
//!
//! Properties and contexts also decide what a changelog contains and which checksums it has. The caller must therefore pass the
//! same options to [`Changelog::load`](crate::Changelog::load) and to the command that uses the changelog.

use crate::event::Event;

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
    /// Called for each [`Event`] of a run.
    pub observer: Option<fn(&Event<'_>)>,
}

impl Options {
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
