//! Measures the server's CPU per operation, against the floor in the same run.
//!
//! `cargo build --release --workspace && target/release/bench [ROW …]`; rows are named in the table that it prints.
//! Judge by ratios within one run: machines differ, and this one may be busy.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is the result")]

mod audit;
mod cell;
mod drivers;
mod floor;
mod formulas;
mod handshakes;
mod history;
mod ingest;
mod process;
mod reload;
mod rows;
mod sessions;
mod timing;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(kind) = arguments.first().and_then(|word| floor_kind(word)) {
        return run_floor(kind);
    }
    rows::run(&arguments);
    ExitCode::SUCCESS
}

fn floor_kind(word: &str) -> Option<floor::Kind> {
    match word {
        "floor-canned" => Some(floor::Kind::Canned),
        "floor-bare" => Some(floor::Kind::Bare),
        _ => None,
    }
}

fn run_floor(kind: floor::Kind) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let result = runtime.block_on(floor::run(kind, 10_000, |address| println!("endpoint opc.tcp://{address}")));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
