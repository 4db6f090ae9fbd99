// SPDX-License-Identifier: Apache-2.0
//! The end of a container's first process, for programs that are not its parent.

use super::container::Container;
use crate::error::{Context, Result};
use crate::exit_status::ExitStatus;
use crate::parent::reap;
use crate::path::proc::PidFile;
use crate::state::process::ProcessId;
use runtime_sys::process::exit_of_reaped;
use runtime_sys::{Errno, fd};
use std::os::fd::OwnedFd;

impl Container {
    /// Waits until the container's first process has ended, however long it runs. Any program with
    /// access to the container may call this, and it does not reap the process, unlike
    /// [`Process::wait`](crate::Process::wait).
    ///
    /// Returns the exit status; `None` if the process had ended before the call, or if the caller may
    /// not inspect it (another user id without CAP_SYS_PTRACE). Needs Linux 6.15
    /// (PIDFD_INFO_EXIT) to return it in every case: an older kernel does not tell it when the process's
    /// parent is faster and reaps the process.
    ///
    /// Errors: [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::BadRecord`](crate::ErrorKind::BadRecord).
    pub fn wait(&self) -> Result<Option<ExitStatus>> {
        let Some((init, pidfd)) = self.init()? else { return Ok(None) };
        fd::poll(&pidfd, libc::POLLIN, -1).context(|| "poll")?;
        status_of(&init, &pidfd)
    }

    /// Returns the container's first process, if it has not ended.
    pub(super) fn init(&self) -> Result<Option<(ProcessId, OwnedFd)>> {
        let init = self.store.entry(&self.id)?.record()?.init;
        Ok(init.open()?.map(|pidfd| (init, pidfd)))
    }
}

/// Returns the exit status of a process that has ended, if the kernel still tells it.
pub(super) fn status_of(process: &ProcessId, pidfd: &OwnedFd) -> Result<Option<ExitStatus>> {
    // First the status, then the identity: a pid that belongs to this zombie belonged to it before.
    match reap::status_of(process.pid) {
        Ok(status) if process.is_zombie()? => return Ok(Some(ExitStatus::new(status))),
        Ok(_) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EACCES) => {}
        Err(errno) => return Err(errno).context(|| format!("read {}", PidFile::new(process.pid, "stat"))),
    }
    let status = exit_of_reaped(pidfd).context(|| "ioctl(PIDFD_GET_INFO)")?;
    Ok(status.map(ExitStatus::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_sys::process::pidfd_open;

    fn release() -> (u32, u32) {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap(), parts.next().unwrap())
    }

    #[test]
    fn the_status_of_a_zombie_and_of_a_reaped_process_is_known() {
        for (script, status) in [("exit 7", ExitStatus::Exited(7)), ("kill -9 $$", ExitStatus::Signaled(9))] {
            let mut child = std::process::Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let pid = child.id() as i32;
            let (id, pidfd) = (ProcessId::of(pid).unwrap(), pidfd_open(pid).unwrap());
            fd::poll(&pidfd, libc::POLLIN, -1).unwrap();
            assert_eq!(status_of(&id, &pidfd).unwrap(), Some(status));
            child.wait().unwrap();
            let told = (release() >= (6, 15)).then_some(status);
            assert_eq!(status_of(&id, &pidfd).unwrap(), told);
        }
    }
}
