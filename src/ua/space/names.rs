//! All names of the address space in one arena: a name is a place and a length, not an allocation.

use super::Span;

#[derive(Debug, Default)]
pub(crate) struct Texts {
    all: String,
}

impl Texts {
    pub(crate) fn add(&mut self, text: &str) -> Span {
        let start = u32::try_from(self.all.len()).expect("names of one server stay below 4 GiB");
        self.all.push_str(text);
        Span { start, length: u32::try_from(text.len()).expect("a name stays below 4 GiB") }
    }

    #[inline]
    pub(crate) fn get(&self, span: Span) -> &str {
        &self.all[span.start as usize..(span.start + span.length) as usize]
    }

    pub(crate) fn shrink(&mut self) {
        self.all.shrink_to_fit();
    }
}
