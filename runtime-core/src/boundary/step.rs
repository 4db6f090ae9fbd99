// SPDX-License-Identifier: Apache-2.0
//! The child's steps by name, and the report of a failed step.

use crate::byte_enum::byte_enum;
use crate::marks;
use runtime_sys::Errno;

byte_enum! {
    /// A step of the child's scripts, in the order of the script for create. The script for exec
    /// uses some of them in the same order. docs/architecture.md has the same table, and a test
    /// compares the two.
    Step {
        /// Forbid other processes to inspect or trace this one.
        Hide,
        /// Close the descriptors that the runtime has open for itself.
        CloseOthers,
        /// Write one label that the program gets with execve, or that new keyrings get.
        Label,
        /// Join existing namespaces.
        Join,
        /// Make new namespaces in a process that has joined others.
        Unshare,
        /// Clone the init from a process that has joined others, with a new pid namespace.
        Clone,
        /// Enter the network namespace that was made before the clone.
        Network,
        /// Wait until the parent has done its part (id maps, systemd's scope).
        WaitGo,
        /// Make the time namespace and set its clocks.
        TimeNamespace,
        /// Become root of the new user namespace.
        NamespaceRoot,
        /// Make the namespaces whose objects belong to that user namespace's root.
        LateNamespaces,
        /// Make the cgroup namespace, rooted at the current cgroup of the process.
        CgroupNamespace,
        /// Bring lo up.
        Loopback,
        /// Set host and domain name.
        Hostname,
        /// Join a session keyring for the container.
        Keyring,
        /// Make the copied mounts slaves, so that nothing propagates to the host.
        Propagation,
        /// Attach the root file system.
        Rootfs,
        /// Make, set up and attach one entry of `mounts`.
        Mount,
        /// Make one device node.
        Device,
        /// Make one of the links in /dev.
        DeviceLink,
        /// Replace /proc/self/exe by a read-only copy of the program.
        SealExe,
        /// Let the parent run its hooks.
        Barrier,
        /// Set one kernel parameter.
        Sysctl,
        /// Wait until the parent has attached the device filter.
        DeviceFilter,
        /// Make the root file system the root directory.
        PivotRoot,
        /// Open the container's devices in place of the host's.
        Stdio,
        /// Find HOME.
        Home,
        /// Make the terminal and send its master.
        Console,
        /// Make one path read-only.
        ReadonlyPath,
        /// Cover one masked path.
        MaskedPath,
        /// Change the working directory.
        Cwd,
        /// Make one mount read-only, after other mounts were made below it.
        ReadonlyMount,
        /// Make the root file system read-only.
        ReadonlyRootfs,
        /// Set the propagation of the root file system.
        RootPropagation,
        /// Close the descriptors that the program must not get.
        CloseFds,
        /// Set the execution domain.
        Personality,
        /// Set the NUMA memory policy.
        MemoryPolicy,
        /// Set one resource limit.
        Rlimit,
        /// Set no_new_privs.
        NoNewPrivileges,
        /// Reduce the bounding set.
        BoundingSet,
        /// Set the user, the group and the supplementary groups.
        User,
        /// Set the capabilities.
        Capabilities,
        /// Look for the program.
        FindProgram,
        /// Clone the process that executes the program into an existing pid namespace.
        EnterPid,
        /// Load the system call filter, if it notifies. Any other filter is loaded right before
        /// execve, so that it need not allow the runtime's system calls.
        Seccomp,
        /// Tell the parent that all is done, and wait for the Go to start.
        Ready,
        /// Execute the program.
        Exec,
    }
}

byte_enum! {
    /// The system call or check that failed inside of a step.
    Call {
        Access, Affinity, AttachMount, Bind, Capget, Capset, Chdir, CheckCwd, CheckDevice, CheckDevpts, CheckExecutable, CheckMode, CheckNoexec, CheckProc, CheckProgram, CheckRoot, CheckSuperblock, CheckSource, Chmod, Chown, Chroot, Clone, Clone3, CloneTree, CloseRange, CopyUp, Dup, Execve, Fsconfig, FsconfigCreate, FsconfigMode, FsconfigPidns, FsconfigReconfigure, Fsmount, Fsopen, Fspick, Getcwd, Getdents, Ioctl, Keyctl, MapIds, Mkdir, Mknod, Mmap, Mount, MountProcfs, MountPropagation, MountSetattr, Open, OpenSource, PivotRoot, Prctl, Prlimit, Read, Readlink, ReceiveTree, Seccomp, SendFd, Setdomainname, Setgid, Setgroups, Sethostname, SetMempolicy, Setns, SetPersonality, Setsid, Setuid, SetXattr, Socket, Stat, Statfs, Symlink, Umount, Unlink, Unshare, Wait, Write,
    }
}

