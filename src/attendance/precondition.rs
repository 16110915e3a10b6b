//! What a change requires of the state of a record (`If-Match`).

use content_coding::ContentCoding;

use super::answer::Content;

/// The entity tags of which one must be the record's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Any, if there is a record.
    Exists,
    /// One of these, each with its quotes. Weak tags are left out: they never match.
    Tags(Vec<String>),
}

impl Precondition {
    /// Whether a record with this content is in the state that is required. A client may have read it in any content coding.
    pub(super) fn admits(&self, content: &Content) -> bool {
        let Self::Tags(tags) = self else { return true };
        let is_tag = |tag: &String| {
            tag.as_bytes() == content.etag
                || ContentCoding::ALL.into_iter().any(|coding| tag.as_bytes() == content.etag_of(coding))
        };
        tags.iter().any(is_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_any_coding_is_the_records_and_no_other_one() {
        let content = Content::new(b"{}\n".to_vec());
        let tag = String::from_utf8(content.etag.to_vec()).unwrap();
        let gzip = String::from_utf8(content.etag_of(ContentCoding::Gzip).to_vec()).unwrap();
        let admits =
            |tags: &[&str]| Precondition::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect()).admits(&content);
        assert!(
            admits(&[&tag]) && admits(&["\"x\"", &tag]) && admits(&[&gzip]) && Precondition::Exists.admits(&content)
        );
        assert!(!admits(&[]) && !admits(&["\"x\""]) && !admits(&[tag.trim_matches('"')]));
    }
}
