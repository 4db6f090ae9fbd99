// SPDX-License-Identifier: Apache-2.0
//! The flags that were given, and their values.

use super::flags::{Flag, Integer, Integers, Switch, Takes, Text, Texts};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The given flags of one command, or of the program, in their order. A caller may ask only for
/// flags that the table lists for that command.
#[derive(Debug)]
pub(crate) struct Values {
    known: &'static [Flag],
    given: Vec<(&'static str, OsString)>,
}

impl Values {
    pub(super) fn new(known: &'static [Flag]) -> Self {
        Values { known, given: Vec::new() }
    }

    pub(super) fn push(&mut self, flag: &'static Flag, value: OsString) {
        self.given.extend(flag.names.first().map(|name| (*name, value)));
    }

    /// Returns true if the flag was given, for a flag of any type.
    #[allow(dead_code, reason = "the fuzz target asks")]
    pub(crate) fn was_given(&self, flag: &Flag) -> bool {
        self.given.iter().any(|(name, _)| flag.names.first() == Some(name))
    }

    /// Returns true if a switch was given, unless its value is false.
    pub(crate) fn is_set(&self, flag: Switch) -> bool {
        self.switch(flag) == Some(true)
    }

    /// Returns the value of a switch, `None` if it was not given.
    pub(crate) fn switch(&self, flag: Switch) -> Option<bool> {
        self.last(flag.name(), Takes::Nothing).and_then(parse_bool)
    }

    /// Returns the value of a flag. If the flag was given several times, returns the last value.
    pub(crate) fn get(&self, flag: Text) -> Option<&OsStr> {
        self.last(flag.name(), Takes::Text)
    }

    /// Returns the value of a flag as [`get`](Self::get) does, but `None` for an empty value.
    pub(crate) fn path(&self, flag: Text) -> Option<&Path> {
        self.get(flag).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// Returns the value of an integer flag. (The parser has checked that it is an integer.)
    pub(crate) fn integer(&self, flag: Integer) -> Option<i64> {
        self.last(flag.name(), Takes::Integer).and_then(parse_integer)
    }

    /// Returns all values of a flag that may be given several times.
    pub(crate) fn texts(&self, flag: Texts) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.all(flag.name(), Takes::Texts)
    }

    /// Returns all values of an integer flag that may be given several times.
    pub(crate) fn integers(&self, flag: Integers) -> impl Iterator<Item = i64> {
        self.all(flag.name(), Takes::Integers).filter_map(parse_integer)
    }

    fn last(&self, name: &'static str, takes: Takes) -> Option<&OsStr> {
        self.all(name, takes).next_back()
    }

    fn all(&self, name: &'static str, takes: Takes) -> impl DoubleEndedIterator<Item = &OsStr> {
        debug_assert!(
            self.known.iter().any(|flag| flag.names.first() == Some(&name) && flag.takes == takes),
            "this command has no flag {name} that takes {takes:?}"
        );
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_os_str())
    }
}

/// Checks a value against the type of its flag.
pub(super) fn check_value(flag: &Flag, value: &OsStr) -> Result<(), String> {
    match flag.takes {
        Takes::Nothing if parse_bool(value).is_none() => Err("parse error".to_owned()),
        Takes::Integer | Takes::Integers if parse_integer(value).is_none() => {
            Err(format!("strconv.ParseInt: parsing {:?}: invalid syntax", value.to_string_lossy()))
        }
        _ => Ok(()),
    }
}

/// Parses a truth value as Go's strconv.ParseBool does.
pub(crate) fn parse_bool(value: &OsStr) -> Option<bool> {
    match value.as_bytes() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

fn parse_integer(value: &OsStr) -> Option<i64> {
    value.to_str()?.parse().ok()
}
