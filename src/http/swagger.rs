//! The files of the documentation page, which are all inside the binary: Swagger UI's, and our own page and configuration.
//!
//! Policy: a file of our own replaces the file of Swagger UI that has its name. No file refers to another host, so the page
//! works without internet. `build.rs` collects the files and compresses them. The binary has only their brotli forms, which browsers prefer and which take long to
//! make: a file itself and its other forms are made when a client first asks for them, and kept. The OpenAPI documents are embedded in this form, too.

use std::io;

use bytes::Bytes;
use content_coding::{ContentCoding, Effort, decode_brotli};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

include!(concat!(env!("OUT_DIR"), "/static-files/files.rs"));

/// The codings, those with the smallest results first.
pub const SMALLEST_FIRST: [ContentCoding; 3] = [ContentCoding::Brotli, ContentCoding::Zstd, ContentCoding::Gzip];

/// A file of the documentation page.
#[derive(Debug)]
pub struct StaticFile {
    /// Its name below `/apidocs/`.
    pub name: &'static str,
    /// The checksum of its content, in hexadecimal digits.
    pub hash: &'static str,
    /// The size of its content, in bytes.
    pub size: usize,
    brotli: &'static [u8],
    plain: OnceCell<Bytes>,
    zstd: OnceCell<Bytes>,
    gzip: OnceCell<Bytes>,
}

/// The file with that name.
pub fn file(name: &str) -> Option<&'static StaticFile> {
    FILES.iter().find(|file| file.name == name)
}

/// The reviewed OpenAPI document.
pub fn document(has_access_control: bool) -> &'static StaticFile {
    &DOCUMENTS[usize::from(has_access_control)]
}

impl StaticFile {
    const fn new(name: &'static str, hash: &'static str, size: usize, brotli: &'static [u8]) -> Self {
        Self {
            name,
            hash,
            size,
            brotli,
            plain: OnceCell::const_new(),
            zstd: OnceCell::const_new(),
            gzip: OnceCell::const_new(),
        }
    }

    /// Its content in a coding, or as it is.
    ///
    /// # Errors
    /// When there is no memory or no thread to make a form that was not asked for before.
    pub async fn form(&'static self, coding: Option<ContentCoding>) -> io::Result<Bytes> {
        match coding {
            Some(ContentCoding::Brotli) => Ok(Bytes::from_static(self.brotli)),
            // With more effort it would take a second.
            Some(ContentCoding::Zstd) => make_once(&self.zstd, || self.encode(ContentCoding::Zstd, Effort::Fast)).await,
            Some(ContentCoding::Gzip) => make_once(&self.gzip, || self.encode(ContentCoding::Gzip, Effort::Most)).await,
            None => make_once(&self.plain, || self.decode()).await,
        }
    }

    /// Its content.
    ///
    /// # Errors
    /// When what the build script embedded is not a content of this coding.
    pub fn decode(&self) -> io::Result<Vec<u8>> {
        decode_brotli(self.brotli, self.size)
    }

    fn encode(&self, coding: ContentCoding, effort: Effort) -> io::Result<Vec<u8>> {
        coding.encode(effort, &self.decode()?)
    }

    /// Its `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("json" | "map") => "application/json",
            _ => "application/octet-stream",
        }
    }
}

/// The content of the cell; `make` fills an empty one, which takes milliseconds.
async fn make_once(
    cell: &OnceCell<Bytes>,
    make: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
) -> io::Result<Bytes> {
    let made = cell.get_or_try_init(|| async { Ok::<_, io::Error>(spawn_blocking(make).await??.into()) });
    made.await.cloned()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::http::route_table::served;

    #[test]
    fn the_page_and_every_file_that_it_loads_are_in_the_binary() {
        let texts = [text("index.html"), text("initializer.js")];
        let loaded: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.split(['"', ' ']))
            .filter(|word| [".js", ".css", ".svg"].iter().any(|suffix| word.ends_with(suffix)))
            .collect();
        assert!(loaded.len() >= 8 && loaded.contains(&"swagger-ui-bundle.js"), "{loaded:?}");
        for name in loaded {
            assert!(file(name).is_some(), "{name}");
        }
        assert!(file("nope.js").is_none());
        assert!(file("../Cargo.toml").is_none());
    }

    #[test]
    fn the_page_names_every_operation_without_a_script() {
        let page = text("index.html");
        for route in served(false) {
            for endpoint in route.endpoints.iter().filter(|endpoint| endpoint.description.is_some()) {
                let entry = format!("<li><b>{}</b> <code>{}</code> <span>", endpoint.method.as_str(), route.path);
                assert!(page.contains(&entry), "{entry}");
            }
        }
        assert!(!page.contains("{{"), "{page}");
    }

    #[test]
    fn our_own_files_refer_to_no_other_host() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/swagger")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let text = text(&name).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url(//"), "{name}");
        }
    }

    #[tokio::test]
    async fn every_form_decodes_to_the_file_and_those_that_take_time_to_load_are_small() {
        for (name, fraction) in [("swagger-ui-bundle.js", 3), ("swagger-ui.css", 5)] {
            let file = file_named(name);
            let plain = file.form(None).await.unwrap();
            assert_eq!((plain.len(), digest(&plain)), (file.size, file.hash.to_owned()), "{name}");
            for coding in ContentCoding::ALL {
                let encoded = file.form(Some(coding)).await.unwrap();
                assert!(encoded.len() < plain.len() / fraction, "{name} {coding:?}: {}", encoded.len());
                let mut decoded = Vec::new();
                let _ = match coding {
                    ContentCoding::Zstd => {
                        zstd::stream::read::Decoder::new(&encoded[..]).unwrap().read_to_end(&mut decoded)
                    }
                    ContentCoding::Brotli => brotli::Decompressor::new(&encoded[..], 4096).read_to_end(&mut decoded),
                    ContentCoding::Gzip => flate2::read::GzDecoder::new(&encoded[..]).read_to_end(&mut decoded),
                }
                .unwrap();
                assert!(decoded == plain, "{name} {coding:?}");
            }
        }
    }

    fn digest(content: &[u8]) -> String {
        use md5::{Digest, Md5};
        Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn text(name: &str) -> String {
        String::from_utf8(file_named(name).decode().unwrap()).unwrap()
    }

    fn file_named(name: &str) -> &'static StaticFile {
        file(name).unwrap()
    }
}
