//! The files of the documentation page: ours around Swagger UI's, all inside the binary.
//!
//! Policy: a file of ours goes before one of Swagger UI's with the same name, so that its page and
//! configuration are ours; no file refers to another host.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use rust_embed::RustEmbed;

/// Our page, initializer, style and icon.
#[derive(RustEmbed)]
#[folder = "assets/swagger/"]
struct OwnFiles;

/// A file and what it is.
#[derive(Debug)]
pub struct File {
    /// Content.
    pub bytes: Bytes,
    /// Its `Content-Type`.
    pub content_type: HeaderValue,
}

/// The file of that name, if there is one.
pub fn file(name: &str) -> Option<File> {
    let bytes = match OwnFiles::get(name) {
        Some(ours) => ours.data,
        None => vendored(name)?,
    };
    let bytes = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(File { bytes, content_type: HeaderValue::from_static(content_type(name)) })
}

fn vendored(name: &str) -> Option<Cow<'static, [u8]>> {
    // Its configuration goes into its own initializer only, which ours replaces. A file it cannot make is none.
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
    fn the_page_and_everything_it_loads_is_here() {
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
    fn our_files_name_no_other_host() {
        for name in OwnFiles::iter() {
            let file = file(&name).unwrap();
            let text = String::from_utf8_lossy(&file.bytes).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url(//"), "{name}");
        }
    }
}
