//! Seeds of messages that devices send by brokers and over HTTP.

/// Payloads of each form.
pub fn payload() -> Vec<Vec<u8>> {
    let texts = [
        "21.5",
        "on",
        "2026-11-29T09:00:00Z",
        "a,\"b,c\",3\r\n1,2,3\n",
        "{\"a\": {\"b\": 1}, \"ok\": true, \"ts\": 1767323045}",
        "{\"a\": [1, 2.5e3], \"list\": [0, \"x\"], \"ok\": \"BadDeviceFailure\", \"ts\": \"2026-01-02T03:04:05Z\"}",
        "{\"a/b\": \"AQID\", \"a\": \"00ff\\u0041\", \"ok\": 100}",
        "[[1, 2], [null, true]]",
        "AQIDBAUGBwgJ",
        "000102030405060708",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).chain([(0..40).collect()]).collect()
}

/// Packets that a broker sends, each alone and then all in a row.
pub fn broker() -> Vec<Vec<u8>> {
    let packets: [&[u8]; 14] = [
        &[0x20, 2, 0, 0],
        &[0x20, 9, 0, 0, 6, 0x24, 1, 0x13, 0, 10, 0],
        &[0x30, 6, 0, 1, b'a', b'2', b'1', b'5'],
        &[0x33, 8, 0, 1, b'a', 0, 7, b'2', b'1', b'5'],
        &[0x32, 9, 0, 1, b'a', 0, 7, 2, 1, 0, b'x'],
        &[0x40, 2, 0, 7],
        &[0x40, 4, 0, 7, 0x87, 0],
        &[0x50, 2, 0, 7],
        &[0x62, 2, 0, 7],
        &[0x70, 2, 0, 7],
        &[0x90, 4, 0, 7, 1, 0x80],
        &[0xb0, 2, 0, 7],
        &[0xd0, 0],
        &[0xe0, 2, 0x8e, 0],
    ];
    let big = [&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a'][..], &[1; 4_000]].concat();
    packets.iter().map(|packet| packet.to_vec()).chain([packets.concat(), big]).collect()
}

/// Messages of an edge node, each as its kind, its length and its payload.
pub fn sparkplug() -> Vec<Vec<u8>> {
    // seq 0, bdSeq 7 (Int64), a with alias 1 (Double 1.0); the same for a device; data by alias.
    let birth: &[u8] = &[
        0x18, 0, 0x12, 11, 10, 5, b'b', b'd', b'S', b'e', b'q', 0x20, 4, 0x58, 7, 0x12, 16, 10, 1, b'a', 16, 1, 32, 10,
        0x69, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
    ];
    let device: &[u8] = &[0x18, 1, 0x12, 10, 10, 1, b'b', 16, 2, 32, 9, 0x65, 0, 0];
    let data: &[u8] = &[0x18, 1, 0x12, 11, 16, 1, 0x69, 0, 0, 0, 0, 0, 0, 0, 0x40];
    let death: &[u8] = &[0x12, 11, 10, 5, b'b', b'd', b'S', b'e', b'q', 0x20, 4, 0x58, 7];
    let message = |kind: u8, payload: &[u8]| [&[kind, u8::try_from(payload.len()).expect("short")], payload].concat();
    let all = [
        message(0, birth),
        message(1, device),
        message(2, data),
        message(3, data),
        message(4, data),
        message(5, death),
    ];
    all.iter()
        .cloned()
        .chain([all.concat(), [message(0, birth), message(2, data), message(5, death)].concat()])
        .collect()
}

/// Files of the buffer of a publisher, and commands for tags.
pub fn publish() -> Vec<Vec<u8>> {
    // One record: its length, the checksum of what follows, two fingerprints, and "t" with the payload "1".
    let mut file = b"OPCSPL2\n".to_vec();
    let content = [&[0; 16][..], &[1, 0, b't', b'1']].concat();
    file.extend_from_slice(&20u32.to_le_bytes());
    file.extend_from_slice(&0xade4_4020u32.to_le_bytes());
    file.extend_from_slice(&content);
    let commands =
        ["21.5", "{\"value\": [1, 2.0, \"3\"]}", "[[1, 2], [3, 4]]", "\"2026-01-01T00:00:00Z\"", "\"Running\""];
    commands.iter().map(|text| text.as_bytes().to_vec()).chain([file]).collect()
}
