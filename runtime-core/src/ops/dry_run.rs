// SPDX-License-Identifier: Apache-2.0
//! Dry runs: a creation up to the point where something would be made.

use super::create::{ContainerBuilder, Settled};
use super::notify;
use super::options::ProcessOptions;
use super::target::{Rootless, Target};
use super::transaction;
use crate::cgroup::driver::Placement;
use crate::cgroup::{controllers, limits};
use crate::config::namespaces::{NamespaceKind, network_can_be_ahead};
use crate::config::{CgroupsPath, Config};
use crate::dry_run::{
    CreationPlan, Named, PlacedCgroup, PlannedCgroup, PlannedSetting, PlannedWrite, Sources, Subject, steps,
};
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::parent::ids;
use crate::path::{c_path, of_fd};
use crate::prepare::{Mode, stand_in};
use crate::spec::Spec;
use crate::stdio::Stdio;
use runtime_sys::fd;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

impl ContainerBuilder {
    /// Returns the steps that [`create`](Self::create) would take, and those that its caller's later
    /// calls would take: to start the program, and to run the hooks until the container is deleted.
    ///
    /// Nothing is made: no directory, no cgroup, no record, no mount and no process; no socket is
    /// connected but that of systemd, with [`CgroupManager::Systemd`](crate::CgroupManager::Systemd).
    /// config.json, the host and the sources of mounts are looked at as `create` does it, so the
    /// errors are the same; but the kernel may refuse a step when it is taken. A source that is an
    /// automount point is mounted by that.
    ///
    /// With [`parallel`](Self::parallel), a thread makes the network namespace in the plan.
    ///
    /// Errors: those of `create`; or the thread has been started by [`load`](Self::load), because
    /// `parallel` was called before it.
    pub fn plan_create(self) -> Result<CreationPlan> {
        self.show(false)
    }

    /// Returns the steps that [`run`](Self::run) would take. See [`plan_create`](Self::plan_create).
    pub fn plan_run(self) -> Result<CreationPlan> {
        self.show(true)
    }

