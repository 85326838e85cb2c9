//! Indices into the lists of a plant and of its cells.

use super::Number;

/// Index into `Plant::history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HistoryIx(pub u16);

/// Index into `Cell::nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIx(pub u32);

/// Index into `Cell::object_types`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectTypeIx(pub u32);

/// Number of a tag in `Plant::tags` and in the tag store, over all cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagId(pub u32);

/// Number of a connection in `Plant::connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionIx(pub u32);

/// Number of an alarm in `Plant::alarms`, over all cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AlarmIx(pub u32);

impl Number for AlarmIx {
    fn of(place: usize) -> AlarmIx {
        AlarmIx(u32::try_from(place).expect("alarms are counted in u32"))
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

impl Number for TagId {
    fn of(place: usize) -> TagId {
        TagId(u32::try_from(place).expect("tags are counted in u32"))
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

impl Number for ConnectionIx {
    fn of(place: usize) -> ConnectionIx {
        ConnectionIx(u32::try_from(place).expect("connections are counted in u32"))
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

/// Index into `Cell::enums`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnumIx(pub u32);

/// Index into `Cell::structs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StructIx(pub u32);

/// Index into `Cell::flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlagsIx(pub u32);

/// Index into `Plant::access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessIx(pub u16);

impl AccessIx {
    /// `Access::ADMINISTRATORS`: rules of who has which role. No rule of a plant has this place, and what would not fit
    /// into the table falls on it, so that nothing opens by accident.
    pub const ADMINISTRATORS: AccessIx = AccessIx(u16::MAX);
    /// `Access::OPEN`, with values over encrypted channels only.
    pub const ENCRYPTED: AccessIx = AccessIx(u16::MAX - 1);

    /// The place of the next rule of a plant.
    pub fn next(rules: usize) -> AccessIx {
        let free = u16::try_from(rules).ok().filter(|ix| *ix < AccessIx::ENCRYPTED.0);
        free.map_or(AccessIx::ADMINISTRATORS, AccessIx)
    }
}
