//! Faulty files with their findings as `#!` lines; `UPDATE=1 cargo test` rewrites them: read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use opcell::testing::config::{self, Options, Report, Severity, Shown};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new("tests/cases/config");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
}

/// `4:13 error message | help | help`, with the file's name before it when it is another file.
fn findings(report: &Report, case: &Path) -> Vec<String> {
    let line = |finding: &config::Finding| {
        let place = match report.position(finding) {
            Some((file, line, column)) if Path::new(file) == case => format!("{line}:{column}"),
            Some((file, line, column)) => {
                let name = Path::new(file).file_name().expect("a file has a name").to_string_lossy().into_owned();
                format!("{name}:{line}:{column}")
            }
            None => "-".to_owned(),
        };
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        let texts: Vec<&str> = std::iter::once(&finding.message).chain(&finding.help).map(String::as_str).collect();
        format!("#! {place} {severity} {}", texts.join(" | ").replace('\n', " "))
    };
    report.findings.iter().map(line).collect()
}

#[test]
fn every_faulty_file_has_exactly_its_findings() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    for case in cases {
        let text = fs::read_to_string(&case).expect("a case is text");
        let wanted: Vec<&str> = text.lines().filter(|line| line.starts_with("#!")).collect();
        let (compiled, report) = config::load(&case, &Options::default());
        assert_eq!(compiled.is_none(), report.has_errors(), "{}", case.display());
        let found = findings(&report, &case);
        if found != wanted && update {
            let mut kept: String =
                text.lines().filter(|line| !line.starts_with("#!")).map(|line| format!("{line}\n")).collect();
            kept.extend(found.iter().map(|line| format!("{line}\n")));
            fs::write(&case, kept).expect("the case is written");
        } else if found != wanted {
            wrong.push(format!("{}\n  wanted {wanted:#?}\n  found {found:#?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rendered_report_and_its_json_say_the_same_as_the_findings() {
    for case in cases() {
        let (_, report) = config::load(&case, &Options::default());
        let text = report.render(Shown::All);
        let json = report.json();
        let objects = json.as_array().expect("a list");
        assert_eq!(objects.len(), report.findings.len());
        for (finding, object) in report.findings.iter().zip(objects) {
            assert!(text.contains(&finding.message), "{}: {}", case.display(), finding.message);
            assert_eq!(object["message"], finding.message);
            let Some((file, line, column)) = report.position(finding) else { continue };
            assert!(
                text.contains(&format!("{file}:{line}:{column}")),
                "{}: {file}:{line}:{column}\n{text}",
                case.display()
            );
            assert_eq!(object["place"]["line"], line);
            assert_eq!(object["place"]["column"], column);
        }
    }
}

#[test]
fn a_report_is_drawn_with_lines_carets_and_both_places() {
    let case = Path::new("tests/cases/config/four-mistakes.yaml");
    let snapshot = Path::new("tests/cases/config/four-mistakes.report");
    let (_, report) = config::load(case, &Options::default());
    let drawn = report.render(Shown::All);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(snapshot, &drawn).expect("the snapshot is written");
    }
    assert_eq!(drawn, fs::read_to_string(snapshot).expect("the snapshot"));
}

#[test]
fn bytes_that_are_no_utf8_are_named_for_what_they_are() {
    let good = "schema: 1\ncell: a\nnodes:\n  T: { type: Float, unit: °C, value: 1 }\n";
    let latin: Vec<u8> = good.chars().map(|sign| u8::try_from(u32::from(sign)).expect("Latin-1")).collect();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(good.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let marked = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    let crlf = good.replace('\n', "\r\n").into_bytes();
    let typo = good.replace("value", "valeu").replace('\n', "\r\n").into_bytes();
    for (bytes, wanted) in [
        (latin, vec![("this byte is not UTF-8", 4, 27)]),
        (utf16, vec![("this file is UTF-16", 1, 1)]),
        (marked, vec![]),
        (crlf, vec![]),
        (typo, vec![("unknown key `valeu`", 4, 31)]),
        (Vec::new(), vec![("this file is empty", 1, 1)]),
        (b"# only a comment\n".to_vec(), vec![("this file is empty", 1, 1)]),
        (b"just text".to_vec(), vec![("expected `key: value` lines", 1, 1)]),
    ] {
        let mut files = config::Memory::default();
        files.files.insert("a.yaml".into(), bytes);
        let (_, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
        let found: Vec<(&str, usize, usize)> = report
            .findings
            .iter()
            .map(|finding| {
                let (_, line, column) = report.position(finding).expect("a place");
                (finding.message.as_str(), line, column)
            })
            .collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_secret_never_appears_in_a_finding() {
    let mut files = config::Memory::default();
    let secret = "hunter2-swordfish";
    files.variables.insert("SECRET".into(), secret.into());
    files.files.insert("secret.txt".into(), format!("{secret}\n").into_bytes());
    for notation in ["${env:SECRET}", "${file:secret.txt}", "x${env:SECRET}y"] {
        let cell = format!(
            "schema: 1\ncell: \"{notation}\"\nnamespace: \"{notation}\"\nconnections:\n  \
             plc: {{ driver: modbus-tcp, host: a, port: \"{notation}\", timeout: \"{notation}\", word_order: \"{notation}\" }}\n  \
             bad: {{ driver: \"{notation}\", host: a }}\n  good: {{ driver: modbus-tcp, host: a }}\ndefaults: {{ connection: \"{notation}\" }}\n\
             nodes:\n  A: {{ type: \"{notation}\", source: \"{notation}\", deadband: \"{notation}\" }}\n  \
             B: {{ type: Float, unit: \"{notation}\", connection: good, source: \"{notation}\" }}\n  \
             C: {{ type: Int16, value: \"{notation}\" }}\n  D: {{ type: Int16, value: 1, id: \"{notation}\" }}\n  \
             E: {{ type: Int16, value: 1, id: \"{notation}\", access: {{ read: [\"{notation}\"] }} }}\n  \
             F: {{ of: \"{notation}\", with: \"{notation}\" }}\n"
        );
        files.files.insert("a.yaml".into(), cell.into_bytes());
        let (_, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
        assert!(report.findings.len() > 10, "{}", report.render(Shown::All));
        let said = format!("{}{:#}", report.render(Shown::All), report.json());
        assert!(!said.contains("hunter2") && !said.contains("swordfish"), "{said}");
    }
}

#[test]
fn a_value_may_come_from_the_environment_or_a_file() {
    let mut files = config::Memory::default();
    files.variables.insert("PORT".into(), "5020".into());
    files.files.insert("host.txt".into(), b"10.0.0.7\n".to_vec());
    let cell = "schema: 1\ncell: a\nconnections:\n  plc: { driver: modbus-tcp, host: \"${file:host.txt}\", port: \"${env:PORT}\", unit_id: \"${env:UNIT|7}\" }\n";
    files.files.insert("a.yaml".into(), cell.into());
    let (compiled, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
    let compiled = compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)));
    let settings =
        compiled.drivers[0].settings.get::<opcell::testing::drivers::modbus::Tcp>().expect("a Modbus connection");
    assert_eq!((settings.host.as_str(), settings.port, settings.unit_id), ("10.0.0.7", 5020, 7));
}

#[test]
fn a_finding_on_a_wide_character_marks_the_whole_of_it() {
    let mut files = config::Memory::default();
    files.files.insert("a.yaml".into(), "ٯsource: holfing/100 }\n".as_bytes().to_vec());
    let (_, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
    let text = report.render(Shown::All);
    assert!(text.contains("1 | ٯsource: holfing/100 }\n  | ^\n"), "{text}");
}
