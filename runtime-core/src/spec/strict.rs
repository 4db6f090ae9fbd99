// SPDX-License-Identifier: Apache-2.0
//! A deserializer that accepts only an object for a struct. serde also accepts a list,
//! field by field: `"user": [1]` would be the user 1, and `"hooks": []` would be no
//! hooks, although both values have a wrong type.
//!
//! The deserializer also records whether there is a property that the types do not know.
//! This costs nothing if there is none.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::cell::Cell;
use std::fmt;

/// A wrapper of a deserializer, visitor, seed or map access that wraps every part it passes
/// on. The flag is set when a value is skipped because its property is unknown.
pub(super) struct Strict<'a, T>(pub(super) T, pub(super) &'a Cell<bool>);

/// Forwards the methods for values without parts, which need no wrapper.
macro_rules! as_it_is {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor, self.1))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Strict(visitor, self.1))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(Strict(visitor, self.1))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor, self.1))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Strict(visitor, self.1))
    }

    as_it_is! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    /// Reads null as an empty string, as runc and crun do. A REQUIRED property is then refused
    /// because it is empty.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(StringOrNull(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.1.set(true);
        self.0.deserialize_ignored_any(visitor)
    }

    // config.json has none of these.
    forward_to_deserialize_any! {
        unit_struct newtype_struct tuple tuple_struct enum
    }
}

/// A visitor of a string or null.
struct StringOrNull<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for StringOrNull<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_str("")
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_str("")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_string(self.0)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.0.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.0.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.0.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.0.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.0.visit_str(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(deserializer, self.1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(List { list, has_unknown: self.1, left: LIST_MAX + 1 })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(map, self.1))
    }
}

/// The maximum number of entries of a list, which is more than the kernel accepts of
/// anything. In memory, the shortest entry, `{},`, takes fifty times the size of its text.
const LIST_MAX: usize = 1_000_000;

#[cold]
fn too_long<E: Error>() -> E {
    E::custom(format_args!("more than {LIST_MAX} entries"))
}

/// A list, and the number of times that its next entry may still be requested.
struct List<'a, A> {
    list: A,
    has_unknown: &'a Cell<bool>,
    left: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for List<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.left == 0 {
            return Err(too_long());
        }
        self.left -= 1;
        self.list.next_element_seed(Strict(seed, self.has_unknown))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed, self.1))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer, self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::LIST_MAX;
    use crate::spec::Spec;

    #[test]
    fn the_length_of_lists_is_limited() {
        let of = |entries: usize| {
            let json = format!(r#"{{"linux": {{"maskedPaths": [{}""]}}}}"#, r#""","#.repeat(entries - 1));
            Spec::from_json(json.as_bytes()).map_err(|error| error.report())
        };
        let longest = of(LIST_MAX).unwrap();
        assert_eq!(longest.linux.unwrap().masked_paths.len(), LIST_MAX);
        let error = of(LIST_MAX + 1).unwrap_err();
        assert!(error.starts_with("linux.maskedPaths"), "{error}");
        assert!(error.contains(": more than 1000000 entries at line 1 column "), "{error}");
    }
}
