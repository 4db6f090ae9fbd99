// SPDX-License-Identifier: Apache-2.0
//! One attempt to make a container: it ends with the whole container, or with
//! nothing.

use super::container_hooks::{self, Inside};
use super::create::start_failed;
use super::delete::poststop;
use super::handover::Handover;
use super::inherited::Inherited;
use super::process::{Held, Written};
use super::{Container, host_mount};
use crate::boundary::plan::{Node, Plan};
use crate::cgroup::driver;
use crate::cgroup::fs::Occupants;
use crate::cgroup::oom::OomWatch;
use crate::cgroup::{self, Cgroup, Hierarchy, limits};
use crate::config::Config;
use crate::config::namespaces::{Kind as NamespaceKind, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::hook::Kind as HookKind;
use crate::marks::{Mark, Traced};
use crate::net;
use crate::parent::network::NewNetwork;
use crate::parent::{self, Child, Progress, agent, hooks, ids, outside};
use crate::path::proc::Proc;
use crate::path::show;
use crate::prepare::{self, Extras, Host};
use crate::resctrl::{self, Resctrl};
use crate::spec::{OCI_VERSION, Resources, StateDocument, Status};
use crate::state::filter::CompiledFilter;
use crate::state::process::ProcessId;
use crate::state::record::{Document, HookRecord, Phase, Record};
use crate::state::store::Locked;
use crate::sys::Errno;
use crate::watch::Watch;
use seccomp::Policy;
use std::collections::BTreeMap;

/// What the container's program waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    ForStart,
    ForRelease,
}

/// All that is known before anything is made.
pub(super) struct Attempt<'a> {
    pub(super) container: &'a Container,
    pub(super) bundle: String,
    pub(super) rootfs: String,
    pub(super) config: &'a Config,
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) place: driver::Plan,
    pub(super) handover: &'a Handover,
    pub(super) inherited: &'a Inherited,
    pub(super) resources: &'a Resources,
    /// See [`Record::host_mount_below`].
    pub(super) host_mount: Option<u64>,
    pub(super) resctrl: Option<(Resctrl, resctrl::Place)>,
    pub(super) rootless: Option<bool>,
    pub(super) notify: bool,
    /// Its network namespace, while others are at work on it.
    pub(super) network: Option<NewNetwork>,
    pub(super) waits: Waits,
    pub(super) notes: Vec<String>,
    pub(super) made: Made,
}

/// What is made by now outside of the child, which takes the rest with it.
#[derive(Default)]
pub(super) struct Made {
    /// The cgroup is not somebody else's.
    owns_cgroup: bool,
    /// What the container has in the resctrl file system.
    resctrl: bool,
    /// Since the child is in its cgroup.
    watch: Option<OomWatch>,
    /// Interfaces that are in the container.
    net_devices: Option<net::Moved>,
}

