//! OpenSecureChannel and CloseSecureChannel as messages (Part 4 §5.6, 1.05; Part 6 §6.7.4, 1.05).

use opcua::StatusCode;

use crate::stack::codec::{Decode, NodeIdRef, Reader, Writer};
use crate::value::{Hidden, UaTime};

/// Ids of the binary encodings in namespace 0.
const OPEN_REQUEST: u32 = 446;
const OPEN_RESPONSE: u32 = 449;
const CLOSE_REQUEST: u32 = 452;
const SERVICE_FAULT: u32 = 397;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenRequest<'a> {
    pub handle: u32,
    pub renew: bool,
    /// As it came: only the caller knows which modes fit the policy.
    pub mode: i32,
    pub nonce: Hidden<&'a [u8]>,
    /// In milliseconds.
    pub lifetime: u32,
}

impl<'a> OpenRequest<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Decode<OpenRequest<'a>> {
        let mut reader = Reader::new(body);
        if reader.node_id()? != NodeIdRef::numeric(0, OPEN_REQUEST) {
            return Err(StatusCode::BadTcpMessageTypeInvalid);
        }
        let handle = read_request_header(&mut reader)?;
        reader.u32()?;
        let renew = match reader.i32()? {
            0 => false,
            1 => true,
            _ => return Err(StatusCode::BadRequestTypeInvalid),
        };
        let mode = reader.i32()?;
        let nonce = Hidden(reader.bytes()?.unwrap_or_default());
        let lifetime = reader.u32()?;
        Ok(OpenRequest { handle, renew, mode, nonce, lifetime })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.node_id(NodeIdRef::numeric(0, OPEN_REQUEST));
        write_request_header(out, self.handle);
        out.u32(0);
        out.i32(i32::from(self.renew));
        out.i32(self.mode);
        out.bytes(Some(self.nonce.0).filter(|nonce| !nonce.is_empty()));
        out.u32(self.lifetime);
    }
}

/// Its authentication token and additional header are stepped over, the handle is kept.
fn read_request_header(reader: &mut Reader<'_>) -> Decode<u32> {
    reader.node_id()?;
    reader.time()?;
    let handle = reader.u32()?;
    reader.u32()?;
    reader.string()?;
    reader.u32()?;
    reader.extension_object()?;
    Ok(handle)
}

fn write_request_header(out: &mut Writer, handle: u32) {
    out.node_id(NodeIdRef::NULL);
    out.time(UaTime::now());
    out.u32(handle);
    out.u32(0);
    out.string(None);
    out.u32(0);
    out.null_extension_object();
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenResponse<'a> {
    pub handle: u32,
    pub channel: u32,
    pub token: u32,
    pub created: UaTime,
    /// In milliseconds.
    pub lifetime: u32,
    pub nonce: Hidden<&'a [u8]>,
}

impl<'a> OpenResponse<'a> {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.node_id(NodeIdRef::numeric(0, OPEN_RESPONSE));
        out.time(UaTime::now());
        out.u32(self.handle);
        out.status(StatusCode::Good);
        out.u8(0);
        out.null_array();
        out.null_extension_object();
        out.u32(0);
        out.u32(self.channel);
        out.u32(self.token);
        out.time(self.created);
        out.u32(self.lifetime);
        out.bytes(Some(self.nonce.0).filter(|nonce| !nonce.is_empty()));
    }

    /// A ServiceFault is returned as its service result.
    pub(crate) fn read(body: &'a [u8]) -> Decode<OpenResponse<'a>> {
        let mut reader = Reader::new(body);
        let type_id = reader.node_id()?;
        reader.time()?;
        let handle = reader.u32()?;
        let result = reader.status()?;
        if type_id == NodeIdRef::numeric(0, SERVICE_FAULT) && result.is_bad() {
            return Err(result);
        }
        if type_id != NodeIdRef::numeric(0, OPEN_RESPONSE) {
            return Err(StatusCode::BadTcpMessageTypeInvalid);
        }
        reader.skip_diagnostic_info()?;
        for _ in 0..reader.count(4)? {
            reader.string()?;
        }
        reader.extension_object()?;
        reader.u32()?;
        Ok(OpenResponse {
            handle,
            channel: reader.u32()?,
            token: reader.u32()?,
            created: reader.time()?,
            lifetime: reader.u32()?,
            nonce: Hidden(reader.bytes()?.unwrap_or_default()),
        })
    }
}

pub(super) fn write_close_request(out: &mut Writer, handle: u32) {
    out.node_id(NodeIdRef::numeric(0, CLOSE_REQUEST));
    write_request_header(out, handle);
}
