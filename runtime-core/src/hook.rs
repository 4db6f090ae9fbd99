// SPDX-License-Identifier: Apache-2.0
//! Hooks: programs that run at points of a container's life (config.md, "POSIX-platform Hooks").

use std::time::Duration;

/// The kinds of hooks, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookKind {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl HookKind {
    pub(crate) const ALL: [HookKind; 6] = [
        HookKind::Prestart,
        HookKind::CreateRuntime,
        HookKind::CreateContainer,
        HookKind::StartContainer,
        HookKind::Poststart,
        HookKind::Poststop,
    ];

    /// Returns the kind's key in config.json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            HookKind::Prestart => "prestart",
            HookKind::CreateRuntime => "createRuntime",
            HookKind::CreateContainer => "createContainer",
            HookKind::StartContainer => "startContainer",
            HookKind::Poststart => "poststart",
            HookKind::Poststop => "poststop",
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
