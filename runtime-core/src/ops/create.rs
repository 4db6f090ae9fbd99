// SPDX-License-Identifier: Apache-2.0
//! create(1) of a container: everything but its program running.
//!
//! The order is the design: what can be refused is refused before anything is
//! made; the record that names all that will be made is written before it is
//! made; and the child is let go after everything is written down. Killed at
//! any point, nothing is left that `delete --force` does not find.

use super::bundle::Bundle;
use super::delete::poststop;
use super::handover::{Handover, handover_options};
use super::process::{Created, Held};
use super::{Container, Runtime, container_hooks, host_mount, notify};
use crate::ContainerId;
use crate::cgroup::driver::{self, Driver};
use crate::cgroup::fs::Occupants;
use crate::cgroup::oom::OomWatch;
use crate::cgroup::{self, Cgroup, Hierarchy, limits};
use crate::config::Config;
use crate::config::hooks::Kind as HookKind;
use crate::config::namespaces::{Kind as NamespaceKind, Origin};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::Plan;
use crate::launch::{self, Child, Progress, agent, hooks, ids, outside};
use crate::net;
use crate::path::proc::Proc;
use crate::plan::{self, Extras};
use crate::resctrl::{self, Resctrl};
use crate::spec::{OCI_VERSION, Resources, Spec, StateDocument, Status};
use crate::state::filter::CompiledFilter;
use crate::state::process::ProcessId;
use crate::state::record::{Inherited, Phase, Record, StartContainer};
use crate::state::store::Locked;
use crate::sys::{Errno, cred, fd};
use crate::trace::{Mark, Traced};
use seccomp::Policy;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What a container is to be made of. Made by [`Runtime::create`].
#[derive(Debug)]
#[must_use]
pub struct Create {
    container: Container,
    bundle: PathBuf,
    spec: Option<Spec>,
    systemd: bool,
    without_cgroup: bool,
    rootless: Option<bool>,
    notify: bool,
    handover: Handover,
}

impl Runtime {
    /// Begins to make the container `id` from the bundle at `bundle`.
    pub fn create(&self, id: ContainerId, bundle: impl AsRef<Path>) -> Create {
        Create {
            container: self.container(id),
            bundle: bundle.as_ref().to_owned(),
            spec: None,
            systemd: false,
            without_cgroup: false,
            rootless: None,
            notify: false,
            handover: Handover::default(),
        }
    }
}

impl Create {
    handover_options!();

