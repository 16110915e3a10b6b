//! The program: parses the command line, runs the command, and maps its outcome to an exit status.

use std::process::ExitCode;

use attendance_api::cli;

/// The request path allocates on several threads at once, and threads contend for the system's allocator. It is chosen here and
/// not in the library, because an allocator belongs to a program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => cli::exit_status(cli::run(command)),
        Err(status) => status,
    }
}
