//! Commissioning: what a PLC has, and one look at a tag.

use std::path::PathBuf;

use testkit::logix::{BOOL, DINT, DWORD, Logix, MOTOR, REAL, STRING};
use testkit::logix_wire::Listening;
use testkit::plc::Faults;
use testkit::program::{folder, opcell};

use super::cell;

async fn run(listening: &Listening, arguments: &[&str]) -> testkit::program::Said {
    let folder = folder(&[("cell.yaml", &cell(listening.port, "", "A: { type: Int32, source: T0 }"))]);
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let path: PathBuf = folder.path().to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        opcell(&path, &arguments, "")
    });
    run.await.expect("it ends")
}

fn plc() -> std::sync::Arc<Logix> {
    let plc = Logix::new(120);
    plc.set("Ready", BOOL, &[1], &[1]);
    plc.set("Heads", DWORD, &[2], &[0]);
    plc.set("Matrix", DINT, &[3, 4], &[0]);
    plc.set("Motors", MOTOR, &[2], &[0]);
    plc.set("Recipe", STRING, &[1], &[3, 0, 0, 0, 65, 66, 67]);
    plc.set("Program:Main.Speed", REAL, &[1], &1.5_f32.to_le_bytes());
    plc.set("Program:Main.Motor", MOTOR, &[1], &[0]);
    plc.set("__hidden", DINT, &[1], &[0]);
    plc
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_has_controller_programs_and_members() {
    for largest in [4_000, 0] {
        let plc = plc();
        *plc.largest.lock().expect("lock") = largest;
        let listening = plc.listen(Faults::none()).await;
        let said = run(&listening, &["browse", "plc", "cell.yaml"]).await;
        assert_eq!(said.code, 0, "{}", said.err);
        for line in [
            "  T0: { type: Int32, source: T0 }\n",
            "  T119: { type: Int32, source: T119 }\n",
            "  Ready: { type: Boolean, source: Ready }\n",
            "  Heads: { type: Boolean, array: 64, source: Heads }\n",
            "  Matrix: { type: Int32, array: 12, source: Matrix }\n",
            "  Recipe: { type: String, source: Recipe }\n",
            "      Speed: { type: Float, source: \"Program:Main.Speed\" }\n",
            "          Starts: { type: Int32, source: \"Program:Main.Motor.Starts\" }\n",
            "      Speed: { type: Float, source: \"Motors[1].Speed\" }\n",
            "      Flags: { type: Boolean, array: 64, source: \"Motors[1].Flags\" }\n",
            "      Name: { type: String, source: \"Motors[1].Name\" }\n",
        ] {
            assert!(said.out.contains(line), "{line} in\n{}", said.out);
        }
        assert!(!said.out.contains("hidden") && !said.out.contains("ZZZZ"), "{}", said.out);
        let said = run(&listening, &["browse", "plc", "cell.yaml", "--from", "motors[1]"]).await;
        assert_eq!(said.out.matches("source").count(), 4, "{}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_shows_the_type_in_the_plc_and_the_value() {
    let plc = plc();
    let listening = plc.listen(Faults::none()).await;
    for (address, lines) in [
        ("T5", vec!["DINT", "type: Int32"]),
        ("T5.3", vec!["type: Boolean"]),
        ("Recipe", vec!["STRING", "type: String", "ABC"]),
        ("Heads[40]", vec!["type: Boolean", "false"]),
        ("Program:Main.Speed", vec!["REAL", "type: Float", "1.5"]),
    ] {
        let said = run(&listening, &["probe", "plc", address, "cell.yaml"]).await;
        assert_eq!(said.code, 0, "{address}: {}", said.err);
        assert!(lines.iter().all(|line| said.out.contains(line)), "{address}: {}", said.out);
    }
    for (address, words) in [
        ("Nowhere", "Nowhere: the PLC has no such tag or member"),
        ("Motors[0]", "name one of its members"),
        ("Tag[-1]", "elements count from 0"),
    ] {
        let said = run(&listening, &["probe", "plc", address, "cell.yaml"]).await;
        assert!(said.err.contains(words), "{address}: {}", said.err);
    }
}
