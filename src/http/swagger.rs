//! The files of the documentation page, which are all inside the binary: Swagger UI's, and our own page and configuration.
//!
//! Policy: a file of our own replaces the file of Swagger UI that has its name. No file refers to another host, so the page
//! works without internet.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use rust_embed::RustEmbed;

/// Our own page, initializer, style and icon.
#[derive(RustEmbed)]
#[folder = "assets/swagger/"]
struct OwnFiles;

/// A file of the documentation page.
#[derive(Debug)]
pub struct File {
    /// Its content.
    pub bytes: Bytes,
    /// Its `Content-Type`.
    pub content_type: HeaderValue,
}

/// The file with that name.
pub fn file(name: &str) -> Option<File> {
    let bytes = match OwnFiles::get(name) {
        Some(own) => own.data,
        None => vendored(name)?,
    };
    let bytes = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(File { bytes, content_type: HeaderValue::from_static(content_type(name)) })
}

fn vendored(name: &str) -> Option<Cow<'static, [u8]>> {
    // The configuration appears only in Swagger UI's initializer, which our own replaces. An error means that it has no such file.
    let file = utoipa_swagger_ui::serve(name, Arc::new(utoipa_swagger_ui::Config::default())).ok()??;
    Some(file.bytes)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_every_file_that_it_loads_are_in_the_binary() {
        let page = file("index.html").unwrap();
        let page = std::str::from_utf8(&page.bytes).unwrap();
        let loaded: Vec<&str> = page
            .split(['"', ' '])
            .filter(|word| [".js", ".css", ".svg"].iter().any(|suffix| word.ends_with(suffix)))
            .collect();
        assert!(loaded.len() >= 5, "{loaded:?}");
        for name in loaded {
            assert!(file(name).is_some(), "{name}");
        }
        assert!(file("nope.js").is_none());
        assert!(file("../Cargo.toml").is_none());
    }

    #[test]
    fn our_own_files_refer_to_no_other_host() {
        for name in OwnFiles::iter() {
            let file = file(&name).unwrap();
            let text = String::from_utf8_lossy(&file.bytes).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url(//"), "{name}");
        }
    }
}
