// SPDX-License-Identifier: Apache-2.0
//! The steps of the child, in the order of its script, with those of the runtime between them.

use super::mounts;
use super::plan::{
    Actor, Details, PlannedCapabilities, PlannedDescriptor, PlannedDevice, PlannedFilter, PlannedJoin,
    PlannedLink, PlannedProgram, PlannedStep, PlannedUser, PlannedWrite,
};
use super::runtime::{self, rlimit, rlimit_text};
use super::subject::{Steps, Subject};
use super::words::{Name, absolute, namespaces, propagation, text};
use crate::boundary::plan::{
    DevPlace, Filter, Hide, InitPlan, Keeps, Plan, Process, Program, Rootfs, Stream,
};
use crate::boundary::step::Step;
use crate::child::devices::SHARED;
use crate::config::caps::names;
use crate::hook::HookKind;
use crate::path::show;
use seccomp::Flag;
use std::ffi::CString;

/// Returns all steps of the creation.
pub(crate) fn steps(subject: &Subject<'_>) -> Vec<PlannedStep> {
    let mut script = Script { subject, plan: subject.plan, steps: Steps::default(), by: Actor::Init };
    if subject.plan.has_stage() {
        script.by = Actor::Stage;
    }
    runtime::before(subject, &mut script.steps);
    let Some(container) = &subject.plan.container else { return script.steps.0 };
    for step in order(subject.plan) {
        script.before(step, container);
        script.step(step, container);
        script.after(step, container);
    }
    script.steps.0
}

/// Returns the steps in the order of the child's script, which is that of the table, except for steps
/// that come earlier or later in some plans (docs/architecture.md, "The steps").
fn order(plan: &Plan) -> Vec<Step> {
    let mut order = Step::ALL.to_vec();
    let mut place = |step: Step, before: Step| {
        order.retain(|other| *other != step);
        let at = order.iter().position(|other| *other == before).unwrap_or(order.len());
        order.insert(at, step);
    };
    if plan.hide == Hide::AfterMaps {
        place(Step::Hide, Step::NamespaceRoot);
    }
    if !plan.joins.is_empty() {
        place(Step::SealExe, Step::Join);
    } else if plan.clone_flags & libc::CLONE_NEWUSER != 0 {
        place(Step::SealExe, Step::Network);
    }
    match &plan.process.filter {
        Some(filter) if filter.is_early => place(Step::Seccomp, Step::EnterPid),
        Some(filter) if !filter.notifies => place(Step::Seccomp, Step::Exec),
        _ => {}
    }
    order
}

/// The steps so far, and the process that takes the next one of the child.
struct Script<'a> {
    subject: &'a Subject<'a>,
    plan: &'a Plan,
    steps: Steps,
    by: Actor,
}

