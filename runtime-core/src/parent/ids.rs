// SPDX-License-Identifier: Apache-2.0
//! The id mappings of a new user namespace (user_namespaces(7)), written by the parent while the
//! child waits.

use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::proc::{PidFile, Proc};
use crate::values::IdRange;
use nix::unistd::{getegid, geteuid};
use runtime_sys::{Errno, fd, process};
use std::process::Command;

/// Returns true unless the caller is root of the initial user namespace.
pub(crate) fn is_rootless() -> Result<bool> {
    if !geteuid().is_root() {
        return Ok(true);
    }
    Ok(!crate::userns::is_initial_user_namespace()?)
}

/// Returns true if setgroups(2) is denied to processes that are cloned or join from here: by the
/// user namespace of the process `target`, or of the caller.
pub(crate) fn denies_groups(target: Option<i32>) -> Result<bool> {
    let file = match target {
        Some(pid) => PidFile::new(pid, "setgroups"),
        None if crate::userns::is_initial_user_namespace()? => return Ok(false),
        None => PidFile::own("setgroups"),
    };
    let text =
        file.absolute().and_then(|path| fd::read_piece(fd::CWD, &path)).context(|| format!("read {file}"))?;
    Ok(text.starts_with(b"deny"))
}

/// Writes both maps of the user namespace that process `pid` is in.
///
/// Root writes the maps directly. Other users call newuidmap(1) and newgidmap(1). Where those are
/// missing, a user can map only its own ids, and setgroups(2) is denied.
pub(crate) fn write_maps(proc: &Proc, pid: i32, uid: &[IdRange], gid: &[IdRange]) -> Result<()> {
    if geteuid().is_root() {
        write(proc, pid, "uid_map", uid)?;
        return write(proc, pid, "gid_map", gid);
    }
    helper("newuidmap", pid, uid)
        .or_else(|helper| own_only(uid, geteuid().as_raw(), helper, || write(proc, pid, "uid_map", uid)))?;
    helper("newgidmap", pid, gid).or_else(|helper| {
        own_only(gid, getegid().as_raw(), helper, || {
            // Otherwise an unprivileged process could drop a group by which it is denied access.
            let file = PidFile::new(pid, "setgroups");
            file.below_proc()
                .and_then(|path| proc.write(&path, b"deny"))
                .context(|| format!("write {file}"))?;
            write(proc, pid, "gid_map", gid)
        })
    })
}

