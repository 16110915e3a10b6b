//! `attendance-api man`: the man pages of the package, made from the command line and from the declarations of the keys, so that
//! they cannot differ from what the program does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::error::Error;
use super::help;
use crate::config::{self, Documentation, Key, Section};

/// The longest name that fits twice into a header of 80 columns.
const MAX_TITLE: usize = 29;

/// Write the man pages into a directory
///
/// The pages are attendance-api(1), one page for each command, and attendance-api(5) about the configuration file.
#[derive(Debug, Args)]
#[command(after_long_help = help::MAN)]
pub struct Arguments {
    /// An existing directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Writes the pages of a program.
pub fn run(arguments: &Arguments, program: Command) -> Result<(), Error> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    write_pages(&program, &arguments.directory)?;
    write(&arguments.directory.join("attendance-api.5"), configuration_page(&config::documentation()).as_bytes())
}

fn write_pages(command: &Command, directory: &Path) -> Result<(), Error> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, directory)?;
    }
    let path = directory.join(Man::new(command.clone()).get_filename());
    let page = page(command).map_err(|source| Error::Write { path: path.clone(), source })?;
    write(&path, &page)
}

fn write(path: &Path, page: &[u8]) -> Result<(), Error> {
    fs::write(path, page).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The page of one command.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"));
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut page = title(name, "1", "User commands").into_bytes();
    man.render_name_section(&mut page)?;
    page.extend_from_slice(synopsis(command).as_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|subcommand| !subcommand.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    page.extend_from_slice(sections(help.strip_suffix(help::COMMON).unwrap_or(&help)).as_bytes());
    page.extend_from_slice(see_also(name).as_bytes());
    Ok(page)
}

/// The usage line of the help page: a list of all options would only repeat the next section.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    format!(".SH SYNOPSIS\n{}", literal(usage.trim_start_matches("Usage: ")))
}

/// The pages that a page refers to: that of the command above, and that of the program for what holds for every command.
fn see_also(name: &str) -> String {
    let configuration = "attendance-api(5)";
    let program = "attendance-api(1), which lists files, environment variables, signals and exit statuses";
    let pages = match command_above(name) {
        _ if name == "attendance-api" => configuration.to_owned(),
        Some(above) => format!("{above}(1); {program}; {configuration}"),
        None => format!("{program}; {configuration}"),
    };
    format!(".SH SEE ALSO\n{}", literal(&pages))
}

/// The name without the words of a command below another one; `None` for a command of the program itself.
fn command_above(name: &str) -> Option<&str> {
    // The command above is the program and one word.
    name.match_indices('-').nth(2).map(|(end, _)| &name[..end])
}

/// The beginning of a page: its header, which for a long name is that of the command above. Words are not hyphenated, because a name of a
/// variable or a key must stay in one piece to be copied.
fn title(name: &str, section: &str, manual: &str) -> String {
    let above = command_above(name).filter(|_| name.len() > MAX_TITLE);
    let shown = escaped(above.unwrap_or(name));
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {shown} {section} \"\" \"attendance\\-api {version}\" \"{manual}\"\n.nh\n")
}

/// The blocks of a help page (see `help.rs`) as sections.
fn sections(help: &str) -> String {
    let blocks = help.split("\n\n").filter(|block| !block.is_empty());
    blocks
        .map(|block| {
            section(block).unwrap_or_else(|| format!(".PP\n{}", block.lines().map(literal).collect::<String>()))
        })
        .collect()
}

/// A block with a heading as a section; `None` for a block without.
fn section(block: &str) -> Option<String> {
    let (heading, body) = block.split_once(":\n")?;
    let mut entries: Vec<Entry> = Vec::new();
    for line in body.lines() {
        let text = line.trim_start();
        match entries.last_mut() {
            // A continuation is indented more than the two spaces of an entry.
            Some(entry) if line.len() - text.len() > 2 => entry.extend(text),
            _ => entries.push(Entry::new(text)),
        }
    }
    let entries: String = entries.iter().map(Entry::to_roff).collect();
    Some(format!(".SH {}\n{entries}", escaped(&heading.to_uppercase())))
}

/// An example, or a term with its explanation.
struct Entry {
    term: Vec<String>,
    explanation: Vec<String>,
}

impl Entry {
    fn new(line: &str) -> Self {
        match line.split_once("  ") {
            Some((term, explanation)) => {
                Self { term: vec![term.to_owned()], explanation: vec![explanation.trim_start().to_owned()] }
            }
            None => Self { term: vec![line.to_owned()], explanation: Vec::new() },
        }
    }

