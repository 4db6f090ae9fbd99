// SPDX-License-Identifier: Apache-2.0
//! The rows of a report.

use crate::error::Error;
use runtime_sys::Errno;
use serde::Serialize;

/// The fitness of a host in one respect.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fitness {
    /// It is there and works.
    Works,
    /// It could not be tried, mostly because something else is missing.
    Unknown,
    /// A part of it is missing.
    Limited,
    /// It is missing.
    Missing,
}

/// One respect in which a host is fit for containers, or not.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The stable name, such as `kernel.openat2`. docs/check.md of the repository has the list.
    pub name: &'static str,
    /// The fitness.
    pub fitness: Fitness,
    /// True if the caller can make no container without it.
    pub required: bool,
    /// The finding, in words for people: a version, a path, the kernel's error.
    pub found: String,
    /// The effect of the lack on containers; empty if nothing is lacking.
    pub effect: &'static str,
    /// A way to mend the lack; empty if nothing is lacking.
    pub remedy: &'static str,
}

/// The constant part of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) effect: &'static str,
    pub(super) remedy: &'static str,
}

/// Returns a topic without which the caller can make no container.
pub(super) const fn required(name: &'static str, effect: &'static str, remedy: &'static str) -> Topic {
    Topic { name, required: true, effect, remedy }
}

/// Returns a topic that only some containers need.
pub(super) const fn optional(name: &'static str, effect: &'static str, remedy: &'static str) -> Topic {
    Topic { name, required: false, effect, remedy }
}

impl Topic {
    pub(super) fn works(self, found: impl Into<String>) -> Row {
        self.row(Fitness::Works, found)
    }

    pub(super) fn row(self, fitness: Fitness, found: impl Into<String>) -> Row {
        let Topic { name, required, effect, remedy } = self;
        let (effect, remedy) = if fitness == Fitness::Works { ("", "") } else { (effect, remedy) };
        Row { name, fitness, required, found: found.into(), effect, remedy }
    }

    /// Returns the topic with another remedy.
    pub(super) fn mended_by(self, remedy: &'static str) -> Self {
        Topic { remedy, ..self }
    }
}

/// Returns the kernel's text for an error.
pub(super) fn text(errno: Errno) -> String {
    crate::error::OsError(errno as i32).to_string()
}

/// Returns an error without its hint, whose place is the remedy of the row.
pub(super) fn reason(error: &Error) -> String {
    error.report().split("; hint: ").next().unwrap_or_default().to_owned()
}
