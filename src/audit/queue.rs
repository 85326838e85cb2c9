//! Records that wait for the audit's thread. Bounded in records and bytes; a flood of writes finds the queue full while
//! there is room left for records that concern security.

use std::collections::VecDeque;

use super::head::Class;
use super::line::{Fields, OneWrite};
use super::record::{Kind, Record, Writes};

/// Records and bytes that may wait, all in all.
const RECORDS: usize = 60_000;
const BYTES: usize = 32 << 20;
/// The part of them that records of writes may not take.
const RESERVED_RECORDS: usize = 10_000;
const RESERVED_BYTES: usize = 8 << 20;
/// Records for which the thread is woken before its pause is over.
pub(crate) const BATCH: usize = 4_000;

#[derive(Debug)]
pub(crate) enum Item {
    Record(Box<Record>),
    Writes(Box<Writes>),
}

/// How much something is: records, and bytes in memory, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub records: usize,
    pub bytes: usize,
}

/// Records that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lost {
    pub writes: u64,
    pub others: u64,
}

impl Item {
    /// It records values or history that a client changed. A client can cause any number of these records.
    pub(crate) fn is_writes(&self) -> bool {
        match self {
            Item::Writes(_) => true,
            Item::Record(record) => record.kind == Kind::HistoryUpdate,
        }
    }

    pub(crate) fn class(&self) -> Class {
        if self.is_writes() { Class::Writes } else { Class::Security }
    }

    pub(crate) fn size(&self) -> Size {
        let who = |user: &String, application: &String| user.len() + application.len();
        match self {
            Item::Record(record) => {
                let texts = record.node.len() + record.message.len() + who(&record.who.user, &record.who.application);
                Size { records: 1, bytes: size_of::<Record>() + texts }
            }
            Item::Writes(writes) => {
                let texts = who(&writes.who.user, &writes.who.application);
                let bytes = size_of::<Writes>() + texts + writes.held + size_of_val(&*writes.writes);
                Size { records: writes.writes.len(), bytes }
            }
        }
    }

    /// Each record in it.
    pub(crate) fn each(&self, take: &mut dyn FnMut(&dyn Fields)) {
        match self {
            Item::Record(record) => take(&**record),
            Item::Writes(of) => of.writes.iter().for_each(|write| take(&OneWrite { of, write })),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    size: Size,
    lost: Lost,
}

impl Queue {
    /// Takes it in, or counts it as lost.
    pub(crate) fn push(&mut self, item: Item) -> bool {
        let size = item.size();
        let (records, bytes) = match item.is_writes() {
            true => (RECORDS - RESERVED_RECORDS, BYTES - RESERVED_BYTES),
            false => (RECORDS, BYTES),
        };
        if self.size.records + size.records > records || self.size.bytes + size.bytes > bytes {
            match item.is_writes() {
                true => self.lost.writes += size.records as u64,
                false => self.lost.others += size.records as u64,
            }
            return false;
        }
        self.size = Size { records: self.size.records + size.records, bytes: self.size.bytes + size.bytes };
        self.items.push_back(item);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        let size = item.size();
        self.size = Size { records: self.size.records - size.records, bytes: self.size.bytes - size.bytes };
        Some(item)
    }

    /// Puts back what was popped.
    pub(crate) fn unpop(&mut self, item: Item) {
        let size = item.size();
        self.size = Size { records: self.size.records + size.records, bytes: self.size.bytes + size.bytes };
        self.items.push_front(item);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    pub(crate) fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    pub(crate) fn count_lost(&mut self, lost: Lost) {
        self.lost.writes += lost.writes;
        self.lost.others += lost.others;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opcua::StatusCode;

    use super::super::record::{Content, Kind, Names, Node, Who, Write};
    use super::*;
    use crate::value::UaTime;

    struct Nobody;
    impl Names for Nobody {
        fn node(&self, number: u32) -> String {
            number.to_string()
        }
    }

    fn writes(count: usize) -> Item {
        let write = Write {
            node: Node::Known(1),
            attribute: 13,
            range: None,
            old: Content::None,
            new: Content::None,
            status: StatusCode::Good,
        };
        let writes = vec![write; count];
        Item::Writes(Box::new(Writes {
            time: UaTime(1),
            who: Who::default(),
            names: Arc::new(Nobody),
            writes,
            held: 0,
        }))
    }

    fn record() -> Item {
        Item::Record(Box::new(Record::new(Kind::ServerStarted, StatusCode::Good, Who::default())))
    }

    #[test]
    fn a_flood_of_writes_leaves_room_for_what_concerns_security() {
        let mut queue = Queue::default();
        let taken = (0..1_000).filter(|_| queue.push(writes(100))).count();
        assert_eq!(taken * 100, RECORDS - RESERVED_RECORDS);
        assert!((0..RESERVED_RECORDS).all(|_| queue.push(record())));
        assert!(!queue.push(record()));
        assert_eq!(queue.take_lost(), Lost { writes: 50_000, others: 1 });
        while let Some(item) = queue.pop() {
            drop(item);
        }
        assert_eq!((queue.size(), queue.take_lost()), (Size::default(), Lost::default()));
    }
}
