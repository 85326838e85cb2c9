//! The part of the reference before the tables of keys: how values are written, and the nodes that clients see.

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
        "\nDataTypes of a tag: {}, and the names under `types.enums`.\n\nRoles: {}, and the names under `roles` in the server file.\n",
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

| value | written as | notes |
|---|---|---|
| duration | `500ms`, `2s`, `10min`, `1h`, `400d`, `5y` | a whole number and a unit; a year has 365 days |
| size | `64MiB`, `20GiB` | a whole number and KiB, MiB, GiB or TiB |
| number | `0.1`, `-40`, `1e6`, `0x5B00` | with a decimal point, not a comma; without quotes; `0x` only for whole numbers |
| true/false | `true`, `false` | not `yes`, `on` or `1` |
| list | `[a, b]` | in brackets also when it has one element: `[a]` |
| text | `Pump 1` | in quotes when it begins with one of ``% @ ` { [ * & !`` or contains `: ` or ` #` |
| text by language | `Pump`, or `{ en: Pump, de: Pumpe }` | a session gets the language that it asks for |

Some values may come from outside the file. `${env:NAME}` as the whole value is replaced by an environment variable.
`${env:NAME|fallback}` has a value for the case that the variable is not set. `${file:PATH}` is replaced by the content of a
file, without its last line end; the path is relative to the file that contains it. This works only in
{marked}, because no client, finding or log shows the text of these values.

A cell file may name other files: YAML files (`.yaml`, `.yml`) by `include`, CSV files (`.csv`) by `rows`, any text file by
`${file:}`. They must be in the folder of the cell file or below it, also after links are followed. Certificates, keys, state
and history are never read in this way.

Inside `types.objects` and below `repeat`, `{name}` in a text is replaced by the value of the parameter or of the `repeat`
variable. `{base+1}` and `{(i-1)*16}` are replaced by the result of the calculation, with whole numbers and `+ - * ( )`. Such
a text needs quotes:
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
        State::Connecting => "not connected since the start",
        State::Connected => "the link is up",
        State::Silent => {
            "the device does not answer; this remains while the link is opened again, until the device answers"
        }
        State::Waiting => "the link is lost; the server waits before the next attempt",
        State::Stopped => "the server is stopping",
    }
}

const CLIENTS: &str = "
## Nodes that a client sees

A node of a cell has the NodeId `ns=N;s=PATH`. `PATH` is the path of names with dots, without the name of the cell, such as
`s=Pump.Speed`. `N` is the index of the cell's namespace. Index 1 is the server's own; cells get the indices from 2 on in the
order in which the server first serves them, and keep them. A client that stores NodeIds should store the URI of the namespace
(`urn:opcell:CELL`, or the value of `namespace`) and look up the index in NamespaceArray. `id: i=1001` or `id: s=Text` at a
node sets another identifier. `opcell tree` prints every NodeId.

| NodeId | node |
|---|---|
| `s=@cell` | the Object of the cell, below the Objects folder |
| `s=Pump.Speed` | a node by its path |
| `s=Pump.Speed.EURange` | a Property of a tag: EURange, EngineeringUnits |
| `s=Pump.Speed.StatusReason` | a Property of each tag that comes from a device: why it has no good value, in one sentence; empty while it is Good |
| `s=Pump.NodeVersion` | the revision of the address space in which an Object last changed; `s=Pump.@NodeVersion` where a node of the cell has that name |
| `s=@type.Valve` | an object type of the cell |
| `s=@simulated` | true when the server runs with `--simulate`: no value comes from a device |
| `s=@connections.plc1` | diagnostics of connection `plc1` |

Below `s=@connections.plc1`:

| variable | meaning |
|---|---|
| `State` | {states} |
| `LastError` | text of the last fault of this connection; it remains after the connection works again |
| `ConnectedSince` | time at which the link was opened; null while it is closed |
| `Requests`, `Errors`, `Timeouts` | numbers since the start: of requests, of requests without a usable answer, of requests without any answer |
| `Overruns` | number of scans that were skipped because the one before took too long |
| `ScanTimeLast`, `ScanTimeMax` | duration of the last and of the longest scan of all tags, in ms |
| `DemotedUnits` | number of devices on the link that do not answer and are polled less often |
| `Enabled` | whether the connection is in service; a client may write it, see [connections.md](connections.md#maintenance) |
| `PlanLoad` | part of the link's time that polling needs, in percent; above 100, scans are skipped |

`State`, `LastError`, `Requests`, `Errors` and `Timeouts` belong to the connection. The others belong to its link, which
several connections may share; see [connections.md](connections.md).

Status of a tag, in the order in which they follow each other when a device works, stops answering and works again:

| status | when | value |
|---|---|---|
| `BadWaitingForInitialData` | from the start of the server until the first poll has ended | null |
| `Good` | the last poll returned a value | the value of the device |
| `UncertainLastUsableValue` | a poll returned no value, and the last good value is younger than `stale_after` | the last good value |
| `BadTimeout` | after `stale_after`: the link is up, but the device does not answer (or a gateway reports that) | null |
| `BadNoCommunication` | after `stale_after`: the link was lost | null |
| `BadNotConnected` | the link was not up since the start of the server | null |
| `BadCommunicationError` | after `stale_after`: the device answers, but the answers are not valid | null |
| `BadResourceUnavailable` | after `stale_after`: the device reports that it is busy | null |
| `Good` | the next poll returned a value | the value of the device |

Status that a tag may have at any time:

| status | when |
|---|---|
| `BadSensorFailure` | the device sent one of the raw values of `invalid`, NaN or infinity without `nan: true`, or an `exponent` outside -30..30 |
| `BadDataEncodingInvalid` | the value does not fit the tag: it is outside the type or the enumeration, is not a BCD number, or is a text that is not in the `charset` |
| `BadConfigurationError` | the device reports that it has no such register: check `address` |
| `BadDeviceFailure` | the device reports a failure |
| `BadOutOfService` | `enabled: false` at the tag, at a node above it or at its connection |
";
