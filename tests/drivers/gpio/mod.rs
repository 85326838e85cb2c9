//! The driver of GPIO chips, and that of files, on the kernel's own simulated devices. The host has none: a kernel that runs as a process
//! has them, and runs this program inside.

mod inside;
mod sim;

use std::path::Path;
use std::time::Duration;

use testkit::machine;

/// Edges of the long run in CI; `OPCELL_EXCHANGES` sets another number.
const EDGES: u32 = 2_000;

#[test]
fn lines_and_sensors_of_a_kernel_behave() {
    let program = std::env::current_exe().expect("this program");
    let edges = std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(EDGES);
    let (program, variable) = (program.to_string_lossy(), format!("OPCELL_EXCHANGES={edges}"));
    let arguments = [variable.as_str(), &program, "gpio::inside::", "--ignored", "--test-threads=1", "--nocapture"];
    let limit = Duration::from_secs(120) + Duration::from_millis(10) * edges;
    let Some((said, is_good)) = machine::run(Path::new("/usr/bin/env"), &arguments, limit) else { return };
    assert!(is_good, "{said}");
    let count = said.lines().find_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse().ok());
    assert!(count.is_some_and(|count: u32| count >= 8), "no tests ran:\n{said}");
}
