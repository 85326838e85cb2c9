//! How addresses of MQTT are written, for the reference.

pub(super) fn topics() -> String {
    "\n### Addresses of MQTT\n\nAn address is a topic as the broker has it. `+` means one level and `#` at the end all the rest: the newest message of
any matching topic is the value. Topics that begin with `$` match only a filter that begins so, too.

| example | means |
|---|---|
| `source: cell3/tank/temp` | the whole message is the value: `21.5`, `on`, `hello` |
| `{ address: cell3/tank, json: /temp/value, time: /ts, quality: /ok }` | a member of a JSON message, with the device's time and quality |
| `{ address: plc/+/alarm, json: /text }` | the latest alarm of any PLC |
| `{ address: scale/raw, raw_type: int32, byte: 4, byte_order: low-first }` | bytes 4 to 7 of a binary message |
| `{ address: lora/up, json: /data, encoding: base64, raw_type: uint16 }` | bytes inside JSON |
| `{ address: logger/line, payload: csv, column: 3 }` | the third column of the last line |
| `{ address: valve/state, json: /open, write: true, publish: valve/set, body: '{\"open\":{value}}' }` | written as `{\"open\":true}` |
| `{ type: Float, array: 3, source: { address: xyz, json: /v } }` | a JSON list of exactly 3 numbers |

A JSON Pointer (RFC 6901) names a member: `/a/b`, `/list/0`. `~1` is a `/` in a name, `~0` a `~`, and `/` alone the member with
the empty name.
"
    .to_owned()
}
