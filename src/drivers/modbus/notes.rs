//! How addresses of Modbus are written, for the reference.

use std::fmt::Write;

use super::address::Address;

/// Other products' spellings of an address, with the spelling here.
const ELSEWHERE: [(&str, &str); 9] = [
    ("hr:100", "holding/100"),
    ("HR100", "holding/100"),
    ("contact:3", "discrete/3"),
    ("register:100", "holding/100"),
    ("ir:20", "input/20"),
    ("IR20", "input/20"),
    ("di:3", "discrete/3"),
    ("CO7", "coil/7"),
    ("400101", "holding/100"),
];

pub(super) fn addresses() -> String {
    let mut out = String::new();
    out.push_str(
        "\n### Addresses of Modbus\n\nAn address is a table and a number. `holding/100` counts from 0, as the protocol does; `40101` counts from 1, as
Modicon's manuals do, and is the same register. `opcell check` prints both.

| table | holds | from 0 | from 1 | in hexadecimal | read by | written by |
|---|---|---|---|---|---|---|
| `coil` | one bit, written | `coil/32` | `\"00033\"` | `coil/0x20` | FC 1 | FC 5, 15 |
| `discrete` | one bit | `discrete/0` | `10001` | `discrete/0x0` | FC 2 | |
| `input` | one register | `input/20` | `30021` | `input/0x14` | FC 4 | |
| `holding` | one register, written | `holding/70` | `40071` | `holding/0x46` | FC 3 | FC 6, 16 |

`holding/7.15` is bit 15 of a register; `holding/108.19` with `raw_type: uint32` is bit 19 of two registers, counted after byte
and word order are undone. An address that begins with 0, or holds a dot and no `/`, needs quotes: other YAML readers take it
for a number.

| written elsewhere | here |
|---|---|
",
    );
    for (elsewhere, here) in ELSEWHERE {
        let also = if Address::parse(elsewhere).is_ok() { " (read here, too)" } else { "" };
        writeln!(out, "| `{elsewhere}` | `{here}`{also} |").expect("a String takes all");
    }
    out.push_str(
        "\nA manual that says `register 101` without a table mostly counts from 1: try `holding/100` and `input/100` with
`opcell probe`. Byte orders that other products call ABCD, CDAB, BADC and DCBA:

| elsewhere | here |
|---|---|
| ABCD, big endian | nothing: this is the default |
| CDAB, word swap, little-endian words | `word_order: low-first` |
| BADC, byte swap | `swap_bytes: true` |
| DCBA, little endian | `word_order: low-first, swap_bytes: true` |
",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_another_product_leads_to_the_one_here() {
        for (elsewhere, here) in ELSEWHERE {
            let right = Address::parse(here).expect(here);
            match Address::parse(elsewhere) {
                Ok(address) => assert_eq!(address, right, "{elsewhere}"),
                Err(error) => assert_eq!(error.help, format!("write `{here}`"), "{elsewhere}"),
            }
        }
        for (zero, one) in
            [("coil/32", "00033"), ("discrete/0", "10001"), ("input/20", "30021"), ("holding/70", "40071")]
        {
            assert_eq!(Address::parse(zero), Address::parse(one));
            let (table, number) = zero.split_once('/').expect("a table");
            let hex = format!("{table}/{:#x}", number.parse::<u16>().expect("a number"));
            assert_eq!(Address::parse(&hex), Address::parse(zero));
        }
    }
}