    /// Takes `spec` for the content of the bundle's config.json.
    pub fn spec(mut self, spec: Spec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// Whether a container that asks for nothing of its cgroup, neither limits nor a
    /// place, goes without one, and without a device filter, if there are no
    /// rights to make them. `None`, the default: if the caller is not the root of
    /// the initial user namespace.
    pub fn rootless(mut self, rootless: Option<bool>) -> Self {
        self.rootless = rootless;
        self
    }

    /// Lets systemd make the cgroup: a scope, which `linux.cgroupsPath` names in the
    /// form `slice:prefix:name`. A user's own systemd does it for users.
    pub fn systemd(mut self, systemd: bool) -> Self {
        self.systemd = systemd;
        self
    }

    /// Leaves the container in the caller's cgroup. It has no limits then, and no
    /// device filter; a configuration that asks for limits is refused.
    pub fn without_cgroup(mut self, without_cgroup: bool) -> Self {
        self.without_cgroup = without_cgroup;
        self
    }

    /// Gives the program an address for notifications, such as that it is ready
    /// (sd_notify(3)): its variable NOTIFY_SOCKET leads to the socket that whoever
    /// starts it makes at [`Container::notify_socket`].
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Uses chroot(2) instead of pivot_root(2), for a rootfs on an initramfs.
    /// Less safe: the host's mounts stay in the mount namespace.
    pub fn no_pivot(mut self, no_pivot: bool) -> Self {
        self.handover.extras.no_pivot = no_pivot;
        self
    }

    /// Leaves the container in the caller's session keyring.
    pub fn no_new_keyring(mut self, no_new_keyring: bool) -> Self {
        self.handover.extras.no_new_keyring = no_new_keyring;
        self
    }

    /// Makes the container. Its program waits for [`Container::start`].
    pub fn create(self) -> Result<Created> {
        self.make(Waits::ForStart)?.release()
    }

    /// Makes the container and starts its program.
    pub fn run(self) -> Result<Created> {
        self.hold()?.release()
    }

    /// Makes the container, whose program waits for [`Held::release`]: for a
    /// caller that wants to set up the terminal first.
    pub fn hold(self) -> Result<Held> {
        self.make(Waits::ForRelease)
    }

    fn make(mut self, waits: Waits) -> Result<Held> {
        self.handover.check()?;
        let bundle = Bundle::open(&self.bundle)?;
        let mut spec = match self.spec {
            Some(spec) => spec,
            None => bundle.spec()?,
        };
        if self.notify {
            notify::add(&mut spec, &self.container.store, &self.container.id)?;
        }
        let (config, warnings) =
            Config::new(&spec, &bundle.path, available_capabilities(&spec)?).traced(Mark::CheckConfig)?;
        // Early, for the sake of the message; `reserve` makes sure of it.
        if self.container.store.entry(&self.container.id).is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, "container with given ID already exists"));
        }
        let hierarchy = Hierarchy::find()?;
        let linux = spec.linux.as_ref();
        let id = self.container.id.as_str();
        let place = if self.without_cgroup {
            driver::Plan::none(&config)?
        } else if self.systemd {
            let path = linux.map_or("", |linux| linux.cgroups_path.as_str());
            driver::Plan::systemd(&hierarchy, path, &config, id).traced(Mark::FindCgroup)?
        } else {
            driver::Plan::fs(&hierarchy, &config, id).traced(Mark::FindCgroup)?
        };
        let resources = linux.and_then(|linux| linux.resources.clone()).unwrap_or_default();
        let start_container = start_container(&config, &spec);
        let inherited = Inherited::new(spec);
        let filter =
            config.seccomp.as_ref().map(plan::seccomp::compile).transpose().traced(Mark::CompileFilter)?;
        let ignored =
            config.seccomp.iter().flat_map(Policy::notes).map(|note| format!("linux.seccomp.{note}"));
        let notes = ignored.chain(filter.as_ref().map(CompiledFilter::note)).collect();
        let extras = Extras {
            // Of a new user namespace the child finds out.
            leaves_groups: config.keeps_groups
                || !config.namespaces.is_own(NamespaceKind::User) && ids::denies_groups(None)?,
            filter,
            ..self.handover.take_extras()?
        };

        let rootfs = bundle.resolve(&config.rootfs);
        let host_mount = match config.namespaces.origin(NamespaceKind::Mount) {
            Origin::Shared => Some(host_mount::id_at(&rootfs)?),
            Origin::New | Origin::Path(_) => None,
        };

        let resctrl = match &config.intel_rdt {
            Some(rdt) => {
                let resctrl = Resctrl::find()?;
                let place = resctrl.place(rdt, self.container.id.as_str())?;
                Some((resctrl, place))
            }
            None => None,
        };

        let entry = self.container.store.reserve(&self.container.id).traced(Mark::Reserve)?;
        let mut attempt = Attempt {
            container: &self.container,
            host_mount,
            rootfs,
            bundle: bundle.path,
            config: &config,
            hierarchy: &hierarchy,
            place,
            handover: &self.handover,
            inherited: &inherited,
            resources: &resources,
            start_container,
            net_devices: None,
            resctrl,
            owns_cgroup: false,
            watch: None,
            rootless: self.rootless,
            notify: self.notify,
            notes,
            waits,
        };
        match attempt.make(&entry, extras) {
            Ok(child) => Ok(Held::new(child, attempt.watch, warnings, attempt.notes)),
            Err(error) => {
                // The child is gone by now. The first error is the one to
                // report; what cannot be undone stays in the record.
                let mut hints = Vec::new();
                if let Err(left) = attempt.undo().and_then(|()| entry.remove()) {
                    hints.push(format!("not everything could be undone: {}", left.report()));
                }
                // runtime.md, "Lifecycle": from a failing hook on to step 13.
                if error.kind() == ErrorKind::Hook {
                    hints.extend(poststop(&attempt.record()).iter().map(ToString::to_string));
                }
                Err(if hints.is_empty() { error } else { error.with_hint(hints.join("; ")) })
            }
        }
    }
}

/// What the container's program waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    ForStart,
    ForRelease,
}

/// One attempt to make a container: all that is known before anything is made.
struct Attempt<'a> {
    container: &'a Container,
    bundle: String,
    rootfs: String,
    config: &'a Config,
    hierarchy: &'a Hierarchy,
    place: driver::Plan,
    handover: &'a Handover,
    inherited: &'a Inherited,
    resources: &'a Resources,
    start_container: Option<StartContainer>,
    /// See [`Record::host_mount_below`].
    host_mount: Option<u64>,
    /// Interfaces that are in the container by now.
    net_devices: Option<net::Moved>,
    resctrl: Option<(Resctrl, resctrl::Place)>,
    /// The cgroup is not somebody else's.
    owns_cgroup: bool,
    /// Since the child is in its cgroup.
    watch: Option<OomWatch>,
    rootless: Option<bool>,
    notify: bool,
    notes: Vec<String>,
    waits: Waits,
}

