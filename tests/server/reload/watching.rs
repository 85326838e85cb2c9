//! `watch: true`: files that change, rest, and are taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use opcell::testing::control::{self, Request, Response};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const SERVER: &str = "schema: 1\ncells: [cell.yaml, 'cells/*.yaml']\nwatch: true\nanonymous: [Observer]\n\
                      security: { allow_unsecured: true }\n";

fn cell(name: &str, value: i32) -> String {
    format!("schema: 1\ncell: {name}\nnamespace: urn:test:{name}\nnodes:\n  T: {{ type: Int32, value: {value} }}\n")
}

/// A server that watches its files, and a client.
struct Bench {
    server: TestServer,
    client: Session,
}

impl Bench {
    fn start(files: &[(&str, &str)]) -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("cells")).expect("made");
        fs::write(dir.path().join("cells/first.yaml"), cell("first", 1)).expect("written");
        fs::write(dir.path().join("cell.yaml"), cell("press", 1)).expect("written");
        fs::write(dir.path().join("server.yaml"), SERVER).expect("written");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("written");
        }
        let server = TestServer::start_with(dir);
        let client = Session::open(server.address);
        Bench { server, client }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.dir().join(name)
    }

    fn revision(&self) -> u32 {
        self.server.server.world().revision()
    }

    /// Result and time of the last reload.
    fn last(&self) -> Option<(String, String)> {
        let Ok(Response::Status(status)) = control::ask(&self.path("state"), &Request::Status) else { return None };
        let status = serde_json::to_value(&status).expect("JSON");
        let text = |key: &str| status["reload"][key].as_str().map(str::to_owned);
        Some((text("result")?, text("at")?))
    }

    fn result(&self) -> Option<String> {
        self.last().map(|(result, _)| result)
    }

    /// Waits until the tag of a namespace has this value.
    fn comes(&mut self, namespace: u16, value: i32) {
        let tag = NodeIdRef::string(namespace, "T");
        until("the value of the new file", || self.client.read_value(tag).value == Some(Value::Int32(value)));
    }

    fn index(&mut self, uri: &str) -> u16 {
        let id = NodeIdRef::numeric(0, opcua::VariableId::Server_NamespaceArray as u32);
        let Some(Value::Array(array)) = self.client.read_value(id).value else { panic!("an array") };
        let opcell::value::Elements::String(names) = &array.elements else { panic!("texts") };
        let at = names.iter().position(|name| &**name == uri).expect("a namespace");
        u16::try_from(at).expect("few")
    }
}

/// As editors and `install` do it.
fn replace(path: &Path, text: &str) {
    let part = path.with_extension("part");
    fs::write(&part, text).expect("written");
    fs::rename(&part, path).expect("renamed");
}

#[test]
fn files_that_change_and_rest_are_taken() {
    let mut bench = Bench::start(&[]);
    replace(&bench.path("cell.yaml"), &cell("press", 2));
    let press = bench.index("urn:test:press");
    bench.comes(press, 2);

    // Written in two halves: the first alone would be refused.
    let text = cell("press", 3);
    let (first, rest) = text.split_at(text.len() - 20);
    let (revision, path) = (bench.revision(), bench.path("cell.yaml"));
    fs::write(&path, first).expect("written");
    std::thread::sleep(Duration::from_millis(600));
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, rest.as_bytes()))
        .expect("written");
    until("the whole file is taken", || {
        assert_ne!(bench.result().as_deref(), Some("refused"), "half a file was read");
        bench.revision() == revision + 1
    });
    bench.comes(press, 3);

    // A new cell that matches the pattern, and one that goes.
    fs::write(bench.path("cells/second.yaml"), cell("second", 5)).expect("written");
    until("a third cell", || bench.server.server.world().plant.cells.len() == 3);
    let second = bench.index("urn:test:second");
    bench.comes(second, 5);
    fs::remove_file(bench.path("cells/second.yaml")).expect("removed");
    until("it is gone", || bench.server.server.world().plant.cells.len() == 2);
}

