// SPDX-License-Identifier: Apache-2.0
//! The old limits of a cgroup. They are restored if only some of the new ones can be set.

use super::group::Cgroup;
use super::limits::{IfAbsent, Write, is_keyed};
use runtime_sys::fd;
use runtime_sys::text::c_str;
use std::collections::{BTreeMap, BTreeSet};

/// The old contents of files of a cgroup.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<(String, String)>);

impl Cgroup {
    /// Reads all files that `writes` could change.
    pub(crate) fn snapshot(&self, writes: &[Write]) -> Snapshot {
        let mut files: Vec<&str> = Vec::new();
        let mut seen = BTreeSet::new();
        for write in writes {
            let instead = match write.if_absent {
                IfAbsent::Instead { file, .. } => Some(file),
                _ => None,
            };
            for file in [write.file.as_str()].into_iter().chain(instead) {
                if seen.insert(file) {
                    files.push(file);
                }
            }
        }
        // A file that does not exist or cannot be read cannot be restored.
        let read = |file: &str| Some((file.to_owned(), self.content(file)?));
        Snapshot(files.into_iter().filter_map(read).collect())
    }

    fn content(&self, file: &str) -> Option<String> {
        // Some files have a line for each block device, hence 1 MiB.
        let content = fd::read_file(&self.dir, &c_str(file).ok()?, 1 << 20).ok()?;
        String::from_utf8(content).ok()
    }
}

impl Snapshot {
    /// Returns the writes that restore the old contents.
    pub(crate) fn undo(&self, cgroup: &Cgroup) -> Vec<Write> {
        let changed = self.0.iter().filter_map(|(file, old)| {
            let now = cgroup.content(file)?;
            (now != *old).then_some((file.as_str(), old.as_str(), now))
        });
        let changed: Vec<_> = changed.collect();
        let mut undo = Vec::new();
        let is_changed = |wanted: &str| changed.iter().any(|(file, ..)| *file == wanted);
        if is_changed("cpu.max") && is_changed("cpu.max.burst") {
            // The kernel refuses a burst above the quota, also while limits are restored.
            undo.push(write("cpu.max.burst", "0"));
        }
        for (file, old, now) in changed.iter().rev() {
            undo.extend(lines(file, old, now).iter().map(|line| write(file, line)));
        }
        let is_burst = |write: &Write| write.file == "cpu.max.burst" && write.value != "0";
        let (last, mut undo): (Vec<_>, Vec<_>) = undo.into_iter().partition(is_burst);
        undo.extend(last);
        undo
    }
}

fn write(file: &str, value: &str) -> Write {
    Write {
        file: file.to_owned(),
        value: value.to_owned(),
        field: format!("the old value of {file}"),
        if_absent: IfAbsent::Fail,
    }
}

/// Returns the writes that turn the content `now` of a file into `old`.
fn lines(file: &str, old: &str, now: &str) -> Vec<String> {
    if !is_keyed(file) {
        return match old.trim() {
            // This is the weight of an idle cgroup, and set by cpu.idle only.
            "0" if file == "cpu.weight" => Vec::new(),
            "" => vec!["\n".to_owned()],
            old => old.lines().map(str::to_owned).collect(),
        };
    }
    let (old, now) = (by_key(old), by_key(now));
    let keys: BTreeSet<&str> = old.keys().chain(now.keys()).copied().collect();
    keys.into_iter()
        .filter(|key| old.get(key) != now.get(key))
        .map(|key| {
            old.get(key).map(|line| (*line).to_owned()).unwrap_or_else(|| match file {
                "io.max" => format!("{key} rbps=max wbps=max riops=max wiops=max"),
                "io.latency" => format!("{key} target=0"),
                "rdma.max" => format!("{key} hca_handle=max hca_object=max"),
                "misc.max" | "dmem.max" => format!("{key} max"),
                _ => format!("{key} default"),
            })
        })
        .collect()
}

/// Returns the lines of a file by their first words.
fn by_key(content: &str) -> BTreeMap<&str, &str> {
    content.lines().filter_map(|line| Some((line.split_ascii_whitespace().next()?, line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_restored_by_lines() {
        for (file, old, now, want) in [
            ("memory.max", "max\n", "4096\n", &["max"][..]),
            ("cpuset.cpus", "\n", "1\n", &["\n"]),
            ("cpu.max", "max 100000\n", "5000 100000\n", &["max 100000"]),
            ("cpu.weight", "0\n", "100\n", &[]),
            ("cpu.weight", "17\n", "100\n", &["17"]),
            (
                "io.max",
                "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=max riops=max wiops=max\n",
                "8:0 rbps=3 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=max riops=max wiops=max\n",
                &["8:0 rbps=1 wbps=max riops=max wiops=max"],
            ),
            (
                "io.max",
                "",
                "7:1 rbps=3 wbps=max riops=max wiops=max\n",
                &["7:1 rbps=max wbps=max riops=max wiops=max"],
            ),
            ("io.weight", "default 100\n", "default 50\n8:0 7\n", &["8:0 default", "default 100"]),
            ("io.bfq.weight", "default 100\n8:0 9\n", "default 100\n", &["8:0 9"]),
            ("misc.max", "sev 5\n", "sev 7\n", &["sev 5"]),
        ] {
            assert_eq!(lines(file, old, now), want, "{file}: {now:?} -> {old:?}");
        }
    }
}
