//! Counters of a session's requests (Part 5 §12.11 and §12.13, 1.05).
//!
//! The order of the services is that of the fields of SessionDiagnosticsDataType; a service that the structure does
//! not name (CloseSession, Cancel) counts only in the total.

use opcua::ObjectId;

/// Requests by the field of SessionDiagnosticsDataType that counts them.
const FIELDS: [ObjectId; 28] = [
    ObjectId::ReadRequest_Encoding_DefaultBinary,
    ObjectId::HistoryReadRequest_Encoding_DefaultBinary,
    ObjectId::WriteRequest_Encoding_DefaultBinary,
    ObjectId::HistoryUpdateRequest_Encoding_DefaultBinary,
    ObjectId::CallRequest_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::ModifyMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::SetMonitoringModeRequest_Encoding_DefaultBinary,
    ObjectId::SetTriggeringRequest_Encoding_DefaultBinary,
    ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::ModifySubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::SetPublishingModeRequest_Encoding_DefaultBinary,
    ObjectId::PublishRequest_Encoding_DefaultBinary,
    ObjectId::RepublishRequest_Encoding_DefaultBinary,
    ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::AddNodesRequest_Encoding_DefaultBinary,
    ObjectId::AddReferencesRequest_Encoding_DefaultBinary,
    ObjectId::DeleteNodesRequest_Encoding_DefaultBinary,
    ObjectId::DeleteReferencesRequest_Encoding_DefaultBinary,
    ObjectId::BrowseRequest_Encoding_DefaultBinary,
    ObjectId::BrowseNextRequest_Encoding_DefaultBinary,
    ObjectId::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary,
    ObjectId::QueryFirstRequest_Encoding_DefaultBinary,
    ObjectId::QueryNextRequest_Encoding_DefaultBinary,
    ObjectId::RegisterNodesRequest_Encoding_DefaultBinary,
    ObjectId::UnregisterNodesRequest_Encoding_DefaultBinary,
];

/// The field that counts a request; `None` when only the total counts it.
pub(crate) const fn counter_of(request: ObjectId) -> Option<usize> {
    let mut at = 0;
    while at < FIELDS.len() {
        if FIELDS[at] as u32 == request as u32 {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// ServiceCounterDataType (Part 5 §12.13, 1.05).
#[derive(Debug, Clone, Copy, Default)]
pub struct ServiceCounter {
    pub total: u32,
    pub errors: u32,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    pub total: ServiceCounter,
    pub unauthorized: u32,
    pub services: [ServiceCounter; FIELDS.len()],
}

impl ServiceCounter {
    fn add(&mut self, answered: bool) {
        self.total = self.total.wrapping_add(1);
        self.errors = self.errors.wrapping_add(u32::from(!answered));
    }
}

impl Counters {
    /// Counts a request that was answered, or refused as a whole; `field` as `counter_of` names it.
    pub fn count(&mut self, field: Option<usize>, answered: bool) {
        self.total.add(answered);
        if let Some(counter) = field.and_then(|field| self.services.get_mut(field)) {
            counter.add(answered);
        }
    }
}
