//! Siemens S7 over TCP: COTP and the S7 protocol, as an own client.
//!
//! One request reads up to 20 blocks of bytes; each has an answer of its own, so a wrong address costs its neighbours nothing.

mod address;
mod bad;
mod check;
mod client;
mod driver;
mod elsewhere;
mod frame;
mod notes;
mod pdu;
mod point;
mod probe;
mod raw_type;
mod settings;
mod structure;
mod text;
mod time;
mod tsap;
mod value;
mod wire;
mod words;

/// The driver: S7 over TCP.
#[derive(Debug)]
pub(crate) struct S7;

/// Feeds bytes to the parsers of packets, replies and values as if they were a PLC's; for fuzzing.
pub fn fuzz_reply(bytes: &[u8]) {
    let place = |count| pdu::Place { area: address::Area::Db, db: 1, start: 0, count };
    let mut items = Vec::new();
    let mut at = 0;
    while let frame::Packet::Data { payload, used, .. } = frame::next(&bytes[at..]) {
        assert!(used > 0 && at + used <= bytes.len() && payload.end <= used, "no more is used than came");
        let whole = &bytes[at..][payload];
        let reference = u16::from_be_bytes([*whole.get(4).unwrap_or(&0), *whole.get(5).unwrap_or(&0)]);
        if let pdu::Seen::Reply(reply) = pdu::see(whole, reference) {
            whole.get(reply.parameters.clone()).and_then(pdu::negotiated);
            for places in [&[place(4)][..], &[place(1), place(12), place(22)]] {
                if pdu::read_items(whole, &reply, places, &mut items).is_some() {
                    assert_eq!(items.len(), places.len());
                    items.iter().flatten().for_each(|range| value::fuzz(&whole[range.clone()]));
                }
                pdu::write_code(whole, &reply, places.len());
            }
        }
        at += used;
    }
    value::fuzz(bytes);
}
