//! The verbs that only read files: what they print, and how they end.

use clap::Parser;
use opcell::cli::{self, Answer, Cli};

fn run(arguments: &[&str]) -> Answer {
    let all = ["opcell"].iter().chain(arguments);
    let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    cli::answer(&cli, &mut |_| {})
}

#[test]
fn verbs_end_with_0_for_a_good_file_and_2_for_a_bad_one() {
    for (arguments, code) in [
        (["check", "address-space"], 0),
        (["check", "address-space/hello.yaml"], 0),
        (["check", "tests/cases/config/unknown-unit.yaml"], 0),
        (["check", "tests/cases/config/four-mistakes.yaml"], 2),
        (["check", "no-such-folder"], 2),
        (["tree", "address-space"], 0),
        (["tree", "tests/cases/config/four-mistakes.yaml"], 2),
        (["schema", "cell"], 0),
        (["schema", "server"], 0),
    ] {
        assert_eq!(run(&arguments).code, code, "{arguments:?}");
    }
}

#[test]
fn check_prints_findings_then_the_plan_and_both_readings() {
    let out = run(&["check", "address-space/modbus.yaml"]).out;
    assert!(out.contains("28 tags -> ") && out.contains(" on plc1"), "{out}");
    assert!(out.contains("modbus: Analog.Level  plc1  input/20 = 30021"), "{out}");
    let out = run(&["check", "address-space/drivers/s7.yaml"]).out;
    assert!(out.contains("33 tags -> 2 requests (1 DB, PDU 240, 5 ms a request), worst scan 10 ms on plc2\n"), "{out}");
    assert!(out.contains("s7: Texts.Name  plc2  DB1.DBB40 read as STRING[20]"), "{out}");
    let out = run(&["check", "address-space/drivers/ethernet-ip.yaml"]).out;
    assert!(
        out.contains("11 tags -> 1 request (packets of 500 bytes, 5 ms a request), worst scan 5 ms on plc3\n"),
        "{out}"
    );
    let out = run(&["check", "tests/cases/config/four-mistakes.yaml"]).out;
    assert!(out.starts_with("error: unknown key `ip`"), "{out}");
    assert!(out.ends_with("5 errors\n"), "{out}");
    let out = run(&["check", "tests/cases/config/unknown-unit.yaml"]).out;
    assert!(out.contains("2 warnings\npress: 2 nodes\n"), "{out}");
}

#[test]
fn check_prints_formulas_their_longest_chain_and_what_runs_by_the_clock() {
    let out = run(&["check", "address-space/formulas.yaml"]).out;
    let lines = [
        "11 formulas, the longest chain has 2",
        "  mixing: Tank.Trend  by the clock, every 500ms",
        "  mixing: Dosed  by the clock, every 500ms",
        "  mixing: Pump1.TooFast  by the clock, every 500ms",
    ];
    assert!(lines.iter().all(|line| out.contains(&format!("{line}\n"))), "{out}");
    assert!(!out.contains("Height  by the clock"), "{out}");
}

#[test]
fn check_prints_a_line_a_request() {
    let out = run(&["check", "address-space/modbus.yaml"]).out;
    for line in [
        "28 tags -> 4 requests, worst scan 20 ms on plc1\n",
        "  plc1  holding/0..109  24 tags, every 500ms\n",
        "  plc1  coil/0          1 tag, every 500ms\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("far.yaml");
    let tags: String =
        (0..50).map(|at| format!("  T{at}: {{ type: Int16, source: holding/{} }}\n", at * 500)).collect();
    let head = "schema: 1\ncell: a\nconnections: { plc: { driver: modbus-tcp, host: a } }\nnodes:\n";
    std::fs::write(&path, format!("{head}{tags}")).expect("the file");
    let path = path.to_string_lossy();
    let out = run(&["check", &path]).out;
    assert!(
        out.contains("50 tags -> 50 requests") && out.contains("  and 10 more requests; `--all` shows each\n"),
        "{out}"
    );
    assert_eq!(run(&["check", "--all", &path]).out.matches("1 tag, every 1s").count(), 50);
}

#[test]
fn numbers_of_one_are_singular() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.yaml");
    let text = "schema: 1\ncell: a\nconnections: { plc: { driver: modbus-tcp, host: a } }\nnodes:\n  T: { type: Int16, source: holding/0 }\n";
    std::fs::write(&path, text).expect("the file");
    let out = run(&["check", &path.to_string_lossy()]).out;
    assert_eq!(
        out,
        "a: 1 node\n1 tag -> 1 request, worst scan 5 ms on plc\n  plc  holding/0  1 tag, every 1s\n  a: T  plc  holding/0 = 40001\n"
    );
}

#[test]
fn tree_prints_node_ids_addresses_and_poll_periods() {
    let out = run(&["tree", "address-space/hello.yaml"]).out;
    assert_eq!(
        out,
        "hello  urn:opcell:hello  s=@cell\n  Pump  s=Pump\n    \
         Running: Boolean  <- plc discrete/0 = 10001, every 1s  s=Pump.Running\n    \
         Speed: Float r/min 0..3000  <- plc holding/100..101 = 40101, every 1s  s=Pump.Speed\n"
    );
    let out = run(&["tree", "address-space"]).out;
    assert!(out.contains("SerialNo: String  constant  i=1001"), "{out}");
    assert!(out.contains("type Valve  s=@type.Valve"), "{out}");
}

#[test]
fn the_help_says_what_the_exit_codes_mean() {
    use clap::CommandFactory;
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains(cli::EXIT_CODES), "{help}");
    let wrong = Cli::try_parse_from(["opcell", "chekc"]).expect_err("no verb");
    assert_eq!(wrong.exit_code(), 2);
}

#[test]
fn check_as_json_is_a_list_with_places() {
    let out = run(&["check", "--json", "tests/cases/config/four-mistakes.yaml"]).out;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\n{out}"));
    assert_eq!(json[0]["message"], "unknown key `ip`");
    assert_eq!((json[0]["place"]["line"].as_u64(), json[0]["place"]["column"].as_u64()), (Some(4), Some(30)));
    assert_eq!(json[0]["path"], "connections.plc.ip");
    assert_eq!(run(&["check", "--json", "address-space"]).out, "[]\n");
}

#[test]
fn many_equal_findings_are_cut_short_unless_all_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("many.yaml");
    let tags: String = (0..100).map(|at| format!("  T{at}: {{ type: Flaot, value: 1 }}\n")).collect();
    std::fs::write(&path, format!("schema: 1\ncell: a\nnodes:\n{tags}")).expect("the file");
    let path = path.to_string_lossy();
    let out = run(&["check", &path]).out;
    assert_eq!(out.matches("no type `Flaot`").count(), 5);
    assert!(out.contains("and 95 more; `--all` shows each") && out.ends_with("100 errors\n"), "{out}");
    assert_eq!(run(&["check", "--all", &path]).out.matches("no type `Flaot`").count(), 100);
}

#[test]
fn simulate_checks_the_cell_with_signals() {
    let out = run(&["check", "--simulate", "address-space/modbus.yaml"]).out;
    assert!(out.contains("27 tags on plc1, without requests"), "{out}");
}
