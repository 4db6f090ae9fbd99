// SPDX-License-Identifier: Apache-2.0
//! The steps of the runtime, in groups: each group stands before the step of the child that waits for
//! it.

use super::plan::{Actor, Details, PlannedHook, PlannedRlimit, PlannedSetting, PlannedWrite};
use super::subject::{PlacedCgroup, Steps, Subject};
use super::words::{self, Name};
use crate::cgroup::limits::IfAbsent;
use crate::config::devices::{Rule, RuleKind};
use crate::config::namespaces::NamespaceKind;
use crate::hook::HookKind;
use crate::marks::Mark;
use crate::prepare;
use crate::values::rlimit_name;
use std::fmt::{self, Debug};

/// A step that a timeline does not have.
struct Unmarked(&'static str);

impl Debug for Unmarked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

fn path(path: &str) -> Option<Details> {
    Some(Details::Path(path.to_owned()))
}

/// Adds the steps up to the clone.
pub(super) fn before(subject: &Subject<'_>, steps: &mut Steps) {
    let add = |steps: &mut Steps, name: &dyn Debug, text: String, details| {
        steps.add(Actor::Runtime, name, None, text, details);
    };
    let file = |name: &str| format!("{}/{name}", subject.directory);
    let record = file("state.json");
    add(steps, &Mark::WriteRecord, format!("write the record {}", Name(&record)), path(&record));
    if subject.has_notify_socket {
        let notify = file("notify");
        add(steps, &Unmarked("MakeNotify"), format!("make {}", Name(&notify)), path(&notify));
    }
    let cgroup = subject.cgroup.as_ref();
    if let Some(PlacedCgroup { place, .. }) = cgroup.filter(|cgroup| cgroup.place.unit.is_none()) {
        let mut text = match place.made {
            0 => format!("use the existing cgroup {}", Name(&place.path)),
            _ => format!("make the cgroup {}", Name(&place.path)),
        };
        if place.optional {
            text += ", or go without one if the caller may not make it";
        }
        add(steps, &Mark::MakeCgroup, text, Some(Details::Cgroup(place.clone())));
    }
    for write in cgroup.into_iter().flat_map(|cgroup| &cgroup.controllers) {
        let text = format!("write {:?} to {}, as far as possible", write.value, Name(&write.file));
        add(steps, &Unmarked("EnableControllers"), text, Some(Details::Write(write.clone())));
    }
    if !subject.starts {
        let fifo = file("exec.fifo");
        add(steps, &Unmarked("MakeFifo"), format!("make the FIFO {}", Name(&fifo)), path(&fifo));
    }
    let plan = subject.plan;
    if plan.container.as_ref().is_some_and(|container| container.network.is_some()) {
        let namespace = Some(Details::Namespaces(vec![NamespaceKind::Network.name()]));
        steps.add(Actor::Network, Mark::Network, None, "make a network namespace", namespace);
        steps.add(Actor::Network, Mark::Loopback, None, "bring lo up in it", None);
    }
    let flags = if plan.joins.is_empty() { plan.clone_flags } else { 0 };
    let namespaces = words::namespaces(flags);
    let mut text = format!("clone the {}", if plan.has_stage() { "stage" } else { "init" });
    if !namespaces.is_empty() {
        text += &format!(" with new namespaces: {}", namespaces.join(", "));
    }
    match cgroup.filter(|cgroup| !cgroup.adopts) {
        Some(cgroup) if cgroup.place.optional => text += "; into the cgroup, if there is one",
        Some(_) => text += "; into the cgroup",
        None => {}
    }
    add(steps, &Mark::Clone, text, Some(Details::Namespaces(namespaces)));
}

/// Adds the id maps of a new user namespace.
pub(super) fn id_maps(subject: &Subject<'_>, steps: &mut Steps) {
    let namespaces = &subject.config.namespaces;
    let maps = [
        ("uid_map", "linux.uidMappings", &namespaces.uid_map),
        ("gid_map", "linux.gidMappings", &namespaces.gid_map),
    ];
    let maps = maps.into_iter().filter(|(.., map)| !map.is_empty());
    for (name, field, map) in maps {
        let (file, value) = (format!("/proc/PID/{name}"), words::id_map(map).join("\n"));
        if !namespaces.is_new(NamespaceKind::User) {
            let text = format!("check that {file} of the user namespace is {value:?}");
            let details = Some(Details::Setting(PlannedSetting { name: field.to_owned(), value }));
            steps.add(Actor::Runtime, Unmarked("CompareIdMaps"), None, text, details);
            continue;
        }
        write(steps, &Mark::IdMaps, None, (file, value), field);
        if let Some(step) = steps.0.last_mut().filter(|_| !nix::unistd::geteuid().is_root()) {
            step.text += &format!(" with new{}", name.replace('_', ""));
            if let [map] = map.as_slice()
                && map.size == 1
            {
                step.text += ", or without it if this is the caller's own id";
                step.text += if name == "gid_map" { ", with setgroups denied" } else { "" };
            }
        }
    }
}

/// Adds the steps for the cgroup of the child, and for its devices.
pub(super) fn limits(subject: &Subject<'_>, steps: &mut Steps) {
    let config = subject.config;
    if let Some(rdt) = &config.intel_rdt {
        let lines: Vec<&str> = rdt.lines().collect();
        let setting = PlannedSetting { name: "linux.intelRdt".to_owned(), value: lines.join("; ") };
        let text = format!("join a group in /sys/fs/resctrl: {}", setting.value);
        steps.add(Actor::Runtime, Unmarked("IntelRdt"), None, text, Some(Details::Setting(setting)));
    }
    let Some(PlacedCgroup { place, unit, limits, adopts, .. }) = &subject.cgroup else { return };
    if let Some(name) = &place.unit {
        let all: Vec<String> = unit.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
        let mut text = format!("let systemd start {name} around the init: {}", Name(&place.path));
        if let Some(leaf) = &place.leaf {
            text += &format!(", and move the init to {leaf} below, with the same limits");
        }
        steps.add(Actor::Runtime, Mark::MakeCgroup, None, text, Some(Details::Cgroup(place.clone())));
        if !unit.is_empty() {
            let text = format!("with the properties {}", all.join(" "));
            steps.add(
                Actor::Runtime,
                Unmarked("UnitProperties"),
                None,
                text,
                Some(Details::Unit(unit.clone())),
            );
        }
    }
    for (i, limit) in limits.iter().enumerate() {
        let file = format!("{}/{}", place.path, limit.file);
        let value = limit.value.trim_end();
        let details = PlannedWrite {
            value: value.to_owned(),
            field: limit.field.clone(),
            optional: limit.if_absent == IfAbsent::Skip,
            file: file.clone(),
        };
        let mut text = format!("write {value:?} to {}", Name(&file));
        if let IfAbsent::Instead { file, value } = &limit.if_absent {
            text += &format!(", or {value:?} to {file} where that does not exist");
        }
        steps.add(Actor::Runtime, Mark::Limits, Some(i), text, Some(Details::Write(details)));
    }
    if *adopts && place.unit.is_none() {
        steps.add(
            Actor::Runtime,
            Unmarked("Attach"),
            None,
            "move the init into the cgroup",
            path(&place.path),
        );
    }
    let rules: Vec<String> = config.device_rules.iter().map(rule).collect();
    let condition = if place.optional { ", if there is one" } else { "" };
    let text = format!("attach the device filter to the cgroup{condition}: {}", rules.join(", "));
    steps.add(Actor::Runtime, Mark::DeviceFilter, None, text, Some(Details::DeviceRules(rules)));
    if let Some(owner) = config.cgroup_owner {
        let text = format!("make the container's uid {owner} the owner of the cgroup");
        steps.add(Actor::Runtime, Unmarked("Delegate"), None, text, path(&place.path));
    }
}

fn rule(rule: &Rule) -> String {
    let verb = if rule.allow { "allow" } else { "deny" };
    let kind = match rule.kind {
        RuleKind::Any => 'a',
        RuleKind::Char => 'c',
        RuleKind::Block => 'b',
    };
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let access = [(Rule::READ, 'r'), (Rule::WRITE, 'w'), (Rule::MKNOD, 'm')];
    let access: String =
        access.into_iter().filter(|(bit, _)| rule.access & bit != 0).map(|(_, c)| c).collect();
    format!("{verb} {kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

/// Adds the moves of network devices.
pub(super) fn net_devices(subject: &Subject<'_>, steps: &mut Steps) {
    for (i, device) in subject.config.net_devices.iter().enumerate() {
        let (host, name) = (words::text(&device.host), words::text(&device.name));
        let text = format!("move the network device {} into the container, as {}", Name(&host), Name(&name));
        let setting = PlannedSetting { name: format!("linux.netDevices.{host}"), value: name };
        steps.add(Actor::Runtime, Mark::NetDevices, Some(i), text, Some(Details::Setting(setting)));
    }
}

/// Adds the hooks of these kinds.
pub(super) fn hooks(subject: &Subject<'_>, by: Actor, kinds: &[HookKind], steps: &mut Steps) {
    for kind in kinds {
        for (i, hook) in subject.config.hooks.of(*kind).iter().enumerate() {
            let timeout = hook.timeout.map(|timeout| timeout.as_secs());
            let name = kind.name();
            let text = format!("run the {name} hook {:?}", hook.args);
            let details =
                PlannedHook { kind: name, path: hook.path.clone(), args: hook.args.clone(), timeout };
            let text =
                if hook.args.first() == Some(&hook.path) { text } else { format!("{text} ({})", hook.path) };
            steps.add(by, Mark::Hook, Some(i), text, Some(Details::Hook(details)));
        }
        if *kind == HookKind::CreateRuntime && subject.caller_hooks > 0 {
            let text = format!("call the hooks of the calling program ({})", subject.caller_hooks);
            steps.add(by, Mark::Hook, None, text, None);
        }
    }
}

/// Adds the hand-over of the filter's listener.
pub(super) fn agent(subject: &Subject<'_>, steps: &mut Steps) {
    if let Some(agent) = subject.config.seccomp.as_ref().and_then(|policy| policy.listener()) {
        let text = format!("hand the listener of the filter to the agent at {}", Name(&agent.path));
        steps.add(Actor::Runtime, Mark::SeccompAgent, None, text, path(&agent.path));
    }
}

/// Adds the steps when the child is ready.
pub(super) fn ready(subject: &Subject<'_>, steps: &mut Steps) {
    let config = subject.config;
    let outside = prepare::attributes(&config.process, &[], subject.plan);
    let name = Mark::SetFromOutside;
    if let Some(score) = outside.oom_score_adj {
        let value = ("/proc/PID/oom_score_adj".to_owned(), score.to_string());
        write(steps, &name, None, value, "process.oomScoreAdj");
    }
    for (field, value) in
        [("process.scheduler", &subject.named.scheduler), ("process.ioPriority", &subject.named.io_priority)]
    {
        if let Some(value) = value {
            setting(steps, Actor::Runtime, &name, field, value.clone());
        }
    }
    if config.namespaces.is_own(NamespaceKind::User) {
        for (i, limit) in outside.rlimits.iter().enumerate() {
            let details = rlimit(limit.resource, limit.soft, limit.hard);
            steps.add(Actor::Runtime, name, Some(i), rlimit_text(&details), Some(Details::Rlimit(details)));
        }
    }
    let record = format!("{}/state.json", subject.directory);
    let text = format!("complete the record {}", Name(&record));
    steps.add(Actor::Runtime, Mark::CommitRecord, None, text, path(&record));
    if let Some(socket) = &subject.sources.pidfd_socket {
        let text = format!("send a pidfd of the init to {}", Name(socket));
        steps.add(Actor::Runtime, Mark::Announce, None, text, path(socket));
    }
    if let Some(file) = &subject.sources.pid_file {
        let text = format!("write the pid of the init to {}", Name(file));
        steps.add(Actor::Runtime, Mark::Announce, None, text, path(file));
    }
}

pub(super) fn rlimit(resource: u32, soft: u64, hard: u64) -> PlannedRlimit {
    let number = |n: u64| Some(n).filter(|n| *n != u64::MAX);
    PlannedRlimit { resource: rlimit_name(resource), soft: number(soft), hard: number(hard) }
}

pub(super) fn rlimit_text(limit: &PlannedRlimit) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let (soft, hard) = (number(limit.soft), number(limit.hard));
    match soft == hard {
        true => format!("set the soft and the hard limit of {} to {soft}", limit.resource),
        false => format!("set the soft limit of {} to {soft}, and the hard limit to {hard}", limit.resource),
    }
}

/// Adds a write of `value` into a file.
fn write(steps: &mut Steps, name: &dyn Debug, item: Option<usize>, value: (String, String), field: &str) {
    let (file, value) = value;
    let text = format!("write {value:?} to {}", Name(&file));
    let details = PlannedWrite { file, value, field: field.to_owned(), optional: false };
    steps.add(Actor::Runtime, name, item, text, Some(Details::Write(details)));
}

/// Adds a value that a system call sets.
pub(super) fn setting(steps: &mut Steps, by: Actor, name: &dyn Debug, field: &str, value: String) {
    let text = format!("set {field}: {value}");
    let details = PlannedSetting { name: field.to_owned(), value };
    steps.add(by, name, None, text, Some(Details::Setting(details)));
}
