//! What a command prints; the one place of the program that writes to standard output.

use std::io::{self, Write};

use clap::ValueEnum;

use crate::names::escape_for_people;
use crate::operations::admin::{AdminFailure, AdminReply};

/// `--output`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// Standard output and error, in one format. A reader that has gone away is no reason to fail: what was asked is done.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Prints in `format`.
    pub fn new(format: Format) -> Output {
        Output { format }
    }

    /// A command's result.
    pub fn reply(&self, reply: &AdminReply) {
        match self.format {
            Format::Text if reply.text.is_empty() => {}
            Format::Text => self.line(&reply.text),
            Format::Json => self.line(&format!("{:#}", reply.json)),
        }
    }

    /// One line on standard output.
    pub fn line(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }

    /// A line about how far a command is, on standard error.
    pub fn progress(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", escape_for_people(line.as_bytes(), 500));
    }

    /// What failed: one line, then its causes.
    pub fn failure(&self, failure: &AdminFailure) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "lockgate: {}", failure.message);
        for cause in &failure.causes {
            let _ = writeln!(stderr, "  because: {cause}");
        }
    }
}
