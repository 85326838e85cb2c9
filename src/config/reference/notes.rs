//! How values are written, and what a client sees: the part of the reference that is no table of keys.

use std::fmt::Write;

use super::super::{compile, outside};
use crate::drivers::simulator::SIGNALS;
use crate::drivers::{DRIVERS, modbus};
use crate::health::State;
use crate::model::ROLES;

pub fn all() -> String {
    let mut out = String::new();
    out.push_str(&VALUES.replace("{marked}", &outside::marked_keys()));
    let types: Vec<String> = compile::type_names().map(|name| format!("`{name}`")).collect();
    let roles: Vec<String> = ROLES.iter().map(|name| format!("`{name}`")).collect();
    let lists = format!(
        "\nDataTypes of a tag: {}, and the names under `types.enums`.\n\nRoles: {}, and the names under `roles` of the server file.\n",
        types.join(", "),
        roles.join(", ")
    );
    out.push_str(&lists);
    addresses(&mut out);
    signals(&mut out);
    let states: Vec<String> = STATES.iter().map(|state| format!("`{}` ({})", state.name(), about(*state))).collect();
    out.push_str(&CLIENTS.replace("{states}", &states.join(", ")));
    out.push_str("\n## Exit codes of the command line\n\n| code | means |\n|---|---|\n");
    let codes =
        super::EXIT_CODES.trim_start_matches("Exit codes: ").split(", ").filter_map(|code| code.split_once(' '));
    out.extend(codes.map(|(code, means)| format!("| {code} | {means} |\n")));
    out
}

const VALUES: &str = "\
## How values are written

| value | as | notes |
|---|---|---|
| duration | `500ms`, `2s`, `10min`, `1h`, `400d`, `5y` | a whole number and its unit; a year has 365 days |
| size | `64MiB`, `20GiB` | KiB, MiB, GiB, TiB |
| number | `0.1`, `-40`, `1e6`, `0x5B00` (whole numbers) | a dot, never a comma; without quotes |
| true/false | `true`, `false` | not `yes`, `on` or `1` |
| list | `[a, b]` | also when it has one element |
| text | as it is | in quotes where it begins with one of ``% @ ` { [ * & !`` or holds `: ` or ` #` |
| text for people | `Pump`, or `{ en: Pump, de: Pumpe }` | a session gets the language that it asks for |

`${env:NAME}` as a whole value is replaced by a variable of the environment, `${env:NAME|fallback}` gives a value for a
variable that is not set, and `${file:PATH}` is replaced by the content of a file, without its last line end; a path is
relative to the file that names it. They are read in {marked} alone, because no client, finding or log
shows the text of these values.

A cell file names only files below its own folder, without links that lead elsewhere: YAML files (`.yaml`, `.yml`) by `include`,
CSV files (`.csv`) by `rows`, any text by `${file:}`. Certificates, keys, state and history are never read.

`{name}` in a text inside `types.objects` or below `repeat` is replaced by a parameter or the variable of the `repeat`;
`{base+1}` and `{(i-1)*16}` calculate with whole numbers and `+ - * ( )`. In YAML such a text needs quotes:
`source: \"holding/{base+1}\"`.
";

/// Other products' spellings of an address, with the spelling here.
pub const ELSEWHERE: [(&str, &str); 9] = [
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

fn addresses(out: &mut String) {
    out.push_str("\n## Addresses\n");
    for driver in DRIVERS {
        writeln!(out, "\nDriver `{}`: {}.", driver.name, driver.about).expect("a String takes all");
    }
    out.push_str(
        "\nAn address of Modbus is a table and a number. `holding/100` counts from 0, as the protocol does; `40101` counts from 1, as
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
        let also = if modbus::Address::parse(elsewhere).is_ok() { " (read here, too)" } else { "" };
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
}

fn signals(out: &mut String) {
    out.push_str(
        "\n## Signals of the simulator\n\nAn address of driver `simulator`, and a text of `simulate:`, is a signal with its arguments by name, as
`sine(mean=21, amp=2, period=10min)`; an argument that is left out has its default. The same `seed` gives the same signals.
`phase` is in degrees.

| signal | makes | arguments and defaults |
|---|---|---|
",
    );
    for (name, about, keys) in SIGNALS {
        let keys = keys.iter().map(|(key, default)| match (*key, *default) {
            ("values", _) => "the list, **required**".to_owned(),
            (key, "") => format!("`{key}` (none)"),
            (key, default) => format!("`{key}={default}`"),
        });
        writeln!(out, "| `{name}` | {about} | {} |", keys.collect::<Vec<_>>().join(", ")).expect("a String takes all");
    }
}

const STATES: [State; 5] = [State::Connecting, State::Connected, State::Silent, State::Waiting, State::Stopped];

fn about(state: State) -> &'static str {
    match state {
        State::Connecting => "never connected yet",
        State::Connected => "the link is up",
        State::Silent => "the device doesn't answer; until it does, also while its link is opened again",
        State::Waiting => "lost; the next attempt comes after a wait",
        State::Stopped => "the server ends",
    }
}

const CLIENTS: &str = "
## What a client sees

A node of a cell has the NodeId `ns=N;s=PATH`: `PATH` is its path with dots, without the name of the cell (`s=Pump.Speed`), and
`N` is the index of the cell's namespace. Namespace 1 is the server's own, cells follow from 2 on in the order in which they
were first seen, and keep their index. A client that keeps NodeIds should keep the namespace's URI (`urn:opcell:CELL`, or
`namespace:`) and look the index up in NamespaceArray. `id: i=1001` or `id: s=Text` at a node gives another identifier.
`opcell tree` prints every NodeId.

