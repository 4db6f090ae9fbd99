// SPDX-License-Identifier: Apache-2.0
//! The scenarios: containers and processes that are made under observation.

use crate::page;
use crate::table::{Cells, Seen};
use crate::words::{CAPABILITIES, ROOT, Sockets, World};
use conformance::console::ConsoleSocket;
use conformance::witness::{FileId, ProcessHistory, file_id, watch};
use conformance::{Agent, Bundle, Runtime, host};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const INIT: &str = "The init of create";
const IN_USER_NAMESPACE: &str = "The init of create in a new user namespace";
const FOR_JOINED_NET: &str = "The init of create for an existing network namespace";
const FOR_JOINED_PID: &str = "The init of create for an existing pid namespace";
const STAGE: &str = "The stage";
const LAST: &str = "The process in an existing pid namespace";
const EXEC: &str = "The process of exec";
const HOOK_INSIDE: &str = "A createContainer hook";
const HOOK_OF_START: &str = "A startContainer hook";
const HOOK_OUTSIDE: &str = "A hook in the runtime's namespaces";
const TREE_HELPER: &str = "The tree helper";
const HOLDER: &str = "The namespace holder of the tree helper";
const ID_HELPER: &str = "The id-map helper";

/// Names a process by its track in the timeline, and by its number among the processes of this
/// track.
type Names<'a> = &'a dyn Fn(u8, usize) -> &'static str;

/// Runs all scenarios.
pub(super) fn all() -> Seen {
    let runtime = Runtime::from_env().unwrap();
    let mut scenarios =
        Scenarios { runtime, id: format!("authority-{}", std::process::id()), seen: Seen::new() };
    scenarios.waits_for_start();
    scenarios.has_much();
    scenarios.filters();
    scenarios.joins();
    scenarios.seen
}

struct Scenarios {
    runtime: Runtime,
    id: String,
    seen: Seen,
}

impl Scenarios {
    fn waits_for_start(&mut self) {
        let bundle = bundle(&["exit", "0"], |_| ());
        self.create(&bundle, BTreeMap::new(), &|_, _| INIT);
    }

    /// Makes a container with a user namespace, a terminal, hooks, and mounts with other owners.
    fn has_much(&mut self) {
        let source = tempfile::tempdir().unwrap();
        let bundle = bundle(&["exit", "0"], |config| with_much(config, source.path()));
        // Root of the user namespace could not make them.
        for name in ["mapped", "new"] {
            fs::create_dir(bundle.rootfs(name)).unwrap();
        }
        let console = ConsoleSocket::new().unwrap();
        let socket = console.path().display().to_string();
        let id = self.id.clone();
        self.run(
            &bundle,
            Some(source.path()),
            &["run", "--detach", "--console-socket", &socket, &id],
            None,
            BTreeMap::new(),
            &|track, ordinal| match (track, ordinal) {
                (2, 1) => IN_USER_NAMESPACE,
                (_, 1) | (2, 2) => HOOK_INSIDE,
                _ => HOOK_OF_START,
            },
        );
        self.delete();
    }

