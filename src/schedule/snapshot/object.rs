//! How lists and objects are read: more strictly than serde does by itself.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What stands in braces. A list would do as well where fields go by their order,
/// and an empty one would pass for a new state.
pub(in crate::schedule) struct Object<T>(pub(in crate::schedule) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            // There may be nothing but the order.
            return T::deserialize(from).map(Self);
        }
        from.deserialize_map(Braces(PhantomData))
    }
}

struct Braces<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Braces<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, in braces")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// What goes by a name that is its own in a list.
pub(super) trait Named {
    type Name: Eq + Hash;

    fn name(&self) -> Self::Name;

    /// Says what there is already.
    fn said(&self) -> String;
}

/// A list in which no name is there twice.
pub(super) struct Distinct<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de> + Named> Deserialize<'de> for Distinct<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(List(PhantomData))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Named> Visitor<'de> for List<T> {
    type Value = Distinct<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Distinct<T>, A::Error> {
        let mut all = Vec::new();
        let mut names = HashSet::new();
        while let Some(Object(one)) = list.next_element::<Object<T>>()? {
            if !names.insert(one.name()) {
                let said = one.said();
                return Err(A::Error::custom(format_args!(
                    "{said} is in it already, take one out"
                )));
            }
            all.push(one);
        }
        Ok(Distinct(all))
    }
}
