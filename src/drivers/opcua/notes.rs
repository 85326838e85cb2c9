//! How addresses are written, for the reference.

pub(super) fn addresses() -> String {
    "\
| Address | Node |
|---|---|
| `nsu=urn:acme:machine;s=Speed` | NodeId with the URI of its namespace; `i=` is a number, `g=` a GUID, `b=` bytes as Base64 |
| `m:s=Speed` | The same with a short name of `namespaces` |
| `ns=3;s=Speed` | The same with the index of the namespace, which may move when the server is changed |
| `i=2258` | A node of OPC UA itself |
| `/Objects/m:Machine/m:Speed` | Browse names from the root; `&/`, `&:` and `&&` are `/`, `:` and `&` in a name |
| `/Machine/Speed` | Browse names from Objects; a part without a namespace may be of any, if only one node has it |
"
    .to_owned()
}