    fn show(mut self, starts: bool) -> Result<CreationPlan> {
        self.options.check()?;
        if self.network.is_some() {
            let text = "the network namespace has been made: call parallel after load for a dry run";
            return Err(Error::new(ErrorKind::System, text));
        }
        let parallel = std::mem::replace(&mut self.parallel, false);
        self.read()?;
        let mut warnings = self.take_warnings();
        let shown = self.show_settled(starts, parallel, &mut warnings);
        match shown {
            Ok(shown) => Ok(CreationPlan { warnings, ..shown }),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    fn show_settled(
        mut self,
        starts: bool,
        parallel: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<CreationPlan> {
        let ahead = parallel && self.loaded().is_some_and(network_can_be_ahead);
        let has_rootfs_mounts = self.rootfs_mounts.is_some();
        let stdio = std::array::from_fn(|n| source(&self.options.stdio, n));
        let settled = self.settle(warnings, ProcessOptions::extras_unconnected)?;
        let Settled { bundle, spec, config, mut target, extras, .. } = settled;
        self.container.store.check(&self.container.id)?;
        let id = self.container.id.as_str();
        let directory = self.container.store.path().join(id);
        let notify = match self.notify {
            true => Some(c_path(Path::new(&notify::source(&self.container.store, &self.container.id)?))),
            false => None,
        };
        let notify = notify.transpose().context(|| "the directory of the notification socket")?;
        let preserved = (3..).take(extras.preserve_fds.into()).map(open_file).collect();
        let mut plan =
            transaction::plan(&config, id, &target, extras, Mode::Show { notify: notify.as_deref() })?;
        let namespaces = &config.namespaces;
        if namespaces.is_new(NamespaceKind::User) {
            let maps = || Ok(ids::Maps::new(&namespaces.uid_map, &namespaces.gid_map));
            transaction::device_owners(&plan, warnings, maps)?;
        }
        if ahead {
            plan.enter_network(stand_in()?);
        }
        let rootless = match self.rootless {
            Rootless::Auto => ids::is_rootless()?,
            Rootless::Yes => true,
            Rootless::No => false,
        };
        let cgroup = cgroup(&config, &mut target, rootless)?;
        let text = |path: &PathBuf| path.display().to_string();
        let options = &self.options;
        let sources = Sources {
            stdio,
            console: options.console_socket.as_ref().map_or_else(|| "the caller".to_owned(), text),
            preserved,
            pid_file: options.pid_file.as_ref().map(text),
            pidfd_socket: options.pidfd_socket.as_ref().map(text),
        };
        let subject = Subject {
            config: &config,
            named: named(&spec),
            plan: &plan,
            cgroup,
            directory: directory.display().to_string(),
            rootfs: &target.rootfs,
            has_rootfs_mounts,
            has_notify_socket: self.notify,
            caller_hooks: self.hooks.count(),
            starts,
            sources,
        };
        let steps = steps(&subject);
        Ok(CreationPlan {
            id: id.to_owned(),
            bundle,
            rootfs: target.rootfs.clone(),
            steps,
            warnings: Vec::new(),
        })
    }
}

/// Returns the values of which only the configuration has the names.
fn named(spec: &Spec) -> Named {
    let mut named = Named::default();
    let add = |words: &mut String, more: &[String]| more.iter().for_each(|one| *words += &format!(", {one}"));
    let process = spec.process.as_ref();
    named.scheduler = process.and_then(|process| process.scheduler.as_ref()).map(|scheduler| {
        let mut words = scheduler.policy.clone();
        for (name, number) in [
            ("nice", i128::from(scheduler.nice)),
            ("priority", i128::from(scheduler.priority)),
            ("runtime", i128::from(scheduler.runtime)),
            ("deadline", i128::from(scheduler.deadline)),
            ("period", i128::from(scheduler.period)),
        ] {
            if number != 0 {
                words += &format!(", {name} {number}");
            }
        }
        add(&mut words, &scheduler.flags);
        words
    });
    named.io_priority = process.and_then(|process| process.io_priority.as_ref()).map(|io| {
        let level = io.priority.map_or_else(String::new, |level| format!(", level {level}"));
        format!("{}{level}", io.class)
    });
    let linux = spec.linux.as_ref();
    named.personality =
        linux.and_then(|linux| linux.personality.as_ref()).map(|personality| personality.domain.clone());
    named.memory_policy = linux.and_then(|linux| linux.memory_policy.as_ref()).map(|policy| {
        let mut words = policy.mode.clone();
        if !policy.nodes.is_empty() {
            words += &format!(", nodes {}", policy.nodes);
        }
        add(&mut words, &policy.flags);
        words
    });
    named
}

/// Returns the container's cgroup and its limits; `None` if it stays in the caller's.
fn cgroup(config: &Config, target: &mut Target, rootless: bool) -> Result<Option<PlacedCgroup>> {
    let path = target.cgroup_path();
    let writes = limits::writes(&config.resources);
    let mut controllers = Vec::new();
    let (made, unit, leaf) = match &target.cgroup {
        Placement::None => return Ok(None),
        Placement::Fs(place) => {
            controllers = controllers::planned(&target.hierarchy, &place.path)
                .context(|| format!("the controllers above {path}"))?;
            (place.missing, None, None)
        }
        Placement::Systemd { scope, .. } => {
            let leaf = Some(scope.leaf.clone()).filter(|leaf| !leaf.is_empty());
            (0, Some(scope.unit.clone()), leaf)
        }
    };
    let optional = rootless && writes.is_empty() && config.cgroups_path == CgroupsPath::Default;
    let adopts = target.cgroup.adopts();
    let (properties, limits) = target.cgroup.translated(writes)?;
    let manager = if unit.is_some() { "systemd" } else { "cgroupfs" };
    let unit_properties =
        properties.into_iter().map(|(name, value)| PlannedSetting { name, value }).collect();
    let place = PlannedCgroup { manager, path, made, unit, leaf, optional };
    let write =
        |(file, value)| PlannedWrite { file, value, field: "linux.cgroupsPath".to_owned(), optional: true };
    let controllers = controllers.into_iter().map(write).collect();
    Ok(Some(PlacedCgroup { place, adopts, unit: unit_properties, limits, controllers }))
}

/// Returns the source of a standard stream, in words.
fn source(stdio: &[Stdio; 3], n: usize) -> String {
    match stdio.get(n) {
        Some(Stdio::Null) => "/dev/null".to_owned(),
        Some(Stdio::Piped) => "a pipe to the caller".to_owned(),
        Some(Stdio::Fd(file)) => path_of(file),
        _ => format!("the caller's {}", path_of(fd::stdio(n as u8))),
    }
}

/// Returns the file of a descriptor of the caller, in words.
fn open_file(number: i32) -> String {
    let link = PathBuf::from(format!("/proc/self/fd/{number}"));
    let file = std::fs::read_link(link);
    file.map_or_else(|_| "unknown".to_owned(), |path| path.display().to_string())
}

fn path_of(file: impl AsFd) -> String {
    of_fd(file).map_or_else(|_| "unknown".to_owned(), |path| path.display().to_string())
}
