//! The order of attributes never affects a checksum.

use std::path::Path;

use liquibase_compat::{Changelog, ChecksumVersion, DirectorySource, EmbeddedSource, LoadError, Options, Source};

use super::{Random, cases};

/// The XML with the attributes of every element in another order.
fn shuffled(xml: &str, random: &mut Random) -> String {
    let mut out = String::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = match rest {
            _ if rest.starts_with("<![CDATA[") => rest.find("]]>").map(|end| end + 3),
            _ if rest.starts_with("<!--") => rest.find("-->").map(|end| end + 3),
            _ => tag_length(rest),
        };
        let (tag, after) = rest.split_at(length.unwrap_or(rest.len()));
        let element = tag[1..].starts_with(|c: char| c.is_ascii_alphabetic());
        out.push_str(&if element { shuffled_tag(tag, random) } else { tag.to_owned() });
        rest = after;
    }
    out + rest
}

/// Up to the `>` that is not in quotes.
fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '>') => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn shuffled_tag(tag: &str, random: &mut Random) -> String {
    let end = if tag.ends_with("/>") { "/>" } else { ">" };
    let inner = &tag[1..tag.len() - end.len()];
    let Some((name, mut rest)) = inner.split_once(char::is_whitespace) else {
        return tag.to_owned();
    };
    let mut attributes = Vec::new();
    while let Some(equals) = rest.find('=') {
        let value = rest[equals + 1..].trim_start();
        let quote = value.chars().next().unwrap();
        let close = value[1..].find(quote).unwrap() + 2;
        attributes.push(format!("{}={}", rest[..equals].trim(), &value[..close]));
        rest = &value[close..];
    }
    random.shuffle(&mut attributes);
    format!("<{name} {}{end}", attributes.join(" "))
}

/// All files of a case in memory, with shuffled attributes in XML files. `None` if a file is not UTF-8, because the source in memory
/// holds text only.
fn shuffled_source(directory: &Path, random: &mut Random) -> Option<EmbeddedSource> {
    let disk = DirectorySource::new(directory).unwrap();
    let mut files = Vec::new();
    for path in disk.list("").unwrap() {
        let text = String::from_utf8(disk.read(&path).unwrap().into_owned()).ok()?;
        let text = if path.ends_with(".xml") { shuffled(&text, random) } else { text };
        files.push((path, text));
    }
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Some(EmbeddedSource::of_texts(&borrowed))
}

fn checksums(source: &dyn Source) -> Result<Vec<String>, LoadError> {
    let changelog = Changelog::load(source, "changelog.xml", &Options::default())?;
    let of = |version| changelog.checksums(version).map(|(id, sum)| format!("{id} {sum}")).collect::<Vec<_>>();
    Ok([of(ChecksumVersion::V8), of(ChecksumVersion::V9)].concat())
}

#[test]
fn attribute_order_never_affects_a_checksum() {
    let mut random = Random(1);
    let mut compared = 0;
    for (name, directory) in cases() {
        if !directory.join("changelog.xml").exists() {
            continue;
        }
        let Ok(written) = checksums(&DirectorySource::new(&directory).unwrap()) else { continue };
        for _ in 0..3 {
            let Some(source) = shuffled_source(&directory, &mut random) else { continue };
            assert_eq!(checksums(&source).unwrap(), written, "{name}");
        }
        compared += written.len();
    }
    assert!(compared > 200, "only {compared} checksums were compared");
}

#[test]
fn shuffling_changes_only_the_order_of_attributes() {
    let xml = "<a x='1' y=\"a > b\"><![CDATA[<no z='1'>]]><b/></a>";
    let mut seen: Vec<String> = (0..20).map(|seed| shuffled(xml, &mut Random(seed))).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen,
        ["<a x='1' y=\"a > b\"><![CDATA[<no z='1'>]]><b/></a>", "<a y=\"a > b\" x='1'><![CDATA[<no z='1'>]]><b/></a>"]
    );
}
