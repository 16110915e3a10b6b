//! Normalises paths.
//!
//! Histories contain paths as different tools wrote them (`classpath:a.xml`, `./a.xml`, `C:\db\a.xml`). Every path of a file that is stored
//! and every path that is compared goes through [`normalise`]. Comparison (`changeset_id::ChangeSetKey`) also ignores case. A
//! `logicalFilePath`, which names no file, is stored nearly as it is written ([`logical`]).

/// The form of `path` that is stored: no `classpath:`, forward slashes, no drive, no leading slash, no `.` or `..`.
///
/// `..` at the start is kept, so that a source can refuse a path that leaves the search path.
pub(crate) fn normalise(path: &str) -> String {
    // Most paths are in this form already.
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    if !path.contains([':', '\\']) && path.split('/').all(is_plain) {
        return path.to_owned();
    }
    let path = path.strip_prefix("classpath:").unwrap_or(path).replace('\\', "/");
    let path = without_drive(&path);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a path names the Java class path, from which the CLI of Liquibase reads no file. Histories contain such paths.
pub(crate) fn is_in_class_path(path: &str) -> bool {
    path.get(.."classpath:".len()).is_some_and(|start| start.eq_ignore_ascii_case("classpath:"))
}

/// The form of a `logicalFilePath` that is stored: forward slashes, and without one leading slash.
pub(crate) fn logical(path: &str) -> String {
    let path = path.trim().replace('\\', "/");
    path.strip_prefix('/').map_or_else(|| path.clone(), str::to_owned)
}

/// Resolves `file` relative to the directory of the file `including`.
pub(crate) fn beside(including: &str, file: &str) -> String {
    match including.rsplit_once('/') {
        Some((directory, _)) => normalise(&format!("{directory}/{file}")),
        None => normalise(file),
    }
}

fn without_drive(path: &str) -> &str {
    match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &path[2..],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_normalised_alike() {
        for spelling in [
            "a/b.xml",
            "classpath:a/b.xml",
            "classpath:/a/b.xml",
            "/a/b.xml",
            "./a/b.xml",
            "a\\b.xml",
            "C:\\a\\b.xml",
            "a/x/../b.xml",
        ] {
            assert_eq!(normalise(spelling), "a/b.xml", "{spelling}");
        }
        assert_eq!(normalise("../etc/passwd"), "../etc/passwd");
        assert_eq!(normalise("classpath*:a/b.xml"), "classpath*:a/b.xml");
    }

    #[test]
    fn a_logical_path_is_stored_as_it_is_written_but_for_slashes() {
        for (written, stored) in [
            ("a/../b.xml", "a/../b.xml"),
            ("classpath:b.xml", "classpath:b.xml"),
            ("C:\\a\\b.xml", "C:/a/b.xml"),
            ("/b.xml", "b.xml"),
            ("//a//b/", "/a//b/"),
            (" b ", "b"),
        ] {
            assert_eq!(logical(written), stored, "{written}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_including_file() {
        assert_eq!(beside("a/b/master.xml", "sub/one.xml"), "a/b/sub/one.xml");
        assert_eq!(beside("a/b/master.xml", "../one.xml"), "a/one.xml");
        assert_eq!(beside("master.xml", "one.xml"), "one.xml");
    }
}
