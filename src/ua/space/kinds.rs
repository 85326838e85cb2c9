//! Reference types that the composer draws or follows, by their numbers in namespace 0.

use opcua::ReferenceTypeId;

pub(crate) const ORGANIZES: u32 = ReferenceTypeId::Organizes as u32;
pub(crate) const HAS_MODELLING_RULE: u32 = ReferenceTypeId::HasModellingRule as u32;
pub(crate) const HAS_TYPE_DEFINITION: u32 = ReferenceTypeId::HasTypeDefinition as u32;
pub(crate) const HAS_SUBTYPE: u32 = ReferenceTypeId::HasSubtype as u32;
pub(crate) const HAS_ENCODING: u32 = ReferenceTypeId::HasEncoding as u32;
pub(crate) const HAS_PROPERTY: u32 = ReferenceTypeId::HasProperty as u32;
pub(crate) const HAS_COMPONENT: u32 = ReferenceTypeId::HasComponent as u32;
pub(crate) const HAS_HISTORICAL_CONFIGURATION: u32 = ReferenceTypeId::HasHistoricalConfiguration as u32;
pub(crate) const AGGREGATES: u32 = ReferenceTypeId::Aggregates as u32;
/// HasNotifier is a subtype.
pub(crate) const HAS_EVENT_SOURCE: u32 = ReferenceTypeId::HasEventSource as u32;
pub(crate) const HAS_NOTIFIER: u32 = ReferenceTypeId::HasNotifier as u32;
