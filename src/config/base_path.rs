//! The path below which a proxy shows the API.

use std::sync::Arc;

/// A path without a slash at its end, like `/attendance`. Its characters need no escapes in a URL or in HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

/// A text is not a base path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin with a slash.
    #[error("it begins with a slash")]
    NoSlash,
    /// It ends with a slash, or is nothing else.
    #[error("it has no slash at its end; leave it out if everything is served at / only")]
    FinalSlash,
    /// A segment is empty, `.` or `..`, or has other characters.
    #[error("between slashes are letters, digits and any of - . _ ~ (not . and .. alone)")]
    Segment,
    /// It is longer than any path of this kind.
    #[error("it has at most {MAX_LENGTH} characters")]
    TooLong,
}

/// The longest base path, in bytes.
const MAX_LENGTH: usize = 256;

impl BasePath {
    /// Reads a base path.
    ///
    /// # Errors
    /// What it must be like.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let segments = text.strip_prefix('/').ok_or(Error::NoSlash)?;
        if text.len() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
        if segments.is_empty() || segments.ends_with('/') {
            return Err(Error::FinalSlash);
        }
        let is_valid = |segment: &str| {
            !["", ".", ".."].contains(&segment)
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if segments.split('/').all(is_valid) { Ok(Self(text.into())) } else { Err(Error::Segment) }
    }

    /// The path. Copies share it.
    pub fn path(&self) -> &Arc<str> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_needs_no_escapes_anywhere() {
        for path in ["/attendance", "/a/b-c_d.e~f/1", "/.well-known", "/..."] {
            assert_eq!(&**BasePath::parse(path).unwrap().path(), path);
        }
        for (path, error) in [
            ("", Error::NoSlash),
            ("attendance", Error::NoSlash),
            ("/", Error::FinalSlash),
            ("/attendance/", Error::FinalSlash),
            ("//a", Error::Segment),
            ("/a//b", Error::Segment),
            ("/a/../b", Error::Segment),
            ("/./a", Error::Segment),
            ("/a b", Error::Segment),
            ("/a%20", Error::Segment),
            ("/<a>", Error::Segment),
            ("/ü", Error::Segment),
        ] {
            assert_eq!(BasePath::parse(path), Err(error), "{path}");
        }
        assert_eq!(BasePath::parse(&"/a".repeat(129)), Err(Error::TooLong));
    }
}
