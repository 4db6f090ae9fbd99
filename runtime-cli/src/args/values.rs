// SPDX-License-Identifier: Apache-2.0
//! The flags that were given, and their values.

use super::flags::{Integer, Integers, Switch, Text, Texts};
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The given flags of one command, or of the program. A caller may ask only for flags that the
/// table lists for that command: for any other, clap panics in a build with debug assertions.
#[derive(Debug)]
pub(crate) struct Values(pub(super) ArgMatches);

impl Values {
    /// Returns true if a switch was given, unless its value is false.
    pub(crate) fn is_set(&self, flag: Switch) -> bool {
        self.switch(flag) == Some(true)
    }

    /// Returns the value of a switch, `None` if it was not given.
    pub(crate) fn switch(&self, flag: Switch) -> Option<bool> {
        self.0.get_one(flag.name()).copied()
    }

    /// Returns the value of a flag. If the flag was given several times, returns the last value.
    pub(crate) fn get(&self, flag: Text) -> Option<&OsStr> {
        self.0.get_one(flag.name()).map(OsString::as_os_str)
    }

    /// Returns the value of a flag as [`get`](Self::get) does, but `None` for an empty value.
    pub(crate) fn path(&self, flag: Text) -> Option<&Path> {
        self.get(flag).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// Returns the value of an integer flag.
    pub(crate) fn integer(&self, flag: Integer) -> Option<i64> {
        self.0.get_one(flag.name()).copied()
    }

    /// Returns all values of a flag that may be given several times.
    pub(crate) fn texts(&self, flag: Texts) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0.get_many(flag.name()).unwrap_or_default().map(OsString::as_os_str)
    }

    /// Returns all values of an integer flag that may be given several times.
    pub(crate) fn integers(&self, flag: Integers) -> impl Iterator<Item = i64> {
        self.0.get_many(flag.name()).unwrap_or_default().copied()
    }
}
