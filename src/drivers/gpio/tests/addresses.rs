//! Addresses, and the lines that points need.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::address::Address;
use super::super::kernel::Info;
use super::super::settings::{Active, Drive};
use super::super::table::{Wish, resolve};
use super::super::wiring::{Edges, Wiring};

#[test]
fn addresses_are_taken_apart() {
    for (text, wanted) in [
        ("line/17", Address::Offset(17)),
        ("line/0", Address::Offset(0)),
        ("line/ESTOP", Address::Name("ESTOP".to_owned())),
        ("line/name=17", Address::Name("17".to_owned())),
        ("line/GPIO17", Address::Name("GPIO17".to_owned())),
        ("line/a b/c", Address::Name("a b/c".to_owned())),
    ] {
        assert_eq!(Address::parse(text), Ok(wanted), "{text}");
    }
    let elsewhere = "numbers of /sys/class/gpio are not lines: `opcell browse CONNECTION` lists them";
    for (text, message, help) in [
        ("line17", "`line17` is no line of a chip", format!("line/17; {elsewhere}")),
        ("GPIO17", "`GPIO17` is no line of a chip", format!("line/17; {elsewhere}")),
        ("17", "`17` is no line of a chip", format!("line/17; {elsewhere}")),
        ("ESTOP", "`ESTOP` is no line of a chip", format!("write line/17 or line/NAME; {elsewhere}")),
        ("line/", "the line is missing", "write line/17 or line/NAME".to_owned()),
        ("line/name=", "the line is missing", "write line/17 or line/NAME".to_owned()),
        ("line/99999999999", "no chip has a line 99999999999", "write line/17".to_owned()),
    ] {
        let error = Address::parse(text).expect_err(text);
        assert_eq!((error.message.as_str(), error.help), (message, help), "{text}");
    }
    assert!(Address::parse(&format!("line/{}", "x".repeat(32))).is_err());
}

fn infos() -> Vec<Info> {
    let names = ["", "A", "B", "B", "5", "", "C"];
    let info = |(offset, name): (u32, &&str)| Info { offset, name: (*name).to_owned(), ..Info::default() };
    (0..).zip(&names).map(info).collect()
}

fn wish(point: u32, text: &str, wiring: Wiring) -> Wish {
    Wish { point, address: Address::parse(text).expect("an address"), wiring }
}

#[test]
fn tags_of_one_line_agree_about_its_wiring() {
    let input = Wiring { edges: Edges::both(), ..Wiring::default() };
    let counted = Wiring { counts: true, edges: Edges { rising: true, falling: false }, ..Wiring::default() };
    let output = Wiring { is_output: true, on_start: Some(true), ..Wiring::default() };
    let low = Wiring { active: Active::Low, ..input.clone() };
    assert_eq!(input.merged(&counted).map(|both| (both.counts, both.edges)), Ok((true, Edges::both())));
    assert_eq!(counted.merged(&counted).map(|both| both.edges), Ok(counted.edges));
    let read_back = Ok((true, Some(true), Edges::default()));
    for both in [input.merged(&output), output.merged(&input)] {
        assert_eq!(both.map(|both| (both.is_output, both.on_start, both.edges)), read_back);
    }
    assert_eq!(input.merged(&low), Err("active"));
    assert_eq!(counted.merged(&output), Err("write"));
    assert_eq!(output.merged(&Wiring { drive: Drive::OpenDrain, ..output.clone() }), Err("drive"));
    assert_eq!(output.merged(&Wiring { on_start: None, ..output.clone() }), Err("on_start"));
}

proptest! {
    #[test]
    fn each_point_has_exactly_one_line_or_one_fault(
        picks in prop::collection::vec((0..9_usize, any::<bool>()), 0..40),
    ) {
        let texts = ["line/0", "line/A", "line/B", "line/1", "line/name=5", "line/5", "line/99", "line/C", "line/none"];
        let wiring = |is_output: bool| Wiring {
            is_output,
            edges: if is_output { Edges::default() } else { Edges::both() },
            ..Wiring::default()
        };
        let wishes: Vec<Wish> =
            (0..).zip(&picks).map(|(point, (pick, is_output))| wish(point, texts[*pick], wiring(*is_output))).collect();
        let resolved = resolve(&wishes, "gpiochip0", &infos());
        let mut all: Vec<u32> = resolved.lines.values().flat_map(|needed| needed.points.iter().copied()).collect();
        all.extend(resolved.faults.iter().map(|(point, _)| *point));
        prop_assert_eq!(all.len(), picks.len());
        prop_assert_eq!(all.iter().copied().collect::<HashSet<_>>().len(), picks.len());
        for (point, (pick, _)) in (0..).zip(&picks) {
            let is_fault = resolved.faults.iter().any(|(at, _)| *at == point);
            prop_assert_eq!(is_fault, [2, 6, 8].contains(pick), "{}", texts[*pick]);
        }
    }
}
