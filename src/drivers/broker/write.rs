//! Packets that a client sends.

use super::connect::{Options, Will};
use super::packet::Version;

/// Longest packet body (3.1.1 §2.2.3).
pub(super) const LONGEST: usize = 268_435_455;

/// The beginning of a packet whose length is not known yet.
struct Open<'o> {
    out: &'o mut Vec<u8>,
    body: Vec<u8>,
    first: u8,
    version: Version,
}

impl Open<'_> {
    fn byte(&mut self, byte: u8) {
        self.body.push(byte);
    }

    fn word(&mut self, word: u16) {
        self.body.extend_from_slice(&word.to_be_bytes());
    }

    /// A text or bytes with their length; what is longer than 65,535 bytes was refused before.
    fn binary(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.word(length);
        self.body.extend_from_slice(&bytes[..length.into()]);
    }

    /// No properties.
    fn properties(&mut self) {
        if self.version == Version::V5 {
            self.byte(0);
        }
    }

    fn close(self) {
        self.out.push(self.first);
        write_length(self.out, self.body.len());
        self.out.extend_from_slice(&self.body);
    }
}

/// Writes packets to the end of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer(pub Version);

fn write_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

/// A message of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    /// 0 at QoS 0.
    pub id: u16,
}

impl Writer {
    fn open(self, out: &mut Vec<u8>, first: u8) -> Open<'_> {
        Open { out, body: Vec::new(), first, version: self.0 }
    }

    pub(super) fn connect(self, out: &mut Vec<u8>, options: &Options, will: Option<&Will>) {
        let mut packet = self.open(out, 0x10);
        packet.binary(b"MQTT");
        packet.byte(if self.0 == Version::V5 { 5 } else { 4 });
        let has = |is: bool, bit: u8| if is { bit } else { 0 };
        let will_flags = will.map_or(0, |will| 0x04 | will.qos << 3 | has(will.retain, 0x20));
        let login = has(options.user.is_some(), 0x80) | has(options.password.is_some(), 0x40);
        // A clean session: subscriptions are sent on each connection, and with them come the retained messages.
        packet.byte(0x02 | will_flags | login);
        packet.word(u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX));
        packet.properties();
        packet.binary(options.client_id.as_bytes());
        if let Some(will) = will {
            packet.properties();
            packet.binary(will.topic.as_bytes());
            packet.binary(&will.payload);
        }
        if let Some(user) = &options.user {
            packet.binary(user.as_bytes());
        }
        if let Some(password) = &options.password {
            packet.binary(password.0.as_bytes());
        }
        packet.close();
    }

    pub(super) fn publish(self, out: &mut Vec<u8>, message: Outgoing<'_>) {
        let mut packet = self.open(out, 0x30 | message.qos << 1 | u8::from(message.retain));
        packet.binary(message.topic.as_bytes());
        if message.qos > 0 {
            packet.word(message.id);
        }
        packet.properties();
        packet.body.extend_from_slice(message.payload);
        packet.close();
    }

    pub(super) fn subscribe<'f>(self, out: &mut Vec<u8>, id: u16, filters: impl Iterator<Item = (&'f str, u8)>) {
        let mut packet = self.open(out, 0x82);
        packet.word(id);
        packet.properties();
        for (filter, qos) in filters {
            packet.binary(filter.as_bytes());
            packet.byte(qos);
        }
        packet.close();
    }

    pub(super) fn unsubscribe<'f>(self, out: &mut Vec<u8>, id: u16, filters: impl Iterator<Item = &'f str>) {
        let mut packet = self.open(out, 0xa2);
        packet.word(id);
        packet.properties();
        filters.for_each(|filter| packet.binary(filter.as_bytes()));
        packet.close();
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by the packet's first byte.
    pub(super) fn acknowledge(self, out: &mut Vec<u8>, first: u8, id: u16) {
        let [high, low] = id.to_be_bytes();
        out.extend_from_slice(&[first, 2, high, low]);
    }

    pub(super) fn ping(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xc0, 0]);
    }

    pub(super) fn disconnect(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xe0, 0]);
    }
}
