// SPDX-License-Identifier: Apache-2.0
//! Writing of limits into a cgroup's files.

use super::controllers;
use super::group::Cgroup;
use super::limits::{IfAbsent, Write};
use crate::config::field::number_list;
use crate::config::resources::MemoryCheck;
use crate::error::{Error, ErrorKind, Result};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;

impl Cgroup {
    /// Writes limits, and stops at the first one that the kernel refuses.
    /// Writes nothing if a controller is missing.
    pub(crate) fn apply(&self, writes: &[Write]) -> Result<()> {
        let needs: Vec<_> = writes
            .iter()
            .filter_map(|write| write.controller().map(|controller| (write.field.as_str(), controller)))
            .collect();
        controllers::check(self, &needs)?;
        for write in writes {
            self.apply_one(write)?;
            self.check_cpuset(write)?;
        }
        Ok(())
    }

    /// Writes the limits of the parent cgroup into this cgroup too, for programs that read them
    /// here. The parent's limits are already in effect, except that systemd may set CPUs later.
    pub(super) fn repeat(&self, writes: &[Write]) -> Result<()> {
        writes.iter().try_for_each(|write| self.apply_one(write))
    }

    fn apply_one(&self, write: &Write) -> Result<()> {
        match (self.write_limit(&write.file, &write.value), &write.if_absent) {
            (Err(Errno::ENOENT), IfAbsent::Skip) => Ok(()),
            (Err(Errno::ENOENT), IfAbsent::Instead { file, value }) => {
                let other = Write { file: (*file).to_owned(), value: value.clone(), ..write.clone() };
                self.write_limit(file, value).map_err(|errno| self.refused(&other, errno))
            }
            (Err(errno), _) => Err(self.refused(write, errno)),
            (Ok(()), _) => Ok(()),
        }
    }

    fn write_limit(&self, file: &str, value: &str) -> runtime_sys::Result<()> {
        fd::write_file(&self.dir, &c_str(file)?, value.as_bytes())
    }

    /// Returns the error for a limit that cannot be set.
    fn refused(&self, write: &Write, errno: Errno) -> Error {
        let Write { file, value, field, .. } = write;
        let error = Error::os(errno, format!("write {value:?} to {}/{file}", self.path))
            .wrap_as(ErrorKind::Setup, field.as_str())
            .at(field);
        match (errno, file.as_str()) {
            (Errno::ENOENT, "io.weight") => {
                error.with_hint("the kernel has no weights for block devices: neither BFQ nor iocost")
            }
            (Errno::ENOENT, "memory.swap.max") => error.with_hint("swap is not accounted for on this host"),
            (Errno::ENOENT, _) => {
                error.with_hint("the controller is enabled, but this kernel does not have this file")
            }
            (Errno::ENODEV, "io.max" | "io.weight" | "io.bfq.weight") => {
                error.with_hint("there is no such block device, or it is a partition")
            }
            (Errno::ERANGE | Errno::EINVAL, "cpuset.cpus") => error.with_hint("there are no such CPUs"),
            (Errno::ERANGE | Errno::EINVAL, "cpuset.mems") => {
                error.with_hint("there are no such memory nodes")
            }
            (Errno::EINVAL, "cpu.weight") => {
                error.with_hint("an idle cgroup has no weight: set linux.resources.cpu.idle to 0 as well")
            }
            (Errno::EINVAL, "cpu.max.burst") => error.with_hint("the burst must not be above the quota"),
            _ => error,
        }
    }

    /// Checks that the cgroup has no CPUs or memory nodes but the requested ones. The kernel
    /// also accepts CPUs and nodes that do not exist yet. As long as none of the list exists, it
    /// gives the cgroup all of its parent's, without an error.
    fn check_cpuset(&self, write: &Write) -> Result<()> {
        let (what, effective) = match write.file.as_str() {
            "cpuset.cpus" => ("CPUs", c"cpuset.cpus.effective"),
            "cpuset.mems" => ("memory nodes", c"cpuset.mems.effective"),
            _ => return Ok(()),
        };
        let effective = self.read(effective)?;
        let effective = String::from_utf8_lossy(&effective).trim().to_owned();
        let (Ok(wanted), Ok(got)) =
            (number_list("", "", write.value.trim()), number_list("", "", &effective))
        else {
            return Ok(());
        };
        let beyond = got.iter().enumerate().any(|(i, got)| got & !wanted.get(i).copied().unwrap_or(0) != 0);
        if wanted.is_empty() || !beyond {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Setup,
            format!(
                "{}: none of the {what} {:?} can be used (usable: {effective})",
                write.field, write.value
            ),
        ))
    }

    /// Refuses limits that are not above the current usage, with runc's error texts.
    pub(crate) fn check_memory(&self, check: &MemoryCheck) -> Result<()> {
        // Without the file, there is no usage to compare with.
        let current = |file: &CStr| -> Option<u64> {
            let text = fd::read_file(&self.dir, file, 64).ok()?;
            std::str::from_utf8(&text).ok()?.trim().parse().ok()
        };
        let Some(memory) = current(c"memory.current") else { return Ok(()) };
        let total = memory.saturating_add(current(c"memory.swap.current").unwrap_or(0));
        let reject = |field: &str, what: &str, limit: u64, usage: u64| {
            Err(Error::new(
                ErrorKind::InvalidState,
                format!("linux.resources.memory.{field}: rejecting {what} limit {limit} <= usage {usage}"),
            ))
        };
        match (check.memory, check.memory_and_swap) {
            (_, Some(limit)) if limit <= total => reject("swap", "memory+swap", limit, total),
            (Some(limit), _) if limit <= memory => reject("limit", "memory", limit, memory),
            _ => Ok(()),
        }
    }
}
