//! How addresses of S7 are written, for the reference.

use std::fmt::Write;

use super::elsewhere::EXAMPLES;

pub(super) fn addresses() -> String {
    let mut out = String::new();
    out.push_str(
        "\n### Addresses of S7\n\nAn address is an area, a letter for the width and a byte, as STEP 7 and TIA write it, in upper or lower case, with or
without `%`.

| address | what |
|---|---|
| `DB10.DBX0.3` | bit 3 of byte 0 of DB 10 |
| `DB10.DBB4`, `DB10.DBW4`, `DB10.DBD4`, `DB10.DBL4` | 1, 2, 4, 8 bytes (Siemens has no letter for 8 bytes; L is ours) |
| `M10.3`, `MB10`, `MW20`, `MD24`, `ML32` | bit memory |
| `I0.0`, `IB0`, `IW64`, `ID4`, `Q0.1`, `QB0`, `QW64`, `QD4` | process image; German `E` and `A` are taken |
| `PIW256`, `PID256` | peripheral inputs, which can only be read; `PQW256` can only be written |
| `T5`, `C3` (`Z3`) | a timer in ms, a counter from 0 to 999 |
| `V0.3`, `VW10`, `VD20` | LOGO and S7-200: DB 1 |

The letter gives the width, and `type` the kind. A text, a date and an array of bytes begin at a `B`.

| letter | Float, Double | UInt types, Byte | other numbers | other types |
|---|---|---|---|---|
| X | | | | Boolean: BOOL |
| B | | uint8 | uint8, SByte: int8 | String: string, ByteString: bytes |
| W | int16 | uint16 | int16 | |
| D | float32 | uint32 | int32 | |
| L | float64 | uint64 | int64 | |

| in the PLC | here |
|---|---|
| REAL | `{ type: Float, source: DB1.DBD4 }` |
| LREAL | `{ type: Double, source: DB1.DBL8 }` |
| STRING[20], 22 bytes | `{ type: String, length: 20, source: DB1.DBB40 }` |
| WSTRING[10], 24 bytes | `{ type: String, length: 10, source: { address: DB1.DBB62, raw_type: wstring } }` |
| ARRAY[0..7] OF CHAR | `{ type: String, length: 8, source: { address: DB1.DBB90, raw_type: text } }` |
| DTL, DATE_AND_TIME, LDT | `{ type: DateTime, source: { address: DB1.DBB100, raw_type: dtl } }`, `dt`, `ldt` |
| TIME | `{ type: Int32, unit: ms, source: { address: DB1.DBD112, raw_type: time } }` |
| ARRAY[0..9] OF REAL | `{ type: Float, array: 10, source: DB1.DBD120 }` |
| ARRAY[0..11] OF BOOL | `{ type: Boolean, array: 12, source: DB1.DBX160.0 }` |

| written elsewhere | here |
|---|---|
",
    );
    for (elsewhere, here) in EXAMPLES {
        writeln!(out, "| `{elsewhere}` | {here} |").expect("a String takes all");
    }
    out
}
