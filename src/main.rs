//! Arguments in, text and an exit code out: 0 ok, 1 failed, 2 bad configuration.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use opcell::cli;

fn main() -> ExitCode {
    let mut print = |text: &str| {
        // A server goes on serving when nobody reads its terminal any more.
        if let Err(error) = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
            log::debug!("the terminal is gone: {error}");
        }
    };
    let answer = cli::answer(&cli::Cli::parse(), &mut print);
    let written = std::io::stdout().write_all(answer.out.as_bytes());
    let complained = std::io::stderr().write_all(answer.err.as_bytes());
    // A reader that left early (`opcell tree | head`) is no failure of ours.
    match written.and(complained) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(answer.code),
    }
}
