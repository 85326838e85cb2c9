//! Requests of the Subscription and MonitoredItem service sets.

use opcua::*;

use super::{ToNodeId, read_value_id};

/// CreateSubscription with an interval in milliseconds.
pub fn create_subscription(interval: f64, lifetime: u32, keep_alive: u32) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        requested_publishing_interval: interval,
        requested_lifetime_count: lifetime,
        requested_max_keep_alive_count: keep_alive,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    }
}

pub fn delete_subscriptions(ids: &[u32]) -> DeleteSubscriptionsRequest {
    DeleteSubscriptionsRequest { subscription_ids: Some(ids.to_vec()), ..Default::default() }
}

/// A reporting item on an attribute, without a filter; the oldest of its queue goes first.
pub fn item(id: impl ToNodeId, attribute: u32, handle: u32, sampling: f64, queue: u32) -> MonitoredItemCreateRequest {
    MonitoredItemCreateRequest {
        item_to_monitor: read_value_id(id, attribute),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: parameters(handle, sampling, queue, ExtensionObject::null()),
    }
}

/// As `item`, with a filter.
pub fn filtered_item(
    id: impl ToNodeId,
    attribute: u32,
    handle: u32,
    (sampling, queue): (f64, u32),
    filter: ExtensionObject,
) -> MonitoredItemCreateRequest {
    let requested_parameters = parameters(handle, sampling, queue, filter);
    MonitoredItemCreateRequest { requested_parameters, ..item(id, attribute, handle, sampling, queue) }
}

pub fn parameters(handle: u32, sampling: f64, queue: u32, filter: ExtensionObject) -> MonitoringParameters {
    MonitoringParameters {
        client_handle: handle,
        sampling_interval: sampling,
        filter,
        queue_size: queue,
        discard_oldest: true,
    }
}

/// CreateMonitoredItems with both timestamps.
pub fn create_items(subscription: u32, items: Vec<MonitoredItemCreateRequest>) -> CreateMonitoredItemsRequest {
    CreateMonitoredItemsRequest {
        subscription_id: subscription,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(items),
        ..CreateMonitoredItemsRequest::default()
    }
}

pub fn modify_items(subscription: u32, items: Vec<(u32, MonitoringParameters)>) -> ModifyMonitoredItemsRequest {
    let one = |(monitored_item_id, requested_parameters)| MonitoredItemModifyRequest {
        monitored_item_id,
        requested_parameters,
    };
    ModifyMonitoredItemsRequest {
        subscription_id: subscription,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_modify: Some(items.into_iter().map(one).collect()),
        ..ModifyMonitoredItemsRequest::default()
    }
}

pub fn set_mode(subscription: u32, mode: MonitoringMode, items: &[u32]) -> SetMonitoringModeRequest {
    SetMonitoringModeRequest {
        subscription_id: subscription,
        monitoring_mode: mode,
        monitored_item_ids: Some(items.to_vec()),
        ..SetMonitoringModeRequest::default()
    }
}

pub fn delete_items(subscription: u32, items: &[u32]) -> DeleteMonitoredItemsRequest {
    DeleteMonitoredItemsRequest {
        subscription_id: subscription,
        monitored_item_ids: Some(items.to_vec()),
        ..DeleteMonitoredItemsRequest::default()
    }
}

/// A field of an event by the type that declares it and its name.
pub fn event_field(kind: u32, name: &str) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: NodeId::new(0, kind),
        browse_path: Some(vec![QualifiedName::new(0, name)]),
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
    }
}

pub fn event_filter(fields: Vec<SimpleAttributeOperand>, only: Option<ContentFilterElement>) -> ExtensionObject {
    ExtensionObject::from_message(EventFilter {
        select_clauses: Some(fields),
        where_clause: ContentFilter { elements: only.map(|only| vec![only]) },
    })
}

/// The events of a type and its subtypes.
pub fn of_type(kind: u32) -> ContentFilterElement {
    let operand = LiteralOperand { value: Variant::from(NodeId::new(0, kind)) };
    ContentFilterElement {
        filter_operator: FilterOperator::OfType,
        filter_operands: Some(vec![ExtensionObject::from_message(operand)]),
    }
}

/// Publish that acknowledges messages by subscription and sequence number.
pub fn publish(acknowledge: &[(u32, u32)]) -> PublishRequest {
    let one = |(subscription_id, sequence_number): &(u32, u32)| SubscriptionAcknowledgement {
        subscription_id: *subscription_id,
        sequence_number: *sequence_number,
    };
    PublishRequest {
        subscription_acknowledgements: Some(acknowledge.iter().map(one).collect()),
        ..PublishRequest::default()
    }
}

pub fn republish(subscription: u32, sequence: u32) -> RepublishRequest {
    RepublishRequest {
        subscription_id: subscription,
        retransmit_sequence_number: sequence,
        ..RepublishRequest::default()
    }
}

pub fn transfer(subscriptions: &[u32], send_initial_values: bool) -> TransferSubscriptionsRequest {
    TransferSubscriptionsRequest {
        subscription_ids: Some(subscriptions.to_vec()),
        send_initial_values,
        ..TransferSubscriptionsRequest::default()
    }
}
