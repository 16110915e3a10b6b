//! The OpenAPI document as it is served.
//!
//! Policy: the binary has the reviewed documents, compressed, and not the code that makes them (`openapi.rs`): that code takes more space than all other handlers of
//! requests together. A test compares each of them with what the code makes, so both are always equal. Only the list of servers depends on the configuration.

use super::swagger;

/// The list of servers in the reviewed documents.
const SERVERS: &str = r#"  "servers": [
    {
      "url": "/",
      "description": "This server"
    }
  ],
"#;

/// The document as it is served at the root: indented JSON with a newline at its end. It also names the base path, if there is one.
pub fn json_at_root(base_path: Option<&str>, has_access_control: bool) -> String {
    let urls: Vec<&str> = ["/"].into_iter().chain(base_path).collect();
    with_servers(&urls, has_access_control)
}

/// The document as it is served below a base path.
pub fn json_below(base_path: &str, has_access_control: bool) -> String {
    with_servers(&[base_path], has_access_control)
}

fn with_servers(urls: &[&str], has_access_control: bool) -> String {
    // The build script encoded a text, so this is one.
    let document = swagger::document(has_access_control).decode().unwrap_or_default();
    let document = String::from_utf8(document).unwrap_or_default();
    let servers: Vec<String> = urls.iter().map(|url| server(url)).collect();
    document.replacen(SERVERS, &format!("  \"servers\": [\n{}\n  ],\n", servers.join(",\n")), 1)
}

fn server(url: &str) -> String {
    let url = serde_json::Value::from(url);
    format!("    {{\n      \"url\": {url},\n      \"description\": \"This server\"\n    }}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    #[test]
    fn what_is_served_is_what_the_route_table_says() {
        for has_access_control in [false, true] {
            for base_path in [None, Some("/attendance"), Some("/a\"b\\c")] {
                let served = json_at_root(base_path, has_access_control);
                assert!(served == openapi::json_at_root(base_path, has_access_control), "{base_path:?}");
                let Some(base_path) = base_path else { continue };
                let served = json_below(base_path, has_access_control);
                assert!(served == openapi::json_below(base_path, has_access_control), "{base_path:?}");
            }
        }
    }
}
