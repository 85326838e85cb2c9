//! `--simulate`: nobody can take what it shows for the plant, and nothing of it stays in the plant's own records.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use opcell::testing::config::{self, Options};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use tempfile::TempDir;

use testkit::program::{folder, opcell};
use testkit::ua::Session;
use testkit::until;

const CELL: &str = "
schema: 1
cell: press
connections:
  plc: { driver: modbus-tcp, host: 127.0.0.1, port: 1, allow_write: true }
  own: { driver: simulator }
defaults: { connection: plc, poll: 100ms, history: process }
nodes:
  Level:  { type: Double, range: [0, 100], source: { address: input/1, raw_type: uint16 }, scale: { raw: [0, 27648] } }
  Power:  { type: Double, range: [-5, 5], source: { address: input/2, raw_type: int16 }, scale: { factor: 0.01 } }
  Speed:  { type: Float, range: [0, 3000], source: holding/10 }
  Torque: { type: Float, range: [0, 3000], source: holding/12 }
  Valve1: { type: Boolean, source: coil/1 }
  Valve2: { type: Boolean, source: coil/2 }
  Given:  { type: Double, source: { address: input/3, raw_type: int16 }, scale: { factor: 0.1 }, simulate: \"steps([42])\" }
  Own:    { type: Double, source: { connection: own, address: \"steps([42])\" }, scale: { factor: 0.1 } }
  Set:    { type: Double, source: { address: holding/20, raw_type: int16, write: true }, scale: { factor: 0.1 } }
";
const SERVER: &str =
    "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\nsecurity: { allow_unsecured: true }\n";

struct Serving {
    child: Child,
    address: SocketAddr,
    banner: String,
    dir: TempDir,
}

impl Serving {
    fn start(dir: TempDir, more: &[&str]) -> Serving {
        let mut child = Command::new(env!("CARGO_BIN_EXE_opcell"))
            .args(["run", "server.yaml", "--listen", "127.0.0.1:0"])
            .args(more)
            .current_dir(dir.path())
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log")).expect("a file"))
            .spawn()
            .expect("opcell starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut banner = String::new();
        let address = loop {
            let line = lines.next().expect("it starts").expect("text");
            banner += &line;
            banner.push('\n');
            if let Some(url) = line.strip_prefix("endpoint") {
                break url.trim().trim_start_matches("opc.tcp://").parse().expect("an address");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Serving { child, address, banner, dir }
    }

    /// Stops it in order; gives its folder and its log.
    fn stop(mut self) -> (TempDir, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let log = std::fs::read_to_string(self.dir.path().join("log")).expect("a log");
        (self.dir, log)
    }
}

fn read(session: &mut Session, name: &str) -> Value {
    until(name, || {
        let value = session.read_value(NodeIdRef::string(2, name));
        value.value.filter(|_| value.status.is_none_or(|status| status == StatusCode::Good))
    })
}

fn files(below: &Path) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(below).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        found.insert(path.clone());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found
}

#[test]
fn a_simulation_is_announced_everywhere() {
    let dir = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(dir, &["--simulate"]);
    assert!(serving.banner.contains("SIMULATED") && serving.banner.contains("made up"), "{}", serving.banner);
    let mut session = Session::open(serving.address);
    // ServerState Test, alone and in ServerStatus.
    assert_eq!(session.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(5)));
    assert_eq!(session.read_value(NodeIdRef::string(2, "@simulated")).value, Some(Value::Boolean(true)));
    // The state folder alone leads to it.
    for arguments in [&["status", "server.yaml"][..], &["status", "--state-dir", "state"]] {
        let said = opcell(serving.dir.path(), arguments, "");
        assert!(said.out.contains("SIMULATED"), "{arguments:?}: {}{}", said.out, said.err);
    }
    let said = opcell(serving.dir.path(), &["status", "server.yaml", "--json"], "");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said.out).expect("JSON")["simulated"], true);
    session.close();
    let (_, log) = serving.stop();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("--simulate")), "{log}");
}

#[test]
fn a_server_with_its_devices_says_that_it_does_not_simulate() {
    let dir = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(dir, &[]);
    assert!(!serving.banner.contains("SIMULATED"), "{}", serving.banner);
    let mut session = Session::open(serving.address);
    assert_eq!(session.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(0)));
    assert_eq!(session.read_value(NodeIdRef::string(2, "@simulated")).value, Some(Value::Boolean(false)));
    session.close();
    serving.stop();
}

