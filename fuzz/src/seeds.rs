//! Well-formed inputs to begin with, made by the code under test where it writes what it reads.

use std::time::Duration;

use opcell::testing::stack::channel::{ClientChannel, ClientSettings};
use opcell::testing::stack::codec::{Writer, random_value};
use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcell::testing::stack::transport::{Acknowledge, Fatal, Hello, Limits, ReverseHello};
use opcua::StatusCode;

pub use crate::seeds_service::service;

/// The first byte says how the stream is cut.
pub fn transport() -> Vec<Vec<u8>> {
    let hello = Hello {
        version: 0,
        receive_buffer: 65_536,
        send_buffer: 65_536,
        max_message: 0,
        max_chunks: 0,
        endpoint_url: "opc.tcp://plant:4840/opcell",
    };
    let mut out = Writer::new();
    out.u8(200);
    hello.write(&mut out);
    let first = out.buf.clone();
    Acknowledge::to(&hello, &Limits::default()).write(&mut out);
    Fatal::new(StatusCode::BadTcpMessageTooLarge, "too large").write(&mut out);
    ReverseHello { server_uri: "urn:plant:opcell", endpoint_url: "opc.tcp://plant:4840" }.write(&mut out);
    out.raw(b"MSGC\x0b\0\0\0abcMSGF\x08\0\0\0OPNF\x09\0\0\0xCLOF\x08\0\0\0");
    vec![first, out.buf]
}

/// Commands of four bytes: operation, length, position.
pub fn chunks() -> Vec<Vec<u8>> {
    (0..8u8)
        .map(|kind| {
            let commands = [[0, 10, 0, 0], [0, 0, 0, 0], [0, 0xff, 0x1f, 0], [0, 0, 0x60, 0], [3, 200, 0, 16]];
            [vec![kind], commands.concat()].concat()
        })
        .collect()
}

/// The first byte says how far the channel is when the bytes come.
pub fn channel() -> Vec<Vec<u8>> {
    let mut client = ClientChannel::new(ClientSettings {
        limits: Limits::default(),
        policy: Policy::None,
        mode: MessageSecurityMode::None,
        identity: None,
        server: None,
        lifetime: Duration::from_secs(60),
    });
    let mut hello = Writer::new();
    client.hello("opc.tcp://plant:4840/opcell", &mut hello);
    let mut open = Writer::new();
    client.open(&mut open).expect("policy None needs no key");
    let chunk = |kind: u8, sequence: u8, body: &[u8]| {
        let size = u8::try_from(24 + body.len()).expect("small");
        [&[b'M', b'S', b'G', kind, size, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, sequence, 0, 0, 0, 5, 0, 0, 0], body].concat()
    };
    let messages = [
        chunk(b'F', 2, b"whole"),
        chunk(b'C', 3, b"first"),
        chunk(b'F', 4, b"last"),
        chunk(b'C', 5, b"half"),
        chunk(b'A', 6, b"\0\0\x03\x80\xff\xff\xff\xff"),
        chunk(b'F', 7, b"on"),
    ];
    let mut renewal = open.buf.clone();
    // The channel's id, the next sequence number, and `renew`.
    renewal[8] = 1;
    let whole = [hello.buf.clone(), open.buf.clone(), messages.concat()].concat();
    vec![
        [vec![0xf8], hello.buf].concat(),
        [vec![0xf8], whole].concat(),
        [vec![0xf9], open.buf].concat(),
        [vec![0xfb], messages.concat()].concat(),
        [vec![0xff], messages.concat()].concat(),
        [vec![0xff], renewal].concat(),
    ]
}

/// Random values with their numbers fixed.
pub fn values() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(0);
    (0..300)
        .map(|_| {
            let mut out = Writer::new();
            random_value(&mut out, 5, &mut |below| random.usize(..below));
            out.buf
        })
        .collect()
}

/// Recordings: a column a signal, and an export of the history.
pub fn recordings() -> Vec<Vec<u8>> {
    let wide =
        "time;A;B\n2026-11-29T06:00:00Z;1.5;\"x;\"\"y\"\"\"\n2026-11-29T06:00:01Z;;#BadSensorFailure\n12.5;2;on\n";
    let export = "namespace,identifier,type,source_time,server_time,status,value\n\
        urn:a,s=A,Double,2026-11-29T06:00:00Z,2026-11-29T06:00:00Z,Good,1\n\
        urn:a,s=A,Double,2026-11-29T06:00:01Z,2026-11-29T06:00:01Z,0x80310000,\n\
        urn:a,i=7,Int16,2026-11-29T06:00:00Z,2026-11-29T06:00:00Z,Good,\"[\"\"1\"\"]\"\n";
    [wide, export].map(|text| text.as_bytes().to_vec()).into()
}

