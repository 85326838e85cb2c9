//! The table of services: a row is a request, the session that it needs, and how it runs. Its counter follows from the
//! request.
//!
//! A new service is a row here and a function in the file of its service set.

use opcua::{ObjectId, StatusCode};

use super::context::{Context, ResponseHead, Visit};
use super::work::{Login, Work};
use super::{attribute, discovery, history, monitored_item, publish, session, subscription, view, write};
use crate::stack::codec::{Reader, Writer};
use crate::ua::session::counter_of;

/// A service of Part 4 by the Default Binary encoding of its request (Part 6 annex A, 1.05); the number of the response
/// is 3 higher.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub request: ObjectId,
    pub access: Access,
    pub run: Run,
    /// The field of SessionDiagnosticsDataType that counts it; `None` where it counts in the total alone.
    pub counter: Option<usize>,
    /// While a request of more bytes is served, other connections of its thread are served by another thread.
    pub long: usize,
}

/// The session that a service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// None: every client may call it.
    Open,
    /// One that was made, activated or not.
    Made,
    /// An activated one. Any other that is used ends (Part 4 §5.7.2.1, 1.05).
    Activated,
}

/// How a service runs. Where it fails as a whole the answer is a ServiceFault.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Writes the response at once and needs no session.
    Open(fn(&Visit<'_>, &mut Reader<'_>, &mut Writer) -> Result<(), StatusCode>),
    /// Makes or activates a session; the connection serves nothing else meanwhile. Gets the body of the request.
    Login(for<'v> fn(&'v Visit<'v>, &'v [u8]) -> Login<'v>),
    /// Writes the response at once.
    Now(fn(&Context<'_>, &mut Reader<'_>, &mut Writer) -> Result<(), StatusCode>),
    /// Writes the response at once, or returns the work that makes it. What it wrote before that is dropped.
    Later(fn(&Context<'_>, &mut Reader<'_>, &mut Writer) -> Result<Option<Work>, StatusCode>),
    /// Queues the request in its session: the connection answers it when the session has something to tell.
    Queued(fn(&Context<'_>, &mut Reader<'_>) -> Result<(), StatusCode>),
}

/// Bytes of a request that may hold more operations than others should wait for; a Read takes less time for each.
const LONG_REQUEST: usize = 16 * 1024;
const NEVER: usize = usize::MAX;
const ALWAYS: usize = 0;

#[rustfmt::skip]
pub const SERVICES: [Service; 27] = [
    row(ObjectId::FindServersRequest_Encoding_DefaultBinary, Access::Open, Run::Open(discovery::find_servers)),
    row(ObjectId::GetEndpointsRequest_Encoding_DefaultBinary, Access::Open, Run::Open(discovery::get_endpoints)),
    row(ObjectId::CreateSessionRequest_Encoding_DefaultBinary, Access::Open, Run::Login(session::create)),
    row(ObjectId::ActivateSessionRequest_Encoding_DefaultBinary, Access::Made, Run::Login(session::activate)),
    row(ObjectId::CloseSessionRequest_Encoding_DefaultBinary, Access::Made, Run::Now(session::close)),
    row(ObjectId::CancelRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(session::cancel)),
    row(ObjectId::BrowseRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(view::browse)),
    row(ObjectId::BrowseNextRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(view::browse_next)),
    row(ObjectId::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(view::translate)),
    row(ObjectId::RegisterNodesRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(view::register)),
    row(ObjectId::UnregisterNodesRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(view::unregister)),
    row(ObjectId::ReadRequest_Encoding_DefaultBinary, Access::Activated, Run::Later(attribute::read)).long(attribute::LONG_READ),
    row(ObjectId::HistoryReadRequest_Encoding_DefaultBinary, Access::Activated, Run::Later(history::read::read)).long(NEVER),
    row(ObjectId::WriteRequest_Encoding_DefaultBinary, Access::Activated, Run::Later(write::write)),
    row(ObjectId::HistoryUpdateRequest_Encoding_DefaultBinary, Access::Activated, Run::Later(history::update::update)).long(NEVER),
    row(ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(monitored_item::create)),
    row(ObjectId::ModifyMonitoredItemsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(monitored_item::modify)),
    row(ObjectId::SetMonitoringModeRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(monitored_item::set_mode)),
    row(ObjectId::SetTriggeringRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(monitored_item::set_triggering)),
    row(ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(monitored_item::delete)),
    row(ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(subscription::create)),
    row(ObjectId::ModifySubscriptionRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(subscription::modify)),
    row(ObjectId::SetPublishingModeRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(subscription::set_publishing_mode)),
    row(ObjectId::PublishRequest_Encoding_DefaultBinary, Access::Activated, Run::Queued(publish::enqueue)).long(NEVER),
    row(ObjectId::RepublishRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(publish::republish)),
    row(ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(subscription::transfer)).long(ALWAYS),
    row(ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary, Access::Activated, Run::Now(subscription::delete)),
];

const fn row(request: ObjectId, access: Access, run: Run) -> Service {
    Service { request, access, run, counter: counter_of(request), long: LONG_REQUEST }
}

impl Service {
    const fn long(self, bytes: usize) -> Service {
        Service { long: bytes, ..self }
    }

    pub fn from_type_id(number: u32) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.request as u32 == number)
    }

    pub fn head(&self, handle: u32) -> ResponseHead {
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
