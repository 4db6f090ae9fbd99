// SPDX-License-Identifier: Apache-2.0
//! The type of lists of names that are long in every container's configuration.

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A list of strings, stored one after the other in a single `String`. A common seccomp
/// filter names four hundred system calls, and an allocation for each of them takes longer
/// than parsing them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    text: String,
    /// The offset at which each name ends and the next begins.
    ends: Vec<usize>,
}

impl Names {
    /// Adds a name at the end.
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// Returns the names in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = self.text.get(start..end);
            start = end;
            // Always `Some`: only `push` adds an end.
            name.unwrap_or_default()
        })
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut all = Names::default();
        names.into_iter().for_each(|name| all.push(name.as_ref()));
        all
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Names::default();
        while list.next_element_seed(Next(&mut names))?.is_some() {}
        Ok(names)
    }
}

/// A seed that appends the next name of a list to the names.
struct Next<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        self.0.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_written() {
        for json in ["[]", r#"["read"]"#, r#"["","a\"\n","ü",""]"#] {
            let names: Names = serde_json::from_str(json).unwrap();
            let strings: Vec<String> = serde_json::from_str(json).unwrap();
            assert!(names.iter().eq(&strings) && names.iter().len() == strings.len(), "{names:?}");
            assert_eq!(names, strings.iter().collect());
            assert_eq!(serde_json::to_string(&names).unwrap(), json);
            assert_eq!(format!("{names:?}"), format!("{strings:?}"));
        }
    }

    #[test]
    fn errors_are_those_of_a_list_of_strings() {
        for json in ["1", "{}", r#"["a", 1]"#, r#"["a", null]"#, r#"["a""#] {
            let error = serde_json::from_str::<Names>(json).unwrap_err();
            assert_eq!(error.to_string(), serde_json::from_str::<Vec<String>>(json).unwrap_err().to_string());
        }
    }
}
