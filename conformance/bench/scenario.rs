// SPDX-License-Identifier: Apache-2.0
//! The scenarios: conditions under which contenders are measured.

use conformance::Result;
use serde::{Deserialize, Serialize};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// A host with nothing on it.
    Plain,
    /// With Docker's default system call filter.
    Filter,
    /// With 5,000 mounts on the host.
    Mounts,
    /// With 10,000 other containers in the state directory.
    Records,
    /// `list` of 1,000 containers.
    List,
    /// 60 runs, 4 at a time.
    Parallel,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plain, Self::Filter, Self::Mounts, Self::Records, Self::List, Self::Parallel];

    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == name);
        found.ok_or(format!("no scenario {name}: {}", Self::ALL.map(Self::name).join(", ")))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Filter => "filter",
            Self::Mounts => "mounts",
            Self::Records => "records",
            Self::List => "list",
            Self::Parallel => "parallel",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "The bundle of `runc spec`",
            Self::Filter => "With Docker's default system call filter",
            Self::Mounts => "With 5,000 mounts on the host",
            Self::Records => "With 10,000 other state directories",
            Self::List => "`list` of 1,000 running containers",
            Self::Parallel => "60 runs, 4 at a time",
        }
    }
}
