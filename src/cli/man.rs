//! `attendance-api man`: the pages of the package, made from the command line and the configuration's template, so that
//! neither can differ from what the program does.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use super::{CommandLine, Error, help};
use crate::config;

/// Write the man pages into a directory
///
/// attendance-api(1), one page a command, and attendance-api(5) about the configuration file.
#[derive(Debug, Args)]
#[command(after_long_help = help::MAN)]
pub struct Arguments {
    /// An existing directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Writes the pages.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let directory = &arguments.directory;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    clap_mangen::generate_to(CommandLine::command(), directory).map_err(failed(directory))?;
    let page = directory.join("attendance-api.5");
    fs::write(&page, configuration(&config::template())).map_err(failed(&page))
}

/// The page about the configuration file: its template, which explains every key in place.
fn configuration(template: &str) -> String {
    let lines: String = template.lines().map(|line| format!("\\&{}\n", escaped(line))).collect();
    format!(
        ".TH attendance\\-api 5 \"\" \"attendance\\-api {}\" \"File formats\"\n.SH NAME\nattendance\\-api \\- configuration of the \
         attendance API\n.SH SYNOPSIS\n/etc/attendance\\-api/config.yaml\n.SH DESCRIPTION\n.nf\n{lines}.fi\n\
         .SH SEE ALSO\nattendance\\-api(1)\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Text as roff takes it literally.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_template_is_no_request_of_roff() {
        let page = configuration(".listen: 'a-b'\n");
        assert!(page.contains("\n\\&.listen: \\(aqa\\-b\\(aq\n"), "{page}");
    }
}
