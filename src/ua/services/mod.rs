//! The services of Part 4, one file a service set. Each reads its request where it lies and writes its response
//! straight into the connection's send buffer; only what fails as a whole becomes a ServiceFault.

pub mod attribute;
pub mod discovery;
pub mod history;
pub mod monitored_item;
pub mod publish;
pub mod rights;
pub mod session;
pub mod subscription;
pub mod view;

use std::cell::RefCell;
use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::Instant;

use crate::model::{Plant, Roles, TagId};
use crate::stack::codec::{IdRef, Reader, Writer};
use crate::ua::diagnostics;
use crate::ua::server::Server;
use crate::ua::session::{Counted, Session, Token};
use crate::ua::space::{Live, Viewer};
use crate::value::{Hidden, Sample, UaTime};

/// Services by the number of their request's binary encoding (Part 6 annex A, 1.05); the response's is 3 higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    FindServers,
    GetEndpoints,
    CreateSession,
    ActivateSession,
    CloseSession,
    Cancel,
    Browse,
    BrowseNext,
    TranslateBrowsePaths,
    RegisterNodes,
    UnregisterNodes,
    Read,
    HistoryRead,
    Write,
    HistoryUpdate,
    CreateMonitoredItems,
    ModifyMonitoredItems,
    SetMonitoringMode,
    SetTriggering,
    DeleteMonitoredItems,
    CreateSubscription,
    ModifySubscription,
    SetPublishingMode,
    Publish,
    Republish,
    TransferSubscriptions,
    DeleteSubscriptions,
}

const SERVICES: [(u32, Service); 27] = [
    (422, Service::FindServers),
    (428, Service::GetEndpoints),
    (461, Service::CreateSession),
    (467, Service::ActivateSession),
    (473, Service::CloseSession),
    (479, Service::Cancel),
    (527, Service::Browse),
    (533, Service::BrowseNext),
    (554, Service::TranslateBrowsePaths),
    (560, Service::RegisterNodes),
    (566, Service::UnregisterNodes),
    (631, Service::Read),
    (664, Service::HistoryRead),
    (673, Service::Write),
    (700, Service::HistoryUpdate),
    (751, Service::CreateMonitoredItems),
    (763, Service::ModifyMonitoredItems),
    (769, Service::SetMonitoringMode),
    (775, Service::SetTriggering),
    (781, Service::DeleteMonitoredItems),
    (787, Service::CreateSubscription),
    (793, Service::ModifySubscription),
    (799, Service::SetPublishingMode),
    (826, Service::Publish),
    (832, Service::Republish),
    (841, Service::TransferSubscriptions),
    (847, Service::DeleteSubscriptions),
];
const SERVICE_FAULT: u32 = 397;

impl Service {
    pub fn from_type_id(id: u32) -> Option<Service> {
        SERVICES.iter().find(|(number, _)| *number == id).map(|(_, service)| *service)
    }

    fn response_id(self) -> u32 {
        let (number, _) = SERVICES[self as usize];
        number + 3
    }

    /// Open to everybody, before there is a session.
    pub fn needs_no_session(self) -> bool {
        matches!(self, Service::FindServers | Service::GetEndpoints | Service::CreateSession)
    }

    pub fn counted(self) -> Option<Counted> {
        Some(match self {
            Service::Read => Counted::Read,
            Service::HistoryRead => Counted::HistoryRead,
            Service::Write => Counted::Write,
            Service::HistoryUpdate => Counted::HistoryUpdate,
            Service::CreateMonitoredItems => Counted::CreateMonitoredItems,
            Service::ModifyMonitoredItems => Counted::ModifyMonitoredItems,
            Service::SetMonitoringMode => Counted::SetMonitoringMode,
            Service::SetTriggering => Counted::SetTriggering,
            Service::DeleteMonitoredItems => Counted::DeleteMonitoredItems,
            Service::CreateSubscription => Counted::CreateSubscription,
            Service::ModifySubscription => Counted::ModifySubscription,
            Service::SetPublishingMode => Counted::SetPublishingMode,
            Service::Publish => Counted::Publish,
            Service::Republish => Counted::Republish,
            Service::TransferSubscriptions => Counted::TransferSubscriptions,
            Service::DeleteSubscriptions => Counted::DeleteSubscriptions,
            Service::Browse => Counted::Browse,
            Service::BrowseNext => Counted::BrowseNext,
            Service::TranslateBrowsePaths => Counted::TranslateBrowsePaths,
            Service::RegisterNodes => Counted::RegisterNodes,
            Service::UnregisterNodes => Counted::UnregisterNodes,
            _ => return None,
        })
    }
}

/// The RequestHeader (Part 4 §7.33, 1.05). Its additionalHeader is stepped over by length, never decoded; its
/// timestamp is never a reason to refuse.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeader<'a> {
    pub token: Option<Token>,
    pub handle: u32,
    /// The name by which the client finds this action in its own audit log.
    pub audit_entry: &'a str,
    /// Milliseconds; 0 for no hint.
    pub timeout_hint: u32,
}

