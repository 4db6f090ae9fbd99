// SPDX-License-Identifier: Apache-2.0
//! The observations of a process, in the words of the page.

use crate::table::Cells;
use conformance::Bundle;
use conformance::witness::{Authority, Descriptor, FileId, ProcessHistory, file_id};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The user on the host that is root of the user namespace.
pub(super) const ROOT: u32 = 300_000;
/// The capabilities of the container's program.
pub(super) const CAPABILITIES: [&str; 2] = ["CAP_KILL", "CAP_NET_BIND_SERVICE"];
const PROGRAMS: u64 = 1 << 5 | 1 << 10;

/// The objects that a process may have access to.
pub(super) struct World<'a> {
    pub(super) program: &'a Path,
    pub(super) state: &'a Path,
    pub(super) bundle: &'a Bundle,
    /// Files of the caller.
    pub(super) files: &'a Path,
    /// A directory that is mounted into the container.
    pub(super) source: &'a Path,
    /// The namespaces of another container.
    pub(super) joined: BTreeMap<String, FileId>,
    own: Authority,
    devices: BTreeSet<u64>,
}

impl<'a> World<'a> {
    pub(super) fn new(program: &'a Path, state: &'a Path, bundle: &'a Bundle, files: &'a Path) -> Self {
        let own = Authority::of_running(nix::unistd::getpid()).unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let device = |line: &str| {
            let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
            Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
        };
        let devices = mounts.lines().filter_map(device).collect();
        World { program, state, bundle, files, source: files, joined: BTreeMap::new(), own, devices }
    }

    /// Returns true if a namespace is not the host's.
    pub(super) fn is_new(&self, authority: &Authority, name: &str) -> bool {
        authority.namespaces[name] != self.own.namespaces[name]
    }

    pub(super) fn describe(
        &self,
        process: &ProcessHistory,
        authority: &Authority,
        sockets: &Sockets,
        cells: &mut Cells,
    ) {
        let mut add = |column: &'static str, term: &str| {
            cells.entry(column).or_default().insert(term.to_owned());
        };
        // The network thread has such a socket for a moment, to bring lo up, and a process that is
        // cloned in this moment inherits it.
        let is_of_thread = |descriptor: &Descriptor| matches!(&descriptor.socket, Some((libc::SOCK_DGRAM, peer)) if peer.as_os_str().is_empty());
        for (number, descriptor) in authority.descriptors.iter().filter(|(_, other)| !is_of_thread(other)) {
            add("descriptors", &self.descriptor(*number, descriptor, process, sockets));
        }
        for (column, set) in [("permitted", "CapPrm"), ("bounding", "CapBnd"), ("inheritable", "CapInh")] {
            capabilities(authority.capabilities[set]).into_iter().for_each(|term| add(column, term));
        }
        for (name, id) in &authority.namespaces {
            if !self.is_new(authority, name) {
                add("namespaces of the host", name);
            } else if self.joined.get(name) == Some(id) {
                add("joined namespaces", name);
            }
        }
        let is_hosts = authority.root == self.own.root;
        add("root directory", if is_hosts { "the host's" } else { "the container's" });
        add(
            "user",
            match authority.uid {
                0 => "root",
                ROOT => "root of the user namespace",
                _ => "the program's",
            },
        );
        // The files of an undumpable process belong to root (proc_pid(5)). The caller has another
        // group.
        add("dumpable", if authority.files_gid == 0 { "no" } else { "yes" });
        add("has a pid in", "the host");
        if authority.depth > self.own.depth {
            let is_joined = self.joined.get("pid") == Some(&authority.namespaces["pid"]);
            add("has a pid in", if is_joined { "the joined one" } else { "its own" });
        }
    }

    /// Names the object of a descriptor.
    fn descriptor(
        &self,
        number: i32,
        descriptor: &Descriptor,
        process: &ProcessHistory,
        sockets: &Sockets,
    ) -> String {
        const PROC: i64 = 0x9fa0;
        const NSFS: i64 = 0x6e73_6673;
        const CGROUP: i64 = 0x6367_7270;
        let Descriptor { link, id, mode, filesystem, .. } = descriptor;
        let is = |path: PathBuf| file_id(path.to_str().unwrap()).is_ok_and(|other| other == *id);
        let is_of_host = self.devices.contains(&id.0);
        let kind = mode & libc::S_IFMT;
        // A helper closes its standard streams, and opens others with the same numbers.
        let at_birth = process.stops.first().and_then(|stop| stop.authority.descriptors.get(&number));
        let is_stream = number < 3 && at_birth.is_some_and(|other| other.id == *id);
        let word = if let Some((_, peer)) = &descriptor.socket {
            match sockets.name(*id) {
                Some(name) => name,
                None if peer.ends_with("tty.sock") => "the console socket",
                None => return format!("unknown {link} {peer:?}"),
            }
        } else if let Some(pid) = descriptor.process {
            if pid == process.parent { "a pidfd of the runtime" } else { "a pidfd of the init" }
        } else if *filesystem == NSFS {
            "a namespace"
        } else if *filesystem == CGROUP && is_of_host {
            "the host's cgroups"
        } else if *filesystem == PROC && is_of_host {
            "the host's procfs"
        } else if link.starts_with("anon_inode:[fscontext]") {
            "a new file system"
        } else if number < 3 && link.starts_with("pipe:") {
            "pipes to the runtime"
        } else if is(self.program.into()) {
            "the runtime's program"
        } else if is(self.bundle.rootfs("")) {
            "the rootfs"
        } else if is(self.bundle.path().into()) {
            "the bundle"
        } else if is(self.files.join("log")) {
            "the log"
        } else if is(self.files.join("timeline")) {
            "the timeline"
        } else if is(self.files.join("left")) {
            "files left open by the caller"
        } else if link.contains("/exec.fifo") {
            "the fifo of start"
        } else if Path::new(link).starts_with(self.state) {
            "the state directory"
        } else if is("/bin/true".into()) {
            "the hook's program"
        } else if !is_of_host || inside(&self.bundle.rootfs(""), *id) {
            "the container's files"
        } else if is_stream && kind == libc::S_IFCHR {
            "the host's null device"
        } else if is_stream {
            "the caller's streams"
        } else if *id == self.own.root {
            "the host's root directory"
        } else if is(self.source.into()) || kind == libc::S_IFCHR && is_of_host {
            "a mount source"
        } else {
            return format!("unknown {number} {link} {filesystem:x}");
        };
        word.to_owned()
    }
}

