//! Lines of the log that a client or a full disk can cause are bounded, each kind by itself, and the others are
//! counted.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{Sample, UaTime, Value};
use opcua::{PerformUpdateType, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use testkit::history::{history_update, update_data};
use testkit::program::{Serving, folder};
use testkit::request::user_name;
use testkit::ua::Session;
use testkit::{history, ua};

const REPEATS: usize = 300;
/// Lines of a kind in a minute, of which one address has a part; the test may see the end of one minute.
const MOST: usize = 2 * 30 + 2;
const OF_ADDRESS: usize = 2 * 10 + 2;

const CELL: &str = "
schema: 1
cell: press
defaults: { access: { edit_history: [Operator] } }
nodes:
  Level: { type: Double, value: 0, write: true, history: process }
";
const SERVER: &str =
    "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\nsecurity: { allow_unsecured: true }\n";

type Act = fn(&Serving);

fn insert_on_a_full_disk(serving: &Serving) {
    let mut session = Session::open(serving.address);
    let process = Pid::from_raw(serving.process().parse().expect("a number")).expect("not 0");
    let insert = |session: &mut Session, second: i64| {
        let time = UaTime(134_117_424_000_000_000 + second * 10_000_000);
        let sample =
            Sample { value: Value::Double(1.0), status: StatusCode::Good, source_time: time, server_time: time };
        let level = NodeIdRef::string(2, "Level");
        session.call(history_update(vec![update_data(level, PerformUpdateType::Insert, &[sample])]))
    };
    insert(&mut session, 0).good();
    prlimit(Some(process), Resource::Fsize, Rlimit { current: Some(1), maximum: None }).expect("it is ours");
    for n in 1..=REPEATS {
        let second = i64::try_from(n).expect("small");
        let done = history::update_results(&insert(&mut session, second));
        assert!(done[0].0.is_bad() || done[0].1.iter().all(|status| status.is_bad()), "{done:?}");
    }
    prlimit(Some(process), Resource::Fsize, Rlimit { current: None, maximum: None }).expect("it is ours");
    session.close();
}

fn guess(serving: &Serving) {
    for n in 0..REPEATS {
        let mut session = Session::connect(serving.address, ua::unsecured()).expect("a channel");
        session.create("urn:test:guest", &[]).good();
        let refused = session.activate(None, user_name(&format!("user{n}"), b"guess", None));
        assert!(refused.result.is_bad());
    }
}

fn send_nonsense(serving: &Serving) {
    use std::io::{Read, Write};
    for _ in 0..REPEATS {
        let mut stream = std::net::TcpStream::connect(serving.address).expect("connected");
        stream.set_read_timeout(Some(ua::TIMEOUT)).expect("set");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
        drop(stream.read_to_end(&mut Vec::new()));
    }
}

fn write(serving: &Serving) {
    let mut session = Session::open(serving.address);
    for n in 0..REPEATS {
        let value = Value::Double(f64::from(u32::try_from(n).expect("small")));
        assert_eq!(session.write(NodeIdRef::string(2, "Level"), &value), StatusCode::Good);
    }
    session.close();
}

/// Act, a part of its lines, the kind of these, and how many there may be.
const ACTS: [(&str, Act, &str, &str, usize); 4] = [
    ("inserts on a full disk", insert_on_a_full_disk, "recording goes on by itself", "history request failed", MOST),
    ("refused logins", guess, ": login refused with ", "login refused", OF_ADDRESS),
    ("connections that send no OPC UA", send_nonsense, ": connection closed: ", "client cut", OF_ADDRESS),
    ("writes of a tag", write, "write status=Good", "write", MOST),
];

/// The number of a line that counts others.
fn more(line: &str) -> usize {
    let Some((before, _)) = line.split_once(" more like this in the last minute: ") else { return 0 };
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[test]
fn repeated_acts_of_a_client_leave_a_bounded_number_of_log_lines_and_their_count() {
    for (name, act, part, kind, most) in ACTS {
        let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
        let serving = Serving::on_a_small_disk(folder.path(), "info");
        act(&serving);
        let log = serving.end();
        let (sums, lines): (Vec<&str>, Vec<&str>) =
            log.lines().filter(|line| line.contains(part)).partition(|line| more(line) > 0);
        assert!((1..=most).contains(&lines.len()), "{name}: {} lines\n{log}", lines.len());
        assert!(sums.iter().all(|line| line.contains(&format!("] {kind}: "))), "{name}: {sums:#?}");
        let counted: usize = sums.iter().map(|line| more(line)).sum();
        assert_eq!(counted + lines.len(), REPEATS, "{name}\n{log}");
        assert!(log.lines().count() < 300 && !log.contains("panicked"), "{name}: {log}");
    }
}
