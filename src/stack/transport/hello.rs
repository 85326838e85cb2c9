//! Hello, Acknowledge, Error and ReverseHello (Part 6 §7.1.2.3 to §7.1.2.6, 1.05).

use opcua::StatusCode;

use super::{FrameKind, LEAST_BUFFER, Limits};
use crate::stack::codec::{Decode, Reader, Writer};

/// Bytes of an EndpointUrl or ServerUri, at most.
pub(crate) const MAX_URL: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    pub version: u32,
    pub receive_buffer: u32,
    pub send_buffer: u32,
    /// 0: no limit.
    pub max_message: u32,
    /// 0: no limit.
    pub max_chunks: u32,
    pub endpoint_url: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    pub version: u32,
    pub receive_buffer: u32,
    pub send_buffer: u32,
    pub max_message: u32,
    pub max_chunks: u32,
}

/// The message of a peer before it closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerError<'a> {
    pub status: StatusCode,
    pub reason: &'a str,
}

/// The message of a server that connects to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReverseHello<'a> {
    pub server_uri: &'a str,
    pub endpoint_url: &'a str,
}

/// Writes a frame whose size is filled in afterwards.
fn frame(out: &mut Writer, kind: FrameKind, body: impl FnOnce(&mut Writer)) {
    let start = out.mark();
    out.raw(&kind.code());
    out.u8(b'F');
    out.u32(0);
    body(out);
    let size = out.mark() - start;
    out.set_count(start + 4, size);
}

fn url<'a>(reader: &mut Reader<'a>) -> Decode<&'a str> {
    let url = reader.text()?;
    if url.len() > MAX_URL {
        return Err(StatusCode::BadTcpEndpointUrlInvalid);
    }
    Ok(url)
}

impl<'a> Hello<'a> {
    /// From the bytes after the header.
    pub fn read(body: &'a [u8]) -> Decode<Hello<'a>> {
        let mut reader = Reader::new(body);
        let hello = Hello {
            version: reader.u32()?,
            receive_buffer: reader.u32()?,
            send_buffer: reader.u32()?,
            max_message: reader.u32()?,
            max_chunks: reader.u32()?,
            endpoint_url: url(&mut reader)?,
        };
        if hello.receive_buffer < LEAST_BUFFER || hello.send_buffer < LEAST_BUFFER {
            return Err(StatusCode::BadConnectionRejected);
        }
        Ok(hello)
    }

    pub fn write(&self, out: &mut Writer) {
        frame(out, FrameKind::Hello, |out| {
            for number in [self.version, self.receive_buffer, self.send_buffer, self.max_message, self.max_chunks] {
                out.u32(number);
            }
            out.text(self.endpoint_url);
        });
    }
}

impl Acknowledge {
    /// The server's answer: no buffer larger than the client's (Part 6 §7.1.2.4, 1.05).
    pub fn to(hello: &Hello<'_>, limits: &Limits) -> Acknowledge {
        Acknowledge {
            version: 0,
            receive_buffer: limits.receive_buffer.min(hello.send_buffer),
            send_buffer: limits.send_buffer.min(hello.receive_buffer),
            max_message: limits.max_message,
            max_chunks: limits.max_chunks,
        }
    }

    pub fn read(body: &[u8]) -> Decode<Acknowledge> {
        let mut reader = Reader::new(body);
        let acknowledge = Acknowledge {
            version: reader.u32()?,
            receive_buffer: reader.u32()?,
            send_buffer: reader.u32()?,
            max_message: reader.u32()?,
            max_chunks: reader.u32()?,
        };
        if acknowledge.receive_buffer < LEAST_BUFFER || acknowledge.send_buffer < LEAST_BUFFER {
            return Err(StatusCode::BadConnectionRejected);
        }
        Ok(acknowledge)
    }

    pub fn write(&self, out: &mut Writer) {
        frame(out, FrameKind::Acknowledge, |out| {
            for number in [self.version, self.receive_buffer, self.send_buffer, self.max_message, self.max_chunks] {
                out.u32(number);
            }
        });
    }
}

impl<'a> PeerError<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Decode<PeerError<'a>> {
        let mut reader = Reader::new(body);
        let (status, reason) = (reader.status()?, reader.text()?);
        // A longer reason is ignored (Part 6 §7.1.2.5, 1.05).
        Ok(PeerError { status, reason: if reason.len() > MAX_URL { "" } else { reason } })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        frame(out, FrameKind::Error, |out| {
            out.status(self.status);
            out.text(self.reason);
        });
    }
}

impl<'a> ReverseHello<'a> {
    pub fn read(body: &'a [u8]) -> Decode<ReverseHello<'a>> {
        let mut reader = Reader::new(body);
        Ok(ReverseHello { server_uri: url(&mut reader)?, endpoint_url: url(&mut reader)? })
    }

    pub fn write(&self, out: &mut Writer) {
        frame(out, FrameKind::ReverseHello, |out| {
            out.text(self.server_uri);
            out.text(self.endpoint_url);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::transport::HEADER;

    #[test]
    fn hello_and_its_kin_come_back_as_they_were_sent() {
        let hello = Hello {
            version: 0,
            receive_buffer: 8192,
            send_buffer: 65_535,
            max_message: 0,
            max_chunks: 5,
            endpoint_url: "opc.tcp://x:4840",
        };
        let mut out = Writer::new();
        hello.write(&mut out);
        assert_eq!(Hello::read(&out.buf[HEADER..]), Ok(hello.clone()));
        assert_eq!(out.buf[4..8], u32::try_from(out.buf.len()).expect("small").to_le_bytes());

        let acknowledge = Acknowledge::to(&hello, &Limits::default());
        assert_eq!((acknowledge.receive_buffer, acknowledge.send_buffer), (65_535, 8192));
        let mut out = Writer::new();
        acknowledge.write(&mut out);
        assert_eq!(Acknowledge::read(&out.buf[HEADER..]), Ok(acknowledge));

        let reverse = ReverseHello { server_uri: "urn:a", endpoint_url: "opc.tcp://b" };
        let mut out = Writer::new();
        reverse.write(&mut out);
        assert_eq!(ReverseHello::read(&out.buf[HEADER..]), Ok(reverse));
    }

    #[test]
    fn an_error_keeps_its_status_whatever_its_reason() {
        for (reason, kept) in [("late", "late"), (&"x".repeat(MAX_URL + 1), "")] {
            let mut out = Writer::new();
            PeerError { status: StatusCode::BadTimeout, reason }.write(&mut out);
            let told = PeerError::read(&out.buf[HEADER..]);
            assert_eq!(told, Ok(PeerError { status: StatusCode::BadTimeout, reason: kept }));
        }
    }

    #[test]
    fn a_hello_with_tiny_buffers_or_a_huge_url_is_refused() {
        let long = "x".repeat(MAX_URL + 1);
        for (receive, send, url, status) in [
            (8191, 8192, "", StatusCode::BadConnectionRejected),
            (8192, 8191, "", StatusCode::BadConnectionRejected),
            (8192, 8192, long.as_str(), StatusCode::BadTcpEndpointUrlInvalid),
        ] {
            let mut out = Writer::new();
            let hello = Hello {
                version: 0,
                receive_buffer: receive,
                send_buffer: send,
                max_message: 0,
                max_chunks: 0,
                endpoint_url: url,
            };
            hello.write(&mut out);
            assert_eq!(Hello::read(&out.buf[HEADER..]), Err(status));
        }
    }
}
