// SPDX-License-Identifier: Apache-2.0
//! Detection of OOM kills, and of the limits that caused them.

use super::group::{Cgroup, keyed};
use runtime_sys::fd;
use runtime_sys::text::c_str;

/// The counts of memory.events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryEvents {
    /// The number of times that memory ran out at the limit of the cgroup or of one below it.
    oom: u64,
    /// The number of processes in the cgroup and below it that were OOM-killed, for any limit.
    pub(crate) oom_kill: u64,
}

impl MemoryEvents {
    fn parse(text: &[u8]) -> Self {
        MemoryEvents { oom: keyed(text, "oom"), oom_kill: keyed(text, "oom_kill") }
    }
}

impl Cgroup {
    /// Reads memory.events. The counts are 0 if memory is not accounted for.
    pub(crate) fn memory_events(&self) -> MemoryEvents {
        let text = fd::read_piece(&self.dir, c"memory.events");
        text.map(|text| MemoryEvents::parse(&text)).unwrap_or_default()
    }
}

/// A watch on a process's cgroup, to detect an OOM kill.
#[derive(Debug)]
pub(crate) struct OomWatch {
    cgroup: Cgroup,
    before: MemoryEvents,
}

impl OomWatch {
    /// Begins the watch. `before` has the counts from before the process was in the cgroup.
    pub(crate) fn new(cgroup: Cgroup, before: MemoryEvents) -> Self {
        OomWatch { cgroup, before }
    }

    pub(crate) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Describes the limit for which a process was OOM-killed since then; `None` if none was.
    pub(crate) fn limit(&self) -> Option<String> {
        let now = self.cgroup.memory_events();
        if now.oom_kill <= self.before.oom_kill {
            return None;
        }
        let own = max(&self.cgroup.path);
        Some(match own {
            Some(max) if now.oom > self.before.oom => {
                format!("memory.max of the container is {max} (linux.resources.memory.limit)")
            }
            _ => above(&self.cgroup.path),
        })
    }
}

/// Returns the memory limit of the cgroup at an absolute path, if it has one.
fn max(path: &str) -> Option<u64> {
    let file = c_str(format!("{path}/memory.max")).ok()?;
    let text = fd::read_file(fd::CWD, &file, 64).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// Describes the nearest memory limit above a cgroup.
fn above(path: &str) -> String {
    let mut path = path;
    while let Some((parent, _)) = path.rsplit_once('/') {
        if let Some(max) = max(parent) {
            return format!("memory.max of {parent} is {max}");
        }
        path = parent;
    }
    "the host has no more memory".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_parsed_from_memory_events() {
        let text = b"low 0\nhigh 3\nmax 14\noom 2\noom_kill 1\noom_group_kill 7\n";
        assert_eq!(MemoryEvents::parse(text), MemoryEvents { oom: 2, oom_kill: 1 });
        assert_eq!(MemoryEvents::parse(b"oom_kill x\noom"), MemoryEvents::default());
    }
}
