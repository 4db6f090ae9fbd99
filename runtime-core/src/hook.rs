// SPDX-License-Identifier: Apache-2.0
//! Hooks: programs that run at points of a container's life (config.md, "POSIX-platform Hooks").

use std::time::Duration;

/// The kinds of hooks, in the order in which they run.
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

    /// Returns the kind's key in config.json.
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

/// A hook of config.json, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) path: String,
    /// argv, with at least one element.
    pub(crate) args: Vec<String>,
    /// The environment. The default for `None` depends on the kind of hook.
    pub(crate) env: Option<Vec<String>>,
    pub(crate) timeout: Option<Duration>,
}
