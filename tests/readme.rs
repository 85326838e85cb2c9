//! What the README tells a newcomer, done word for word: its commands are taken out of the file and run.
//!
//! Building the release takes minutes, so plain `cargo test` checks the words alone; `tests/run` runs them.

#![expect(clippy::print_stderr, reason = "what is skipped and how long the start took must be told")]

#[path = "support/ua.rs"]
mod ua;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
}

/// Contents of the fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn commands() -> Vec<String> {
    blocks("sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn runs_commands() -> bool {
    let runs = std::env::var("PEERS").as_deref() == Ok("required");
    if !runs {
        eprintln!("skipped: the README's commands are run by tests/run");
    }
    runs
}

/// A program that is told to end, by its process id, when the test does.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        // cargo hands over to the program by exec on Unix only for `cargo run`; both end on SIGTERM.
        drop(Command::new("kill").args(["-TERM", &id]).status());
        drop(self.0.wait());
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let commands = commands();
    for wanted in ["cargo run --release", "tests/run"] {
        assert!(commands.iter().any(|command| command == wanted), "{wanted} is not in {commands:?}");
    }
}

#[test]
fn the_cell_in_the_readme_is_the_hello_cell() {
    let hello = std::fs::read_to_string(root().join("address-space/hello.yaml")).expect("hello.yaml");
    let code = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| line.trim_end().to_owned()).collect()
    };
    assert!(code(&hello).len() <= 12, "the hello cell has at most 12 lines");
    assert_eq!(code(&blocks("yaml")[0]), code(&hello));
}

#[test]
fn the_cells_in_the_page_on_history_are_good() {
    let text = std::fs::read_to_string(root().join("docs/history.md")).expect("docs/history.md");
    let cells: Vec<&str> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")).collect();
    assert_eq!(cells.len(), 2);
    for cell in cells {
        let whole = if cell.starts_with("schema: 1") { cell.to_owned() } else { format!("schema: 1\ncell: c\n{cell}") };
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cell.yaml");
        std::fs::write(&path, &whole).expect("written");
        let (compiled, report) = opcell::config::load(&path, &opcell::config::Options::default());
        assert!(compiled.is_some(), "{whole}\n{}", report.render(opcell::config::Shown::Some));
    }
}

#[test]
fn the_first_command_starts_the_demo() {
    if !runs_commands() {
        return;
    }
    let mut child = Command::new("sh")
        .args(["-c", "exec cargo run --release"])
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo starts");
    let (said, heard) = mpsc::channel();
    let built = said.clone();
    let errors = BufReader::new(child.stderr.take().expect("piped"));
    std::thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            if line.trim_start().starts_with("Running") {
                built.send(("built", line.clone(), Instant::now())).unwrap_or_default();
            }
        }
    });
    let output = BufReader::new(child.stdout.take().expect("piped"));
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            said.send(("said", line, Instant::now())).unwrap_or_default();
        }
    });
    let _started = Started(child);
    let mut built_at = None;
    let mut lines = Vec::new();
    let mut endpoint = None;
    while !lines.iter().any(|line: &String| line.starts_with("trust")) {
        let (what, line, at) = heard.recv_timeout(Duration::from_secs(1200)).expect("the demo starts");
        if what == "built" {
            built_at = Some(at);
        } else {
            endpoint = endpoint.or_else(|| line.starts_with("endpoint").then_some(at));
            lines.push(line);
        }
    }
    if let (Some(built), Some(endpoint)) = (built_at, endpoint) {
        eprintln!("from the build's end to the endpoint: {} ms", endpoint.duration_since(built).as_millis());
    }
    let text = lines.join("\n");
    assert!(text.contains("opc.tcp://127.0.0.1:4840"), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("certificate") && line.contains("certificate.der")), "{text}");
    let mut session = ua::Session::open("127.0.0.1:4840".parse().expect("an address"));
    let state = session.read_value(opcell::stack::codec::NodeIdRef::numeric(0, 2259));
    assert_eq!(state.value, Some(opcell::value::Value::Int32(0)), "the demo runs");
    session.close();
}

fn run(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).current_dir(root()).output().expect("sh runs")
}

#[test]
fn the_other_commands_do_what_they_say() {
    if !runs_commands() {
        return;
    }
    for command in commands().iter().filter(|command| command.starts_with("cargo run --release --")) {
        let output = run(command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("Speed") || text.contains("2 tags"), "{command}: {text}");
    }
}
