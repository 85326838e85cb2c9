//! The numbers of attributes, and the bits of AccessLevel.

/// AttributeIds (Part 6 annex A.1, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Attribute {
    NodeId = 1,
    NodeClass = 2,
    BrowseName = 3,
    DisplayName = 4,
    Description = 5,
    WriteMask = 6,
    UserWriteMask = 7,
    IsAbstract = 8,
    Symmetric = 9,
    InverseName = 10,
    ContainsNoLoops = 11,
    EventNotifier = 12,
    Value = 13,
    DataType = 14,
    ValueRank = 15,
    ArrayDimensions = 16,
    AccessLevel = 17,
    UserAccessLevel = 18,
    MinimumSamplingInterval = 19,
    Historizing = 20,
    Executable = 21,
    UserExecutable = 22,
    DataTypeDefinition = 23,
    RolePermissions = 24,
    UserRolePermissions = 25,
    AccessRestrictions = 26,
    AccessLevelEx = 27,
}

impl Attribute {
    const ALL: [Attribute; 27] = [
        Attribute::NodeId,
        Attribute::NodeClass,
        Attribute::BrowseName,
        Attribute::DisplayName,
        Attribute::Description,
        Attribute::WriteMask,
        Attribute::UserWriteMask,
        Attribute::IsAbstract,
        Attribute::Symmetric,
        Attribute::InverseName,
        Attribute::ContainsNoLoops,
        Attribute::EventNotifier,
        Attribute::Value,
        Attribute::DataType,
        Attribute::ValueRank,
        Attribute::ArrayDimensions,
        Attribute::AccessLevel,
        Attribute::UserAccessLevel,
        Attribute::MinimumSamplingInterval,
        Attribute::Historizing,
        Attribute::Executable,
        Attribute::UserExecutable,
        Attribute::DataTypeDefinition,
        Attribute::RolePermissions,
        Attribute::UserRolePermissions,
        Attribute::AccessRestrictions,
        Attribute::AccessLevelEx,
    ];

    pub fn from_wire(number: u32) -> Option<Attribute> {
        Attribute::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}

/// AccessLevel bits (Part 3 §8.57, 1.05).
pub(crate) mod access_level {
    pub(crate) const READ: u8 = 1;
    pub(crate) const WRITE: u8 = 2;
    pub(crate) const HISTORY_READ: u8 = 4;
    pub(crate) const HISTORY_WRITE: u8 = 8;
    /// Changes of the value are reported by SemanticChangeEvents.
    pub(crate) const SEMANTIC_CHANGE: u8 = 16;
}