impl Attempt<'_> {
    /// Makes the container, or fails; then the caller undoes what is left.
    fn make(&mut self, entry: &Locked, mut extras: Extras) -> Result<Child> {
        let mut record = self.record();
        record.no_new_keyring = extras.no_new_keyring;
        record.seccomp = extras.filter.as_ref().map(CompiledFilter::record);
        entry.write(&record)?;
        if let Some(filter) = &extras.filter {
            entry.write_filter(filter)?;
        }
        if self.notify {
            entry.make_notify()?;
        }
        let cgroup = self.prepare(entry, &mut record).traced(Mark::MakeCgroup)?;
        if self.waits == Waits::ForStart {
            extras.fifo = Some(entry.make_fifo()?);
        }
        let mut plan = plan::for_create(self.config, self.id(), &self.rootfs, extras)
            .map_err(|error| if error.kind() == ErrorKind::Setup { start_failed(error) } else { error })
            .traced(Mark::Plan)?;
        plan.wait_go |= self.place.adopts();
        let (mut child, cgroup) = self.spawn(&mut plan, cgroup, entry, &mut record)?;
        self.drive(&mut child, &plan, cgroup).map_err(|error| {
            let limit = self.watch.as_ref().filter(|_| child.is_killed()).and_then(OomWatch::limit);
            start_failed(match limit {
                None => error,
                Some(limit) => Error::new(
                    ErrorKind::Setup,
                    format!("container init was OOM-killed (memory limit too low?): {limit}"),
                ),
            })
        })?;
        record.init = ProcessId::of(child.pid)?;
        record.phase = Phase::Created;
        record.namespace_paths = self.namespace_paths(child.pid);
        entry.write(&record)?;
        self.handover.announce(&child, b"standard").traced(Mark::Announce)?;
        if self.waits == Waits::ForRelease {
            self.container.start_container_hooks(&record)?;
        }
        Ok(child)
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
        let namespaces = &self.config.namespaces;
        if namespaces.is_new(NamespaceKind::User) {
            ids::write_maps(proc, child.pid, &namespaces.uid_map, &namespaces.gid_map)
                .traced(Mark::IdMaps)?;
        } else {
            ids::compare_maps(proc, child.pid, &namespaces.uid_map, &namespaces.gid_map)?;
        }
        if !self.config.net_devices.is_empty() {
            let moved = net::Moved::new(&self.config.net_devices, child, plan).traced(Mark::NetDevices)?;
            self.net_devices = Some(moved);
        }
        if let (Some(rdt), Some((resctrl, place))) = (&self.config.intel_rdt, &self.resctrl) {
            resctrl.make(place, rdt, child.pid)?;
        }
        // A child that was born in its cgroup goes on meanwhile.
        if plan.wait_go && !self.place.adopts() {
            child.go()?;
        }
        self.limit(child, proc, cgroup)?;
        if self.place.adopts() {
            child.go()?;
        }
        loop {
            match child.progress(plan)? {
                Progress::NeedMount(item) => child.send_mount(plan, item)?,
                Progress::Barrier => {
                    let state = self.state(child.pid);
                    for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
                        hooks::run(kind, self.config.hooks.of(kind), &state, Some(child.pidfd()))?;
                    }
                    container_hooks::create_container(
                        self.config.hooks.of(HookKind::CreateContainer),
                        &state,
                        child,
                        plan,
                        &self.namespace_paths(child.pid),
                    )?;
                    child.go()?;
                }
                Progress::Listener(listener) => {
                    if let Some(agent) = self.config.seccomp.as_ref().and_then(Policy::listener) {
                        agent::hand_over(agent, listener, child.pid, self.state(child.pid))?;
                    }
                }
                Progress::Ready => {
                    return outside::apply(
                        &self.config.process,
                        proc,
                        child.pid,
                        self.in_user_namespace(),
                        &[],
                    )
                    .traced(Mark::SetFromOutside);
                }
            }
        }
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
        match launch::spawn(plan, cgroup.as_ref().filter(|_| !self.place.adopts()).map(Cgroup::dir)) {
            // Who may make a cgroup may not yet move a process there from his own
            // (cgroups(7), "Delegation containment").
            Err(error)
                if cgroup.is_some()
                    && error.errno() == Some(Errno::EACCES as i32)
                    && self.is_rootless()? =>
            {
                Driver::of(record).remove(Occupants::Kill)?;
                self.go_without(error, entry, record)?;
                Ok((launch::spawn(plan, None)?, None))
            }
            spawned => Ok((spawned?, cgroup)),
        }
    }

    fn go_without(&mut self, denied: Error, entry: &Locked, record: &mut Record) -> Result<()> {
        self.notes.push(format!("the container has no cgroup of its own: {}", denied.report()));
        self.place = driver::Plan::without(self.config, denied)?;
        self.owns_cgroup = false;
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
        let before = cgroup.as_ref().map(Cgroup::memory_events).unwrap_or_default();
        let adopted = self.place.adopt(self.hierarchy, cgroup, child.pid, &limits::writes(resources));
        let Some(cgroup) = self.owning(adopted).traced(Mark::Limits)? else { return Ok(()) };
        match cgroup::devices::apply(cgroup.dir(), &self.config.device_rules).traced(Mark::DeviceFilter) {
            // Who may not load such programs may not make devices either.
            Err(error) if error.errno() == Some(Errno::EPERM as i32) && self.is_rootless()? => {
                self.notes.push(format!("the container has no device filter: {}", error.report()));
            }
            other => other?,
        }
        if let Some(owner) = self.config.cgroup_owner {
            let mapped = self.in_user_namespace();
            cgroup.delegate(if mapped { ids::on_host(proc, child.pid, owner)? } else { owner })?;
        }
        self.watch = Some(OomWatch::new(cgroup, before));
        Ok(())
    }

    /// Remembers whether there is anything of ours to undo.
    fn owning<T>(&mut self, made: Result<T>) -> Result<T> {
        self.owns_cgroup = !made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists);
        made
    }

    /// Removes what an attempt has made that failed.
    fn undo(&mut self) -> Result<()> {
        let record = self.record();
        // Each for itself: none of them stops the others.
        let undone = [
            match self.owns_cgroup {
                true => Driver::of(&record).remove(Occupants::Kill).map(drop),
                false => Ok(()),
            },
            host_mount::remove(&record),
            self.resctrl.as_ref().map_or(Ok(()), |(resctrl, place)| resctrl.remove(place)),
            self.net_devices.take().map_or(Ok(()), net::Moved::back),
        ];
        undone.into_iter().collect()
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
        record.inherited.clone_from(self.inherited);
        record.shared_pid_namespace = !config.namespaces.is_new(NamespaceKind::Pid);
        record.resources.clone_from(self.resources);
        record.host_mount_below = self.host_mount;
        record.resctrl = self.resctrl.as_ref().map(|(_, place)| place.clone());
        record.start_container.clone_from(&self.start_container);
        record.poststart = config.hooks.of(HookKind::Poststart).to_vec();
        record.poststop = config.hooks.of(HookKind::Poststop).to_vec();
        record
    }

    fn namespace_paths(&self, pid: i32) -> std::collections::BTreeMap<String, String> {
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

/// What will be needed to run the startContainer hooks; `None` without hooks.
fn start_container(config: &Config, spec: &Spec) -> Option<StartContainer> {
    let hooks = config.hooks.of(HookKind::StartContainer);
    let process = spec.process.as_ref().filter(|_| !hooks.is_empty())?;
    Some(StartContainer { hooks: hooks.to_vec(), process: process.clone() })
}

/// runc's words for what goes wrong inside of a container.
pub(super) fn start_failed(error: Error) -> Error {
    error.wrap("unable to start container process: error during container init")
}

/// The capabilities that a container can get: those of the caller, or with a
/// user namespace all that the kernel knows.
fn available_capabilities(spec: &Spec) -> Result<u64> {
    let is_user = |ns: &crate::spec::Namespace| ns.kind == "user";
    if !spec.linux.as_ref().is_some_and(|linux| linux.namespaces.iter().any(is_user)) {
        return Ok(cred::cap_get().context(|| "capget")?.permitted);
    }
    all_capabilities()
}

/// All capabilities that the kernel knows.
pub(super) fn all_capabilities() -> Result<u64> {
    let path = c"/proc/sys/kernel/cap_last_cap";
    let text = fd::read_file(fd::CWD, path, 64).context(|| "read /proc/sys/kernel/cap_last_cap")?;
    let last: u32 = String::from_utf8_lossy(&text).trim().parse().unwrap_or(63);
    Ok(u64::MAX >> 63u32.saturating_sub(last))
}
