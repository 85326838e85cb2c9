//! Things by their number. A number stays with its thing while the cell changes; that of a removed thing is vacant.

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::Index;

/// A number as an index.
pub trait Number: Copy + Debug {
    /// Panics above 2^32.
    fn of(place: usize) -> Self;
    fn place(self) -> usize;
}

/// A list with vacant places.
#[derive(Clone)]
pub struct Numbered<I, T> {
    places: Vec<Option<T>>,
    count: usize,
    number: PhantomData<I>,
}

impl<I, T> Default for Numbered<I, T> {
    fn default() -> Numbered<I, T> {
        Numbered { places: Vec::new(), count: 0, number: PhantomData }
    }
}

impl<I: Number, T: Debug> Debug for Numbered<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<I: Number, T> Numbered<I, T> {
    /// Number of the things that are there.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All numbers are below it.
    pub fn bound(&self) -> usize {
        self.places.len()
    }

    /// The number that `push` gives next.
    pub fn next(&self) -> I {
        I::of(self.places.len())
    }

    pub fn push(&mut self, thing: T) -> I {
        let number = self.next();
        self.places.push(Some(thing));
        self.count += 1;
        number
    }

    /// Puts a thing at a number that it has already.
    pub fn put(&mut self, number: I, thing: T) {
        let place = number.place();
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.count += usize::from(self.places[place].replace(thing).is_none());
    }

    #[inline]
    pub fn get(&self, number: I) -> Option<&T> {
        self.places.get(number.place())?.as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.places.iter().enumerate().filter_map(|(place, thing)| Some((I::of(place), thing.as_ref()?)))
    }

    /// The things without their numbers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    /// Takes all things out, with their numbers.
    pub fn into_entries(self) -> impl Iterator<Item = (I, T)> {
        self.places.into_iter().enumerate().filter_map(|(place, thing)| Some((I::of(place), thing?)))
    }
}

impl<I: Number, T> Index<I> for Numbered<I, T> {
    type Output = T;

    /// Panics at a vacant number.
    #[inline]
    fn index(&self, number: I) -> &T {
        self.places[number.place()].as_ref().expect("the number is of a thing in this revision")
    }
}

#[cfg(test)]
mod tests {
    use super::super::TagId;
    use super::*;

    #[test]
    fn a_vacant_number_is_neither_found_nor_counted() {
        let mut things = Numbered::<TagId, &str>::default();
        assert_eq!(things.push("a"), TagId(0));
        things.put(TagId(3), "d");
        things.put(TagId(3), "e");
        assert_eq!((things.len(), things.bound(), things.next()), (2, 4, TagId(4)));
        assert_eq!(things.iter().collect::<Vec<_>>(), [(TagId(0), &"a"), (TagId(3), &"e")]);
        assert_eq!((things.get(TagId(1)), things.get(TagId(9)), things[TagId(3)]), (None, None, "e"));
    }
}
