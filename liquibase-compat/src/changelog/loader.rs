//! Walking a changelog and what it includes.
//!
//! Elements are taken in document order, and `${}` is replaced when an element's turn comes: a property counts from its
//! definition on, in YAML and JSON in the whole file. An include sees the properties of the file around it and gives back only global ones.

use std::collections::HashSet;

use super::Changelog;
use super::attributes::{self, Inherited, RunOrder, boolean, check_attributes, context, labels, needed};
use crate::attachment::Surroundings;
use crate::changeset::{ChangeSet, RollbackPart};
use crate::changeset_id::ChangeSetKey;
use crate::expression;
use crate::format;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::options::Options;
use crate::path;
use crate::precondition::Preconditions;
use crate::properties::{self, Properties};
use crate::source::{Source, SourceError};
use crate::sql::Quoting;

/// The most files between the root changelog and an included one.
const MAX_INCLUDES: usize = 32;

/// The most files one changelog may include.
const MAX_FILES: usize = 10_000;

/// Reads the changelog at `file` and all it includes.
pub(super) fn load(source: &dyn Source, file: &str, options: &Options) -> Result<Changelog, LoadError> {
    let file = path::normalise(file);
    let mut loader =
        Loader { source, options, ordered: Vec::new(), known: HashSet::new(), preconditions: Vec::new(), files: 0 };
    let mut properties = Properties::given(&options.properties);
    loader.file(&file, None, Inherited::default(), &mut properties, 0)?;
    // A stable sort: within first, middle and last the order is that of the files.
    loader.ordered.sort_by_key(|(order, _)| *order);
    let changesets = loader.ordered.into_iter().map(|(_, set)| set).collect();
    Ok(Changelog::new(changesets, loader.preconditions))
}

struct Loader<'a> {
    source: &'a dyn Source,
    options: &'a Options,
    ordered: Vec<(RunOrder, ChangeSet)>,
    /// The changesets read so far.
    known: HashSet<ChangeSetKey>,
    /// How many files have been read: files that include each other twice over would never end by depth alone.
    files: usize,
    preconditions: Vec<(String, Preconditions)>,
}

/// The file being read.
struct Current<'a> {
    /// Its path in the source.
    physical: &'a str,
    around: Inherited,
    depth: usize,
}

impl Current<'_> {
    fn place(&self, node: &Node) -> Location {
        Location { file: self.physical.to_owned(), line: node.line, changeset: None }
    }
}

