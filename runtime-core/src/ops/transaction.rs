// SPDX-License-Identifier: Apache-2.0
//! The transaction of create: it makes the whole container, or undoes everything. Its methods
//! are the steps of the sequence in `create.rs`.

use super::caller_hooks::CallerHooks;
use super::container::Container;
use super::container_hooks::{self, HookTarget};
use super::delete::poststop;
use super::host_mount;
use super::images::descriptors;
use super::options::ProcessOptions;
use super::target::{Rootless, Target};
use crate::boundary::plan::{Node, Plan};
use crate::cgroup::driver;
use crate::cgroup::fs::Occupants;
use crate::cgroup::oom::OomWatch;
use crate::cgroup::{self, Cgroup, limits};
use crate::config::Config;
use crate::config::namespaces::{NamespaceKind, Origin};
use crate::error::{Error, ErrorKind, Result, Warning};
use crate::hook::HookKind;
use crate::marks::{Mark, Traced};
use crate::net;
use crate::parent::child::{Child, Progress};
use crate::parent::explain::start_failed;
use crate::parent::helpers::restored_route_socket;
use crate::parent::network::NewNetwork;
use crate::parent::{agent, attributes, hooks, ids};
use crate::path::proc::{PidFile, Proc};
use crate::path::show;
use crate::prepare::{self, Extras, Host, Mode};
use crate::spec::{OCI_VERSION, StateDocument, Status};
use crate::state::entry::{Locked, NewRecord};
use crate::state::process::ProcessId;
use crate::state::record::{Phase, Record};
use crate::watch::Watch;
use runtime_sys::Errno;
use seccomp::Policy;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The creation of a container.
pub(super) struct Transaction<'a> {
    pub(super) container: &'a Container,
    pub(super) config: &'a Config,
    pub(super) target: Target,
    pub(super) options: &'a ProcessOptions,
    /// The permission for a container without limits and without a cgroup path to have no cgroup.
    pub(super) rootless: Rootless,
    /// The record as it is on disk, or will be after the next write.
    pub(super) record: Record,
    pub(super) notes: Vec<String>,
    pub(super) made: Made,
    /// The hooks of the calling program.
    pub(super) hooks: &'a mut CallerHooks,
}

/// The things that were made outside of the child. Everything else ends with the child.
#[derive(Default)]
pub(super) struct Made {
    /// Set if the cgroup was made for this container.
    owns_cgroup: bool,
    /// Set if the group in the resctrl file system was made.
    resctrl: bool,
    /// The watch for OOM kills, once the child is in its cgroup.
    pub(super) oom_watch: Option<OomWatch>,
    /// The network devices that were moved into the container.
    net_devices: Option<net::Moved>,
}

