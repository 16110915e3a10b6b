//! Changelogs of several files: what includes find, pass on and refuse.

use liquibase_compat::{Changelog, ChecksumVersion, EmbeddedSource, LoadError, Options};

fn load(files: &[(&str, &str)]) -> Result<Changelog, LoadError> {
    Changelog::load(&EmbeddedSource::of_texts(files), files[0].0, &Options::default())
}

/// The changesets of a changelog, in the order they run.
fn order(files: &[(&str, &str)]) -> Vec<String> {
    let changelog = load(files).unwrap();
    changelog.checksums(ChecksumVersion::V9).map(|(id, _)| id.to_string()).collect()
}

fn load_error(files: &[(&str, &str)]) -> String {
    load(files).unwrap_err().to_string()
}

fn xml(body: &str) -> String {
    format!("<databaseChangeLog>{body}</databaseChangeLog>")
}

#[test]
fn files_of_every_format_include_each_other() {
    let root = xml("<include file='a/one.yaml'/><changeSet id='x' author='a'/>");
    let files = [
        ("log.xml", root.as_str()),
        (
            "a/one.yaml",
            "databaseChangeLog:\n- changeSet: {id: y, author: a}\n\
             - include: {file: two.json, relativeToChangelogFile: true}\n- include: {file: a/three.sql}\n",
        ),
        ("a/two.json", r#"{"databaseChangeLog": [{"changeSet": {"id": "j", "author": "a"}}]}"#),
        ("a/three.sql", "--liquibase formatted sql logicalFilePath:other.sql\n--changeset a:s\nselect 1\n"),
    ];
    assert_eq!(order(&files), ["a/one.yaml::y::a", "a/two.json::j::a", "other.sql::s::a", "log.xml::x::a"]);
}

#[test]
fn a_missing_include_is_left_out_where_that_is_tolerated() {
    let tolerant = Options::default().with_missing_includes(true);
    let root = |element: &str| xml(&format!("{element}<changeSet id='x' author='a'/>"));
    let read = |text: &str, options: &Options| {
        let changelog = Changelog::load(&EmbeddedSource::of_texts(&[("log.xml", text)]), "log.xml", options);
        changelog.map(|changelog| changelog.len())
    };
    for element in ["<include file='gone.xml'/>", "<include file='gone.xml' errorIfMissing='true'/>"] {
        assert_eq!(read(&root(element), &tolerant).unwrap(), 1, "{element}");
        assert!(read(&root(element), &Options::default()).is_err(), "{element}");
    }
    // Of other elements, Liquibase does not tolerate it.
    for element in ["<includeAll path='gone'/>", "<property file='gone.properties'/>"] {
        assert!(read(&root(element), &tolerant).is_err(), "{element}");
    }
}

#[test]
fn include_all_includes_changelogs_in_the_order_of_their_paths() {
    let root = xml("<includeAll path='d' maxDepth='2' endsWithFilter='L'/>");
    let set = |id: &str| xml(&format!("<changeSet id='{id}' author='a'/>"));
    let (ten, nine, upper, deep, deeper) = (set("10"), set("9"), set("Z"), set("deep"), set("deeper"));
    let files = [
        ("log.xml", root.as_str()),
        ("d/9.xml", nine.as_str()),
        ("d/10.xml", ten.as_str()),
        ("d/Z.xml", upper.as_str()),
        ("d/a.sql", "create table x (a int);"),
        ("d/readme.txt", "no changelog"),
        ("d/e/f.xml", deep.as_str()),
        ("d/e/f/g.xml", deeper.as_str()),
        ("dd/h.xml", "not asked for"),
    ];
    assert_eq!(
        order(&files),
        ["d/10.xml::10::a", "d/9.xml::9::a", "d/Z.xml::Z::a", "d/a.sql::raw::includeAll", "d/e/f.xml::deep::a"]
    );
    let empty = xml("<includeAll path='gone'/>");
    assert!(load_error(&[("log.xml", &empty)]).contains("gone"));
    let allowed =
        xml("<includeAll path='gone' errorIfMissingOrEmpty='false'/><include file='gone.xml' errorIfMissing='false'/>");
    assert!(load(&[("log.xml", &allowed)]).unwrap().is_empty());
}

#[test]
fn local_properties_stay_in_their_file_and_global_ones_reach_all_files() {
    let root = xml("<property name='down' value='d' global='false'/><include file='inner.xml'/>\
         <changeSet id='${up}-${local}-${down}' author='a'/>");
    let inner = xml(
        "<property name='up' value='u'/><property name='local' value='l' global='false'/><property name='up' value='late'/>\
         <changeSet id='${up}-${local}-${down}' author='a'/>",
    );
    let files = [("log.xml", root.as_str()), ("inner.xml", inner.as_str())];
    assert_eq!(order(&files), ["inner.xml::u-l-${down}::a", "log.xml::u-${local}-d::a"]);
}

#[test]
fn a_property_in_yaml_applies_to_the_whole_file() {
    let text = "databaseChangeLog:\n- changeSet: {id: '${p}', author: a}\n- property: {name: p, value: 0010}\n";
    assert_eq!(order(&[("log.yaml", text)]), ["log.yaml::8::a"]);
}

#[test]
fn run_order_moves_changesets_to_the_start_or_the_end() {
    let set = |id: &str, order: &str| format!("<changeSet id='{id}' author='a' {order}/>");
    let root = xml(&format!(
        "{}{}{}{}{}",
        set("l1", "runOrder='last'"),
        set("m", ""),
        set("f1", "runOrder='first'"),
        set("l2", "runOrder='last'"),
        set("f2", "runOrder='first'")
    ));
    let ids: Vec<String> = ["f1", "f2", "m", "l1", "l2"].iter().map(|id| format!("log.xml::{id}::a")).collect();
    assert_eq!(order(&[("log.xml", &root)]), ids);
}

#[test]
fn invalid_references_are_refused_with_their_location() {
    for (body, expected) in [
        ("<include file='gone.xml'/>", "gone.xml"),
        ("<include file='../../etc/passwd.xml'/>", "passwd"),
        ("<include file='log.txt'/>", "log.txt"),
        ("<include file='log.xml'/>", "include each other"),
        (
            "<changeSet id='1' author='a'><rollback changeSetId='2' changeSetAuthor='a'/></changeSet>\
             <changeSet id='2' author='a'/>",
            "Change set log.xml::2::a does not exist",
        ),
        ("<changeSet id='1' author='a'><createTabel/></changeSet>", "log.xml line 1, changeset 1::a"),
    ] {
        let error = load_error(&[("log.xml", &xml(body)), ("log.txt", "")]);
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn unknown_names_are_ignored_in_yaml_and_refused_in_xml() {
    let yaml = "databaseChangeLog:\n- changeSet:\n    id: 1\n    author: a\n    whatever: 1\n    changes:\n    \
                - dropTable: {tablename: t, whatever: 1}\n    - nothing: text\n";
    assert_eq!(order(&[("log.yaml", yaml)]).len(), 1);
    let unknown = yaml.replace("nothing: text", "nothing: {a: 1}");
    assert!(load_error(&[("log.yaml", &unknown)]).contains("unknown change type 'nothing'"));
    let set = xml("<changeSet id='1' author='a' whatever='1'/>");
    assert!(load_error(&[("log.xml", &set)]).contains("whatever"));
}
