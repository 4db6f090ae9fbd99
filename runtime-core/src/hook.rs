// SPDX-License-Identifier: Apache-2.0
//! A program that is run at a point of a container's life (config.md, "POSIX-platform Hooks").

use std::time::Duration;

/// The six kinds, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Prestart,
        Kind::CreateRuntime,
        Kind::CreateContainer,
        Kind::StartContainer,
        Kind::Poststart,
        Kind::Poststop,
    ];

    /// The name of config.json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Prestart => "prestart",
            Kind::CreateRuntime => "createRuntime",
            Kind::CreateContainer => "createContainer",
            Kind::StartContainer => "startContainer",
            Kind::Poststart => "poststart",
            Kind::Poststop => "poststop",
        }
    }
}

/// One hook, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) path: String,
    /// At least the name.
    pub(crate) args: Vec<String>,
    /// `None`: what the hook's kind makes of that.
    pub(crate) env: Option<Vec<String>>,
    pub(crate) timeout: Option<Duration>,
}