impl Transaction<'_> {
    /// Reserves the container's id, writes the record and runs `script`. If `script` fails,
    /// undoes what was made, in reverse order as far as the order matters.
    ///
    /// The first error is returned. Its hint names what could not be undone, which stays in the
    /// record.
    pub(super) fn run<T>(
        mut self,
        script: impl FnOnce(&mut Self, &Locked) -> Result<T>,
    ) -> Result<(T, Self)> {
        let (entry, written) = self.container.store.reserve_with(&self.container.id, &self.record)?;
        let error = match written.and_then(|()| script(&mut self, &entry)) {
            Ok(made) => return Ok((made, self)),
            Err(error) => error,
        };
        if entry.is_gone() {
            // A `delete --force` that has not waited for this lock has removed everything that the
            // record names. Another container may have the id by now.
            return Err(match together([self.remove_later(), self.give_back_devices()]) {
                Ok(()) => error,
                Err(left) => error.with_hint(left.report()),
            });
        }
        let mut hints = Vec::new();
        if error.step() == Some("FindProgram") && has_no_files(&self.target.rootfs) {
            hints.push(format!("root.path: {} has no files: unpack an image there", self.target.rootfs));
        }
        if let Err(left) = self.undo().and_then(|()| entry.remove()) {
            hints.push(format!("not everything could be undone: {}", left.report()));
        }
        // After a failing hook, the lifecycle continues at step 13: poststop (runtime.md,
        // "Lifecycle").
        if error.kind() == ErrorKind::Hook {
            hints.extend(poststop(&self.record, Watch::default()).iter().map(ToString::to_string));
        }
        Err(if hints.is_empty() { error } else { error.with_hint(hints.join("; ")) })
    }

    /// Removes what was made. The child has ended by now.
    fn undo(&mut self) -> Result<()> {
        together([
            match self.made.owns_cgroup {
                true => self.record.driver().remove(Occupants::Kill).map(drop),
                false => Ok(()),
            },
            host_mount::remove(&self.record),
            self.remove_resctrl(),
            self.give_back_devices(),
        ])
    }

    /// Removes a cgroup and a resctrl group that were made after the container had been deleted.
    /// Leaves them if another container has the id by now: it may use them, even if its init is not
    /// in them yet.
    fn remove_later(&self) -> Result<()> {
        if self.container.store.has(&self.container.id) {
            return Ok(());
        }
        let cgroup = if self.made.owns_cgroup { self.record.driver().remove_empty() } else { Ok(()) };
        together([cgroup, self.remove_resctrl()])
    }

    fn remove_resctrl(&self) -> Result<()> {
        match &self.target.resctrl {
            Some((resctrl, place)) if self.made.resctrl => resctrl.remove(place),
            _ => Ok(()),
        }
    }

    fn give_back_devices(&mut self) -> Result<()> {
        self.made.net_devices.take().map_or(Ok(()), net::Moved::back)
    }

    /// Makes the cgroup, if it can be made before the clone. If the caller lacks the rights, the
    /// container may go without a cgroup (see `rootless`).
    pub(super) fn make_cgroup(&mut self, entry: &Locked) -> Result<Option<Cgroup>> {
        let (target, record) = (&mut self.target, &mut self.record);
        let prepared = target.cgroup.prepare(&target.hierarchy, |cgroup| {
            record.set_cgroup(record.cgroup_path().to_owned(), cgroup);
            entry.write(record)
        });
        match self.owning(prepared).traced(Mark::MakeCgroup) {
            Err(error) if is_denied(&error) && self.is_rootless()? => {
                self.go_without_cgroup(error, entry).map(|()| None)
            }
            other => other,
        }
    }

    /// Makes the plan of the child. If given, `network` is the network namespace that the child
    /// enters instead of making one.
    pub(super) fn plan(&self, extras: Extras, network: Option<&mut NewNetwork>) -> Result<Plan> {
        let mut plan =
            plan(self.config, self.id(), &self.target, extras, Mode::Make { cancel: self.options.cancel() })?;
        if let Some(network) = network {
            plan.enter_network(network.namespace()?);
        }
        Ok(plan)
    }

    /// Clones the child, into `cgroup` if it was made, and waits until the child has joined the
    /// existing namespaces of its plan.
    pub(super) fn spawn(
        &mut self,
        plan: &mut Plan,
        cgroup: Option<Cgroup>,
        entry: &Locked,
    ) -> Result<(Child, Option<Cgroup>)> {
        let born_in = cgroup.as_ref().filter(|_| !self.target.cgroup.adopts()).map(Cgroup::dir);
        let (mut child, cgroup) = match Child::spawn(plan, born_in) {
            // A caller that may make a cgroup may still lack the right to move a process there
            // from its own cgroup (cgroups(7), "Delegation containment").
            Err(error)
                if cgroup.is_some()
                    && error.errno() == Some(Errno::EACCES as i32)
                    && self.is_rootless()? =>
            {
                self.record.driver().remove(Occupants::Kill)?;
                self.go_without_cgroup(error, entry)?;
                (Child::spawn(plan, None)?, None)
            }
            spawned => (spawned?, cgroup),
        };
        child.await_joins(plan, self.options.cancel())?;
        Ok((child, cgroup))
    }

    /// Adds the child's pid to the record, and writes the record of the created container ahead of
    /// time. [`commit`](Self::commit) puts this record in place.
    ///
    /// `None`: the process that executes the program does not exist yet.
    pub(super) fn write_ahead<'e>(
        &mut self,
        entry: &'e Locked,
        child: &Child,
        plan: &Plan,
    ) -> Result<Option<NewRecord<'e>>> {
        self.record.init = ProcessId::of(child.pid())?;
        if matches!(self.target.cgroup, driver::Placement::None) {
            // Without a cgroup, a concurrent `delete --force` finds the child only by the record.
            entry.write(&self.record)?;
        }
        if let Some(filter) = &plan.process.filter {
            entry.write_filter(&filter.program)?;
        }
        self.record.phase = Phase::Created;
        let process = &plan.process;
        self.record.external_descriptors = descriptors(process.terminal.is_some(), process.streams);
        self.record.namespace_paths = self.namespace_paths(child.pid());
        (!plan.process.enters_pid).then(|| entry.prepare(&self.record)).transpose()
    }

    /// Runs a part of the sequence in which the child can fail, and adds to an error that it comes
    /// from the child, or that the child was OOM-killed.
    pub(super) fn with_init(
        &mut self,
        child: &mut Child,
        script: impl FnOnce(&mut Self, &mut Child) -> Result<()>,
    ) -> Result<()> {
        script(self, child).map_err(|error| {
            let limit = self.made.oom_watch.as_ref().filter(|_| child.is_killed()).and_then(OomWatch::limit);
            start_failed(match limit {
                None => error,
                Some(limit) => Error::new(
                    ErrorKind::Setup,
                    format!("container init was OOM-killed (memory limit too low?): {limit}"),
                ),
            })
        })
    }

    /// Writes the id maps of a new user namespace, or compares the configured maps with those of a
    /// joined one.
    pub(super) fn id_maps(&self, child: &Child, proc: &Proc) -> Result<()> {
        let namespaces = &self.config.namespaces;
        if namespaces.is_new(NamespaceKind::User) {
            ids::write_maps(proc, child.pid(), &namespaces.uid_map, &namespaces.gid_map).traced(Mark::IdMaps)
        } else {
            ids::compare_maps(proc, child.pid(), &namespaces.uid_map, &namespaces.gid_map)
        }
    }

    /// Makes the resctrl group for cache and memory bandwidth, with the process `pid` in it.
    pub(super) fn intel_rdt(&mut self, pid: i32) -> Result<()> {
        if let (Some(rdt), Some((resctrl, place))) = (&self.config.intel_rdt, &self.target.resctrl) {
            resctrl.make(place, rdt, pid)?;
            self.made.resctrl = true;
        }
        Ok(())
    }

    /// Sets the limits and the device filter of the child. A child that was cloned into its cgroup
    /// goes on at the same time; any other child is let go afterwards.
    pub(super) fn limits(
        &mut self,
        child: &Child,
        plan: &Plan,
        proc: &Proc,
        cgroup: Option<Cgroup>,
    ) -> Result<()> {
        let adopts = self.target.cgroup.adopts();
        if plan.wait_go && !adopts {
            child.go()?;
        }
        self.limit(child, proc, cgroup)?;
        if adopts || plan.container.as_ref().is_some_and(|container| container.awaits_filter) {
            child.go()?;
        }
        Ok(())
    }

    fn limit(&mut self, child: &Child, proc: &Proc, cgroup: Option<Cgroup>) -> Result<()> {
        let resources = &self.config.resources;
        if let (Some(check), Some(cgroup)) = (&resources.memory.check, &cgroup) {
            cgroup.check_memory(check)?;
        }
        let before = match &cgroup {
            Some(cgroup) => cgroup.memory_events(),
            // A systemd scope of this name may have been left by an earlier container. A failure
            // to read its counts is no error.
            None => Cgroup::from_record(&self.target.cgroup_path())
                .ok()
                .flatten()
                .map(|left| left.memory_events())
                .unwrap_or_default(),
        };
        let writes = limits::writes(resources);
        let adopted = self.target.cgroup.adopt(&self.target.hierarchy, cgroup, child.pid(), &writes);
        let Some(cgroup) = self.owning(adopted).traced(Mark::Limits)? else { return Ok(()) };
        let watch = OomWatch::new(cgroup, before);
        // A child that was cloned into its cgroup may have reported by now that it is ready. The
        // write of a memory.max below its usage then OOM-kills the child, the only process there.
        let limits_memory = writes.iter().any(|write| write.file == "memory.max");
        let confined = if limits_memory && !self.target.cgroup.adopts() && watch.limit().is_some() {
            Err(child.ended())
        } else {
            self.confine(child.pid(), proc, watch.cgroup())
        };
        self.made.oom_watch = Some(watch);
        confined
    }

    /// Puts the process `pid`, which will make the container's processes, into the cgroup, and sets
    /// the limits and the device filter.
    pub(super) fn limit_maker(&mut self, pid: i32, cgroup: Option<Cgroup>) -> Result<()> {
        if let Some(cgroup) = cgroup.as_ref().filter(|_| !self.target.cgroup.adopts()) {
            cgroup.attach(pid)?;
        }
        let before = cgroup.as_ref().map(Cgroup::memory_events).unwrap_or_default();
        let writes = limits::writes(&self.config.resources);
        let adopted = self.target.cgroup.adopt(&self.target.hierarchy, cgroup, pid, &writes);
        let Some(cgroup) = self.owning(adopted).traced(Mark::Limits)? else { return Ok(()) };
        let watch = OomWatch::new(cgroup, before);
        let filtered = self.filter_devices(watch.cgroup());
        self.made.oom_watch = Some(watch);
        filtered
    }

    /// Delegates the cgroup of the restored process `pid` to its configured owner.
    pub(super) fn delegate_to_owner(&self, pid: i32, proc: &Proc) -> Result<()> {
        self.made.oom_watch.as_ref().map_or(Ok(()), |watch| self.delegate(pid, proc, watch.cgroup()))
    }

    /// Attaches the device filter, and delegates the cgroup to its configured owner.
    fn confine(&mut self, pid: i32, proc: &Proc, cgroup: &Cgroup) -> Result<()> {
        self.filter_devices(cgroup)?;
        self.delegate(pid, proc, cgroup)
    }

    fn filter_devices(&mut self, cgroup: &Cgroup) -> Result<()> {
        match cgroup::devices::apply(cgroup.dir(), &self.config.device_rules).traced(Mark::DeviceFilter) {
            // A caller that may not load device filters may not make device nodes either.
            Err(error) if error.errno() == Some(Errno::EPERM as i32) && self.is_rootless()? => {
                self.notes.push(format!("the container has no device filter: {}", error.report()));
            }
            other => other?,
        }
        Ok(())
    }

    fn delegate(&self, pid: i32, proc: &Proc, cgroup: &Cgroup) -> Result<()> {
        if let Some(owner) = self.config.cgroup_owner {
            let mapped = self.in_user_namespace();
            let owner = if mapped { ids::on_host(proc, pid, owner)? } else { owner };
            self.target.cgroup.leaf(cgroup)?.as_ref().unwrap_or(cgroup).delegate(owner)?;
        }
        Ok(())
    }

    /// Serves the child's requests until it is ready to execute its program.
    pub(super) fn serve(&mut self, child: &mut Child, plan: &Plan, proc: &Proc) -> Result<()> {
        loop {
            match child.progress(plan, self.options.cancel())? {
                Progress::NeedMount(item) => child.send_tree(plan, item)?,
                Progress::Namespaces => {
                    self.move_net_devices(child, plan)?;
                    child.go()?;
                }
                Progress::Barrier => {
                    // The state document for the hooks borrows the whole transaction.
                    let mut callers = std::mem::take(self.hooks);
                    let run = self.run_hooks(child, plan, &mut callers);
                    *self.hooks = callers;
                    run?;
                    child.go()?;
                }
                Progress::Listener(listener) => {
                    if let Some(agent) = self.config.seccomp.as_ref().and_then(Policy::listener) {
                        let watch = self.options.watch(child);
                        agent::hand_over(agent, listener, child.pid(), self.state(child.pid()), watch)?;
                    }
                    child.go()?;
                }
                Progress::Ready => return self.set_from_outside(child, plan, proc),
            }
        }
    }

    fn move_net_devices(&mut self, child: &Child, plan: &Plan) -> Result<()> {
        let moved = child
            .route_socket(plan)
            .and_then(|socket| net::Moved::new(&self.config.net_devices, child.pid(), socket, false))
            .traced(Mark::NetDevices)?;
        self.made.net_devices = Some(moved);
        Ok(())
    }

    /// Moves the network devices to the restored process `pid`, before it has sockets. In a network
    /// namespace that it joins, they can have stayed since the checkpoint.
    pub(super) fn move_restored_devices(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        let devices = &self.config.net_devices;
        if devices.is_empty() {
            return Ok(());
        }
        let keeps = !self.config.namespaces.is_new(NamespaceKind::Network);
        let moved = restored_route_socket(pidfd)
            .and_then(|socket| net::Moved::new(devices, pid, socket, keeps))
            .traced(Mark::NetDevices)?;
        self.made.net_devices = Some(moved);
        Ok(())
    }

    /// Runs the prestart, createRuntime and createContainer hooks, and those of the calling program.
    fn run_hooks(&self, child: &Child, plan: &Plan, callers: &mut CallerHooks) -> Result<()> {
        let state = self.state(child.pid());
        for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
            hooks::run(kind, self.config.hooks.of(kind), &state, self.options.watch(child))?;
        }
        callers.call(&state)?;
        let target = HookTarget {
            init: child,
            plan,
            namespace_paths: &self.namespace_paths(child.pid()),
            is_alone: self.config.namespaces.is_new(NamespaceKind::Mount),
            clones_into_cgroup: !self.target.cgroup.adopts(),
        };
        let hooks = self.config.hooks.of(HookKind::CreateContainer);
        container_hooks::create_container(hooks, &state, &target, self.options.watch(child))
    }

    /// Sets the attributes that the child has no right to set itself.
    fn set_from_outside(&self, child: &Child, plan: &Plan, proc: &Proc) -> Result<()> {
        let process = &self.config.process;
        if self.in_user_namespace() {
            attributes::own_streams(plan, proc, child.pid(), process.uid)?;
        }
        let attributes = prepare::attributes(process, &[], plan);
        attributes::apply(attributes, proc, child.pid(), self.in_user_namespace())
            .traced(Mark::SetFromOutside)
    }

    /// Puts the record of the created container in place. `ahead` is the result of
    /// [`write_ahead`](Self::write_ahead).
    pub(super) fn commit<'e>(
        &mut self,
        entry: &'e Locked,
        child: &Child,
        ahead: Option<NewRecord<'e>>,
    ) -> Result<()> {
        let created = match ahead {
            Some(created) => created,
            None => {
                self.record.init = ProcessId::of(child.pid())?;
                self.record.namespace_paths = self.namespace_paths(child.pid());
                entry.prepare(&self.record)?
            }
        };
        created.commit()
    }

    /// Returns the owners of the device nodes that the tree helper makes. See [`device_owners`].
    pub(super) fn device_owners(
        &self,
        child: &Child,
        plan: &Plan,
        proc: &Proc,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<(u32, u32)>> {
        let namespaces = &self.config.namespaces;
        device_owners(plan, warnings, || match namespaces.is_new(NamespaceKind::User) {
            true => Ok(ids::Maps::new(&namespaces.uid_map, &namespaces.gid_map)),
            false => ids::Maps::of(proc, child.pid()),
        })
    }

    fn go_without_cgroup(&mut self, denied: Error, entry: &Locked) -> Result<()> {
        self.notes.push(format!("the container has no cgroup of its own: {}", denied.report()));
        self.target.cgroup = driver::Placement::without(self.config, denied)?;
        self.made.owns_cgroup = false;
        self.record.set_cgroup(self.target.cgroup_path(), self.target.cgroup.record());
        entry.write(&self.record)
    }

    /// Sets `made.owns_cgroup`. A cgroup that existed before must not be removed on failure.
    pub(super) fn owning<T>(&mut self, made: Result<T>) -> Result<T> {
        self.made.owns_cgroup = !made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists);
        made
    }

    fn is_rootless(&self) -> Result<bool> {
        match self.rootless {
            Rootless::Auto => ids::is_rootless(),
            Rootless::Yes => Ok(true),
            Rootless::No => Ok(false),
        }
    }

    fn in_user_namespace(&self) -> bool {
        self.config.namespaces.is_own(NamespaceKind::User)
    }

    fn id(&self) -> &str {
        self.container.id.as_str()
    }

    pub(super) fn state(&self, pid: i32) -> StateDocument<'_> {
        StateDocument {
            oci_version: OCI_VERSION,
            id: self.id(),
            status: Status::Creating,
            pid,
            bundle: &self.record.bundle,
            annotations: &self.config.annotations,
        }
    }

    fn namespace_paths(&self, pid: i32) -> BTreeMap<String, String> {
        NamespaceKind::ALL
            .into_iter()
            .filter(|kind| *self.config.namespaces.origin(*kind) != Origin::Shared)
            .map(|kind| {
                let name = format!("ns/{}", kind.file());
                (kind.clone_name().to_owned(), PidFile::new(pid, &name).to_string())
            })
            .collect()
    }
}

