//! EtherNet/IP: tags of Logix PLCs by their names, as an own client.
//!
//! Each tag of a request has an answer of its own, so a wrong address costs its neighbours nothing.

mod address;
mod browse;
mod change;
mod check;
mod cip;
mod client;
mod driver;
mod frame;
mod listing;
mod notes;
mod path;
mod plc_type;
mod point;
mod probe;
mod route;
mod settings;
mod value;
mod wire;
mod words;

/// The driver: tags of Logix over EtherNet/IP.
#[derive(Debug)]
pub(crate) struct EthernetIpDriver;

/// Feeds bytes to the parsers of frames, replies and values as if they were a PLC's; for fuzzing.
pub fn fuzz_reply(bytes: &[u8]) {
    let mut replies = Vec::new();
    let mut at = 0;
    while let frame::Frame::Whole { payload, .. } = frame::next(&bytes[at..]) {
        let whole = &bytes[at..][..payload.end];
        at += payload.end;
        let Some(message) = frame::message(whole, payload) else { continue };
        assert!(message.data.end <= whole.len(), "a message lies in its frame");
        let Some(reply) = cip::reply(whole, message.data) else { continue };
        value::fuzz(&whole[reply.data.clone()]);
        listing::fuzz(&whole[reply.data.clone()]);
        for count in [1, 2, 9] {
            if cip::replies(whole, &reply, count, &mut replies).is_some() {
                assert_eq!(replies.len(), count);
                replies.iter().for_each(|one| value::fuzz(&whole[one.data.clone()]));
            }
        }
    }
    value::fuzz(bytes);
    listing::fuzz(bytes);
}