impl Call {
    /// Returns the name of the call, as strace(1) prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Call::Access => "faccessat2",
            Call::Affinity => "sched_setaffinity",
            Call::AttachMount => "move_mount",
            Call::Bind => "bind",
            Call::Capget => "capget",
            Call::Capset => "capset",
            Call::Chdir => "chdir",
            Call::Chmod => "fchmod",
            Call::Chown => "fchownat",
            Call::Chroot => "chroot",
            Call::Clone => "clone",
            Call::Clone3 => "clone3",
            Call::CloneTree => "open_tree",
            Call::CloseRange => "close_range",
            Call::CheckCwd => "check of the working directory",
            Call::CheckDevice => "check of the existing file",
            Call::CheckDevpts => "check of /dev/pts",
            Call::CheckExecutable | Call::CheckMode | Call::CheckNoexec => "check of the file",
            Call::CheckProc => "check of the mount point",
            Call::CheckProgram => "search in $PATH",
            Call::CheckSource => "check of the source",
            Call::CheckRoot => "check of the directory",
            Call::CheckSuperblock => "check of the file system",
            Call::CopyUp => "copying the files that the mount covers",
            Call::Dup => "dup3",
            Call::Execve => "execve",
            Call::Fsconfig => "fsconfig",
            Call::FsconfigCreate => "fsconfig(CMD_CREATE)",
            Call::FsconfigMode => "fsconfig mode",
            Call::FsconfigReconfigure => "fsconfig(CMD_RECONFIGURE)",
            Call::Fspick => "fspick",
            Call::FsconfigPidns => "fsconfig pidns",
            Call::Fsmount => "fsmount",
            Call::Fsopen => "fsopen",
            Call::Getcwd => "getcwd",
            Call::Getdents => "getdents64",
            Call::Ioctl => "ioctl",
            Call::Keyctl => "keyctl",
            Call::MapIds => "mount_setattr(MOUNT_ATTR_IDMAP)",
            Call::Mkdir => "mkdirat",
            Call::Mknod => "mknodat",
            Call::Mmap => "mmap",
            Call::MountProcfs => "mounting a new procfs",
            Call::Mount => "mount",
            Call::MountPropagation => "mount(propagation)",
            Call::MountSetattr => "mount_setattr",
            Call::Open => "openat2",
            Call::OpenSource => "openat2 of the source",
            Call::PivotRoot => "pivot_root",
            Call::Prctl => "prctl",
            Call::Prlimit => "prlimit",
            Call::Read => "read",
            Call::Readlink => "readlinkat",
            Call::ReceiveTree => "recvmsg",
            Call::Seccomp => "seccomp",
            Call::SendFd => "sendmsg",
            Call::Setdomainname => "setdomainname",
            Call::Setgid => "setresgid",
            Call::Setgroups => "setgroups",
            Call::Sethostname => "sethostname",
            Call::Setns => "setns",
            Call::Setsid => "setsid",
            Call::Setuid => "setresuid",
            Call::SetMempolicy => "set_mempolicy",
            Call::SetPersonality => "personality",
            Call::SetXattr => "fsetxattr",
            Call::Socket => "socket",
            Call::Stat => "fstatat",
            Call::Statfs => "fstatfs",
            Call::Symlink => "symlinkat",
            Call::Umount => "umount2",
            Call::Unlink => "unlinkat",
            Call::Unshare => "unshare",
            Call::Wait => "waitid",
            Call::Write => "write",
        }
    }
}

/// A failure in a form that needs no heap: the parent holds the plan and writes the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepFailure {
    pub(crate) step: Step,
    /// The index of the mount, the device, ... of the step.
    pub(crate) item: u32,
    pub(crate) call: Call,
    pub(crate) errno: Errno,
}

impl StepFailure {
    /// Returns true if a helper has failed because the init that it serves is gone.
    pub(crate) fn lost_peer(&self) -> bool {
        matches!(self.call, Call::SendFd | Call::ReceiveTree | Call::Read)
            && matches!(self.errno, Errno::EPIPE | Errno::ECONNRESET)
    }
}

/// The result of a step: on failure, the call and its errno.
pub(crate) type StepResult<T = ()> = std::result::Result<T, (Call, Errno)>;

/// Adds the call to an errno.
pub(crate) trait During<T> {
    fn during(self, call: Call) -> StepResult<T>;
}

impl<T> During<T> for runtime_sys::Result<T> {
    fn during(self, call: Call) -> StepResult<T> {
        self.map_err(|errno| (call, errno))
    }
}

/// Adds the step to a failed call.
pub(crate) trait InStep<T> {
    fn step(self, step: Step) -> Result<T, StepFailure>;
    fn item(self, step: Step, item: usize) -> Result<T, StepFailure>;
}

/// Returns the index of an item as it crosses the channel. No list in memory is longer than that.
pub(crate) fn index(item: usize) -> u32 {
    u32::try_from(item).unwrap_or(u32::MAX)
}

impl<T> InStep<T> for StepResult<T> {
    fn step(self, step: Step) -> Result<T, StepFailure> {
        self.item(step, 0)
    }

    fn item(self, step: Step, item: usize) -> Result<T, StepFailure> {
        match self {
            Ok(value) => {
                marks::step(step as u8, index(item));
                Ok(value)
            }
            Err((call, errno)) => Err(StepFailure { step, item: index(item), call, errno }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_calls_survive_their_bytes() {
        for (i, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, i);
            assert_eq!(Step::from_byte(i as u8), Some(*step));
        }
        for (i, call) in Call::ALL.iter().enumerate() {
            assert_eq!(Call::from_byte(i as u8), Some(*call));
        }
        assert!(Step::ALL.len() < 250, "the channel needs some bytes for itself");
    }

    /// A list in a document goes stale unless a test compares it with the code.
    #[test]
    fn the_table_of_the_page_matches_the_code() {
        let document = include_str!("../../../docs/architecture.md");
        let rows = document.split("\n## ").find(|section| section.starts_with("The steps")).unwrap();
        let in_document: Vec<_> =
            rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        let in_code: Vec<_> = Step::ALL.iter().map(|step| format!("{step:?}")).collect();
        assert_eq!(in_document, in_code);
    }
}
