//! Reads `mod` and `use` declarations and paths from the tokens of a file.

use std::collections::BTreeMap;

use crate::imports::{Imports, Module};
use crate::tokens::is_word;

/// Reads the modules, imports and paths of one file.
pub struct Reader<'a> {
    imports: &'a mut Imports,
    sources: &'a BTreeMap<String, String>,
    tokens: &'a [(String, usize)],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first token.
    pub fn new(imports: &'a mut Imports, sources: &'a BTreeMap<String, String>, tokens: &'a [(String, usize)]) -> Self {
        Self { imports, sources, tokens, at: 0 }
    }

    fn token(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |(text, _)| text)
    }

    /// Reads up to the end of a block, or of the file. `items`: whether it is the body of a module, so that its imports are names of it.
    pub fn block(&mut self, module: usize, dir: &str, items: bool) {
        while self.at < self.tokens.len() {
            let previous = self.at.checked_sub(1).map_or("", |at| self.tokens[at].0.as_str());
            match self.token(0) {
                "}" => {
                    self.at += 1;
                    return;
                }
                "{" => {
                    self.at += 1;
                    self.block(module, dir, false);
                }
                "#" if self.is_test_attribute() => self.skip_item(),
                "#" => self.skip_attribute(),
                "mod" if self.token(2) == ";" => {
                    let name = self.token(1).to_owned();
                    self.at += 3;
                    let candidates = [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")];
                    let file = candidates.into_iter().find(|file| self.sources.contains_key(file));
                    // The compiler reports a module without a file.
                    let Some(file) = file else { continue };
                    let child = self.imports.add_file(self.sources, &file, &self.sources[&file], Some(module));
                    self.imports.modules[module].children.insert(name, child);
                }
                "mod" if self.token(2) == "{" => {
                    let name = self.token(1).to_owned();
                    self.at += 3;
                    let file = self.imports.modules[module].file.clone();
                    let child = self.imports.modules.len();
                    self.imports.modules.push(Module { file, parent: Some(module), ..Module::default() });
                    self.imports.modules[module].children.insert(name.clone(), child);
                    self.block(child, &format!("{dir}/{name}"), true);
                }
                "use" if self.token(1) != "<" => {
                    self.at += 1;
                    self.use_tree(module, &[], items);
                }
                word if is_word(word) && self.token(1) == "::" && !["::", ".", "$", "in"].contains(&previous) => {
                    self.path(module);
                }
                _ => self.at += 1,
            }
        }
    }

    /// A path in code.
    fn path(&mut self, module: usize) {
        let line = self.tokens[self.at].1;
        let mut path = vec![self.token(0).to_owned()];
        while self.token(1) == "::" && is_word(self.token(2)) {
            path.push(self.token(2).to_owned());
            self.at += 2;
        }
        self.at += 1;
        self.imports.modules[module].paths.push((path, line));
    }

    /// One tree of a `use` declaration, behind `prefix`.
    fn use_tree(&mut self, module: usize, prefix: &[String], items: bool) {
        let mut path = prefix.to_vec();
        let line = self.tokens[self.at].1;
        if self.token(0) == "::" {
            self.at += 1;
        }
        loop {
            match self.token(0) {
                "{" => {
                    self.at += 1;
                    while self.token(0) != "}" {
                        self.use_tree(module, &path, items);
                        if self.token(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                segment => path.push(segment.to_owned()),
            }
            self.at += 1;
            if self.token(0) != "::" {
                break;
            }
            self.at += 1;
        }
        let is_glob = path.last().is_some_and(|last| last == "*");
        if path.last().is_some_and(|last| last == "self" || last == "*") {
            path.pop();
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if self.token(0) == "as" {
            name = self.token(1).to_owned();
            self.at += 2;
        }
        let module = &mut self.imports.modules[module];
        if items && !is_glob {
            module.names.entry(name).or_default().push(path.clone());
        }
        module.paths.push((path, line));
    }

    fn is_test_attribute(&self) -> bool {
        let inside = || (1..).map(|ahead| self.token(ahead)).take_while(|token| !["]", ""].contains(token));
        self.token(2) == "cfg" && inside().any(|token| token == "test") && !inside().any(|token| token == "not")
    }

    fn skip_attribute(&mut self) {
        let mut depth = 0;
        loop {
            match self.token(0) {
                "[" => depth += 1,
                "]" if depth == 1 => break,
                "]" => depth -= 1,
                "" => return,
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
    }

    /// Skips attributes and the item behind them.
    fn skip_item(&mut self) {
        while self.token(0) == "#" {
            self.skip_attribute();
        }
        let is_import = self.token(0) == "use";
        let mut depth = 0;
        loop {
            match self.token(0) {
                "(" | "[" | "{" => depth += 1,
                "}" if depth == 0 => return, // the last field of a block
                "}" if depth == 1 && !is_import => {
                    self.at += 1;
                    return;
                }
                ")" | "]" | "}" => depth -= 1,
                ";" if depth == 0 => {
                    self.at += 1;
                    return;
                }
                "" => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}