    /// Makes containers with filters: with an agent, and with CAP_SYS_ADMIN.
    fn filters(&mut self) {
        for action in ["SCMP_ACT_NOTIFY", "SCMP_ACT_ERRNO"] {
            let agent = Agent::start(&[]).unwrap();
            let bundle = bundle(&["exit", "0"], |config| {
                config["process"]["noNewPrivileges"] = json!(false);
                config["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "listenerPath": agent.path(),
                    "syscalls": [{ "names": ["acct"], "action": action }],
                });
            });
            self.create(&bundle, BTreeMap::new(), &|_, _| INIT);
        }
    }

    /// Makes containers that join another one's namespaces, and processes in that container.
    fn joins(&mut self) {
        let first = format!("{}-first", self.id);
        let sleeps = bundle(&["sleep"], |_| ());
        self.runtime.run_in(&sleeps, &["run", "--detach", &first]).unwrap().ok().unwrap();
        let init = self.runtime.state(&first).unwrap()["pid"].clone();
        let path = |file: &str| format!("/proc/{init}/ns/{file}");
        let files = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
        let joined: BTreeMap<String, FileId> =
            files.iter().map(|file| ((*file).to_owned(), file_id(path(file)).unwrap())).collect();
        for (kind, file, name) in [("network", "net", FOR_JOINED_NET), ("pid", "pid", FOR_JOINED_PID)] {
            let bundle = bundle(&["exit", "0"], |config| {
                add_namespace(config, json!({ "type": kind, "path": path(file) }));
                // Before Linux 6.18 a procfs of another pid namespace needs helpers.
                if name == FOR_JOINED_PID {
                    config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "proc");
                }
            });
            self.create(&bundle, joined.clone(), &|track, _| match track {
                1 => STAGE,
                4 => LAST,
                _ => name,
            });
        }
        let console = ConsoleSocket::new().unwrap();
        let socket = console.path().display().to_string();
        let program = [first.as_str(), "/probe", "exit", "0"];
        for flags in [&["exec", "--detach"][..], &["exec", "--detach", "--tty", "--console-socket", &socket]]
        {
            let args = [flags, &program].concat();
            self.run(&sleeps, None, &args, None, joined.clone(), &|track, _| match track {
                4 => LAST,
                _ => EXEC,
            });
        }
        // This program reaps the ended processes of the pid namespace.
        self.runtime.run(&["kill", &first, "KILL"]).unwrap().ok().unwrap();
        host::await_children().unwrap();
        self.runtime.run(&["delete", "--force", &first]).unwrap().ok().unwrap();
    }

    /// Runs create and start.
    fn create(&mut self, bundle: &Bundle, joined: BTreeMap<String, FileId>, names: Names<'_>) {
        let id = self.id.clone();
        self.run(bundle, None, &["create", &id], Some(&["start", &id]), joined, names);
        self.delete();
    }

    fn delete(&self) {
        self.runtime.run(&["delete", "--force", &self.id]).unwrap().ok().unwrap();
    }

    /// Runs a command and then `next`. Their caller has a group, an ambient capability and an open
    /// file. The container must inherit none of these.
    fn run(
        &mut self,
        bundle: &Bundle,
        source: Option<&Path>,
        args: &[&str],
        next: Option<&[&str]>,
        joined: BTreeMap<String, FileId>,
        names: Names<'_>,
    ) {
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str| files.path().join(name);
        fs::write(file("left"), "").unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--regid", "4242", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
        command.arg(self.runtime.program()).arg("--root").arg(self.runtime.root());
        command.arg("--log").arg(file("log")).arg("--trace").arg(file("timeline"));
        command.args(args).current_dir(bundle.path()).env("LEFT", file("left"));
        let next = next.map(|args| self.runtime.command(args));
        let processes = watch(&command, next, &marks::read).unwrap();
        let mut world = World::new(self.runtime.program(), self.runtime.root(), bundle, files.path());
        world.joined = joined;
        world.source = source.unwrap_or(files.path());
        sort(&processes, world, &mut self.seen, names);
    }
}

/// Adds the observations of processes to `seen`.
fn sort(processes: &[ProcessHistory], mut world: World<'_>, seen: &mut Seen, names: Names<'_>) {
    let steps = page::steps();
    let (mut on_track, mut sockets) = (BTreeMap::new(), Sockets::default());
    for (number, process) in processes.iter().enumerate() {
        let begin = process.notes.iter().find_map(|(_, note)| match marks::decode(*note) {
            (marks::BEGIN, track @ (1 | 2 | 4), _) => Some(track),
            _ => None,
        });
        let name = match begin {
            Some(track) => {
                let ordinal = on_track.entry(track).or_insert(0);
                *ordinal += 1;
                names(track, *ordinal)
            }
            // A helper for a procfs of another pid namespace, before Linux 6.18 (child/procfs.rs).
            None if processes.iter().any(|other| other.pid == process.parent) => continue,
            None => helper(process, &world),
        };
        sockets.of(number, process);
        // A step is marked at its end. The last mark of a process that was killed is seen at the next stop
        // of another one.
        let mut notes = process.notes.iter().filter_map(|(behind, note)| match marks::decode(*note) {
            (marks::STEP, track, step) if begin.is_none_or(|own| own == track) => {
                Some((*behind, steps[usize::from(step)]))
            }
            _ => None,
        });
        let mut next = notes.next();
        let mut last = None;
        let executes = process.stops.last().is_some_and(|stop| stop.call.is_none());
        for (i, stop) in process.stops.iter().enumerate() {
            while next.is_some_and(|(behind, _)| behind <= i) {
                next = notes.next();
            }
            let step = match (stop.call, next) {
                (None, _) => "the program",
                // Before its execve(2) the process is still the runtime.
                _ if name == HOOK_OUTSIDE => continue,
                (Some(_), Some((_, step))) => step,
                (Some(_), None) if executes => "Exec",
                // These are killed, perhaps before they mark their last step.
                (Some(_), None) if name == ID_HELPER => "Join",
                (Some(_), None) if name == STAGE => "Clone",
                (Some(_), None) if begin == Some(2) => "EnterPid",
                (Some(_), None) => "the end",
            };
            let list = seen.entry(name).or_default();
            let index = list.iter().position(|(known, _)| known == step).unwrap_or_else(|| {
                let behind = last.map_or(0, |last: usize| last + 1);
                list.insert(behind, (step.to_owned(), Cells::new()));
                behind
            });
            // A step that is carried out twice goes back to an earlier row.
            last = last.max(Some(index));
            world.describe(process, &stop.authority, &sockets, &mut list[index].1);
        }
        // Hooks join these namespaces.
        if name == IN_USER_NAMESPACE
            && let Some(stop) = process.stops.last()
        {
            let joined =
                stop.authority.namespaces.iter().filter(|(name, _)| world.is_new(&stop.authority, name));
            world.joined = joined.map(|(name, id)| (name.clone(), *id)).collect();
        }
    }
}

