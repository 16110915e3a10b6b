//! Encodes the files of the documentation page and the OpenAPI documents in the coding that takes long to make, and rebuilds when the embedded PostgreSQL distribution appears or changes: the
//! embedding macro cannot see that by itself.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use content_coding::{ContentCoding, Effort};
use md5::{Digest, Md5};
use serde_json::Value;

/// Our own page, initializer, style and icon. A file replaces the one of Swagger UI that has its name.
const OWN_FILES: &str = "assets/swagger";
/// The reviewed OpenAPI documents, without access control and with it. A test compares them with the code.
const DOCUMENTS: [&str; 2] = ["openapi.golden.json", "openapi.access.golden.json"];
const DIRECTORY_OF_DOCUMENTS: &str = "src/http";
/// Files of Swagger UI for other programs than browsers: forms of the bundle for bundlers.
const NOT_SERVED: [&str; 3] = ["swagger-ui-es-bundle-core.js", "swagger-ui-es-bundle.js", "swagger-ui.js"];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo takes a watched path that is missing for one that changed, and would rebuild every time.
    let _ = fs::create_dir_all("target/postgres");
    println!("cargo:rerun-if-changed=target/postgres");
    println!("cargo:rerun-if-changed={OWN_FILES}");
    for name in DOCUMENTS {
        println!("cargo:rerun-if-changed={DIRECTORY_OF_DOCUMENTS}/{name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("static-files");
    fs::create_dir_all(&out)?;
    let mut files = files_of_swagger_ui()?;
    for entry in fs::read_dir(OWN_FILES)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    if let Some(page) = files.get_mut("index.html") {
        *page = String::from_utf8(std::mem::take(page))?.replace("{{summary}}", &summary()?).into_bytes();
    }
    let mut source = format!("static FILES: [StaticFile; {}] = [\n", files.len());
    for (name, content) in &files {
        source += &entry(&out, name, content)?;
    }
    source += "];\n";
    writeln!(source, "static DOCUMENTS: [StaticFile; {}] = [", DOCUMENTS.len())?;
    for name in DOCUMENTS {
        source += &entry(&out, name, &document(name)?)?;
    }
    source += "];\n";
    fs::write(out.join("files.rs"), source)?;
    Ok(())
}

/// The distribution of Swagger UI, which a crate has as an archive of the whole project.
fn files_of_swagger_ui() -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // `swagger-ui-VERSION/dist/NAME`
        let parts: Vec<String> = file.name()?.split('/').map(str::to_owned).collect();
        let [_, directory, name] = &parts[..] else { continue };
        if directory == "dist" && !name.is_empty() && !NOT_SERVED.contains(&name.as_str()) {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            files.insert(name.clone(), content);
        }
    }
    Ok(files)
}

fn document(name: &str) -> std::io::Result<Vec<u8>> {
    fs::read(Path::new(DIRECTORY_OF_DOCUMENTS).join(name))
}

/// What the page shows until Swagger UI is loaded: the operations of the reviewed document, which a test compares with the one that is served.
fn summary() -> Result<String, Box<dyn Error>> {
    let document: Value = serde_json::from_slice(&document(DOCUMENTS[0])?)?;
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let info = &document["info"];
    let mut html = format!("<h1>{}</h1>\n", text(&info["title"]));
    for paragraph in text(&info["description"]).split("\n\n") {
        writeln!(html, "<p>{paragraph}</p>")?;
    }
    html += "<ul>\n";
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let (method, path, summary) = (method.to_uppercase(), escaped(path), text(&operation["summary"]));
            writeln!(html, "<li><b>{method}</b> <code>{path}</code> <span>{summary}</span></li>")?;
        }
    }
    html += "</ul>";
    Ok(html)
}

/// Text for HTML, in which `code` is written as in Markdown.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

/// Writes the form of a file that is embedded, and returns its entry in the table. The file itself and its other forms are made from it when they are first
/// asked for.
fn entry(out: &Path, name: &str, content: &[u8]) -> Result<String, Box<dyn Error>> {
    let plain = out.join(name);
    // Encoding takes seconds, so it is done again only when the content has changed. The file itself is written last.
    let is_current = fs::read(&plain).is_ok_and(|current| current == content);
    let path = out.join(format!("{name}.br"));
    if !is_current || !path.exists() {
        fs::write(&path, ContentCoding::Brotli.encode(Effort::Most, content)?)?;
    }
    fs::write(&plain, content)?;
    Ok(format!("    StaticFile::new({name:?}, {:?}, {}, include_bytes!({path:?})),\n", hash(content), content.len()))
}

fn hash(content: &[u8]) -> String {
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
