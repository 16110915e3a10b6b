//! The standard output of a command.

/// What a command prints to standard output. It is kept until the command has ended, and printed also if the command fails.
#[derive(Debug, Default)]
pub struct Console {
    /// The text so far.
    pub output: String,
}