/// Texts of the kernel's files, and addresses of files.
pub fn files() -> Vec<Vec<u8>> {
    let texts =
        ["45500", "-12000", "0.001333", "1.5e-3", "on", "9223372036854775807", "SYSTIN", "file/a/b", "hwmon/x#2/temp1"];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// Replies of a device to the requests that the target makes, in the three framings.
pub fn modbus() -> Vec<Vec<u8>> {
    let replies: [&[u8]; 9] = [
        &[1, 3, 6, 0, 1, 0, 2, 0, 3],
        &[1, 1, 2, 0xff, 0x07],
        &[1, 5, 0, 1, 0xff, 0],
        &[1, 6, 0, 1, 0, 2],
        &[1, 16, 0, 1, 0, 2],
        &[1, 15, 0, 1, 0, 9],
        &[1, 22, 0, 4, 0, 0xf2, 0, 0x25],
        &[1, 23, 12, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5],
        &[1, 0x83, 2],
    ];
    replies.into_iter().flat_map(|reply| [tcp(reply), rtu(reply), ascii(reply)]).collect()
}

/// Replies of a PLC to the requests that the target makes, and values of its types.
pub fn s7() -> Vec<Vec<u8>> {
    let pdus: [&[u8]; 6] = [
        &[0x32, 3, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0xf0, 0, 0, 1, 0, 1, 1, 0xe0],
        &[0x32, 3, 0, 0, 0, 2, 0, 2, 0, 8, 0, 0, 4, 1, 0xff, 4, 0, 32, 1, 2, 3, 4],
        &[0x32, 3, 0, 0, 0, 3, 0, 2, 0, 8, 0, 0, 4, 2, 5, 0, 0, 0, 0x0a, 0, 0, 0],
        &[0x32, 3, 0, 0, 0, 4, 0, 2, 0, 2, 0, 0, 5, 2, 0xff, 5],
        &[0x32, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0x81, 4],
        &[0x32, 7, 0, 0, 0, 6, 0, 0, 0, 0, 1, 2],
    ];
    let packet = |pdu: &[u8], end: u8| {
        let length = u8::try_from(pdu.len() + 7).expect("short");
        [&[3, 0, 0, length, 2, 0xf0, end], pdu].concat()
    };
    let mut seeds: Vec<Vec<u8>> = pdus.iter().map(|pdu| packet(pdu, 0x80)).collect();
    seeds.push([packet(&pdus[1][..9], 0), packet(&pdus[1][9..], 0x80)].concat());
    seeds.push(vec![3, 0, 0, 14, 9, 0xd0, 0, 1, 0, 2, 0, 0xc0, 1, 10]);
    seeds.push(b"\x14\x03abc".to_vec());
    seeds.push(vec![0, 10, 0, 2, 0x20, 0xac, 0, 0x6c]);
    seeds.push(vec![0x26, 0x11, 0x29, 0x23, 0x08, 0x15, 0x12, 0x31]);
    seeds.push(vec![7, 0xea, 11, 29, 1, 23, 8, 15, 7, 0x54, 0xd4, 0xc0]);
    seeds
}

/// Replies of a Logix PLC, in and outside of a connection, and values and listings alone.
pub fn ethernet_ip() -> Vec<Vec<u8>> {
    let values: [&[u8]; 6] = [
        &[0xc4, 0, 1, 2, 3, 4],
        &[0xa0, 2, 0xce, 0x0f, 3, 0, 0, 0, b'a', b'b', b'c', 0],
        &[0xd3, 0, 0xff, 0, 0, 0x80],
        &[0xda, 0, 2, b'o', b'n'],
        &[10, 0, 0, 0, 2, 0, b'A', b'b', 0xc4, 0x20, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 4, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 2, 0],
    ];
    let structure = b"\0\0\xc4\0\0\0\0\0\x52\0\xc2\x20\x04\0\0\0STRING;n\0LEN\0DATA\0";
    let reply = |value: &[u8]| [&[0xcc, 0, 0, 0], value].concat();
    let batch = [&[0x8a, 0, 0x1e, 0, 2, 0, 6, 0, 16, 0][..], &reply(values[0]), &[0xcc, 0, 5, 0]].concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_le_bytes();
    let frame = |command: u8, items: &[u8]| [&[command, 0], &length(items)[..], &[0; 20], items].concat();
    let unconnected = |reply: &[u8]| {
        frame(0x6f, &[&[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0xb2, 0], &length(reply)[..], reply].concat())
    };
    let connected = |reply: &[u8]| {
        let data = [&[1, 0], reply].concat();
        frame(
            0x70,
            &[&[0, 0, 0, 0, 0, 0, 2, 0, 0xa1, 0, 4, 0, 1, 2, 3, 4, 0xb1, 0], &length(&data)[..], &data].concat(),
        )
    };
    let mut seeds: Vec<Vec<u8>> = values.iter().map(|value| value.to_vec()).collect();
    seeds.extend(values.iter().flat_map(|value| [unconnected(&reply(value)), connected(&reply(value))]));
    seeds.push(structure.to_vec());
    seeds.push(unconnected(&batch));
    seeds.push(connected(&batch));
    seeds
}

fn tcp(reply: &[u8]) -> Vec<u8> {
    let length = u8::try_from(reply.len()).expect("short");
    [&[1, 2, 0, 0, 0, length], reply].concat()
}

fn rtu(reply: &[u8]) -> Vec<u8> {
    let crc = reply.iter().fold(0xffffu16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xa001 })
    });
    [reply, &crc.to_le_bytes()].concat()
}

fn ascii(reply: &[u8]) -> Vec<u8> {
    let sum = reply.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    let digits: String = reply.iter().chain([&sum]).map(|byte| format!("{byte:02X}")).collect();
    format!(":{digits}\r\n").into_bytes()
}

/// The cells that ship.
pub fn yaml() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../address-space");
    let entries = std::fs::read_dir(&folder).expect("address-space is beside fuzz");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_yaml = |path: &&std::path::PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    paths.iter().filter(is_yaml).map(|path| std::fs::read(path).expect("a cell is readable")).collect()
}
