//! How values are written, and what a client sees: the part of the reference that is no table of keys.

use std::fmt::Write;

use super::super::{compile, outside};
use crate::drivers::{self, DRIVERS, Driver, Visit};
use crate::health::State;
use crate::model::ROLES;

pub(crate) fn all() -> String {
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

fn addresses(out: &mut String) {
    out.push_str("\n## Addresses\n");
    for driver in DRIVERS {
        writeln!(out, "\nDriver `{}`: {}.", driver.name, driver.about).expect("a String takes all");
    }
    let mut notes = drivers::each(&mut AddressNotes);
    // Drivers of one family have the same notes.
    notes.dedup();
    out.extend(notes);
}

struct AddressNotes;

impl Visit for AddressNotes {
    type Out = String;

    fn driver<D: Driver>(&mut self) -> String {
        D::address_notes()
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