/// Returns the name of a process without a track of its own in the timeline.
fn helper(process: &ProcessHistory, world: &World<'_>) -> &'static str {
    let Some(first) = process.stops.first() else { return HOOK_OUTSIDE };
    match (world.is_new(&first.authority, "user"), world.is_new(&first.authority, "mnt")) {
        (true, true) => HOLDER,
        (true, false) => ID_HELPER,
        _ if process.notes.iter().any(|(_, note)| marks::decode(*note).0 == marks::STEP) => TREE_HELPER,
        _ => HOOK_OUTSIDE,
    }
}

/// Makes a bundle whose configuration uses nearly all steps.
fn bundle(program: &[&str], change: impl FnOnce(&mut Value)) -> Bundle {
    let all = |config: &mut Value| {
        let process = &mut config["process"];
        process["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [7] });
        process["cwd"] = json!("/new");
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            process["capabilities"][set] = json!(CAPABILITIES);
        }
        config["domainname"] = json!("inside");
        config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_LOCAL" });
        config["linux"]["personality"] = json!({ "domain": "LINUX" });
        config["linux"]["sysctl"] = json!({ "kernel.msgmax": "8192" });
        config["linux"]["rootfsPropagation"] = json!("unbindable");
        config["linux"]["readonlyPaths"] = json!(["/proc/bus", "/proc/sys"]);
        config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/sys/firmware"]);
        config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["ro"],
        }));
        change(config);
    };
    Bundle::new(program).unwrap().with(all).unwrap()
}

/// Adds a user namespace, hooks, and whatever else needs a helper.
fn with_much(config: &mut Value, source: &Path) {
    let ids = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 65_536 }]);
    add_namespace(config, json!({ "type": "user" }));
    add_namespace(config, json!({ "type": "time" }));
    config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1, "nanosecs": 0 } });
    config["linux"]["uidMappings"] = ids(ROOT);
    config["linux"]["gidMappings"] = ids(400_000);
    config["process"]["terminal"] = json!(true);
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/mapped", "type": "none", "source": source, "options": ["rbind", "ridmap"],
        "uidMappings": ids(500_000), "gidMappings": ids(500_000),
    }));
    let hook = |path: &str| json!([{ "path": path, "args": ["true", "exit", "0"] }]);
    config["hooks"] = json!({
        "createRuntime": hook("/bin/true"),
        "createContainer": hook("/bin/true"),
        "startContainer": hook("/probe"),
    });
}

fn add_namespace(config: &mut Value, namespace: Value) {
    let list = config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|other| other["type"] != namespace["type"]);
    list.push(namespace);
}

/// The marks of `--trace`, as `runtime_core::trace` has them in memory.
mod marks {
    use conformance::witness::words;
    use std::fs;

    pub(super) const BEGIN: u8 = 1;
    pub(super) const STEP: u8 = 3;
    const LENGTH: u64 = (16 << 10) * 8;

    /// Reads the marks from number `from` on.
    pub(super) fn read(pid: i32, from: usize) -> Vec<u64> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let address = maps.lines().filter(|line| line.contains("rw-s")).find_map(|line| {
            let (start, rest) = line.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(rest.split(' ').next()?, 16).ok()?;
            (end - start == LENGTH).then_some(start)
        });
        let Some(address) = address else { return Vec::new() };
        let read = || {
            let count = *words(pid, address, 1).ok()?.first()? as usize;
            words(pid, address + 8 + from as u64 * 16, (count - from) * 2).ok()
        };
        // A process that was killed meanwhile has none.
        let pairs = read().unwrap_or_default();
        // An entry that another process has reserved and not written yet.
        pairs.chunks(2).map(|pair| pair[1]).take_while(|word| *word != 0).collect()
    }

    /// Splits a mark into its kind, its track and its step.
    pub(super) fn decode(note: u64) -> (u8, u8, u8) {
        let [kind, track, what, ..] = note.to_le_bytes();
        (kind, track, what)
    }
}