#[test]
fn a_file_that_is_gone_or_wrong_changes_nothing_and_the_next_good_one_is_taken() {
    let mut bench = Bench::start(&[]);
    let revision = bench.revision();
    fs::remove_file(bench.path("cell.yaml")).expect("removed");
    until("it is refused", || bench.result().as_deref() == Some("refused"));
    let refused = bench.last();
    let began = Instant::now();
    // More than one listing: a refusal is said once.
    until("a listing has passed", || began.elapsed() > Duration::from_millis(6_500));
    assert_eq!((bench.last(), bench.revision()), (refused, revision));
    fs::write(bench.path("cell.yaml"), cell("press", 1)).expect("written");
    until("it is as before", || bench.result().as_deref() == Some("unchanged"));
    assert_eq!(bench.revision(), revision);
    fs::write(bench.path("cell.yaml"), "nodes: [").expect("written");
    until("it is refused again", || bench.result().as_deref() == Some("refused"));
    replace(&bench.path("cell.yaml"), &cell("press", 4));
    let press = bench.index("urn:test:press");
    bench.comes(press, 4);
}

/// Kubernetes mounts a ConfigMap as links through `..data`, and exchanges that link alone.
#[test]
fn a_link_that_is_exchanged_brings_other_files() {
    let mut bench = Bench::start(&[]);
    let folder = bench.server.dir().to_owned();
    let put = |name: &str, value: i32| {
        fs::create_dir(folder.join(name)).expect("made");
        fs::write(folder.join(name).join("press.yaml"), cell("press", value)).expect("written");
        let new = folder.join("..data_tmp");
        std::os::unix::fs::symlink(name, &new).expect("linked");
        fs::rename(&new, folder.join("..data")).expect("renamed");
    };
    put("..2026_1", 6);
    let link = bench.path("cell.new");
    std::os::unix::fs::symlink("..data/press.yaml", &link).expect("linked");
    fs::rename(&link, bench.path("cell.yaml")).expect("renamed");
    put("..2026_2", 7);
    let press = bench.index("urn:test:press");
    bench.comes(press, 7);
    put("..2026_3", 8);
    bench.comes(press, 8);
}

#[test]
fn all_files_that_are_named_are_watched_and_watching_is_switched_by_a_reload() {
    let press = "schema: 1\ncell: press\nnamespace: urn:test:press\ninclude: [more.yaml]\n\
                 nodes:\n  T: { type: Int32, value: 1 }\n  Rows: { rows: rows.csv }\n";
    let server = format!("{SERVER}users:\n  opal: {{ password_hash: '${{file:hash.txt}}', roles: [Operator] }}\n");
    let more = |value: i32| format!("nodes:\n  U: {{ type: Int32, value: {value} }}\n");
    let rows = |value: i32| format!("tag,type,value\nV,Int32,{value}\n");
    let texts = [
        ("cell.yaml", press),
        ("more.yaml", &more(1)),
        ("rows.csv", &rows(1)),
        ("hash.txt", "$argon2id$1"),
        ("server.yaml", &server),
    ];
    let mut bench = Bench::start(&texts);
    let at = bench.index("urn:test:press");
    replace(&bench.path("more.yaml"), &more(9));
    let tag = NodeIdRef::string(at, "U");
    until("the included file is taken", || bench.client.read_value(tag).value == Some(Value::Int32(9)));
    replace(&bench.path("rows.csv"), &rows(3));
    let row = NodeIdRef::string(at, "Rows.V");
    until("the rows are taken", || bench.client.read_value(row).value == Some(Value::Int32(3)));
    let revision = bench.revision();
    replace(&bench.path("hash.txt"), "$argon2id$2");
    until("the text of a file is taken", || bench.revision() == revision + 1);

    replace(&bench.path("server.yaml"), &server.replace("watch: true", "watch: false"));
    until("it is switched off", || bench.revision() == revision + 2);
    replace(&bench.path("more.yaml"), &more(10));
    let began = Instant::now();
    until("more than a rest and a listing", || began.elapsed() > Duration::from_millis(6_500));
    assert_eq!(bench.revision(), revision + 2, "nobody watches");
    replace(&bench.path("server.yaml"), &server);
    bench.server.reload_files();
    replace(&bench.path("more.yaml"), &more(11));
    until("it is switched on", || bench.client.read_value(tag).value == Some(Value::Int32(11)));
}
