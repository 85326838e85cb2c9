//! Arguments in, text and an exit code out: 0 ok, 1 failed, 2 bad configuration.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use opcell::cli;

fn main() -> ExitCode {
    let answer = cli::answer(&cli::Cli::parse());
    let written = std::io::stdout().write_all(answer.out.as_bytes());
    let complained = std::io::stderr().write_all(answer.err.as_bytes());
    // A reader that left early (`opcell tree | head`) is no failure of ours.
    match written.and(complained) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(answer.code),
    }
}