| NodeId | node |
|---|---|
| `s=@cell` | the cell's Object, below Objects |
| `s=Pump.Speed` | a node by its path |
| `s=Pump.Speed.EURange` | a Property of a tag: EURange, EngineeringUnits |
| `s=@type.Valve` | an object type of the cell |
| `s=@simulated` | true while `--simulate` makes all values |
| `s=@connections.plc1` | diagnostics of connection `plc1` |

Below `s=@connections.plc1`:

| variable | says |
|---|---|
| `State` | {states} |
| `LastError` | the text of the last fault of this connection; it stays after the connection is well again |
| `ConnectedSince` | null while not connected |
| `Requests`, `Errors`, `Timeouts` | counts since the start: requests, those without a usable answer, those without any |
| `Overruns` | scans that were left out because the one before was late |
| `ScanTimeLast`, `ScanTimeMax` | duration of one scan of everything, in ms |
| `DemotedUnits` | devices on the link that are silent, and asked less often |
| `PlanLoad` | percent of the link's time that the poll plan needs; above 100 scans are left out |

`State`, `LastError`, `Requests`, `Errors` and `Timeouts` are the connection's own, the others those of its link, which
several connections may share; [connections.md](connections.md) says more.

The status of a tag, in the order in which a device shows them that works, falls silent and comes back:

| status | when | value |
|---|---|---|
| `BadWaitingForInitialData` | from the start until the first poll has ended | null |
| `Good` | the last poll brought a value | the device's |
| `UncertainLastUsableValue` | a poll brought none, and the last good value is younger than `stale_after` | the last one |
| `BadTimeout` | after `stale_after`: the link is up, and the device (or its gateway for it) doesn't answer | null |
| `BadNoCommunication` | after `stale_after`: the link was lost | null |
| `BadNotConnected` | the link was never up | null |
| `BadCommunicationError` | after `stale_after`: answers come, but make no sense | null |
| `BadResourceUnavailable` | after `stale_after`: the device says that it is busy | null |
| `Good` | the next poll that brings a value | the device's |

And at any time:

| status | when |
|---|---|
| `BadSensorFailure` | the device sent one of the raw values of `invalid`, NaN or infinity without `nan: true`, or an `exponent` beyond -30..30 |
| `BadDataEncodingInvalid` | the value does not fit the tag: outside its type or its enumeration, no BCD number, a text that is not in its `charset` |
| `BadConfigurationError` | the device says that it has no such register: check `address` |
| `BadDeviceFailure` | the device says that it failed |
| `BadOutOfService` | `enabled: false` at the tag, a node above it or its connection |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_another_product_leads_to_the_one_here() {
        for (elsewhere, here) in ELSEWHERE {
            let right = modbus::Address::parse(here).expect(here);
            match modbus::Address::parse(elsewhere) {
                Ok(address) => assert_eq!(address, right, "{elsewhere}"),
                Err(error) => assert_eq!(error.help, format!("write `{here}`"), "{elsewhere}"),
            }
        }
        for (zero, one) in
            [("coil/32", "00033"), ("discrete/0", "10001"), ("input/20", "30021"), ("holding/70", "40071")]
        {
            assert_eq!(modbus::Address::parse(zero), modbus::Address::parse(one));
            let (table, number) = zero.split_once('/').expect("a table");
            let hex = format!("{table}/{:#x}", number.parse::<u16>().expect("a number"));
            assert_eq!(modbus::Address::parse(&hex), modbus::Address::parse(zero));
        }
    }
}