/// Fails if the user namespace that process `pid` is in has other maps than config.json. An empty
/// map in config.json is not compared.
pub(crate) fn compare_maps(proc: &Proc, pid: i32, uid: &[IdRange], gid: &[IdRange]) -> Result<()> {
    for (field, name, map) in [("linux.uidMappings", "uid_map", uid), ("linux.gidMappings", "gid_map", gid)] {
        if map.is_empty() {
            continue;
        }
        let text = read(proc, pid, name)?;
        let text = String::from_utf8_lossy(&text);
        let mut given: Vec<_> = map.iter().map(|m| (m.inside, m.outside, m.size)).collect();
        let mut actual: Vec<_> = ranges(&text).collect();
        given.sort_unstable();
        actual.sort_unstable();
        if given != actual {
            let text = format!("{field}: the existing user namespace has other mappings: {actual:?}");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
    }
    Ok(())
}

/// Returns the host's uid for `uid` in the user namespace that process `pid` is in.
pub(crate) fn on_host(proc: &Proc, pid: i32, uid: u32) -> Result<u32> {
    let map = read(proc, pid, "uid_map")?;
    find(&String::from_utf8_lossy(&map), uid).ok_or_else(|| {
        Error::new(ErrorKind::Setup, format!("process.user.uid: {uid} has no mapping (linux.uidMappings)"))
    })
}

/// The id mappings of a user namespace, as the host sees them.
#[derive(Debug)]
pub(crate) struct Maps {
    uid: Vec<(u32, u32, u32)>,
    gid: Vec<(u32, u32, u32)>,
}

impl Maps {
    /// Makes the mappings that a new user namespace will have.
    pub(crate) fn new(uid: &[IdRange], gid: &[IdRange]) -> Self {
        let ranges = |map: &[IdRange]| map.iter().map(|m| (m.inside, m.outside, m.size)).collect();
        Maps { uid: ranges(uid), gid: ranges(gid) }
    }

    /// Reads the mappings of the user namespace that process `pid` is in.
    pub(crate) fn of(proc: &Proc, pid: i32) -> Result<Self> {
        let read = |name: &str| {
            let text = read(proc, pid, name)?;
            Ok(ranges(&String::from_utf8_lossy(&text)).collect())
        };
        Ok(Maps { uid: read("uid_map")?, gid: read("gid_map")? })
    }

    /// Returns the host's ids for a user and a group of the user namespace, if they have a mapping.
    pub(crate) fn on_host(&self, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
        let find = |map: &[_], id| look_up(map.iter().copied(), id);
        (find(&self.uid, uid), find(&self.gid, gid))
    }

    /// Returns a user and a group of the host that have no id in the user namespace. Their files
    /// appear there with the overflow ids (user_namespaces(7)), and no process in it has rights over
    /// these files.
    pub(crate) fn strangers(&self) -> (Option<u32>, Option<u32>) {
        (stranger(&self.uid), stranger(&self.gid))
    }
}

fn stranger(map: &[(u32, u32, u32)]) -> Option<u32> {
    const ROOT_AND_NOBODY: [u32; 2] = [0, 65534];
    let is_mapped =
        |id: u32| map.iter().any(|(_, outside, size)| id.checked_sub(*outside).is_some_and(|at| at < *size));
    ROOT_AND_NOBODY.into_iter().find(|id| !is_mapped(*id))
}

/// Looks an id up in a uid_map (user_namespaces(7)).
fn find(map: &str, uid: u32) -> Option<u32> {
    look_up(ranges(map), uid)
}

fn look_up(mut ranges: impl Iterator<Item = (u32, u32, u32)>, id: u32) -> Option<u32> {
    ranges.find_map(|(inside, outside, size)| {
        let offset = id.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    })
}

/// Returns the ranges of a uid_map: first id inside, first id outside, number of ids.
fn ranges(map: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    })
}

/// Calls `write` if `map` maps only the caller's own id, which the kernel allows to every user.
/// Otherwise returns the error of the helper.
fn own_only(map: &[IdRange], own: u32, helper: Error, write: impl FnOnce() -> Result<()>) -> Result<()> {
    match map {
        [IdRange { outside, size: 1, .. }] if *outside == own => write(),
        _ => Err(helper),
    }
}

fn read(proc: &Proc, pid: i32, name: &str) -> Result<Vec<u8>> {
    let file = PidFile::new(pid, name);
    file.below_proc().and_then(|path| proc.read(&path)).context(|| format!("read {file}"))
}

fn write(proc: &Proc, pid: i32, name: &str, map: &[IdRange]) -> Result<()> {
    let mut text = String::new();
    for IdRange { inside, outside, size } in map {
        text.push_str(&format!("{inside} {outside} {size}\n"));
    }
    let file = PidFile::new(pid, name);
    file.below_proc().and_then(|path| proc.write(&path, text.as_bytes())).map_err(|errno| {
        let error = Error::os(errno, format!("write {file}")).of_kind(ErrorKind::Setup);
        match errno {
            Errno::EPERM => error.with_hint("the runtime may not map these ids"),
            _ => error,
        }
    })
}

fn helper(program: &str, pid: i32, map: &[IdRange]) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for IdRange { inside, outside, size } in map {
        command.args([inside, outside, size].map(u32::to_string));
    }
    process::start_clean(&mut command);
    let output = command.output().map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Error::os(errno, format!("execute {program}")).of_kind(ErrorKind::Setup).with_hint(format!(
            "an unprivileged user needs {program} (Debian: uidmap) and ranges in /etc/subuid and /etc/subgid"
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let text = format!("{program} failed ({}): {}", output.status, said.trim());
    Err(Error::new(ErrorKind::Setup, text)
        .with_hint("/etc/subuid and /etc/subgid must grant these ids to the user (usermod --add-subuids)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_its_range() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(find(map, 0), Some(1000));
        assert_eq!(find(map, 1), Some(100_000));
        assert_eq!(find(map, 65_536), Some(165_535));
        assert_eq!(find(map, 65_537), None);
        assert_eq!(find("0 0 4294967295\n", 7), Some(7));
        assert_eq!(find("x", 0), None);
    }
}
