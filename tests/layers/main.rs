//! The layers of the workspace: which module may import which, and that no files import each other in a cycle.
//!
//! Policy: imports point one way. The rules are the table [`LAYERS`]; what is imported is read from the source itself: `use`
//! declarations and paths in code (`crate::…`, `super::…`, or beginning with an imported module). A path is followed through
//! re-exports to the file that defines the module. Among the children of each module imports must point one way, too, and a child counts
//! with all files below it: two files that import each other are a violation, and so are two folders. A module and what it consists of are
//! one noun, so a parent may use its children and they may use it. Code under `#[cfg(test)]` does not count.
//!
//! Run it with `cargo test --test layers`; it starts no server. A failure names the two files and the line of the import.

mod graph;
mod imports;
mod reader;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use graph::Graph;
use imports::Imports;

/// For each top-level module, the modules and workspace crates that it may import. To add a module, add a line.
const LAYERS: [(&str, &[&str]); 15] = [
    ("main", &["cli"]),
    ("cli", &["access", "appliance", "operate", "database", "telemetry", "config", "liquibase_compat"]),
    ("appliance", &["http", "operate", "managed", "access", "attendance", "cache", "database", "telemetry", "config"]),
    ("http", &["access", "attendance", "peer_counts", "telemetry", "config"]),
    ("operate", &["managed", "database", "priority", "config"]),
    ("managed", &["database", "priority", "config"]),
    ("access", &["cache", "database", "peer_counts", "priority", "telemetry", "config"]),
    ("attendance", &["cache", "database", "peer_counts", "telemetry", "config"]),
    ("cache", &[]),
    ("database", &["config", "liquibase_compat"]),
    ("telemetry", &[]),
    ("config", &[]),
    ("peer_counts", &[]),
    ("priority", &[]),
    ("liquibase_compat", &[]),
];

#[test]
fn imports_point_one_way() -> io::Result<()> {
    let violations = violations(&Imports::read(&workspace_sources()?));
    let report: String = violations.iter().map(|violation| format!("\n{violation}\n")).collect();
    assert!(report.is_empty(), "{report}");
    Ok(())
}

/// Every violation, in words: imports that the table does not allow, then cycles.
fn violations(imports: &Imports) -> Vec<String> {
    let mut violations = Vec::new();
    for (edge, line) in &imports.edges {
        let (importer, imported) = (top_level(&imports.modules[edge.0].file), top_level(&imports.modules[edge.1].file));
        let rule = LAYERS.iter().find(|(module, _)| *module == importer);
        let remedy = match rule {
            None => format!("`{importer}` is not in the table LAYERS: add it"),
            Some((_, allowed)) if importer == imported || allowed.contains(&imported.as_str()) => continue,
            Some(_) => format!("`{importer}` may not import `{imported}`"),
        };
        violations.push(format!("{}: {remedy}", imports.describe(*edge, *line)));
    }
    let siblings = Graph(imports.sibling_edges());
    for component in siblings.cyclic_components() {
        let cycle = siblings.shortest_cycle(&component);
        let mut text = format!("{} import each other in a cycle:", cycle.join(", "));
        for (position, from) in cycle.iter().enumerate() {
            let to = &cycle[(position + 1) % cycle.len()];
            let _ = write!(text, "\n  {}", siblings.0[&(from.clone(), to.clone())]);
        }
        if component.len() > cycle.len() {
            let _ = write!(text, "\n  (the shortest of the cycles through {} modules)", component.len());
        }
        violations.push(text);
    }
    violations
}

/// The top-level module of a file, or the crate of a file of liquibase-compat.
fn top_level(file: &str) -> String {
    if file.starts_with("liquibase-compat/") {
        return "liquibase_compat".to_owned();
    }
    let below = file.trim_start_matches("src/");
    below.split_once('/').map_or(below, |(module, _)| module).trim_end_matches(".rs").to_owned()
}

/// The source files of the workspace by their path from its root.
fn workspace_sources() -> io::Result<BTreeMap<String, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = BTreeMap::new();
    let mut waiting = vec![root.join("src"), root.join("liquibase-compat/src")];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().into_owned();
                sources.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        violations(&Imports::read(&sources))
    }

    #[test]
    fn an_import_upwards_is_found_with_its_line() {
        let files = [
            ("src/lib.rs", "mod config;\nmod http;"),
            (
                "src/config.rs",
                "/* use crate::http; */\nuse std::fmt;\nfn f() { let _ = \"crate::http\"; crate::http::g(); }",
            ),
            ("src/http.rs", "use crate::config::X;\npub fn g() {}"),
        ];
        let violations = found(&files);
        assert!(violations[0].contains("src/config.rs:3 imports src/http.rs"), "{violations:?}");
        assert!(violations[0].contains("`config` may not import `http`"), "{violations:?}");
    }

    #[test]
    fn a_cycle_is_found_through_re_exports_and_imported_modules() {
        let files = [
            ("src/lib.rs", "mod http;"),
            ("src/http/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::{One as First};\n"),
            ("src/http/a.rs", "use super::b;\npub struct One;\nfn f() { b::g(); }"),
            ("src/http/b.rs", "use super::c::{self, h};"),
            ("src/http/c.rs", "\nuse crate::http::First;"),
        ];
        let violations = found(&files);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(
            violations[0].starts_with("attendance_api::http::a, attendance_api::http::b, attendance_api::http::c "),
            "{violations:?}"
        );
        assert!(violations[0].contains("src/http/c.rs:2 imports src/http/a.rs"), "{violations:?}");
    }

    #[test]
    fn two_files_that_import_each_other_are_named() {
        let files = [
            ("src/lib.rs", "mod http;"),
            ("src/http/mod.rs", "mod a;\nmod b;"),
            ("src/http/a.rs", "use super::b::X;"),
            ("src/http/b.rs", "fn f(_: super::a::Y) {}"),
        ];
        let expected = "attendance_api::http::a, attendance_api::http::b import each other in a cycle:\n  src/http/a.rs:1 imports src/http/b.rs\n  src/http/b.rs:1 imports src/http/a.rs";
        assert_eq!(found(&files), [expected]);
    }

    #[test]
    fn a_file_and_a_folder_that_import_each_other_are_a_cycle() {
        let files = [
            ("src/lib.rs", "mod http;"),
            ("src/http/mod.rs", "mod a;\nmod b;"),
            ("src/http/a/mod.rs", "mod below;\npub struct X;"),
            ("src/http/a/below.rs", "use crate::http::b::Y;"),
            ("src/http/b.rs", "use super::a::X;\npub struct Y;"),
        ];
        let violations = found(&files);
        assert!(violations[0].contains("src/http/a/below.rs:1 imports src/http/b.rs"), "{violations:?}");
        assert!(violations[0].contains("src/http/b.rs:1 imports src/http/a/mod.rs"), "{violations:?}");
    }

    #[test]
    fn parents_with_their_children_and_code_of_tests_are_no_cycle() {
        let files = [
            ("src/lib.rs", "mod http;"),
            ("src/http/mod.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod not_read;\nuse a::A;\npub struct Parent;"),
            ("src/http/a.rs", "use super::{Parent, b::B};\n#[cfg(test)]\nmod tests { use crate::cli; }"),
            ("src/http/b.rs", "use super::Parent;\n#[cfg(test)]\nuse super::a::{A};\npub struct B;"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
