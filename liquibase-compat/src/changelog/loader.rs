//! Reads a changelog file and the files that it includes.
//!
//! Elements are read in document order, and `${}` is replaced when an element is read. A property therefore applies after its definition; in
//! YAML and JSON it applies to the whole file. An included file sees the global properties of the including one, and only its global properties
//! are visible afterwards.

use std::collections::HashSet;

use super::attributes::{boolean, context, is_ignored, labels, needed, quoting};
use super::changeset_element::{self, Inherited, RunOrder};
use super::removed_property::RemovedProperty;
use crate::changeset::{ChangeSet, RollbackPart};
use crate::changeset_id::ChangeSetKey;
use crate::expression::{self, UnreadableExpression};
use crate::external_file::LoadContext;
use crate::format;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::options::Options;
use crate::path;
use crate::precondition::{MainChangelog, Preconditions};
use crate::properties::{self, Properties};
use crate::source::{Source, SourceError, read_named};
use crate::sql::Quoting;

/// The limit of nested includes.
const MAX_INCLUDE_DEPTH: usize = 32;

/// The limit of included files in one changelog.
const MAX_INCLUDED_FILES: usize = 10_000;

/// What a changelog consists of.
#[derive(Default)]
pub(super) struct LoadedParts {
    /// In the order in which they run.
    pub(super) changesets: Vec<ChangeSet>,
    /// The preconditions of each file.
    pub(super) preconditions: Vec<Preconditions>,
    /// A property must be read from the database and was not.
    pub(super) needs_database: bool,
}

/// Reads the changelog at `file` and all files that it includes.
pub(super) fn load(source: &dyn Source, file: &str, options: &Options) -> Result<LoadedParts, LoadError> {
    if path::is_in_class_path(file) {
        return Err(LoadError::File { at: None, source: SourceError::FullyQualified { path: file.to_owned() } });
    }
    let file = path::normalise(file);
    let mut loader = Loader {
        source,
        options,
        changesets: Vec::new(),
        seen: HashSet::new(),
        preconditions: Vec::new(),
        included_files: 0,
        is_below_yaml: false,
    };
    let mut properties = Properties::from_options(options);
    loader.file(&file, None, Inherited::default(), &mut properties, 0)?;
    // The sort is stable: within first, middle and last, changesets keep the order of the files.
    loader.changesets.sort_by_key(|(order, _)| *order);
    let changesets = loader.changesets.into_iter().map(|(_, set)| set).collect();
    let needs_database = properties.is_incomplete();
    Ok(LoadedParts { changesets, preconditions: loader.preconditions, needs_database })
}

struct Loader<'a> {
    source: &'a dyn Source,
    options: &'a Options,
    changesets: Vec<(RunOrder, ChangeSet)>,
    /// The changesets that were read so far.
    seen: HashSet<ChangeSetKey>,
    /// The limit of depth does not stop files that include each other twice, because their number doubles with each level.
    included_files: usize,
    preconditions: Vec<Preconditions>,
    /// Whether a file in YAML or JSON includes the one that is read.
    is_below_yaml: bool,
}

/// The file that is read.
struct CurrentFile<'a> {
    /// The path in the source.
    physical: &'a str,
    inherited: Inherited,
    depth: usize,
    /// What `removeChangeSetProperty` has removed so far. An included file does not inherit it.
    removed: Vec<RemovedProperty>,
}

impl CurrentFile<'_> {
    fn place(&self, node: &Node) -> Location {
        Location { file: self.physical.to_owned(), line: node.line, changeset: None }
    }
}

/// An element of the file that is read.
#[derive(Clone, Copy)]
struct Element<'a> {
    node: &'a Node,
    at: &'a Location,
    current: &'a CurrentFile<'a>,
}