/// Makes the plan of the child of a new container.
pub(super) fn plan(
    config: &Config,
    id: &str,
    target: &Target,
    extras: Extras,
    mode: Mode<'_>,
) -> Result<Plan> {
    let host = Host { rootfs: &target.rootfs, hierarchy: target.hierarchy.mount_point(), mode };
    let mut plan = prepare::for_create(config, id, &host, extras)
        .map_err(|error| if error.kind() == ErrorKind::Setup { start_failed(error) } else { error })
        .traced(Mark::Plan)?;
    let adopts = target.cgroup.adopts();
    plan.wait_go |= adopts;
    if let Some(container) = &mut plan.container {
        container.awaits_filter = !adopts && !container.barrier && !container.awaits_devices;
    }
    Ok(plan)
}

/// Returns the owner on the host of each device node that the tree helper makes, and (0, 0) for
/// every other node. The list is empty if the helper makes none.
///
/// For `--privileged`, Podman describes the host's nodes with the host's ids, which may have no
/// mapping: runc and crun give the host's /dev/null to the first id of another container. A node
/// with such an id gets an owner without a mapping: id 0 or 65534 of the host. If both have
/// mappings, that is an error.
pub(super) fn device_owners(
    plan: &Plan,
    warnings: &mut Vec<Warning>,
    maps: impl FnOnce() -> Result<ids::Maps>,
) -> Result<Vec<(u32, u32)>> {
    let nodes = plan.container.as_ref().map_or(&[][..], |container| &container.rootfs.dev.nodes);
    if nodes.iter().all(|node| node.made_by_helper().is_none()) {
        return Ok(Vec::new());
    }
    let maps = maps()?;
    let strangers = maps.strangers();
    let mut owner = |node: &Node| {
        let Some(new) = node.made_by_helper() else { return Ok((0, 0)) };
        let mapped = maps.on_host(new.uid, new.gid);
        let mut host = |name: &str, id: u32, mapped: Option<u32>, stranger: Option<u32>| {
            let path = show(&node.path);
            let text =
                || format!("linux.devices: /{path}: {name} {id} has no mapping (linux.{name}Mappings)");
            match (mapped, stranger) {
                (Some(id), _) => Ok(id),
                (None, Some(stranger)) => {
                    warnings.push(Warning(format!(
                        "{}; the container sees the overflow id as the owner",
                        text()
                    )));
                    Ok(stranger)
                }
                (None, None) => Err(Error::new(ErrorKind::InvalidConfig, text())),
            }
        };
        Ok((host("uid", new.uid, mapped.0, strangers.0)?, host("gid", new.gid, mapped.1, strangers.1)?))
    };
    nodes.iter().map(&mut owner).collect()
}

/// Joins all failures among `done` to one error.
fn together<const N: usize>(done: [Result<()>; N]) -> Result<()> {
    let failures: Vec<String> = done.into_iter().filter_map(|done| Some(done.err()?.report())).collect();
    if failures.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::System, failures.join("; "))) }
}

/// Returns whether an error is a lack of permission: EACCES, EPERM or EROFS.
/// Returns true if a root file system has nothing but empty directories, such as the mount points that
/// the runtime has made. False if that is unknown.
fn has_no_files(rootfs: &str) -> bool {
    // Only a hint depends on the answer, so links that are made meanwhile do no harm.
    let list = |path: &Path| std::fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>();
    let is_empty = |entry: &std::fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir())
            && list(&entry.path()).is_ok_and(|all| all.is_empty())
    };
    list(Path::new(rootfs)).is_ok_and(|entries| entries.iter().all(is_empty))
}

fn is_denied(error: &Error) -> bool {
    let denied = [Errno::EACCES, Errno::EPERM, Errno::EROFS].map(|errno| Some(errno as i32));
    denied.contains(&error.errno())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests;
