//! The end of the server as its clients and its operator see it: the program itself, stopped by a signal.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use opcell::value::Value;
use opcua::StatusCode;
use tempfile::TempDir;

use testkit::peers::Peer;
use testkit::steps;
use testkit::steps::Id;
use testkit::ua::Session;
use testkit::until;

const CELL: &str = "
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator, allow_write: true }
nodes:
  Speed: { type: Double, source: \"sine(mean=1500, amp=500, period=10s)\", poll: 100ms }
  Setpoint: { type: Double, value: 100.0, write: true }
";

/// The program on a free port, with what it printed when it was ready.
struct Program {
    peer: Peer,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
    printed: Vec<String>,
    dir: TempDir,
}

fn start() -> Program {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
    start_in(dir)
}

fn start_in(dir: TempDir) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opcell"));
    command.args(["run", "cell.yaml", "--listen", "127.0.0.1:0"]).current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).env("RUST_LOG", "warn");
    let mut peer = Peer(command.spawn().expect("the program starts"));
    let mut output = BufReader::new(peer.0.stdout.take().expect("piped"));
    let mut printed = Vec::new();
    let url = loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).expect("UTF-8") > 0, "it ended after {printed:?}");
        printed.push(line.trim_end().to_owned());
        if printed.last().is_some_and(|line| line.starts_with("note") && line.contains("login")) {
            break printed.iter().find_map(|line| line.strip_prefix("endpoint")).expect("an endpoint").trim();
        }
    };
    let address = url.strip_prefix("opc.tcp://").expect("a URL").parse().expect("an address");
    Program { peer, output, address, printed, dir }
}

/// Waits for the end; returns how the program ended and how long that took.
fn wait(program: &mut Program, began: Instant) -> (ExitStatus, Duration) {
    let status = until("the program ends", || program.peer.0.try_wait().expect("it is our child"));
    (status, began.elapsed())
}

#[test]
fn the_start_tells_where_to_connect_and_how_to_be_trusted() {
    let program = start();
    let has = |name: &str, what: &str| {
        assert!(
            program.printed.iter().any(|line| line.starts_with(name) && line.contains(what)),
            "no `{name} … {what}` in {:#?}",
            program.printed
        );
    };
    has("opcell", "press");
    has("endpoint", &format!("opc.tcp://{}", program.address));
    has("certificate", "certificate.der");
    has("trust", "opcell pki list");
    has("note", "without any protection");
    // The URL works.
    let mut session = Session::open(program.address);
    assert_eq!(session.read(&[(ua_id(2259).borrowed(), 13)])[0].value, Some(Value::Int32(0)));
}

fn ua_id(number: u32) -> Id {
    Id::Number(0, number)
}

#[test]
fn a_subscribed_client_hears_of_the_end_before_it_comes() {
    for signal in ["-TERM", "-INT"] {
        let mut program = start();
        let mut session = Session::open(program.address);
        let subscription = session.subscribe(20.0, 3000, 1000);
        // State, SecondsTillShutdown, and the event of it.
        let items = [(ua_id(2259), 1), (ua_id(2992), 2)];
        let made = steps::monitor(&mut session, subscription, &items, 0.0, 10);
        assert!(made.iter().all(|made| made.status == StatusCode::Good), "{made:?}");
        let filter = steps::event_filter(&["Message"], Some(11_446));
        let made = steps::monitor_with(&mut session, subscription, &[(ua_id(2253), 3)], (0.0, 10), (12, filter));
        assert_eq!(made[0].status, StatusCode::Good);
        assert_eq!(session.next_data().data.len(), 2);
        program.peer.signal(signal);
        let began = Instant::now();
        let (mut state, mut seconds, mut events) = (None, None, 0);
        while state.is_none() || seconds.is_none() || events == 0 {
            let publication = session.publish(&[]).expect("a message before the connection closes");
            for (handle, value) in publication.data {
                match handle {
                    1 => state = value.value,
                    _ => seconds = value.value,
                }
            }
            events += publication.events.len();
        }
        assert_eq!(state, Some(Value::Int32(4)), "{signal}: ServerState is not Shutdown");
        assert!(matches!(seconds, Some(Value::UInt32(1..=5))), "{signal}: SecondsTillShutdown {seconds:?}");
        let (status, took) = wait(&mut program, began);
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(took < Duration::from_secs(5), "{signal}: {took:?}");
    }
}

#[test]
fn without_clients_the_end_comes_at_once() {
    let mut program = start();
    program.peer.signal("-TERM");
    let (status, took) = wait(&mut program, Instant::now());
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let mut rest = String::new();
    program.output.read_line(&mut rest).expect("UTF-8");
    assert_eq!(rest, "stopping\n");
}

#[test]
fn a_written_value_is_there_after_the_stop() {
    let mut program = start();
    let setpoint = Id::Text(2, "Setpoint".to_owned());
    let mut session = Session::open(program.address);
    assert_eq!(session.write(setpoint.borrowed(), &Value::Double(42.5)), StatusCode::Good);
    program.peer.signal("-TERM");
    let (status, _) = wait(&mut program, Instant::now());
    assert_eq!(status.code(), Some(0));
    let dir = std::mem::replace(&mut program.dir, tempfile::tempdir().expect("a folder"));
    let program = start_in(dir);
    let mut session = Session::open(program.address);
    assert_eq!(session.read_value(setpoint.borrowed()).value, Some(Value::Double(42.5)));
}