impl Loader<'_> {
    fn file(
        &mut self,
        physical: &str,
        named_at: Option<&Location>,
        mut inherited: Inherited,
        properties: &mut Properties,
        depth: usize,
    ) -> Result<(), LoadError> {
        let bytes = self.source.read(physical).map_err(|source| LoadError::File { at: named_at.cloned(), source })?;
        let root = format::parse(physical, &bytes)?;
        let at_root = Location { file: physical.to_owned(), line: root.line, changeset: None };
        if root.name != "databaseChangeLog" {
            return Err(LoadError::UnknownElement {
                at: at_root.into(),
                name: root.name,
                parent: physical.to_owned(),
                known: "databaseChangeLog".to_owned(),
            });
        }
        root.check_attributes(
            &at_root,
            &["logicalFilePath", "objectQuotingStrategy", "context", "contextFilter", "changeLogId"],
        )?;
        inherited.file = match root.attribute("logicalFilePath").filter(|path| !path.is_empty()) {
            Some(logical) => path::logical(&properties.expand(logical, physical, root.line)?),
            None => path::normalise(physical),
        };
        inherited.quoting = quoting(&root, inherited.quoting, &at_root)?;
        if depth == 0 {
            let has_quoting = !root.lenient || root.attribute("objectQuotingStrategy").is_some();
            let quoting = has_quoting.then_some(inherited.quoting);
            inherited.main = MainChangelog { file: inherited.file.clone(), quoting };
        }
        inherited.is_formatted_sql = format::is_formatted_sql(physical);
        if let Some(own) = context(&root) {
            inherited.contexts.insert(0, properties.expand(&own, physical, root.line)?);
        }
        let is_below_yaml = self.is_below_yaml;
        self.is_below_yaml |= root.lenient;
        let read = self.children(root, CurrentFile { physical, inherited, depth, removed: Vec::new() }, properties);
        self.is_below_yaml = is_below_yaml;
        read.map_err(|error| error.leaving(physical, is_below_yaml))
    }

    fn children(
        &mut self,
        root: Node,
        mut current: CurrentFile<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        let physical = current.physical;
        if root.lenient {
            self.define_all_properties(&root, &current, properties)?;
        }
        for mut child in root.children {
            child.expand(properties, physical)?;
            if child.name == "removeChangeSetProperty" {
                current.removed.extend(RemovedProperty::read(&child, &current.place(&child))?);
            } else {
                self.child(&child, &current, properties)?;
            }
        }
        Ok(())
    }

    /// In YAML and JSON a property applies to the whole file, so all of them are defined before the other elements are read.
    fn define_all_properties(
        &self,
        root: &Node,
        current: &CurrentFile<'_>,
        properties: &mut Properties,
    ) -> Result<(), LoadError> {
        for child in root.children.iter().filter(|child| child.name == "property") {
            let mut child = child.clone();
            child.expand(properties, current.physical)?;
            self.property(&child, &current.place(&child), properties)?;
        }
        Ok(())
    }

    fn child(&mut self, node: &Node, current: &CurrentFile<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let at = current.place(node);
        match node.name.as_str() {
            "property" => self.property(node, &at, properties),
            "preConditions" => {
                let read = Preconditions::read(node, &at, &current.inherited.main, &|name| properties.get(name))?;
                self.preconditions.push(read);
                Ok(())
            }
            "changeSet" => {
                let (order, mut set) = changeset_element::read(node, &at, &current.inherited, properties)?;
                for change in &mut set.changes {
                    current.removed.iter().try_for_each(|removed| removed.apply(change, &at))?;
                }
                let (source, file, options) = (self.source, current.physical, self.options);
                set.resolve_files(LoadContext { source, file, properties, options })?;
                self.check_references(&set, at)?;
                self.changesets.push((order, set));
                Ok(())
            }
            "include" => self.include(Element { node, at: &at, current }, properties),
            "includeAll" => self.include_all(Element { node, at: &at, current }, properties),
            "modifyChangeSets" => self.modify_changesets(Element { node, at: &at, current }, properties),
            // Liquibase ignores a scalar, and refuses everything else.
            other if node.lenient && node.children.is_empty() && node.attributes.is_empty() => {
                tracing::warn!(place = %at, name = other, "not known in a changelog; it is left out");
                Ok(())
            }
            other => Err(LoadError::UnknownElement {
                at: at.into(),
                name: other.to_owned(),
                parent: "databaseChangeLog".to_owned(),
                known:
                    "property, removeChangeSetProperty, preConditions, changeSet, include, includeAll, modifyChangeSets"
                        .to_owned(),
            }),
        }
    }

    /// Reads the elements of a `modifyChangeSets`, and applies its `runWith` to their changesets. Its other attributes have no effect in
    /// Liquibase without its paid extensions.
    fn modify_changesets(&mut self, element: Element<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let Element { node, at, current } = element;
        // The schema of XML changelogs has no `stripComments` here.
        let is_xml = current.physical.to_ascii_lowercase().ends_with(".xml");
        let known = ["runWith", "runWithSpoolFile", "endDelimiter", "stripComments"];
        node.check_attributes(at, if is_xml { &known[..3] } else { &known[..] })?;
        for name in ["runWithSpoolFile", "endDelimiter", "stripComments"] {
            if node.attribute(name).is_some() {
                tracing::warn!(place = %at, name, "it has no effect in modifyChangeSets, as in Liquibase");
            }
        }
        let mut inherited = current.inherited.clone();
        if let Some(program) = node.attribute("runWith").filter(|program| !program.is_empty()) {
            inherited.run_with = Some(program.to_owned());
        }
        let current = CurrentFile {
            physical: current.physical,
            inherited,
            depth: current.depth,
            removed: current.removed.clone(),
        };
        for child in &node.children {
            if !node.lenient && !matches!(child.name.as_str(), "include" | "includeAll") {
                return Err(LoadError::UnknownElement {
                    at: current.place(child).into(),
                    name: child.name.clone(),
                    parent: node.name.clone(),
                    known: "include, includeAll".to_owned(),
                });
            }
            self.child(child, &current, properties)?;
        }
        Ok(())
    }

    /// A rollback can refer to a changeset before its own, in any file.
    fn check_references(&mut self, set: &ChangeSet, at: Location) -> Result<(), LoadError> {
        self.seen.insert(set.key());
        for part in set.rollback.iter().flatten() {
            if let RollbackPart::Reference(id) = part
                && !self.seen.contains(&id.key())
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
        node.check_content(at, &known)?;
        // A definition that cannot be evaluated is an error where its property is used.
        let applies = self.property_applies(node);
        if applies == Ok(false) {
            return Ok(());
        }
        let define = |properties: &mut Properties, name: &str, value: &str, global| match &applies {
            Ok(_) => properties.define(name, value, global),
            Err(error) => properties.define_unreadable(name, error.clone(), global),
        };
        let global = boolean(node, "global", true);
        let Some(file) = node.attribute("file") else {
            let value = node.attribute("value").unwrap_or_default();
            match node.attribute("name").filter(|name| !name.is_empty()) {
                Some(name) => define(properties, name, value, global),
                None => tracing::warn!(place = %at, "a property without a name is left out, as in Liquibase"),
            }
            return Ok(());
        };
        let relative = boolean(node, "relativeToChangelogFile", false);
        // A path in the class path is refused, also if it is relative.
        let beside = relative && !path::is_in_class_path(file);
        let file = if beside { path::beside(&at.file, file) } else { file.to_owned() };
        match read_named(self.source, &file) {
            Ok(bytes) => {
                // Java reads properties files as Latin-1.
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                for (name, value) in properties::parse_file(&text) {
                    define(properties, &name, &value, global);
                }
                Ok(())
            }
            Err(source) => self.check_missing(node, at, source),
        }
    }

    /// Whether a definition is for PostgreSQL and for this run.
    fn property_applies(&self, node: &Node) -> Result<bool, UnreadableExpression> {
        let (labels, contexts) = (labels(node).unwrap_or_default(), context(node).unwrap_or_default());
        Ok(expression::labels_match(&self.options.label_filter, &labels)?
            && expression::contexts_match(&contexts, &self.options.contexts)?
            && expression::for_postgresql(node.attribute("dbms").unwrap_or_default()))
    }

    /// A missing file is an error, unless the element has `errorIfMissing="false"`.
    fn check_missing(&self, node: &Node, at: &Location, source: SourceError) -> Result<(), LoadError> {
        let missing = matches!(source, SourceError::NotFound { .. } | SourceError::FullyQualified { .. });
        let is_tolerated = node.name == "include" && self.options.tolerate_missing_includes;
        if missing && (is_tolerated || !boolean(node, "errorIfMissing", true)) {
            tracing::warn!(place = %at, error = %source, "a file named by the changelog is missing and is left out");
            return Ok(());
        }
        Err(LoadError::File { at: Some(at.clone()), source })
    }

    fn include(&mut self, element: Element<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let Element { node, at, current } = element;
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
        node.check_content(at, &known)?;
        let file = needed(node, "file", at)?;
        let relative = boolean(node, "relativeToChangelogFile", false);
        // A relative path loses the `classpath:` at its start.
        let file = if relative { path::beside(current.physical, file) } else { file.to_owned() };
        if let Err(source) = read_named(self.source, &file) {
            return self.check_missing(node, at, source);
        }
        self.include_file(&path::normalise(&file), element, properties)
    }

    fn include_all(&mut self, element: Element<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let Element { node, at, current } = element;
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
            "resourceComparator",
        ];
        node.check_content(at, &known)?;
        if let Some(class) = node.attribute("resourceComparator") {
            tracing::warn!(place = %at, class, "a comparator is a Java class; the files run in the usual order");
        }
        let path = needed(node, "path", at)?;
        let relative = boolean(node, "relativeToChangelogFile", false);
        let directory = if relative { path::beside(current.physical, path) } else { path.to_owned() };
        // The CLI finds no directory in the class path.
        let found = (!path::is_in_class_path(&directory)).then(|| path::normalise(&directory));
        let files = match found.map(|found| self.source.list(&found)) {
            Some(Ok(files)) => select_changelogs(files, &path::normalise(&directory), node, at)?,
            None | Some(Err(SourceError::NotFound { .. })) => Vec::new(),
            Some(Err(source)) => {
                return Err(LoadError::File { at: Some(at.clone()), source });
            }
        };
        if files.is_empty() && boolean(node, "errorIfMissingOrEmpty", true) {
            return Err(LoadError::IncludeAllEmpty { at: at.clone().into(), directory: path.to_owned() });
        }
        for file in files {
            self.include_file(&file, element, properties)?;
        }
        Ok(())
    }

    fn include_file(&mut self, file: &str, element: Element<'_>, properties: &mut Properties) -> Result<(), LoadError> {
        let Element { node, at, current } = element;
        self.included_files += 1;
        if current.depth >= MAX_INCLUDE_DEPTH || self.included_files > MAX_INCLUDED_FILES {
            return Err(LoadError::IncludeTooDeep {
                at: at.clone().into(),
                file: file.to_owned(),
                limit: MAX_INCLUDE_DEPTH,
            });
        }
        // The quoting strategy is not inherited by included files.
        let mut inherited = Inherited { quoting: Quoting::default(), ..current.inherited.clone() };
        if let Some(own) = context(node) {
            inherited.contexts.insert(0, own);
        }
        inherited.labels.extend(labels(node));
        inherited.ignore |= is_ignored(node);
        let mut inner = properties.for_included_file();
        self.file(file, Some(at), inherited, &mut inner, current.depth + 1)?;
        properties.adopt_globals(&inner);
        Ok(())
    }
}

/// The files that an `includeAll` includes, in the order of their paths.
fn select_changelogs(
    files: Vec<String>,
    directory: &str,
    node: &Node,
    at: &Location,
) -> Result<Vec<String>, LoadError> {
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
    if max < min {
        return Err(LoadError::BadValue {
            at: at.clone().into(),
            element: node.name.clone(),
            name: "maxDepth".to_owned(),
            value: max.to_string(),
            allowed: format!("{min} or more, which is minDepth"),
        });
    }
    let ending = node.attribute("endsWithFilter").unwrap_or_default().to_lowercase();
    let mut selected: Vec<String> = Vec::new();
    for file in files {
        let relative_path = file.strip_prefix(directory).unwrap_or(&file).trim_start_matches('/');
        let depth = relative_path.matches('/').count() + 1;
        if !(min..=max).contains(&depth) || !file.to_lowercase().ends_with(&ending) {
            continue;
        }
        if format::is_changelog(&file) {
            selected.push(file);
        } else {
            tracing::warn!(place = %at, file, "no changelog by its ending; includeAll leaves it out");
        }
    }
    selected.sort();
    Ok(selected)
}
