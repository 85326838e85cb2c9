//! Requests and responses as they begin (Part 4 §7.32 and §7.33, 1.05), and the ids of their encodings.

use std::time::Duration;

use opcua::StatusCode;

use crate::stack::codec::{Decode, NodeIdRef, Reader, Writer};
use crate::value::{Hidden, UaTime};

/// Ids of the binary encodings in namespace 0, the response's after the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    pub request: u32,
    pub response: u32,
}

const fn service(request: u32, response: u32) -> Service {
    Service { request, response }
}

pub(super) const GET_ENDPOINTS: Service = service(428, 431);
pub(super) const CREATE_SESSION: Service = service(461, 464);
pub(super) const ACTIVATE_SESSION: Service = service(467, 470);
pub(super) const CLOSE_SESSION: Service = service(473, 476);
pub(super) const BROWSE: Service = service(527, 530);
pub(super) const BROWSE_NEXT: Service = service(533, 536);
pub(super) const TRANSLATE: Service = service(554, 557);
pub(super) const READ: Service = service(631, 634);
pub(super) const WRITE: Service = service(673, 676);
pub(super) const CREATE_ITEMS: Service = service(751, 754);
pub(super) const DELETE_ITEMS: Service = service(781, 784);
pub(super) const CREATE_SUBSCRIPTION: Service = service(787, 790);
pub(super) const PUBLISH: Service = service(826, 829);
pub(super) const REPUBLISH: Service = service(832, 835);
pub(super) const TRANSFER: Service = service(841, 844);
pub(super) const DELETE_SUBSCRIPTIONS: Service = service(847, 850);
const SERVICE_FAULT: u32 = 397;

/// The fields of a request header that differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// The AuthenticationToken as it was encoded; empty before there is a session.
    pub token: &'a Hidden<Vec<u8>>,
    pub handle: u32,
    /// How long the client will wait; nothing for ever.
    pub hint: Duration,
}

impl Head<'_> {
    pub(super) fn write(&self, service: Service, out: &mut Writer) {
        out.node_id(NodeIdRef::numeric(0, service.request));
        match self.token.0.as_slice() {
            [] => out.node_id(NodeIdRef::NULL),
            token => out.raw(token),
        }
        out.time(UaTime::now());
        out.u32(self.handle);
        out.u32(0);
        out.string(None);
        out.u32(u32::try_from(self.hint.as_millis()).unwrap_or(u32::MAX));
        out.null_extension_object();
    }
}

/// A response whose header is read.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub result: StatusCode,
    kind: u32,
    rest: Reader<'a>,
}

impl<'a> Response<'a> {
    pub(super) fn read(body: &'a [u8]) -> Decode<Response<'a>> {
        let mut reader = Reader::new(body);
        let kind = reader.node_id()?.standard().ok_or(StatusCode::BadDecodingError)?;
        reader.time()?;
        // Responses are matched by the request id of the channel.
        reader.u32()?;
        let result = reader.status()?;
        reader.skip_diagnostic_info()?;
        for _ in 0..reader.count(4)? {
            reader.string()?;
        }
        reader.extension_object()?;
        // A fault that is none would leave a request without an answer.
        let result = if kind == SERVICE_FAULT && !result.is_bad() { StatusCode::BadUnknownResponse } else { result };
        Ok(Response { result, kind, rest: reader })
    }

    /// The body of a response of this service, or the service's Bad result.
    pub(super) fn body(self, service: Service) -> Result<Reader<'a>, Fault> {
        if self.result.is_bad() {
            return Err(Fault::Refused(self.result));
        }
        if self.kind != service.response {
            return Err(Fault::Garbage(StatusCode::BadUnknownResponse));
        }
        Ok(self.rest)
    }
}

/// Why a response gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server's answer.
    Refused(StatusCode),
    /// Its bytes are no response of this kind.
    Garbage(StatusCode),
}

impl From<StatusCode> for Fault {
    fn from(code: StatusCode) -> Fault {
        Fault::Garbage(code)
    }
}

impl Fault {
    pub(super) fn code(self) -> StatusCode {
        match self {
            Fault::Refused(code) | Fault::Garbage(code) => code,
        }
    }
}

/// One StatusCode a result, then diagnostics that nobody asked for.
pub(super) fn results(reader: &mut Reader<'_>, expected: usize) -> Decode<Vec<StatusCode>> {
    let count = exactly(reader.count(4)?, expected)?;
    (0..count).map(|_| reader.status()).collect()
}

/// A response must have as many results as its request had operations.
pub(super) fn exactly(count: usize, expected: usize) -> Decode<usize> {
    if count == expected { Ok(count) } else { Err(StatusCode::BadUnknownResponse) }
}