impl Loader<'_> {
    fn file(
        &mut self,
        physical: &str,
        named_at: Option<&Location>,
        mut around: Inherited,
        properties: &mut Properties,
        depth: usize,
    ) -> Result<(), LoadError> {
        let bytes = self.source.read(physical).map_err(|source| LoadError::File { at: named_at.cloned(), source })?;
        let root = format::parse(physical, &bytes)?;
        let place = Location { file: physical.to_owned(), line: root.line, changeset: None };
        if root.name != "databaseChangeLog" {
            return Err(LoadError::UnknownElement {
                at: place.into(),
                name: root.name,
                parent: physical.to_owned(),
                known: "databaseChangeLog".to_owned(),
            });
        }
        check_attributes(
            &root,
            &place,
            &["logicalFilePath", "objectQuotingStrategy", "context", "contextFilter", "changeLogId"],
        )?;
        let logical = root.attribute("logicalFilePath").filter(|path| !path.is_empty()).unwrap_or(physical);
        around.file = path::normalise(&properties.expand(logical, physical, root.line)?);
        around.quoting = attributes::quoting(&root, around.quoting, &place)?;
        if let Some(own) = context(&root) {
            around.contexts.insert(0, properties.expand(&own, physical, root.line)?);
        }
        let current = Current { physical, around, depth };
        if root.lenient {
            self.properties_first(&root, &current, properties)?;
        }
        for child in &root.children {
            let child = child.expanded(properties, physical)?;
            self.child(&child, &current, properties)?;
        }
        Ok(())
    }

    /// In YAML and JSON a property counts in the whole file, in XML and SQL from its definition on.
    fn properties_first(
        &self,
        root: &Node,
        current: &Current<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        for child in root.children.iter().filter(|child| child.name == "property") {
            let child = child.expanded(properties, current.physical)?;
            self.property(&child, &current.place(&child), properties)?;
        }
        Ok(())
    }

    fn child(&mut self, node: &Node, current: &Current<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let at = current.place(node);
        match node.name.as_str() {
            "property" => self.property(node, &at, properties),
            "preConditions" => {
                let file = &current.around.file;
                let read = Preconditions::read(node, &at, file, &|name| properties.get(name))?;
                self.preconditions.push((file.clone(), read));
                Ok(())
            }
            "changeSet" => {
                let (order, mut set) = attributes::read(node, &at, &current.around, properties)?;
                let (source, file, options) = (self.source, current.physical, self.options);
                set.resolve_files(Surroundings { source, file, properties, options })?;
                self.check_references(&set, at)?;
                self.ordered.push((order, set));
                Ok(())
            }
            "include" => self.include(node, &at, current, properties),
            "includeAll" => self.include_all(node, &at, current, properties),
            other if node.lenient => {
                tracing::warn!(place = %at, name = other, "not known in a changelog; it is left out");
                Ok(())
            }
            other => Err(LoadError::UnknownElement {
                at: at.into(),
                name: other.to_owned(),
                parent: "databaseChangeLog".to_owned(),
                known: "property, preConditions, changeSet, include, includeAll".to_owned(),
            }),
        }
    }

    /// A rollback can refer to a changeset that stands before it, in any file.
    fn check_references(&mut self, set: &ChangeSet, at: Location) -> Result<(), LoadError> {
        self.known.insert(set.key());
        for part in set.rollback.iter().flatten() {
            if let RollbackPart::Reference(id) = part
                && !self.known.contains(&id.key())
            {
                return Err(LoadError::UnknownReference { at: at.into(), reference: Box::new(id.clone()) });
            }
        }
        Ok(())
    }

    fn property(&self, node: &Node, at: &Location, properties: &mut Properties) -> Result<(), LoadError> {
        let known = [
            "target",
            "name",
            "value",
            "file",
            "context",
            "contextFilter",
            "labels",
            "dbms",
            "global",
            "relativeToChangelogFile",
            "errorIfMissing",
        ];
        check_attributes(node, at, &known)?;
        if !self.property_counts(node) {
            return Ok(());
        }
        let global = boolean(node, "global", true, at)?;
        let Some(file) = node.attribute("file") else {
            let value = node.attribute("value").unwrap_or_default();
            properties.define(needed(node, "name", at)?, value, global);
            return Ok(());
        };
        let relative = boolean(node, "relativeToChangelogFile", false, at)?;
        let file = if relative { path::beside(&at.file, file) } else { file.to_owned() };
        match self.source.read(&file) {
            Ok(bytes) => {
                // Latin-1, as Java reads such files.
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                for (name, value) in properties::parse_file(&text) {
                    properties.define(&name, &value, global);
                }
                Ok(())
            }
            Err(source) => self.missing(node, at, source),
        }
    }

    /// Whether a definition is meant for this run.
    fn property_counts(&self, node: &Node) -> bool {
        let labels: Vec<String> =
            labels(node).map_or_else(Vec::new, |labels| labels.split(',').map(str::to_owned).collect());
        expression::for_postgresql(node.attribute("dbms").unwrap_or_default())
            && context(node).is_none_or(|expression| expression::matches(&expression, &self.options.contexts))
            && (labels.is_empty() || expression::matches(&self.options.label_filter, &labels))
    }

    /// A missing file is an error, unless the element says otherwise.
    fn missing(&self, node: &Node, at: &Location, source: SourceError) -> Result<(), LoadError> {
        let missing = matches!(source, SourceError::NotFound { .. });
        if missing && !boolean(node, "errorIfMissing", true, at)? {
            tracing::warn!(place = %at, error = %source, "a file named by the changelog is missing and is left out");
            return Ok(());
        }
        Err(LoadError::File { at: Some(at.clone()), source })
    }

    fn include(
        &mut self,
        node: &Node,
        at: &Location,
        current: &Current<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        let known = [
            "file",
            "relativeToChangelogFile",
            "errorIfMissing",
            "context",
            "contextFilter",
            "labels",
            "ignore",
            "id",
            "author",
            "created",
        ];
        check_attributes(node, at, &known)?;
        let file = needed(node, "file", at)?;
        let relative = boolean(node, "relativeToChangelogFile", false, at)?;
        let file = if relative { path::beside(current.physical, file) } else { path::normalise(file) };
        if let Err(source) = self.source.read(&file) {
            return self.missing(node, at, source);
        }
        self.included(&file, node, at, current, properties)
    }

    fn include_all(
        &mut self,
        node: &Node,
        at: &Location,
        current: &Current<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        let known = [
            "path",
            "relativeToChangelogFile",
            "errorIfMissingOrEmpty",
            "context",
            "contextFilter",
            "labels",
            "ignore",
            "minDepth",
            "maxDepth",
            "endsWithFilter",
        ];
        check_attributes(node, at, &known)?;
        let directory = needed(node, "path", at)?;
        let relative = boolean(node, "relativeToChangelogFile", false, at)?;
        let directory = if relative { path::beside(current.physical, directory) } else { path::normalise(directory) };
        let files = match self.source.list(&directory) {
            Ok(files) => selected(files, &directory, node, at)?,
            Err(SourceError::NotFound { .. }) => Vec::new(),
            Err(source) => {
                return Err(LoadError::File { at: Some(at.clone()), source });
            }
        };
        if files.is_empty() && boolean(node, "errorIfMissingOrEmpty", true, at)? {
            return Err(LoadError::IncludeAllEmpty { at: at.clone().into(), directory });
        }
        for file in files {
            self.included(&file, node, at, current, properties)?;
        }
        Ok(())
    }

    fn included(
        &mut self,
        file: &str,
        node: &Node,
        at: &Location,
        current: &Current<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        self.files += 1;
        if current.depth >= MAX_INCLUDES || self.files > MAX_FILES {
            return Err(LoadError::IncludeTooDeep {
                at: at.clone().into(),
                file: file.to_owned(),
                limit: MAX_INCLUDES,
            });
        }
        // How names are quoted is each file's own affair.
        let mut around = Inherited { quoting: Quoting::default(), ..current.around.clone() };
        if let Some(own) = context(node) {
            around.contexts.insert(0, own);
        }
        around.labels.extend(labels(node));
        around.ignore |= boolean(node, "ignore", false, at)?;
        let mut inner = properties.clone();
        self.file(file, Some(at), around, &mut inner, current.depth + 1)?;
        properties.adopt_globals(&inner);
        Ok(())
    }
}

/// The changelogs among `files` that an `includeAll` means, in the order of their paths.
fn selected(files: Vec<String>, directory: &str, node: &Node, at: &Location) -> Result<Vec<String>, LoadError> {
    let depth_bound = |name: &str, default: usize| match node.attribute(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| LoadError::BadValue {
            at: at.clone().into(),
            element: node.name.clone(),
            name: name.to_owned(),
            value: text.to_owned(),
            allowed: "a whole number".to_owned(),
        }),
    };
    let (min, max) = (depth_bound("minDepth", 0)?, depth_bound("maxDepth", usize::MAX)?);
    let ending = node.attribute("endsWithFilter").unwrap_or_default().to_lowercase();
    let mut chosen: Vec<String> = Vec::new();
    for file in files {
        let below = file.strip_prefix(directory).unwrap_or(&file).trim_start_matches('/');
        let depth = below.matches('/').count() + 1;
        if !(min..=max).contains(&depth) || !file.to_lowercase().ends_with(&ending) {
            continue;
        }
        if format::is_changelog(&file) {
            chosen.push(file);
        } else {
            tracing::warn!(place = %at, file, "no changelog by its ending; includeAll leaves it out");
        }
    }
    chosen.sort();
    Ok(chosen)
}