    /// Adds a further line: of a command that ends with a backslash, else of the explanation.
    fn extend(&mut self, line: &str) {
        let is_command = self.explanation.is_empty() && self.term.last().is_some_and(|line| line.ends_with('\\'));
        let lines = if is_command { &mut self.term } else { &mut self.explanation };
        lines.push(line.to_owned());
    }

    fn to_roff(&self) -> String {
        let explanation: String = self.explanation.iter().map(|line| literal(line)).collect();
        if !explanation.is_empty() {
            return format!(".TP\n\\fB{}\\fR\n{explanation}", escaped(&self.term.concat()));
        }
        let indented =
            |(index, line): (usize, &String)| format!("\\&{}{}\n", if index > 0 { "    " } else { "" }, escaped(line));
        let lines: String = self.term.iter().enumerate().map(indented).collect();
        format!(".PP\n.nf\n{lines}.fi\n")
    }
}

/// The page about the configuration file: each section of the file is a section of the page.
fn configuration_page(documentation: &Documentation) -> String {
    let introduction: String = documentation.introduction.lines().map(literal).collect();
    let sections: String = documentation.sections.iter().map(|section| configuration_section(section)).collect();
    format!(
        "{}.SH NAME\nattendance\\-api \\- configuration of the attendance API\n.SH SYNOPSIS\n/etc/attendance\\-api/config.yaml\n\
         .SH DESCRIPTION\n.nf\n{introduction}.fi\n{sections}.SH SEE ALSO\nattendance\\-api(1)\n",
        title("attendance-api", "5", "File formats")
    )
}

fn configuration_section(section: &Section) -> String {
    let heading = section.name.unwrap_or("top level");
    let text: String = section.documentation.lines().map(literal).collect();
    let keys: String = section.keys().map(configuration_key).collect();
    format!(".SH {}\n{text}{keys}", escaped(&heading.to_uppercase()))
}

fn configuration_key(key: &Key) -> String {
    let default = key.default.map(|text| format!(" {text}")).unwrap_or_default();
    let text: String = key.documentation.lines().map(literal).collect();
    format!(".TP\n\\fB{}:\\fR{}\n{text}", escaped(key.name()), escaped(&default))
}

/// A line of text that is not a request of roff, whatever it begins with.
fn literal(line: &str) -> String {
    // A line that begins with spaces would begin a new paragraph.
    format!("\\&{}\n", escaped(line.strip_prefix(' ').unwrap_or(line)))
}

/// Text that roff prints as it is.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_page_fits_into_80_columns() {
        let shown = |name: &str| title(name, "1", "User commands").split(' ').nth(1).unwrap().replace("\\-", "-");
        assert_eq!(shown("attendance-api-healthcheck"), "attendance-api-healthcheck");
        assert_eq!(shown("attendance-api-migrate-mark-next-changeset-ran-sql"), "attendance-api-migrate");
        assert_eq!(shown("attendance-api-config-template"), "attendance-api-config");
    }

    #[test]
    fn a_page_refers_to_those_above_it_and_not_to_itself() {
        assert_eq!(see_also("attendance-api"), ".SH SEE ALSO\n\\&attendance\\-api(5)\n");
        assert!(see_also("attendance-api-demo").starts_with(".SH SEE ALSO\n\\&attendance\\-api(1), which"));
        let page = see_also("attendance-api-migrate-update-sql");
        assert!(
            page.starts_with(".SH SEE ALSO\n\\&attendance\\-api\\-migrate(1); attendance\\-api(1), which"),
            "{page}"
        );
    }

    #[test]
    fn a_line_of_text_is_not_a_request_of_roff() {
        let documentation = Documentation { introduction: ".listen: 'a-b'\n".to_owned(), sections: &[] };
        let page = configuration_page(&documentation);
        assert!(page.contains("\n\\&.listen: \\(aqa\\-b\\(aq\n"), "{page}");
    }

    #[test]
    fn the_page_about_the_configuration_has_every_key() {
        let documentation = config::documentation();
        let page = configuration_page(&documentation);
        for key in documentation.sections.iter().flat_map(|section| section.keys()) {
            assert!(page.contains(&format!("\\fB{}:", key.name())), "{}", key.path);
        }
    }

    #[test]
    fn the_blocks_of_a_help_page_are_sections() {
        let help =
            "Exit status:\n  0   Good.\n  1   Bad,\n      very bad.\n\nPlain text.\n\nExamples:\n  run \\\n      --now";
        let expected = ".SH EXIT STATUS\n.TP\n\\fB0\\fR\n\\&Good.\n.TP\n\\fB1\\fR\n\\&Bad,\n\\&very bad.\n\
                        .PP\n\\&Plain text.\n\
                        .SH EXAMPLES\n.PP\n.nf\n\\&run \\e\n\\&    \\-\\-now\n.fi\n";
        assert_eq!(sections(help), expected);
    }
}