/// Returns true if a directory has the file at any depth.
fn inside(dir: &Path, id: FileId) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        file_id(entry.path().to_str().unwrap()).is_ok_and(|other| other == id)
            || entry.file_type().is_ok_and(|kind| kind.is_dir()) && inside(&entry.path(), id)
    })
}

/// Returns the names of the capabilities of a set.
fn capabilities(set: u64) -> Vec<&'static str> {
    const NAMED: [(u64, &str); 2] = [(1 << 13, "CAP_NET_RAW"), (1 << 21, "CAP_SYS_ADMIN")];
    let (more, known) = (set & !PROGRAMS, NAMED.iter().fold(0, |all, (bit, _)| all | bit));
    if more & !known != 0 {
        return vec!["the caller's"];
    }
    let named = NAMED.iter().filter(|(bit, _)| more & bit != 0).map(|(_, name)| *name);
    let programs = (set & PROGRAMS != 0).then_some("the program's");
    named.chain(programs).collect()
}

/// The socket pairs, by the processes that they were made for.
#[derive(Default)]
pub(super) struct Sockets {
    all: BTreeMap<FileId, (usize, &'static str)>,
    current: usize,
}

impl Sockets {
    /// Records the sockets of a process: those that no earlier process had, in the order of their
    /// numbers, or else those of the process that it replaces.
    pub(super) fn of(&mut self, number: usize, process: &ProcessHistory) {
        let Some(first) = process.stops.first() else { return };
        let pairs = first
            .authority
            .descriptors
            .values()
            .filter(|descriptor| matches!(descriptor.socket, Some((libc::SOCK_SEQPACKET, _))));
        let new: Vec<_> = pairs.map(|pair| pair.id).filter(|id| !self.all.contains_key(id)).collect();
        if new.is_empty() {
            return;
        }
        self.current = number;
        for (i, id) in new.into_iter().enumerate() {
            self.all.insert(id, (number, if i < 2 { "the channel" } else { "the helper's socket" }));
        }
    }

    fn name(&self, id: FileId) -> Option<&'static str> {
        match self.all.get(&id)? {
            (owner, "the channel") if *owner != self.current => Some("the init's channel"),
            (_, name) => Some(name),
        }
    }
}
