//! The table of services: a row is a request, the session that it needs, and how it runs. Its counter follows from the
//! request.
//!
//! A new service is a row here and a function in the file of its service set.

use opcua::{ObjectId, StatusCode};

use super::context::{Context, ResponseHead, Visit};
use super::work::{Login, Work};
use super::{attribute, discovery, history, method, monitored_item, publish, session, subscription, view, write};
use crate::stack::codec::{Reader, Writer};
use crate::ua::session::counter_of;

/// A service of Part 4 by the Default Binary encoding of its request (Part 6 annex A, 1.05); the number of the response
/// is 3 higher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub request: ObjectId,
    pub access: Access,
    pub run: Run,
    /// The field of SessionDiagnosticsDataType that counts it; `None` when only the total counts it.
    pub counter: Option<usize>,
    /// While a request of more bytes is served, other connections of its thread are served by another thread.
    pub long: usize,
}

/// The session that a service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// None: every client may call it.
    Open,
    /// One that was made, activated or not.
    Made,
    /// An activated one. Any other that is used ends (Part 4 §5.7.2.1, 1.05).
    Activated,
}

/// Writes a response at once, without a session.
pub(crate) type Open = fn(&Visit<'_>, &mut Reader<'_>, &mut Writer) -> Result<(), StatusCode>;
/// Makes or activates a session from the body of its request.
pub(crate) type LogIn = for<'v> fn(&'v Visit<'v>, &'v [u8]) -> Login<'v>;
/// Writes a response at once.
pub(crate) type Now = fn(&Context<'_>, &mut Reader<'_>, &mut Writer) -> Result<(), StatusCode>;
/// Writes a response at once, or returns the work that makes it; the written part is dropped then.
pub(crate) type Later = fn(&Context<'_>, &mut Reader<'_>, &mut Writer) -> Result<Option<Work>, StatusCode>;
/// Queues a request in its session.
pub(crate) type Queue = fn(&Context<'_>, &mut Reader<'_>) -> Result<(), StatusCode>;

/// The way in which a service runs. When it fails as a whole the answer is a ServiceFault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    Open(Open),
    /// The connection serves nothing else meanwhile.
    Login(LogIn),
    Now(Now),
    Later(Later),
    /// The connection answers it when the session has a message.
    Queued(Queue),
}

/// Bytes of a request that may hold more operations than others should wait for; a Read takes less time for each.
const LONG_REQUEST: usize = 16 * 1024;
const NEVER: usize = usize::MAX;
const ALWAYS: usize = 0;

pub(crate) const SERVICES: [Service; 28] = [
    open(ObjectId::FindServersRequest_Encoding_DefaultBinary, discovery::find_servers),
    open(ObjectId::GetEndpointsRequest_Encoding_DefaultBinary, discovery::get_endpoints),
    login(ObjectId::CreateSessionRequest_Encoding_DefaultBinary, Access::Open, session::create),
    login(ObjectId::ActivateSessionRequest_Encoding_DefaultBinary, Access::Made, session::activate),
    now(ObjectId::CloseSessionRequest_Encoding_DefaultBinary, session::close).access(Access::Made).long(NEVER),
    now(ObjectId::CancelRequest_Encoding_DefaultBinary, session::cancel).long(NEVER),
    now(ObjectId::BrowseRequest_Encoding_DefaultBinary, view::browse),
    now(ObjectId::BrowseNextRequest_Encoding_DefaultBinary, view::browse_next),
    now(ObjectId::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary, view::translate),
    now(ObjectId::RegisterNodesRequest_Encoding_DefaultBinary, view::register),
    now(ObjectId::UnregisterNodesRequest_Encoding_DefaultBinary, view::unregister),
    later(ObjectId::ReadRequest_Encoding_DefaultBinary, attribute::read).long(attribute::LONG_READ),
    later(ObjectId::HistoryReadRequest_Encoding_DefaultBinary, history::read::read).long(NEVER),
    later(ObjectId::WriteRequest_Encoding_DefaultBinary, write::write),
    later(ObjectId::HistoryUpdateRequest_Encoding_DefaultBinary, history::update::update).long(NEVER),
    later(ObjectId::CallRequest_Encoding_DefaultBinary, method::call).long(ALWAYS),
    now(ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary, monitored_item::create),
    now(ObjectId::ModifyMonitoredItemsRequest_Encoding_DefaultBinary, monitored_item::modify),
    now(ObjectId::SetMonitoringModeRequest_Encoding_DefaultBinary, monitored_item::set_mode),
    now(ObjectId::SetTriggeringRequest_Encoding_DefaultBinary, monitored_item::set_triggering),
    now(ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary, monitored_item::delete),
    now(ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary, subscription::create),
    now(ObjectId::ModifySubscriptionRequest_Encoding_DefaultBinary, subscription::modify),
    now(ObjectId::SetPublishingModeRequest_Encoding_DefaultBinary, subscription::set_publishing_mode),
    queued(ObjectId::PublishRequest_Encoding_DefaultBinary, publish::enqueue),
    now(ObjectId::RepublishRequest_Encoding_DefaultBinary, publish::republish),
    now(ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary, subscription::transfer).long(ALWAYS),
    now(ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary, subscription::delete),
];

const fn row(request: ObjectId, access: Access, run: Run) -> Service {
    Service { request, access, run, counter: counter_of(request), long: LONG_REQUEST }
}

const fn open(request: ObjectId, run: Open) -> Service {
    row(request, Access::Open, Run::Open(run))
}

const fn login(request: ObjectId, access: Access, run: LogIn) -> Service {
    row(request, access, Run::Login(run))
}

const fn now(request: ObjectId, run: Now) -> Service {
    row(request, Access::Activated, Run::Now(run))
}

const fn later(request: ObjectId, run: Later) -> Service {
    row(request, Access::Activated, Run::Later(run))
}

const fn queued(request: ObjectId, run: Queue) -> Service {
    row(request, Access::Activated, Run::Queued(run)).long(NEVER)
}

impl Service {
    const fn access(self, access: Access) -> Service {
        Service { access, ..self }
    }

    const fn long(self, bytes: usize) -> Service {
        Service { long: bytes, ..self }
    }

    pub(crate) fn from_type_id(number: u32) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.request as u32 == number)
    }

    pub(crate) fn head(&self, handle: u32) -> ResponseHead {
        ResponseHead { type_id: self.request as u32 + 3, handle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_one_row_and_a_response_of_its_own_name() {
        for service in SERVICES {
            let request = format!("{:?}", service.request);
            let response = request.replace("Request_", "Response_");
            let found = ObjectId::try_from(service.head(0).type_id).map(|id| format!("{id:?}"));
            assert_eq!(found, Ok(response));
            let same = SERVICES.iter().filter(|other| other.request == service.request).count();
            assert_eq!(same, 1, "{request}");
        }
    }

    #[test]
    fn how_a_service_runs_fits_the_session_that_it_needs() {
        for service in SERVICES {
            let fits = match service.run {
                Run::Open(_) => service.access == Access::Open,
                Run::Login(_) => service.access != Access::Activated,
                Run::Now(_) => service.access != Access::Open,
                Run::Later(_) | Run::Queued(_) => service.access == Access::Activated,
            };
            assert!(fits, "{:?}", service.request);
        }
    }
}