impl<'a> RequestHeader<'a> {
    pub fn read(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, StatusCode> {
        let token = match reader.node_id()?.id {
            IdRef::Opaque(bytes) => bytes.try_into().ok().map(Hidden),
            _ => None,
        };
        reader.time()?;
        let handle = reader.u32()?;
        reader.u32()?;
        let audit_entry = reader.text()?;
        let timeout_hint = reader.u32()?;
        reader.extension_object()?;
        Ok(RequestHeader { token, handle, audit_entry, timeout_hint })
    }
}

/// Writes the type id and ResponseHeader of a response (Part 4 §7.34, 1.05).
pub fn write_header(w: &mut Writer, service: Service, handle: u32) {
    write_response_header(w, service.response_id(), handle, StatusCode::Good);
}

pub fn write_fault(w: &mut Writer, handle: u32, status: StatusCode) {
    write_response_header(w, SERVICE_FAULT, handle, status);
}

fn write_response_header(w: &mut Writer, type_id: u32, handle: u32, status: StatusCode) {
    w.node_id(crate::stack::codec::NodeIdRef::numeric(0, type_id));
    w.time(UaTime::now());
    w.u32(handle);
    w.status(status);
    w.u8(0); // no DiagnosticInfo
    w.null_array();
    w.null_extension_object();
}

/// Variables of the server itself that are kept for a request.
const MOST_LOOKED_AT: usize = 32;

/// What a service of an activated session works with.
pub struct Context<'a> {
    pub server: &'a Arc<Server>,
    pub session: &'a Arc<Session>,
    pub roles: Roles,
    /// The channel encrypts.
    pub is_encrypted: bool,
    pub locales: &'a [String],
    pub header: RequestHeader<'a>,
    pub now: Instant,
    /// Archives whose start the response needs and the server does not know yet.
    pub wanted: RefCell<Vec<TagId>>,
    /// The largest response that the client takes and we make.
    pub most_bytes: usize,
    /// Variables of the server itself that this request has looked at: each is made once a request.
    pub looked_at: RefCell<Vec<(Live, Sample)>>,
}

impl Context<'_> {
    pub fn viewer(&self) -> Viewer<'_> {
        Viewer { roles: self.roles, is_encrypted: self.is_encrypted, locales: self.locales, plant: self.plant() }
    }

    pub fn plant(&self) -> &Plant {
        &self.server.plant
    }

    pub fn live_sample(&self, live: Live) -> Sample {
        let mut looked_at = self.looked_at.borrow_mut();
        if let Some((_, sample)) = looked_at.iter().find(|(known, _)| *known == live) {
            return sample.clone();
        }
        let sample = diagnostics::live_sample(self.server, live);
        if looked_at.len() < MOST_LOOKED_AT {
            looked_at.push((live, sample.clone()));
        }
        sample
    }

    /// Asked after each operation, so that a response ends where it grows beyond what may be sent.
    pub fn check_size(&self, start: usize, w: &Writer) -> Result<(), StatusCode> {
        if w.mark() - start > self.most_bytes { Err(StatusCode::BadResponseTooLarge) } else { Ok(()) }
    }
}

/// Bytes of a request that may hold more operations than others should wait for; a Read takes less time for each.
const LONG_REQUEST: usize = 16 * 1024;
const LONG_READ: usize = 64 * 1024;

/// Whether a request may take so long that the other connections of this thread have to go to another one.
pub fn is_long(service: Service, bytes: usize) -> bool {
    match service {
        Service::Read => bytes > LONG_READ,
        Service::TransferSubscriptions => true,
        _ => bytes > LONG_REQUEST,
    }
}

/// Runs work that may be long: while it computes, the runtime serves everybody else from another thread.
pub fn apart_if<R>(is_long: bool, work: impl FnOnce() -> R) -> R {
    let flavour = || tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    match is_long && matches!(flavour(), Ok(tokio::runtime::RuntimeFlavor::MultiThread)) {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

/// The number of operations of a request: none is BadNothingToDo, too many are BadTooManyOperations.
pub fn operations(reader: &mut Reader<'_>, least: usize, most: u32) -> Result<usize, StatusCode> {
    match reader.count(least)? {
        0 => Err(StatusCode::BadNothingToDo),
        count if count > most as usize => Err(StatusCode::BadTooManyOperations),
        count => Ok(count),
    }
}

/// Reads `count` ids, and answers each with a status of its own.
pub fn each_id(
    reader: &mut Reader<'_>,
    w: &mut Writer,
    most: u32,
    mut act: impl FnMut(u32) -> StatusCode,
) -> Result<(), StatusCode> {
    let count = operations(reader, 4, most)?;
    w.count(count);
    for _ in 0..count {
        let status = act(reader.u32()?);
        w.status(status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_services_stands_in_the_order_of_the_enum() {
        for (at, (number, service)) in SERVICES.iter().enumerate() {
            assert_eq!(*service as usize, at);
            assert_eq!(Service::from_type_id(*number), Some(*service));
            assert_eq!(service.response_id(), number + 3);
        }
    }
}