impl Attempt<'_> {
    /// Makes the container, or undoes what it has made so far.
    pub(super) fn make(mut self, entry: Locked, extras: Extras) -> Result<Held> {
        match self.advance(&entry, extras) {
            Ok((child, plan, written)) => {
                let held = Held::new(child, plan, self.made.watch, self.notes);
                Ok(held.first_of(self.container.clone(), written))
            }
            Err(error) if entry.is_gone() => {
                // By a `delete --force` that could not wait for us: it has undone all that the
                // record names, and another container may have the name by now.
                Err(match self.give_back_devices() {
                    Ok(()) => error,
                    Err(left) => error.with_hint(left.report()),
                })
            }
            Err(error) => {
                // The child is gone by now. The first error is the one to
                // report; what cannot be undone stays in the record.
                let mut hints = Vec::new();
                if let Err(left) = self.undo().and_then(|()| entry.remove()) {
                    hints.push(format!("not everything could be undone: {}", left.report()));
                }
                // runtime.md, "Lifecycle": from a failing hook on to step 13.
                if error.kind() == ErrorKind::Hook {
                    hints.extend(poststop(&self.record(), Watch::default()).iter().map(ToString::to_string));
                }
                Err(if hints.is_empty() { error } else { error.with_hint(hints.join("; ")) })
            }
        }
    }

    /// Makes the container, or fails somewhere on the way.
    fn advance(&mut self, entry: &Locked, mut extras: Extras) -> Result<(Child, Plan, Written)> {
        let mut record = self.record();
        record.no_new_keyring = extras.no_new_keyring;
        record.seccomp = extras.filter.as_ref().map(CompiledFilter::record);
        entry.write(&record)?;
        if self.notify {
            entry.make_notify()?;
        }
        let cgroup = self.prepare(entry, &mut record).traced(Mark::MakeCgroup)?;
        if self.waits == Waits::ForStart {
            extras.fifo = Some(entry.make_fifo()?);
        }
        let host = Host { rootfs: &self.rootfs, hierarchy: self.hierarchy.mount_point() };
        let mut plan = prepare::for_create(self.config, self.id(), &host, extras)
            .map_err(|error| if error.kind() == ErrorKind::Setup { start_failed(error) } else { error })
            .traced(Mark::Plan)?;
        plan.wait_go |= self.place.adopts();
        if let Some(container) = &mut plan.container {
            container.awaits_filter = !self.place.adopts() && !container.barrier && !container.awaits_devices;
        }
        if let Some(network) = &mut self.network {
            plan.enter_network(network.namespace()?);
        }
        let (mut child, cgroup) = self.spawn(&mut plan, cgroup, entry, &mut record)?;
        child.await_joins(&plan, self.handover.cancel())?;
        // While the child works.
        record.init = ProcessId::of(child.pid)?;
        if matches!(self.place, driver::Plan::None) {
            // No cgroup leads to it: for a `delete --force` that comes meanwhile.
            entry.write(&record)?;
        }
        if let Some(filter) = &plan.process.filter {
            entry.write_filter(&filter.program)?;
        }
        record.phase = Phase::Created;
        record.namespace_paths = self.namespace_paths(child.pid);
        // If it clones the process that executes the program, that one is not there yet.
        let prepared = (!plan.process.enters_pid).then(|| entry.prepare(&record)).transpose()?;
        self.drive(&mut child, &plan, cgroup).map_err(|error| {
            let limit = self.made.watch.as_ref().filter(|_| child.is_killed()).and_then(OomWatch::limit);
            start_failed(match limit {
                None => error,
                Some(limit) => Error::new(
                    ErrorKind::Setup,
                    format!("container init was OOM-killed (memory limit too low?): {limit}"),
                ),
            })
        })?;
        let created = match prepared {
            Some(created) => created,
            None => {
                record.init = ProcessId::of(child.pid)?;
                record.namespace_paths = self.namespace_paths(child.pid);
                entry.prepare(&record)?
            }
        };
        let version = created.commit()?;
        self.handover.announce(&child, b"standard").traced(Mark::Announce)?;
        if self.waits == Waits::ForRelease {
            self.container.start_container_hooks(&record, Watch::cancel(self.handover.cancel()))?;
        }
        Ok((child, plan, Written { record, version }))
    }

    fn in_user_namespace(&self) -> bool {
        self.config.namespaces.is_own(NamespaceKind::User)
    }

    fn id(&self) -> &str {
        self.container.id.as_str()
    }

    /// From the clone to the point where the program could be executed.
    fn drive(&mut self, child: &mut Child, plan: &Plan, cgroup: Option<Cgroup>) -> Result<()> {
        let proc =
            plan.proc.as_ref().ok_or_else(|| Error::new(ErrorKind::Setup, "the plan has no procfs"))?;
        if let Some(network) = self.network.take() {
            network.finish()?;
        }
        child.start_tree_cloner(plan, &self.device_owners(plan, proc, child.pid)?)?;
        let namespaces = &self.config.namespaces;
        if namespaces.is_new(NamespaceKind::User) {
            ids::write_maps(proc, child.pid, &namespaces.uid_map, &namespaces.gid_map)
                .traced(Mark::IdMaps)?;
        } else {
            ids::compare_maps(proc, child.pid, &namespaces.uid_map, &namespaces.gid_map)?;
        }
        let container = plan.container.as_ref();
        if let (Some(rdt), Some((resctrl, place))) = (&self.config.intel_rdt, &self.resctrl) {
            resctrl.make(place, rdt, child.pid)?;
            self.made.resctrl = true;
        }
        // A child that was born in its cgroup goes on meanwhile.
        if plan.wait_go && !self.place.adopts() {
            child.go()?;
        }
        self.limit(child, proc, cgroup)?;
        if self.place.adopts() || container.is_some_and(|container| container.awaits_filter) {
            child.go()?;
        }
        loop {
            match child.progress(plan, self.handover.cancel())? {
                Progress::NeedMount(item) => child.send_tree(plan, item)?,
                Progress::Namespaces => {
                    self.move_devices(child, plan)?;
                    child.go()?;
                }
                Progress::Barrier => {
                    let state = self.state(child.pid);
                    for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
                        hooks::run(kind, self.config.hooks.of(kind), &state, self.handover.watch(child))?;
                    }
                    let inside = Inside {
                        init: child,
                        plan,
                        namespace_paths: &self.namespace_paths(child.pid),
                        is_alone: namespaces.is_new(NamespaceKind::Mount),
                        is_born: !self.place.adopts(),
                    };
                    let hooks = self.config.hooks.of(HookKind::CreateContainer);
                    container_hooks::create_container(hooks, &state, &inside, self.handover.watch(child))?;
                    child.go()?;
                }
                Progress::Listener(listener) => {
                    if let Some(agent) = self.config.seccomp.as_ref().and_then(Policy::listener) {
                        let watch = self.handover.watch(child);
                        agent::hand_over(agent, listener, child.pid, self.state(child.pid), watch)?;
                    }
                    child.go()?;
                }
                Progress::Ready => {
                    if self.in_user_namespace() {
                        outside::own_streams(plan, proc, child.pid, self.config.process.uid)?;
                    }
                    return outside::apply(
                        prepare::attributes(&self.config.process, &[]),
                        proc,
                        child.pid,
                        self.in_user_namespace(),
                    )
                    .traced(Mark::SetFromOutside);
                }
            }
        }
    }

    /// For each device node the owner on the host, if the helper makes it; empty if that
    /// makes none.
    fn device_owners(&self, plan: &Plan, proc: &Proc, pid: i32) -> Result<Vec<(u32, u32)>> {
        let nodes = plan.container.as_ref().map_or(&[][..], |container| &container.rootfs.dev.nodes);
        if nodes.iter().all(|node| node.made_by_helper().is_none()) {
            return Ok(Vec::new());
        }
        let namespaces = &self.config.namespaces;
        let maps = match namespaces.is_new(NamespaceKind::User) {
            true => ids::Maps::new(&namespaces.uid_map, &namespaces.gid_map),
            false => ids::Maps::of(proc, pid)?,
        };
        let owner = |node: &Node| {
            let Some(new) = node.made_by_helper() else { return Ok((0, 0)) };
            let at = || format!("linux.devices: /{}", show(&node.path));
            maps.on_host(new.uid, new.gid).map_err(|error| error.wrap(at()))
        };
        nodes.iter().map(owner).collect()
    }

    fn move_devices(&mut self, child: &Child, plan: &Plan) -> Result<()> {
        let moved = child
            .route_socket(plan)
            .and_then(|socket| net::Moved::new(&self.config.net_devices, child.pid, socket))
            .traced(Mark::NetDevices)?;
        self.made.net_devices = Some(moved);
        Ok(())
    }

    /// Makes the cgroup, or goes without.
    fn prepare(&mut self, entry: &Locked, record: &mut Record) -> Result<Option<Cgroup>> {
        let prepared = self.place.prepare(self.hierarchy);
        match self.owning(prepared) {
            Err(error) if is_denied(&error) && self.is_rootless()? => {
                self.go_without(error, entry, record).map(|()| None)
            }
            other => other,
        }
    }

    /// Clones the child, in its cgroup if it has one by now.
    fn spawn(
        &mut self,
        plan: &mut Plan,
        cgroup: Option<Cgroup>,
        entry: &Locked,
        record: &mut Record,
    ) -> Result<(Child, Option<Cgroup>)> {
        match parent::spawn(plan, cgroup.as_ref().filter(|_| !self.place.adopts()).map(Cgroup::dir)) {
            // Who may make a cgroup may not yet move a process there from his own
            // (cgroups(7), "Delegation containment").
            Err(error)
                if cgroup.is_some()
                    && error.errno() == Some(Errno::EACCES as i32)
                    && self.is_rootless()? =>
            {
                record.driver().remove(Occupants::Kill)?;
                self.go_without(error, entry, record)?;
                Ok((parent::spawn(plan, None)?, None))
            }
            spawned => Ok((spawned?, cgroup)),
        }
    }

    fn go_without(&mut self, denied: Error, entry: &Locked, record: &mut Record) -> Result<()> {
        self.notes.push(format!("the container has no cgroup of its own: {}", denied.report()));
        self.place = driver::Plan::without(self.config, denied)?;
        self.made.owns_cgroup = false;
        record.set_cgroup(self.place.path(self.hierarchy), self.place.record());
        entry.write(record)
    }

    fn is_rootless(&self) -> Result<bool> {
        self.rootless.map_or_else(ids::is_rootless, Ok)
    }

    /// Puts limits on the child.
    fn limit(&mut self, child: &Child, proc: &Proc, cgroup: Option<Cgroup>) -> Result<()> {
        let resources = &self.config.resources;
        if let (Some(check), Some(cgroup)) = (&resources.memory.check, &cgroup) {
            cgroup.check_memory(check)?;
        }
        let before = match &cgroup {
            Some(cgroup) => cgroup.memory_events(),
            // A scope of systemd's may be one that was left behind. It is no reason to
            // fail that it cannot be read.
            None => Cgroup::from_record(&self.place.path(self.hierarchy))
                .ok()
                .flatten()
                .map(|left| left.memory_events())
                .unwrap_or_default(),
        };
        let writes = limits::writes(resources);
        let adopted = self.place.adopt(self.hierarchy, cgroup, child.pid, &writes);
        let Some(cgroup) = self.owning(adopted).traced(Mark::Limits)? else { return Ok(()) };
        let watch = OomWatch::new(cgroup, before);
        // A child that was born in its cgroup may have said by now that it is ready. Below
        // what it uses then, a memory.max kills it by being written, and nobody else.
        let limits_memory = writes.iter().any(|write| write.file == "memory.max");
        let confined = if limits_memory && !self.place.adopts() && watch.limit().is_some() {
            Err(child.ended())
        } else {
            self.confine(child, proc, watch.cgroup())
        };
        self.made.watch = Some(watch);
        confined
    }

    /// Filters devices, and hands the cgroup over to whom it shall belong.
    fn confine(&mut self, child: &Child, proc: &Proc, cgroup: &Cgroup) -> Result<()> {
        match cgroup::devices::apply(cgroup.dir(), &self.config.device_rules).traced(Mark::DeviceFilter) {
            // Who may not load such programs may not make devices either.
            Err(error) if error.errno() == Some(Errno::EPERM as i32) && self.is_rootless()? => {
                self.notes.push(format!("the container has no device filter: {}", error.report()));
            }
            other => other?,
        }
        if let Some(owner) = self.config.cgroup_owner {
            let mapped = self.in_user_namespace();
            let owner = if mapped { ids::on_host(proc, child.pid, owner)? } else { owner };
            self.place.leaf(cgroup)?.as_ref().unwrap_or(cgroup).delegate(owner)?;
        }
        Ok(())
    }

    /// Remembers whether there is anything of ours to undo.
    fn owning<T>(&mut self, made: Result<T>) -> Result<T> {
        self.made.owns_cgroup = !made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists);
        made
    }

    /// Removes what an attempt has made that failed.
    fn undo(&mut self) -> Result<()> {
        let record = self.record();
        // Each for itself: none of them stops the others.
        let undone = [
            match self.made.owns_cgroup {
                true => record.driver().remove(Occupants::Kill).map(drop),
                false => Ok(()),
            },
            host_mount::remove(&record),
            match &self.resctrl {
                Some((resctrl, place)) if self.made.resctrl => resctrl.remove(place),
                _ => Ok(()),
            },
            self.give_back_devices(),
        ];
        undone.into_iter().collect()
    }

    fn give_back_devices(&mut self) -> Result<()> {
        self.made.net_devices.take().map_or(Ok(()), net::Moved::back)
    }

    fn state(&self, pid: i32) -> StateDocument<'_> {
        StateDocument {
            oci_version: OCI_VERSION,
            id: self.id(),
            status: Status::Creating,
            pid,
            bundle: &self.bundle,
            annotations: &self.config.annotations,
        }
    }

    fn record(&self) -> Record {
        let cgroup = self.place.record();
        let path = self.place.path(self.hierarchy);
        let config = self.config;
        let mut record = Record::creating(self.id(), self.bundle.clone(), self.rootfs.clone(), path, cgroup);
        record.annotations.clone_from(&config.annotations);
        record.inherited = Document::new(self.inherited);
        record.shared_pid_namespace = !config.namespaces.is_new(NamespaceKind::Pid);
        record.resources = Document::new(self.resources);
        record.host_mount_below = self.host_mount;
        record.resctrl = self.resctrl.as_ref().map(|(_, place)| place.clone());
        record.start_container = HookRecord::list(config.hooks.of(HookKind::StartContainer));
        record.poststart = HookRecord::list(config.hooks.of(HookKind::Poststart));
        record.poststop = HookRecord::list(config.hooks.of(HookKind::Poststop));
        record
    }

    fn namespace_paths(&self, pid: i32) -> BTreeMap<String, String> {
        NamespaceKind::ALL
            .into_iter()
            .filter(|kind| *self.config.namespaces.origin(*kind) != Origin::Shared)
            .map(|kind| (kind.clone_name().to_owned(), format!("/proc/{pid}/ns/{}", kind.file())))
            .collect()
    }
}

/// Whether the kernel says that the caller may not do this.
fn is_denied(error: &Error) -> bool {
    let denied = [Errno::EACCES, Errno::EPERM, Errno::EROFS].map(|errno| Some(errno as i32));
    denied.contains(&error.errno())
}
