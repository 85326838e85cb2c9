//! Recordings that are right, and what is said of those that are not.

use super::*;

fn parse(csv: &str, time: &str) -> Result<Table, Fault> {
    let mut file: FileText = serde_json::from_str("\"data/a.csv\"").expect("a path");
    file.fill(csv.as_bytes().into());
    Table::parse(&file, time)
}

#[test]
fn a_signal_of_an_export_is_named_by_its_identifier() {
    let rows: String = ["s=A", "i=7", "s=i=7", "s=s=A", "s=s=B"]
        .map(|identifier| format!("urn:a,{identifier},Double,2026-11-29T09:00:00Z,2026-11-29T09:00:00Z,Good,1\n"))
        .concat();
    let text = format!("namespace,identifier,type,source_time,server_time,status,value\n{rows}");
    let table = parse(&text, "time").expect("a table");
    for (address, name) in [
        ("A", "s=A"),
        ("s=A", "s=A"),
        ("i=7", "i=7"),
        ("s=i=7", "s=i=7"),
        ("s=s=A", "s=s=A"),
        ("s=B", "s=s=B"),
        ("s=s=B", "s=s=B"),
        ("C", "C"),
    ] {
        assert_eq!(table.name(address), name, "{address}");
    }
    let found: Vec<String> = table.found().into_iter().map(|found| found.address).collect();
    assert_eq!(found, ["i=7", "A", "s=i=7", "s=s=A", "s=B"]);
}

#[test]
fn what_is_wrong_is_marked_in_the_file() {
    let header = "namespace,identifier,type,source_time,server_time,status,value\n";
    let row = |namespace: &str, at: u32, status: &str| {
        format!("{namespace},s=A,Double,2026-11-29T09:00:0{at}Z,2026-11-29T09:00:00Z,{status},1\n")
    };
    let export = |rows: [String; 2]| format!("{header}{}{}", rows[0], rows[1]);
    for (csv, marked, message) in [
        ("time,A\n1,2\n0,3\n".to_owned(), "0", "this row is earlier than the one before"),
        ("time,A,A\n1,2,3\n".to_owned(), "A", "column `A` is there twice"),
        ("time,A\nnoon,2\n".to_owned(), "noon", "`noon` is no time"),
        ("time;A\n1;\"x\n".to_owned(), "\"x", "a quoted cell is not closed"),
        ("time,A\n1,2,5\n".to_owned(), "5", "this row has more cells than there are headings"),
        ("time,A\n1,#Good\n".to_owned(), "#Good", "`#Good` is no Bad status"),
        ("time,A\n".to_owned(), "time,A", "there are no rows"),
        (format!("time{}\n", ",x".repeat(10_000)), "x", "there are more than 10000 columns"),
        ("zeit,A\n1,2\n".to_owned(), "zeit,A", "no column `time` in a.csv"),
        (export([row("urn:a", 5, "Good"), row("urn:a", 4, "Good")]), "2026-11-29T09:00:04Z", "this row is earlier"),
        (export([row("urn:a", 5, "Good"), row("urn:b", 6, "Good")]), "urn:b", "`s=A` is there in two namespaces"),
        (export([row("urn:a", 5, "Good"), row("urn:a", 6, "Fine")]), "Fine", "`Fine` is no status"),
    ] {
        let fault = parse(&csv, "time").expect_err(&csv);
        assert!(fault.message.starts_with(message), "{csv}: {}", fault.message);
        let at = fault.at.expect("a place");
        assert!(csv[at.clone()].starts_with(marked) || csv[at.start..].starts_with(marked), "{csv}: {}", &csv[at]);
        assert!(!fault.help.is_empty());
    }
    let fault = parse("Zeit,A\n1,2\n", "zeit").expect_err("another name");
    assert_eq!((fault.key, fault.at, fault.help.as_str()), ("time", None, "did you mean `Zeit`?"));
}

#[test]
fn cells_that_are_no_numbers_are_counted() {
    let table = parse("time,A,B\n0,1,on\n1,x,off\n\n2,,5\n3,y,#Bad\n", "time").expect("a table");
    let of = |name: &str| table.signal(name).expect("a column");
    assert_eq!(of("A").not_number, Strange { count: 2, first: Some(First { line: 3, text: "x".to_owned() }) });
    assert_eq!(of("B").not_boolean, Strange { count: 1, first: Some(First { line: 5, text: "5".to_owned() }) });
    assert!(table.signal("time").is_none() && table.signal("C").is_none());
    assert_eq!(table.length(), 40_000_000, "the last row lasts as long as the one before it");
}

#[test]
fn times_are_seconds_or_rfc_3339() {
    for (text, wanted) in [
        ("12.5", Some(125_000_000)),
        ("-1", Some(-10_000_000)),
        ("1601-01-01T00:00:01Z", Some(10_000_000)),
        ("1601-01-01T01:00:01+01:00", Some(10_000_000)),
        ("NaN", None),
        ("1e300", None),
        ("09:00", None),
        ("", None),
    ] {
        assert_eq!(time(text), wanted, "{text}");
    }
}
