//! Recorded exchanges, faulty replies and random bytes.

use proptest::prelude::*;

use super::*;
use crate::drivers::modbus::address::Area;

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect(byte)).collect()
}

/// Files of `tests/cases/modbus`: the framing, then what goes out (`>`), what comes (`<`), and what is found (`=`).
#[test]
fn recorded_exchanges_are_spoken_and_understood() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/modbus");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("cases") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let mut asked = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = format!("{}: {line}", path.display());
            let (mark, rest) = line.split_at(1);
            match mark {
                "?" => asked = Some(ask(rest.trim())),
                ">" => {
                    let (framing, asked) = asked.expect("a question comes first");
                    let mut sent = Vec::new();
                    encode(framing, &asked, &mut sent);
                    assert_eq!(sent, bytes(rest), "{name}");
                }
                _ => {
                    let (framing, asked) = asked.expect("a question comes first");
                    let (came, wanted) = rest.split_once('=').expect("what is found");
                    assert_eq!(found(framing, &asked, &bytes(came)), wanted.trim(), "{name}");
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 20, "only {count} replies");
}

fn ask(text: &str) -> (Framing, Asked<'static>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u16>().expect(text);
    let framing = match words[0] {
        "tcp" => Framing::Tcp,
        "rtu" => Framing::Rtu,
        _ => Framing::Ascii,
    };
    let request = match words[2] {
        "coils" => Request::Read { area: Area::Coil, start: number(3), count: number(4) },
        "holding" => Request::Read { area: Area::Holding, start: number(3), count: number(4) },
        "set" => Request::WriteCoil { at: number(3), on: number(4) == 1 },
        "write" => Request::WriteRegister { at: number(3), word: number(4) },
        "writes" => Request::WriteRegisters { start: number(3), words: &[10, 258] },
        "sets" => Request::WriteCoils {
            start: number(3),
            bits: &[true, false, true, true, false, false, true, true, true, false],
        },
        "both" => Request::ReadWrite { start: number(3), count: number(4), to: 14, words: &[255, 255, 255] },
        _ => Request::Mask { at: number(3), and: number(4), or: number(5) },
    };
    (framing, Asked { transaction: 1, unit: u8::try_from(number(1)).expect("a unit"), lenient: false, request })
}

fn found(framing: Framing, asked: &Asked<'_>, bytes: &[u8]) -> String {
    let mut scratch = Vec::new();
    match find(framing, asked, bytes, &mut scratch) {
        Found::Reply { pdu, .. } => {
            let frame = if framing == Framing::Ascii { &scratch } else { bytes };
            format!("{:02X?}", asked.request.reply(&frame[pdu]).expect("found"))
        }
        Found::More { garbage, .. } => {
            if garbage {
                "garbage".to_owned()
            } else {
                "more".to_owned()
            }
        }
        Found::Misfit { .. } => "misfit".to_owned(),
        Found::Broken => "broken".to_owned(),
    }
}

#[test]
fn ids_of_nothing_are_taken_only_where_one_request_can_be_meant() {
    let request = Request::Read { area: Area::Holding, start: 7, count: 1 };
    let frame = |transaction, unit| [0, transaction, 0, 0, 0, 5, unit, 3, 2, 0, 42];
    for (transaction, unit, lenient, taken) in [
        (7, 1, false, true),
        (0, 1, true, true),
        (7, 0, true, true),
        (0, 0, true, true),
        (0, 1, false, false),
        (7, 0, false, false),
        (6, 1, true, false),
        (7, 2, true, false),
    ] {
        let asked = Asked { transaction: 7, unit: 1, lenient, request };
        let found = find(Framing::Tcp, &asked, &frame(transaction, unit), &mut Vec::new());
        assert_eq!(matches!(found, Found::Reply { .. }), taken, "{transaction} {unit} {lenient}: {found:?}");
    }
}

#[test]
fn a_reply_is_not_believed_when_no_header_follows_it() {
    let request = Request::Read { area: Area::Holding, start: 7, count: 1 };
    let asked = Asked { transaction: 7, unit: 1, lenient: false, request };
    let reply = [0, 7, 0, 0, 0, 5, 1, 3, 2, 0, 42];
    for (rest, believed) in [
        (&[][..], true),
        (&[0, 8][..], true),
        (&[0, 8, 0, 0, 0, 5, 1, 3, 2, 0, 1][..], true),
        (&[0, 8, 0, 0, 0, 2][..], false),
        (&[0, 8, 1][..], false),
        (&[0, 8, 0, 0, 1, 1][..], false),
        (&[3, 2, 0, 42, 9, 9][..], false),
    ] {
        let found = find(Framing::Tcp, &asked, &[&reply, rest].concat(), &mut Vec::new());
        assert_eq!(matches!(found, Found::Reply { .. }), believed, "{rest:?}: {found:?}");
    }
}

#[test]
fn the_difference_is_named() {
    let request = Request::Read { area: Area::Holding, start: 7, count: 1 };
    let asked = Asked { transaction: 7, unit: 1, lenient: false, request };
    let rtu = |body: &[u8]| [body, &crc(body).to_le_bytes()].concat();
    for (bytes, wanted) in [
        (rtu(&[2, 3, 2, 0, 1]), "answers with unit id 2, asked with 1"),
        (rtu(&[1, 4, 2, 0, 1]), "answers with function 4, asked with 3"),
        (rtu(&[1, 3, 4, 0, 1, 0, 1]), "answers with 4 bytes of data, asked for 2"),
        (vec![1, 3, 2, 0, 1, 9, 9], "answers with a wrong check sum"),
        (vec![1, 3, 2], "answers with an incomplete frame"),
    ] {
        assert_eq!(misfit(Framing::Rtu, &asked, &bytes).to_string(), wanted);
    }
    let ascii = |body: &[u8]| {
        let hex: String = body.iter().chain([&lrc(body)]).map(|byte| format!("{byte:02X}")).collect();
        format!(":{hex}\r\n").into_bytes()
    };
    let unit = Misfit::Unit { came: 2, asked: 1 };
    assert_eq!(misfit(Framing::Ascii, &asked, &ascii(&[2, 3, 2, 0, 1])), unit);
    assert_eq!(misfit(Framing::Ascii, &asked, b":0103020001F0\r\n"), Misfit::Sum);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::drivers::modbus::fuzz_reply(&bytes);
    }

    #[test]
    fn a_reply_is_found_behind_garbage_and_in_pieces(
        garbage in prop::collection::vec(any::<u8>(), 0..30), words in prop::collection::vec(any::<u16>(), 3)
    ) {
        let request = Request::Read { area: Area::Holding, start: 7, count: 3 };
        let asked = Asked { transaction: 1, unit: 9, lenient: false, request };
        let mut frame = vec![9, 3, 6];
        frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        frame.extend(crc(&frame).to_le_bytes());
        let all: Vec<u8> = garbage.iter().chain(&frame).copied().collect();
        for end in 0..all.len() {
            let found = find(Framing::Rtu, &asked, &all[..end], &mut Vec::new());
            prop_assert!(matches!(found, Found::More { .. }), "{found:?}");
        }
        // Garbage may look like the head of a longer frame; then the rest is waited for.
        if let Found::Reply { pdu, used } = find(Framing::Rtu, &asked, &all, &mut Vec::new()) {
            prop_assert_eq!(&all[pdu], &frame[1..9]);
            prop_assert_eq!(used, all.len());
        }
    }
}