#[test]
fn a_simulation_leaves_no_sample_in_the_records_of_the_plant() {
    let dir = folder(&[("cell.yaml", CELL), ("server.yaml", &format!("{SERVER}history: {{ path: archive }}\n"))]);
    // The real server has been here before.
    let real = Serving::start(dir, &[]);
    let session = Session::open(real.address);
    session.close();
    let (dir, _) = real.stop();
    let before: HashSet<PathBuf> = files(dir.path());
    let stamps = |set: &HashSet<PathBuf>| -> Vec<(PathBuf, u64)> {
        let mut all: Vec<_> = set.iter().filter(|path| path.is_file() && !path.ends_with("log")).cloned().collect();
        all.sort();
        all.into_iter().map(|path| (path.clone(), std::fs::metadata(&path).expect("a file").len())).collect()
    };
    let sizes = stamps(&before);
    let serving = Serving::start(dir, &["--simulate"]);
    let mut session = Session::open(serving.address);
    read(&mut session, "Level");
    session.close();
    let (dir, _) = serving.stop();
    let after = files(dir.path());
    let new: Vec<_> = after.difference(&before).collect();
    let inside = |path: &Path| {
        ["state/simulate", "archive/simulate"].iter().any(|folder| path.starts_with(dir.path().join(folder)))
    };
    assert!(new.iter().all(|path| inside(path)), "{new:#?}");
    assert!(new.iter().any(|path| path.starts_with(dir.path().join("archive/simulate"))), "{new:#?}");
    assert_eq!(sizes, stamps(&before), "the plant's own files are as they were");
}

#[test]
fn simulated_values_are_in_the_unit_of_the_tag_and_not_in_step() {
    let dir = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(dir, &["--simulate"]);
    let mut session = Session::open(serving.address);
    let number = |session: &mut Session, name: &str| match read(session, name) {
        Value::Double(number) => number,
        Value::Float(number) => number.into(),
        other => panic!("{name}: {other:?}"),
    };
    for _ in 0..20 {
        for (name, low, high) in [("Level", 0.0, 100.0), ("Power", -5.0, 5.0), ("Speed", 0.0, 3000.0)] {
            let value = number(&mut session, name);
            assert!((low..=high).contains(&value), "{name}: {value}");
        }
    }
    // Given is in the tag's unit, the signal of a simulator of its own is a raw value.
    assert_eq!(number(&mut session, "Given"), 42.0);
    assert!((number(&mut session, "Own") - 4.2).abs() < 1e-9);
    assert_ne!(number(&mut session, "Speed"), number(&mut session, "Torque"));
    // What is written is what is read.
    assert_eq!(session.write(NodeIdRef::string(2, "Set"), &Value::Double(12.5)), StatusCode::Good);
    until("the written value", || (number(&mut session, "Set") == 12.5).then_some(()));
    session.close();
    serving.stop();
}

/// The signals of a cell under `--simulate`, by tag.
fn signals(cell: &str) -> Vec<String> {
    let dir = folder(&[("cell.yaml", cell)]);
    let options = Options { simulate: true, ..Options::default() };
    let (compiled, _) = config::load(&dir.path().join("cell.yaml"), &options);
    let drivers = compiled.expect("a good cell").drivers;
    assert!(drivers.iter().all(|plan| plan.settings.driver() == "simulator"));
    drivers.iter().flat_map(|plan| plan.points.iter().map(|point| point.address.clone())).collect()
}

#[test]
fn the_phase_of_a_signal_follows_from_the_name_alone() {
    let with = |names: &[&str]| {
        let mut text =
            "schema: 1\ncell: press\nconnections:\n  plc: { driver: modbus-tcp, host: x }\nnodes:\n".to_owned();
        for (n, name) in names.iter().enumerate() {
            text += &format!("  {name}: {{ type: Float, range: [0, 10], source: holding/{} }}\n", n * 2);
        }
        signals(&text)
    };
    let names: Vec<String> = (0..40).map(|n| format!("Tag{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = with(&names);
    assert!(all.iter().collect::<HashSet<_>>().len() > 30, "{all:#?}");
    // Another tag before it changes nothing.
    assert_eq!(with(&["New", "Tag7"])[1], all[7]);
}
