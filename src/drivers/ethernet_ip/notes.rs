//! How addresses of EtherNet/IP are written, for the reference.

pub(super) fn addresses() -> String {
    "\n### Addresses of EtherNet/IP\n\nAn address is the tag as the PLC's editor shows it, in any case:
`[Program:NAME.]TAG{[I[,J[,K]]]|.MEMBER}[.BIT]`. Between `{` and `}`, brackets and commas want quotes in YAML.

| address | what |
|---|---|
| `Speed`, `Program:Main.Speed` | a tag of the controller, and one of a program |
| `Motors[3].Speed`, `Recipe.Step[2].Time.PRE` | members and elements |
| `Matrix[1,2]` | several dimensions |
| `Status.5`, `Words[2].15` | a bit of an integer, with `type: Boolean` |
| `Name` with `type: String` | STRING, and every string type with LEN and DATA |
| `Heads` or `Heads[10]` with `array: 24` | 24 elements from 0 or from 10, also of BOOL |
| `Local:1:I.Data.0` | a module's tag |

The PLC tells its type, so there is no `raw_type`: a DINT may be an Int32, a Double, or a Boolean if it is 0 or 1. A value that
`type` cannot hold is BadDataEncodingInvalid.

| in the PLC | `type` that holds all its values |
|---|---|
| BOOL | Boolean |
| SINT, INT, DINT, LINT | SByte, Int16, Int32, Int64 |
| USINT, UINT, UDINT, ULINT | Byte, UInt16, UInt32, UInt64 |
| REAL, LREAL | Float, Double |
| STRING | String |
"
    .to_owned()
}
