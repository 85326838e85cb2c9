//! Replies that may still come, on a line whose frames carry no id.
//!
//! A device answers in the order in which it was asked. So when a request stayed without its reply, the next one that
//! a late reply could be taken for is not sent before another request, whose reply has a length of its own, was
//! answered: then everything older has come or never will.

use super::address::Area;
use super::pdu::Request;

/// More requests than this without any answer are not told apart: the oldest is forgotten.
const MOST: usize = 100;

/// What a reply looks like from outside: unit, function code, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looks {
    unit: u8,
    function: u8,
    length: usize,
}

impl Looks {
    fn of(unit: u8, request: &Request<'_>) -> Looks {
        Looks { unit, function: request.function(), length: request.reply_length() }
    }
}

#[derive(Debug, Default)]
pub struct Suspects {
    open: Vec<Looks>,
}

impl Suspects {
    /// Whether a late reply could be taken for this request's.
    pub fn is_ambiguous(&self, unit: u8, request: &Request<'_>) -> bool {
        self.open.contains(&Looks::of(unit, request))
    }

    /// The request has no reply of its own yet.
    pub fn add(&mut self, unit: u8, request: &Request<'_>) {
        let looks = Looks::of(unit, request);
        self.open.retain(|open| *open != looks);
        if self.open.len() >= MOST {
            self.open.remove(0);
        }
        self.open.push(looks);
    }

    /// A reply that can only be this request's has come: what the unit owed before is over.
    pub fn settle(&mut self, unit: u8) {
        self.open.retain(|open| open.unit != unit);
    }

    /// An exception looks the same for every request of its function, so it may be an older one's: then the request's
    /// own reply is still to come.
    pub fn settle_by_exception(&mut self, unit: u8, request: &Request<'_>) {
        let doubtful = self.open.iter().any(|open| open.unit == unit && open.function == request.function());
        if doubtful {
            self.settle(unit);
            self.add(unit, request);
        }
    }

    /// A read near the request's place whose reply no late one looks like.
    pub fn question(&self, unit: u8, request: &Request<'_>) -> Request<'static> {
        let (area, start) = request.place();
        // Eight bits more are a byte more.
        let step = if area.is_bits() { 8 } else { 1 };
        let reads = (0..=100u16).map(|n| Request::Read { area, start, count: 1 + n * step });
        let free =
            reads.clone().find(|read| !self.is_ambiguous(unit, read) && read.reply_length() != request.reply_length());
        free.unwrap_or(Request::Read { area: Area::Holding, start, count: 125 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(start: u16, count: u16) -> Request<'static> {
        Request::Read { area: Area::Holding, start, count }
    }

    #[test]
    fn only_a_request_that_a_late_reply_fits_is_ambiguous() {
        let mut suspects = Suspects::default();
        suspects.add(1, &read(0, 10));
        for (unit, request, ambiguous) in [
            (1, read(500, 10), true),
            (1, read(0, 11), false),
            (2, read(0, 10), false),
            (1, Request::Read { area: Area::Input, start: 0, count: 10 }, false),
            (1, Request::WriteRegister { at: 0, word: 1 }, false),
        ] {
            assert_eq!(suspects.is_ambiguous(unit, &request), ambiguous, "{unit} {request:?}");
        }
        suspects.settle(1);
        assert!(!suspects.is_ambiguous(1, &read(0, 10)));
    }

    #[test]
    fn a_question_looks_like_nothing_that_is_open() {
        let mut suspects = Suspects::default();
        for (start, count) in [(0, 1), (3, 2), (9, 3)] {
            suspects.add(1, &read(start, count));
        }
        let question = suspects.question(1, &read(3, 2));
        assert!(!suspects.is_ambiguous(1, &question), "{question:?}");
        let coils = Request::Read { area: Area::Coil, start: 5, count: 3 };
        suspects.add(1, &coils);
        let question = suspects.question(1, &coils);
        assert_ne!(question.reply_length(), coils.reply_length());
    }

    #[test]
    fn an_exception_settles_only_what_it_can_not_be_itself() {
        let mut suspects = Suspects::default();
        suspects.add(1, &read(0, 10));
        suspects.settle_by_exception(1, &read(0, 1));
        assert!(!suspects.is_ambiguous(1, &read(0, 10)));
        assert!(suspects.is_ambiguous(1, &read(7, 1)), "its own reply may still come");
    }
}