impl Script<'_> {
    fn add(&mut self, step: Step, item: Option<usize>, text: impl Into<String>, details: Option<Details>) {
        self.steps.add(self.by, step, item, text, details);
    }

    /// Adds a step without values.
    fn plain(&mut self, step: Step, text: &str) {
        self.add(step, None, text, None);
    }

    /// Adds the steps of the runtime that the child's `step` waits for.
    fn before(&mut self, step: Step, container: &InitPlan) {
        let subject = self.subject;
        let waits_for_limits = match step {
            Step::WaitGo => {
                runtime::id_maps(subject, &mut self.steps);
                subject.cgroup.as_ref().is_some_and(|cgroup| cgroup.adopts)
            }
            Step::LateNamespaces => container.awaits_devices && !self.adopts(),
            Step::Barrier => container.barrier && !container.awaits_devices && !self.adopts(),
            Step::DeviceFilter => container.awaits_filter,
            _ => false,
        };
        if waits_for_limits {
            runtime::limits(subject, &mut self.steps);
        }
    }

    fn adopts(&self) -> bool {
        self.subject.cgroup.as_ref().is_some_and(|cgroup| cgroup.adopts)
    }

    /// Adds the steps of the runtime, and of the container's later callers, that wait for the
    /// child's `step`.
    fn after(&mut self, step: Step, container: &InitPlan) {
        let subject = self.subject;
        let starter = if subject.starts { Actor::Runtime } else { Actor::Start };
        match step {
            Step::Clone if self.plan.has_stage() => self.by = Actor::Init,
            Step::EnterPid if self.plan.process.enters_pid => {
                self.by = Actor::Program;
                self.plain(step, "begin a session");
            }
            Step::LateNamespaces => runtime::net_devices(subject, &mut self.steps),
            Step::Barrier if container.barrier => {
                let kinds = [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer];
                runtime::hooks(subject, Actor::Runtime, &kinds, &mut self.steps);
            }
            Step::Seccomp => runtime::agent(subject, &mut self.steps),
            Step::Ready => {
                runtime::ready(subject, &mut self.steps);
                runtime::hooks(subject, starter, &[HookKind::StartContainer], &mut self.steps);
            }
            Step::Exec => {
                runtime::hooks(subject, starter, &[HookKind::Poststart], &mut self.steps);
                runtime::hooks(subject, Actor::Delete, &[HookKind::Poststop], &mut self.steps);
            }
            _ => {}
        }
    }

    /// Adds a step of the child, once for each of its items; nothing if the child leaves it out.
    fn step(&mut self, step: Step, container: &InitPlan) {
        let (plan, process, rootfs) = (self.plan, &self.plan.process, &container.rootfs);
        match step {
            Step::Hide if plan.hide == Hide::Never => {}
            Step::Hide => self.plain(step, "forbid other processes to inspect or trace this one"),
            Step::CloseOthers => self.plain(step, "close the descriptors of the runtime"),
            Step::Label => self.labels(),
            Step::Join => self.joins(),
            Step::Unshare => {
                if !plan.joins.is_empty() && !plan.has_stage() {
                    self.namespaces(step, plan.clone_flags);
                }
            }
            Step::Clone => {
                if plan.has_stage() {
                    self.namespaces(step, plan.clone_flags);
                }
            }
            Step::Network => {
                if container.network.is_some() {
                    self.plain(step, "enter the network namespace that was made before");
                }
            }
            Step::WaitGo => {
                if plan.wait_go {
                    self.plain(step, "wait for the runtime");
                }
            }
            Step::TimeNamespace => self.clocks(container),
            Step::NamespaceRoot => {
                if container.namespace_root {
                    self.plain(step, "become root of the user namespace");
                }
            }
            Step::LateNamespaces => {
                self.namespaces(step, container.late_namespaces);
                if container.awaits_devices {
                    self.plain(step, "wait for the network devices");
                }
            }
            Step::CgroupNamespace => {
                if container.cgroup_namespace {
                    self.namespaces(step, libc::CLONE_NEWCGROUP);
                }
            }
            Step::Loopback => {
                if container.loopback {
                    self.plain(step, "bring lo up");
                }
            }
            Step::Hostname => {
                for (field, name) in
                    [("hostname", &container.hostname), ("domainname", &container.domainname)]
                {
                    if let Some(name) = name {
                        self.setting(step, field, text(name));
                    }
                }
            }
            Step::Keyring => self.plain(
                step,
                match &process.keyring {
                    Some(_) => "begin a session, and join a session keyring of the container",
                    None => "begin a session; the caller's session keyring stays",
                },
            ),
            Step::Propagation => {
                if rootfs.own_namespace {
                    self.plain(step, "make all mounts slaves, so that nothing propagates to the host");
                }
            }
            Step::Rootfs => {
                let source = match self.subject.has_rootfs_mounts {
                    true => "the mounts of the calling program",
                    false => &Name(self.subject.rootfs).to_string(),
                };
                let place = show(&rootfs.mount_point).to_string();
                self.add(
                    step,
                    None,
                    format!("attach {source} at {}", Name(&place)),
                    Some(Details::Path(place)),
                );
            }
            Step::Mount => self.mounts(rootfs),
            Step::Device => self.devices(rootfs),
            Step::DeviceLink => self.links(rootfs),
            Step::SealExe => self.plain(step, "run from a read-only file of the runtime's program"),
            Step::Barrier => {
                if container.barrier {
                    self.plain(step, "let the runtime run its hooks");
                }
            }
            Step::Sysctl => self.sysctls(container),
            Step::DeviceFilter => {
                if container.awaits_filter {
                    let text = match self.subject.cgroup {
                        Some(_) => "wait until the runtime has set the limits",
                        None => "wait for the runtime",
                    };
                    self.plain(step, text);
                }
            }
            Step::PivotRoot => self.plain(
                step,
                match rootfs.own_namespace && rootfs.pivot {
                    true => "make the root file system the root directory, and unmount the host's mounts",
                    false => {
                        "make the root file system the root directory with chroot; the host's mounts stay"
                    }
                },
            ),
            Step::Stdio => self.streams(),
            Step::Home => {
                if process.home.is_some() {
                    self.plain(step, "find HOME in /etc/passwd");
                }
            }
            Step::Console => self.console(),
            Step::ReadonlyPath => self.paths(step, &container.readonly_paths, "make"),
            Step::MaskedPath => self.paths(step, &container.masked_paths, "mask"),
            Step::Cwd => {
                let cwd = text(&process.cwd);
                self.add(
                    step,
                    None,
                    format!("change to {}; make it if it is missing", Name(&cwd)),
                    Some(Details::Path(cwd)),
                );
            }
            Step::ReadonlyMount => {
                for (i, m) in rootfs.mounts.iter().enumerate().filter(|(_, m)| m.readonly_later) {
                    let path = absolute(&m.destination);
                    self.add(
                        step,
                        Some(i),
                        format!("make {} read-only", Name(&path)),
                        Some(Details::Path(path)),
                    );
                }
            }
            Step::ReadonlyRootfs => {
                if rootfs.readonly {
                    self.plain(step, "make the root directory read-only");
                }
            }
            Step::RootPropagation => {
                if let Some((flag, depth)) = rootfs.propagation {
                    self.setting(step, "linux.rootfsPropagation", propagation(flag, depth));
                }
            }
            Step::CloseFds => self.preserved(),
            Step::Personality => {
                if let Some(domain) = &self.subject.named.personality {
                    self.setting(step, "linux.personality", domain.clone());
                }
            }
            Step::MemoryPolicy => {
                if let Some(policy) = &self.subject.named.memory_policy {
                    self.setting(step, "linux.memoryPolicy", policy.clone());
                }
            }
            Step::Rlimit => {
                for (i, limit) in process.rlimits.iter().enumerate() {
                    let details = rlimit(limit.resource, limit.soft, limit.hard);
                    self.add(step, Some(i), rlimit_text(&details), Some(Details::Rlimit(details)));
                }
            }
            Step::NoNewPrivileges => {
                if process.no_new_privileges {
                    self.plain(step, "set no_new_privs");
                }
            }
            Step::BoundingSet => {
                if let Some(sets) = &process.capabilities {
                    let bounding = names(sets.bounding);
                    let words = format!("reduce the bounding set to {}", list(&bounding));
                    self.add(step, None, words, Some(Details::Bounding(bounding)));
                }
            }
            Step::User => self.user(process),
            Step::Capabilities => self.capabilities(process),
            Step::FindProgram => self.find_program(process),
            Step::EnterPid => {
                if process.enters_pid {
                    self.plain(step, "clone the process that executes the program, into the pid namespace");
                }
            }
            Step::Seccomp => {
                if let Some(filter) = &process.filter {
                    self.filter(filter);
                }
            }
            Step::Ready => self.plain(
                step,
                match self.subject.starts {
                    true => "tell the runtime that all is done, and wait for it",
                    false => "tell the runtime that all is done, and wait for start",
                },
            ),
            Step::Exec => self.execute(process),
        }
    }

    fn namespaces(&mut self, step: Step, flags: i32) {
        let all = namespaces(flags);
        if !all.is_empty() {
            let verb = if step == Step::Clone { "clone the init with" } else { "make" };
            let words = match all.as_slice() {
                [one] => format!("{verb} a new {one} namespace"),
                _ => format!("{verb} new namespaces: {}", all.join(", ")),
            };
            self.add(step, None, words, Some(Details::Namespaces(all)));
        }
    }

    fn setting(&mut self, step: Step, field: &str, value: String) {
        runtime::setting(&mut self.steps, self.by, &step, field, value);
    }

    fn write(&mut self, step: Step, item: Option<usize>, file: String, value: String, field: &str) {
        let words = format!("write {value:?} to {}", Name(&file));
        let details = PlannedWrite { file, value, field: field.to_owned(), optional: false };
        self.add(step, item, words, Some(Details::Write(details)));
    }

    fn labels(&mut self) {
        let writes = self.plan.labels.iter().flat_map(|labels| &labels.writes);
        for (i, label) in writes.enumerate() {
            let file = format!("/proc/{}", show(&label.file));
            self.write(Step::Label, Some(i), file, text(&label.content), label.field);
        }
    }

    fn joins(&mut self) {
        let namespaces = &self.subject.config.namespaces;
        let all: Vec<_> = self.plan.joins.iter().zip(namespaces.paths()).enumerate().collect();
        let is_user = |flags: i32| flags == libc::CLONE_NEWUSER;
        // The user namespace is the last one: it may take away the rights to join the others.
        let (user, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, (join, _))| is_user(join.flags));
        for (i, (_, (kind, path))) in others.into_iter().chain(user) {
            let join = PlannedJoin { namespace: kind.name(), path: text(path) };
            let words = format!("join the {} namespace {}", join.namespace, Name(&join.path));
            self.add(Step::Join, Some(i), words, Some(Details::Join(join)));
        }
    }

    fn clocks(&mut self, container: &InitPlan) {
        let Some(offsets) = &container.time_namespace else { return };
        self.namespaces(Step::TimeNamespace, libc::CLONE_NEWTIME);
        if !offsets.is_empty() {
            let value = text(offsets).trim_end().to_owned();
            let file = "/proc/self/timens_offsets".to_owned();
            self.write(Step::TimeNamespace, None, file, value, "linux.timeOffsets");
        }
    }

    fn mounts(&mut self, rootfs: &Rootfs) {
        let config = self.subject.config;
        for (i, (m, entry)) in rootfs.mounts.iter().zip(&config.mounts).enumerate() {
            let mount = mounts::mount(m, entry, &config.namespaces);
            let words = mounts::words(&mount);
            self.add(Step::Mount, Some(i), words, Some(Details::Mount(Box::new(mount))));
        }
    }

    fn devices(&mut self, rootfs: &Rootfs) {
        for (i, node) in rootfs.dev.nodes.iter().enumerate() {
            let device = PlannedDevice {
                path: absolute(&node.path),
                kind: match node.kind {
                    libc::S_IFBLK => 'b',
                    libc::S_IFIFO => 'p',
                    _ => 'c',
                },
                major: libc::major(node.dev),
                minor: libc::minor(node.dev),
                mode: node.mode,
                uid: node.uid,
                gid: node.gid,
                mounted: node.host.is_some(),
            };
            let verb = if device.mounted { "mount" } else { "make" };
            let PlannedDevice { path, kind, major, minor, .. } = &device;
            let mut words = format!("{verb} {}, {kind} {major}:{minor}", Name(path));
            if let Some(mode) = device.mode {
                words += &format!(", mode {mode:04o}");
            }
            if device.uid.is_some() || device.gid.is_some() {
                let id = |id: Option<u32>| id.map_or_else(String::new, |id| id.to_string());
                words += &format!(", owner {}:{}", id(device.uid), id(device.gid));
            }
            self.add(Step::Device, Some(i), words, Some(Details::Device(device)));
        }
    }

    fn links(&mut self, rootfs: &Rootfs) {
        if rootfs.dev.place == DevPlace::Given {
            return;
        }
        for (i, (target, path)) in rootfs.dev.links.iter().enumerate() {
            let link = PlannedLink { path: absolute(path), target: text(target) };
            let words = format!("make the link {} to {}", Name(&link.path), Name(&link.target));
            self.add(Step::DeviceLink, Some(i), words, Some(Details::Link(link)));
        }
    }

    fn sysctls(&mut self, container: &InitPlan) {
        for (i, (sysctl, entry)) in container.sysctls.iter().zip(&self.subject.config.sysctls).enumerate() {
            let (file, value) = (format!("/proc/{}", show(&sysctl.path)), text(&sysctl.line));
            let field = format!("linux.sysctl.{}", entry.name);
            self.write(Step::Sysctl, Some(i), file, value.trim_end().to_owned(), &field);
        }
    }

    fn streams(&mut self) {
        for (n, stream) in self.plan.process.streams.iter().enumerate() {
            let Stream::Device(index) = *stream else { continue };
            let Some(device) = SHARED.get(index) else { continue };
            let path = absolute(device.path);
            let words = format!("open {path} of the container for descriptor {n}");
            self.add(Step::Stdio, Some(index), words, Some(Details::Path(path)));
        }
    }

    fn console(&mut self) {
        let sources = &self.subject.sources;
        let number = |n: usize, source: String| PlannedDescriptor { number: n as u32, source };
        let (words, all) = if self.plan.process.terminal.is_some() {
            let source = format!("a new terminal, whose master {} gets", sources.console);
            let words = format!("make a terminal for 0, 1 and 2, whose master {} gets", sources.console);
            (words, (0..3).map(|n| number(n, source.clone())).collect())
        } else {
            let [input, output, error] = &sources.stdio;
            let words = format!("use for 0: {input}, 1: {output}, 2: {error}");
            let all: Vec<_> = sources.stdio.iter().cloned().enumerate().map(|(n, s)| number(n, s)).collect();
            (words, all)
        };
        self.add(Step::Console, None, words, Some(Details::Descriptors(all)));
    }

    fn preserved(&mut self) {
        let all: Vec<_> = (3..)
            .zip(&self.subject.sources.preserved)
            .map(|(number, source)| PlannedDescriptor { number, source: source.clone() })
            .collect();
        let mut words = format!("close all descriptors from {} on", 3 + all.len());
        for PlannedDescriptor { number, source } in &all {
            words += &format!("; {number} is {source}");
        }
        self.add(Step::CloseFds, None, words, Some(Details::Descriptors(all)));
    }

    fn paths(&mut self, step: Step, paths: &[CString], verb: &str) {
        for (i, path) in paths.iter().enumerate() {
            let path = absolute(path);
            let after = if step == Step::ReadonlyPath { " read-only" } else { "" };
            let words = format!("{verb} {}{after}, if it exists", Name(&path));
            self.add(step, Some(i), words, Some(Details::Path(path)));
        }
    }

    fn user(&mut self, process: &Process) {
        let user = PlannedUser {
            uid: process.uid,
            gid: process.gid,
            additional_gids: process.groups.to_vec(),
            keeps: match process.keeps {
                Keeps::None => "none",
                Keeps::Undroppable => "undroppable",
                Keeps::All => "all",
            },
            umask: process.umask,
            owns_streams: true,
        };
        let mut words = format!("become uid {}, gid {}", user.uid, user.gid);
        if !user.additional_gids.is_empty() {
            words += &format!(", groups {:?}", user.additional_gids);
        }
        if process.keeps != Keeps::None {
            words += "; groups of the caller stay";
        }
        words += &format!(", umask {:04o}; make it the owner of the caller's standard streams", user.umask);
        self.add(Step::User, None, words, Some(Details::User(user)));
    }

    fn capabilities(&mut self, process: &Process) {
        let Some(sets) = &process.capabilities else { return };
        let all = PlannedCapabilities {
            effective: names(sets.effective),
            permitted: names(sets.permitted),
            inheritable: names(sets.inheritable),
            ambient: names(sets.ambient),
        };
        let words = format!(
            "effective: {}; permitted: {}; inheritable: {}; ambient: {}",
            list(&all.effective),
            if sets.permitted == sets.effective { "the same".to_owned() } else { list(&all.permitted) },
            list(&all.inheritable),
            list(&all.ambient)
        );
        self.add(Step::Capabilities, None, words, Some(Details::Capabilities(all)));
    }

    fn find_program(&mut self, process: &Process) {
        let words = match &process.program {
            Program::Path(path) | Program::OfHost { path, .. } => {
                format!("check that {} can be executed", Name(&text(path)))
            }
            Program::Search { name, directories } => {
                let directories: Vec<String> = directories.iter().map(|directory| text(directory)).collect();
                format!("search {} in {}", Name(&text(name)), directories.join(", "))
            }
        };
        self.add(Step::FindProgram, None, words, None);
    }

    fn filter(&mut self, filter: &Filter) {
        let agent = self.subject.config.seccomp.as_ref().and_then(|policy| policy.listener());
        let flags = Flag::ALL.into_iter().filter(|flag| filter.flags & flag.bit() != 0).map(Flag::name);
        let details = PlannedFilter {
            instructions: filter.program.len(),
            flags: flags.collect(),
            agent: agent.map(|agent| agent.path.clone()),
        };
        let mut words = format!("load the system call filter: {} instructions", details.instructions);
        if !details.flags.is_empty() {
            words += &format!(", {}", details.flags.join(" "));
        }
        self.add(Step::Seccomp, None, words, Some(Details::Filter(details)));
    }

    fn execute(&mut self, process: &Process) {
        let strings = |array: &runtime_sys::exec::StringArray| -> Vec<String> {
            array.strings().map(|string| String::from_utf8_lossy(string).into_owned()).collect()
        };
        let mut env = strings(&process.env);
        env.iter_mut().for_each(|entry| entry.truncate(entry.find('=').unwrap_or(entry.len())));
        let searched = match &process.program {
            Program::Search { directories, .. } => {
                directories.iter().map(|directory| text(directory)).collect()
            }
            Program::Path(_) | Program::OfHost { .. } => Vec::new(),
        };
        let program = PlannedProgram { args: strings(&process.args), env, searched };
        let words = format!("execute {:?} with {} variables", program.args, program.env.len());
        self.add(Step::Exec, None, words, Some(Details::Program(program)));
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
