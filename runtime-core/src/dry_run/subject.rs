// SPDX-License-Identifier: Apache-2.0
//! The parts of a creation that its steps are read from.

use super::plan::{Actor, Details, PlannedCgroup, PlannedSetting, PlannedStep, PlannedWrite};
use crate::boundary::plan::Plan;
use crate::cgroup::limits::Write;
use crate::config::Config;
use std::fmt::Debug;

/// A creation that is ready to be carried out.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) config: &'a Config,
    /// The values of config.json whose names `config` does not have.
    pub(crate) named: Named,
    pub(crate) plan: &'a Plan,
    pub(crate) cgroup: Option<PlacedCgroup>,
    /// The container's directory in the state directory.
    pub(crate) directory: String,
    /// The path of the root directory.
    pub(crate) rootfs: &'a str,
    /// True if the root file system is made of mounts of the calling program.
    pub(crate) has_rootfs_mounts: bool,
    pub(crate) has_notify_socket: bool,
    /// The number of hooks that are functions of the calling program.
    pub(crate) caller_hooks: usize,
    /// True if the program is started at once, false if it waits for `start`.
    pub(crate) starts: bool,
    pub(crate) sources: Sources,
}

/// Values of config.json in words; `None` if they are not set.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) scheduler: Option<String>,
    pub(crate) io_priority: Option<String>,
    pub(crate) personality: Option<String>,
    pub(crate) memory_policy: Option<String>,
}

/// The container's cgroup, and what is set there.
#[derive(Debug)]
pub(crate) struct PlacedCgroup {
    pub(crate) place: PlannedCgroup,
    /// True if the process is moved into the cgroup when it exists already.
    pub(crate) adopts: bool,
    /// The properties that systemd is asked for.
    pub(crate) unit: Vec<PlannedSetting>,
    pub(crate) limits: Vec<Write>,
    /// The controllers to enable in the cgroups above.
    pub(crate) controllers: Vec<PlannedWrite>,
}

/// The sources of the descriptors of the program, and the ways to tell of its pid.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Standard input, output and error, in words.
    pub(crate) stdio: [String; 3],
    /// The receiver of the terminal's master, in words.
    pub(crate) console: String,
    /// The descriptors from 3 on, in words.
    pub(crate) preserved: Vec<String>,
    pub(crate) pid_file: Option<String>,
    pub(crate) pidfd_socket: Option<String>,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Steps(pub(super) Vec<PlannedStep>);

impl Steps {
    /// Adds a step, whose name is that of a variant in a timeline.
    pub(super) fn add(
        &mut self,
        by: Actor,
        name: impl Debug,
        item: Option<usize>,
        text: impl Into<String>,
        details: Option<Details>,
    ) {
        let name = format!("{name:?}");
        self.0.push(PlannedStep { by, name, item, text: text.into(), details });
    }
}
