//! The README, followed word for word: its commands are taken out of the file and run.
//!
//! Building the release takes minutes, so plain `cargo test` checks the words alone; `tests/run` runs them.

#![expect(clippy::print_stderr, reason = "what is skipped and how long the start took must be printed")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use testkit::ua;

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

/// The variables with which `tests/run` builds its releases; without them the README's commands are not run.
fn release() -> Option<Vec<(String, String)>> {
    let Ok(text) = std::env::var("TEST_RELEASE") else {
        eprintln!("skipped: the README's commands are run by tests/run");
        return None;
    };
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A program that a signal to its process id ends with the test.
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
fn the_readme_names_its_commands() {
    let commands = commands();
    for wanted in ["cargo run --release", "cargo install --locked --path .", "tests/run"] {
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

/// The answer of a verb of this build.
fn opcell(arguments: &[&str]) -> opcell::cli::Answer {
    use clap::Parser;
    let all = ["opcell"].iter().chain(arguments);
    let cli = opcell::cli::Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    opcell::cli::answer(&cli, &mut |_| {})
}

#[test]
fn the_three_examples_in_the_readme_do_what_they_say() {
    let cell = &blocks("yaml")[1];
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("meter.yaml");
    std::fs::write(&path, cell).expect("written");
    let path = path.to_string_lossy();
    let checked = opcell(&["check", &path]);
    assert_eq!(checked.code, 0, "{}", checked.out);
    assert!(checked.out.starts_with("meter: 3 nodes\n3 tags -> 1 request"), "{}", checked.out);
    let tree = opcell(&["tree", &path]).out;
    for line in [
        "Voltage: Float V  <- meter holding/0 = 40001, every 1s  s=Voltage",
        "enum State: 0=Off 1=Running 2=Fault",
        "State: State  <- meter holding/10 = 40011, every 1s  s=State",
        "Energy: Float kW·h  <- meter holding/20..21 = 40021, every 1s  s=Energy",
    ] {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
    let (compiled, _) =
        opcell::testing::config::load(std::path::Path::new(&*path), &opcell::testing::config::Options::default());
    let scale = compiled.expect("the cell is good").plant.tag(opcell::testing::model::TagId(0)).scale;
    assert_eq!(scale, Some(opcell::testing::model::Scale::Factor { factor: 0.1, offset: 0.0 }), "2305 is 230.5");
}

#[test]
fn the_node_ids_in_the_readme_are_there() {
    let text = readme();
    for (id, file) in
        [("s=Filler.Tank.Level", "address-space/cells/demo.yaml"), ("s=Pump.Speed", "address-space/hello.yaml")]
    {
        assert!(text.contains(&format!("`ns=2;{id}`")), "{id}");
        let tree = opcell(&["tree", &root().join(file).to_string_lossy()]).out;
        assert!(tree.lines().any(|line| line.ends_with(id) || line.contains(&format!("{id} "))), "{id}\n{tree}");
    }
}

#[test]
fn the_reference_names_every_variable_of_a_connection() {
    let text = std::fs::read_to_string(root().join("docs/reference.md")).expect("docs/reference.md");
    for (name, _) in opcell::testing::ua::space::CONNECTION_VARIABLES {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_cells_in_the_pages_are_good() {
    let mut pages = ["docs/security.md", "docs/reference.md", "docs/device-notes.md", "docs/publish.md"]
        .map(str::to_owned)
        .to_vec();
    let drivers = std::fs::read_dir(root().join("docs/drivers")).expect("docs/drivers");
    pages.extend(drivers.map(|page| format!("docs/drivers/{}", page.expect("a page").file_name().to_string_lossy())));
    for page in &pages {
        let text = std::fs::read_to_string(root().join(page)).expect(page);
        for cell in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")) {
            let dir = tempfile::tempdir().expect("a folder");
            // Files that a page names are those of the examples.
            for file in std::fs::read_dir(root().join("address-space/drivers")).expect("the examples") {
                let file = file.expect("a file").path();
                std::fs::copy(&file, dir.path().join(file.file_name().expect("a name"))).expect("copied");
            }
            let path = dir.path().join("cell.yaml");
            let head = if cell.starts_with("schema: 1") { "" } else { "schema: 1\ncell: c\n" };
            std::fs::write(&path, format!("{head}{cell}")).expect("written");
            let (compiled, report) = opcell::testing::config::load(&path, &opcell::testing::config::Options::default());
            assert!(compiled.is_some(), "{page}\n{}", report.render(opcell::testing::config::Shown::Some));
        }
    }
}

/// The unit in the page on security has the exposure that the page says, where systemd is installed.
#[test]
fn the_unit_of_systemd_is_as_little_exposed_as_the_page_says() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md");
    let unit = text.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a unit");
    let said = text.split("an exposure of ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a figure");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("opcell.service");
    std::fs::write(&path, unit).expect("written");
    let output = Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&path).output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(level) = told.split("Overall exposure level for opcell.service: ").nth(1) else {
        eprintln!("skipped: this systemd can't judge a unit offline");
        return;
    };
    let number = |text: &str| text.split(' ').next().and_then(|level| level.parse::<f64>().ok()).expect("a number");
    assert!((number(level) - number(said)).abs() < 0.35, "the page says {said}, systemd says {level}");
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
        let (compiled, report) = opcell::testing::config::load(&path, &opcell::testing::config::Options::default());
        assert!(compiled.is_some(), "{whole}\n{}", report.render(opcell::testing::config::Shown::Some));
    }
}

#[test]
fn the_first_command_starts_the_demo() {
    let Some(release) = release() else { return };
    let mut child = Command::new("sh")
        .args(["-c", "exec cargo run --release"])
        .envs(release)
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
    let state = session.read_value(opcell::testing::stack::codec::NodeIdRef::numeric(0, 2259));
    assert_eq!(state.value, Some(opcell::value::Value::Int32(0)), "the demo runs");
    session.close();
}

#[test]
fn the_install_command_installs_the_program() {
    let Some(release) = release() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let command = commands().into_iter().find(|command| command.starts_with("cargo install")).expect("it is there");
    let mut installing = Command::new("sh");
    installing.args(["-c", &command]).current_dir(root()).envs(release).env("CARGO_INSTALL_ROOT", dir.path());
    assert!(installing.status().expect("sh runs").success(), "{command}");
    let program = Command::new(dir.path().join("bin/opcell")).arg("--version").output().expect("it runs");
    assert!(String::from_utf8_lossy(&program.stdout).starts_with("opcell "));
}

#[test]
fn the_other_commands_do_what_they_say() {
    let Some(release) = release() else { return };
    for command in commands().iter().filter(|command| command.starts_with("cargo run --release --")) {
        let mut asked = Command::new("sh");
        asked.args(["-c", command]).current_dir(root()).envs(release.iter().cloned());
        let output = asked.output().expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("Speed") || text.contains("2 tags"), "{command}: {text}");
    }
}
