//! `opcell-fuzz TARGET [SECONDS [SEED]]` runs a target, `opcell-fuzz list` names them. One program has all of them: each
//! program would be optimized as a whole, which takes longer than its run.

mod targets;

use std::process::ExitCode;

use targets::TARGETS;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    if name == "list" {
        opcell_fuzz::say(&names.join("\n"));
        return ExitCode::SUCCESS;
    }
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        opcell_fuzz::say(&format!("no target `{name}`; known are {}", names.join(", ")));
        return ExitCode::from(2);
    };
    (target.run)();
    ExitCode::SUCCESS
}
