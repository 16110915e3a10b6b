//! The modules of the workspace and which of them imports which.
//!
//! Policy: a path is resolved like the compiler does, through child modules, imported names and re-exports, up to the module that defines
//! the item. Glob imports lead to the module that they name.

use std::collections::BTreeMap;

use crate::reader::Reader;
use crate::tokens::tokens;

/// The crates of the workspace: the name under which others import it, and its root file.
const CRATES: [(&str, &str); 3] =
    [("attendance_api", "src/lib.rs"), ("main", "src/main.rs"), ("liquibase_compat", "liquibase-compat/src/lib.rs")];

/// A module: a file, or a block inside one.
#[derive(Debug, Default)]
pub struct Module {
    pub file: String,
    pub parent: Option<usize>,
    pub children: BTreeMap<String, usize>,
    /// What `use` declarations bring into its scope, by name; `*` has one entry for each glob.
    pub names: BTreeMap<String, Vec<Vec<String>>>,
    /// Every path that is written in it, with its line.
    pub paths: Vec<(Vec<String>, usize)>,
}

/// An import: the importing and the imported module.
pub type Edge = (usize, usize);

/// Which file imports which.
#[derive(Debug, Default)]
pub struct Imports {
    pub modules: Vec<Module>,
    roots: BTreeMap<String, usize>,
    /// The first line on which a module imports another.
    pub edges: BTreeMap<Edge, usize>,
}

impl Imports {
    pub fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut imports = Self::default();
        for (name, root) in CRATES {
            if let Some(source) = sources.get(root) {
                let module = imports.add_file(sources, root, source, None);
                imports.roots.insert(name.to_owned(), module);
            }
        }
        for importer in 0..imports.modules.len() {
            for (path, line) in &imports.modules[importer].paths {
                let Some(imported) = imports.resolve(importer, path, 0) else { continue };
                if imports.modules[importer].file != imports.modules[imported].file {
                    let first = imports.edges.entry((importer, imported)).or_insert(*line);
                    *first = (*first).min(*line);
                }
            }
        }
        imports
    }

    /// Reads a file and those of the modules that it declares.
    pub fn add_file(
        &mut self,
        sources: &BTreeMap<String, String>,
        file: &str,
        source: &str,
        parent: Option<usize>,
    ) -> usize {
        let module = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        let is_facade = parent.is_none() || file.ends_with("/mod.rs");
        let dir =
            if is_facade { file.rsplit_once('/').map_or("", |(dir, _)| dir) } else { file.trim_end_matches(".rs") };
        Reader::new(self, sources, &tokens(source)).block(module, dir, true);
        module
    }

    /// The module in which a path ends. None for paths out of the workspace.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        if depth > 16 {
            return None; // two globs that import each other
        }
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => self.root_of(from),
            "self" => from,
            "super" => self.modules[from].parent?,
            name => match self.member(from, name, depth) {
                Some(module) => module?,
                None => *self.roots.get(name)?,
            },
        };
        let mut module = start;
        for name in rest {
            match name.as_str() {
                "super" => module = self.modules[module].parent?,
                "self" => {}
                name => match self.member(module, name, depth) {
                    Some(member) => module = member?,
                    None => break, // an item that this module defines
                },
            }
        }
        Some(module)
    }

    /// A child or an imported name of a module: the module that it leads to, `Some(None)` when that is out of the workspace.
    fn member(&self, module: usize, name: &str, depth: usize) -> Option<Option<usize>> {
        if let Some(child) = self.modules[module].children.get(name) {
            return Some(Some(*child));
        }
        let imported = self.modules[module].names.get(name)?;
        // An import of the name itself (`use regex::Regex as Regex` and the like) leads out of the module.
        imported.iter().map(|path| (path[0] != name).then(|| self.resolve(module, path, depth + 1)).flatten()).next()
    }

    fn root_of(&self, module: usize) -> usize {
        *self.lineage(module).first().unwrap_or(&module)
    }

    /// The modules from the root of the crate down to this one.
    fn lineage(&self, module: usize) -> Vec<usize> {
        let mut lineage = vec![module];
        while let Some(parent) = self.modules[lineage[0]].parent {
            lineage.insert(0, parent);
        }
        lineage
    }

    /// `FILE:LINE imports FILE`
    pub fn describe(&self, (from, to): Edge, line: usize) -> String {
        format!("{}:{line} imports {}", self.modules[from].file, self.modules[to].file)
    }

    /// Which child of a module imports which of its siblings, by their paths, with the first import that makes it so. An import
    /// between a module and one below it is none.
    pub fn sibling_edges(&self) -> BTreeMap<(String, String), String> {
        let mut edges = BTreeMap::new();
        for (edge, line) in &self.edges {
            let (from, to) = (self.lineage(edge.0), self.lineage(edge.1));
            let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if common > 0 && common < from.len() && common < to.len() {
                let siblings = (self.path_of(from[common]), self.path_of(to[common]));
                edges.entry(siblings).or_insert_with(|| self.describe(*edge, *line));
            }
        }
        edges
    }

    fn path_of(&self, module: usize) -> String {
        let Some(parent) = self.modules[module].parent else {
            return self
                .roots
                .iter()
                .find(|(_, root)| **root == module)
                .map(|(name, _)| name.clone())
                .unwrap_or_default();
        };
        let siblings = &self.modules[parent].children;
        let name = siblings.iter().find(|(_, child)| **child == module).map_or("", |(name, _)| name);
        format!("{}::{name}", self.path_of(parent))
    }
}
