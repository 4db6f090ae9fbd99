// SPDX-License-Identifier: Apache-2.0
//! Facts about the kernel that the design relies on. If one of these tests fails, the design is
//! wrong, not the code.
#![allow(unsafe_code, clippy::unwrap_used, clippy::disallowed_methods)]

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Runs `body` in a child, where it must return `true`.
fn in_child(body: impl FnOnce() -> bool) {
    // SAFETY: fork of glibc; the child uses the heap, which glibc allows, and
    // leaves by _exit.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let status =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).map_or(101, |ok| i32::from(!ok));
            // SAFETY: ends the child without running the test harness's end.
            unsafe { libc::_exit(status) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}

fn call(result: libc::c_long) -> libc::c_long {
    assert!(result >= 0, "{}", Errno::last());
    result
}

fn fd(result: libc::c_long) -> OwnedFd {
    // SAFETY: a descriptor that a system call has just returned.
    unsafe { OwnedFd::from_raw_fd(call(result) as i32) }
}

const OPEN_TREE_CLONE: u32 = 1;
const F_EMPTY_PATH: u32 = 4;
const T_EMPTY_PATH: u32 = 0x40;

fn clone_tree(path: &CStr) -> OwnedFd {
    // SAFETY: a C string.
    fd(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            OPEN_TREE_CLONE | libc::O_CLOEXEC as u32,
        )
    })
}

fn attach(tree: &OwnedFd, dir: i32, path: &CStr) {
    let flags = F_EMPTY_PATH | if path.is_empty() { T_EMPTY_PATH } else { 0 };
    // SAFETY: C strings.
    call(unsafe {
        libc::syscall(libc::SYS_move_mount, tree.as_raw_fd(), c"".as_ptr(), dir, path.as_ptr(), flags)
    });
}

fn make_private() {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

#[test]
fn a_detached_tree_of_the_parent_can_be_attached_in_a_new_user_and_mount_namespace() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mark"), "x").unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    let tree = clone_tree(&path);
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
        attach(&tree, libc::AT_FDCWD, c"/mnt");
        fs::read_to_string("/mnt/mark").unwrap() == "x"
    });
}

/// Clears MOUNT_ATTR_RDONLY of a mount.
fn make_writable(tree: &OwnedFd) -> Result<(), Errno> {
    let attributes =
        libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_RDONLY, propagation: 0, userns_fd: 0 };
    // SAFETY: a C string and a whole mount_attr.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}

#[test]
fn flags_are_locked_in_a_tree_that_is_cloned_where_it_is_attached_and_only_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        make_private();
        let (bind, none) = (MsFlags::MS_BIND, None::<&str>);
        mount(Some(dir.path()), dir.path(), none, bind, none).unwrap();
        mount(none, dir.path(), none, bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        let of_the_parent = clone_tree(&path);
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
        let of_the_child = clone_tree(&path);
        make_writable(&of_the_parent).is_ok() && make_writable(&of_the_child) == Err(Errno::EPERM)
    });
}

#[test]
fn root_of_the_host_clones_with_its_own_rights_in_a_mount_namespace_of_another_user_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("of another user/inner");
    fs::create_dir_all(&inner).unwrap();
    let outer = inner.parent().unwrap();
    // root can enter it by CAP_DAC_READ_SEARCH alone.
    nix::unistd::chown(outer, Some(4321.into()), None).unwrap();
    fs::set_permissions(outer, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let path = std::ffi::CString::new(inner.to_str().unwrap()).unwrap();
    let open_tree = || {
        // SAFETY: a C string.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), OPEN_TREE_CLONE)
        })
    };
    in_child(|| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: as in in_child.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
                let denied = open_tree() == Err(Errno::EACCES);
                writer.write_all(&[u8::from(denied)]).unwrap();
                loop {
                    std::thread::park();
                }
            }
            ForkResult::Parent { child } => {
                let mut denied = [0];
                reader.read_exact(&mut denied).unwrap();
                // SAFETY: plain integers.
                let pidfd = fd(unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) });
                setns(&pidfd, CloneFlags::CLONE_NEWNS).unwrap();
                let cloned = open_tree().is_ok();
                nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).unwrap();
                waitpid(child, None).unwrap();
                denied == [1] && cloned
            }
        }
    });
}

#[test]
fn a_rootfs_on_top_of_the_root_directory_can_be_pivoted_into() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mark"), "x").unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    let tree = clone_tree(&path);
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        make_private();
        attach(&tree, libc::AT_FDCWD, c"/");
        nix::unistd::fchdir(&tree).unwrap();
        nix::unistd::pivot_root(".", ".").unwrap();
        umount2(".", MntFlags::MNT_DETACH).unwrap();
        let mounts = fs::read_dir("/").unwrap().count();
        fs::read_to_string("/mark").unwrap() == "x" && mounts == 1
    });
}

#[test]
fn a_fifo_that_its_reader_holds_for_reading_and_writing_tells_when_the_reader_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let open_writer = || OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
    assert_eq!(open_writer().unwrap_err().raw_os_error(), Some(libc::ENXIO), "nobody holds it");
    let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut writer = open_writer().unwrap();
    writer.write_all(b"0").unwrap();
    let events = |timeout| {
        let mut entry = libc::pollfd { fd: writer.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one pollfd.
        call(unsafe { libc::poll(&raw mut entry, 1, timeout) }.into());
        entry.revents
    };
    assert_eq!(events(0), 0);
    let mut byte = [0];
    (&reader).read_exact(&mut byte).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(reader);
        });
        assert_eq!(events(10_000), libc::POLLERR);
    });
    assert_eq!(open_writer().unwrap_err().raw_os_error(), Some(libc::ENXIO));
}

#[test]
fn a_pidfd_joins_several_namespaces_at_once() {
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET).unwrap();
        nix::unistd::sethostname("joined").unwrap();
        let own = nix::unistd::getpid();
        // SAFETY: as in in_child.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET)
                    .unwrap();
                // SAFETY: plain integers.
                let pidfd = fd(unsafe { libc::syscall(libc::SYS_pidfd_open, own.as_raw(), 0) });
                setns(&pidfd, CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET)
                    .unwrap();
                let same = nix::unistd::gethostname().unwrap() == "joined";
                // SAFETY: ends the child.
                unsafe { libc::_exit(i32::from(!same)) }
            }
            ForkResult::Parent { child } => waitpid(child, None).unwrap() == WaitStatus::Exited(child, 0),
        }
    });
}

#[test]
fn a_time_namespace_can_be_made_set_and_entered_by_one_process() {
    in_child(|| {
        unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).unwrap();
        fs::write("/proc/self/timens_offsets", "boottime 1000000 0\n").unwrap();
        let namespace = File::open("/proc/self/ns/time_for_children").unwrap();
        setns(&namespace, CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).unwrap();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        uptime.split('.').next().unwrap().parse::<u64>().unwrap() >= 1_000_000
    });
}

#[test]
fn a_child_can_be_born_in_a_cgroup() {
    let dir = conformance::host::hierarchy().join(format!("kernel-test-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let cgroup = File::open(&dir).unwrap();
    // SAFETY: a clone_args of zeros asks for nothing.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = 0x2_0000_0000; // CLONE_INTO_CGROUP
    args.cgroup = cgroup.as_fd().as_raw_fd() as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: as fork; the child only exits.
    let pid = call(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) });
    if pid == 0 {
        // SAFETY: without heap, from here to the end.
        unsafe { libc::pause() };
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap();
    fs::write(dir.join("cgroup.kill"), "1").unwrap();
    waitpid(nix::unistd::Pid::from_raw(pid as i32), None).unwrap();
    fs::remove_dir(&dir).unwrap();
    assert_eq!(inside.trim(), pid.to_string());
}

#[test]
fn bpf_prog_query_writes_behind_a_short_attribute_but_not_behind_ours() {
    // Linux 6.17 to 7.1 write 8 bytes at offset 56, whatever size they are given.
    #[repr(C, align(8))]
    struct Attr {
        attr: [u8; 256],
        canary: [u8; 64],
    }
    let cgroup = File::open(conformance::host::hierarchy()).unwrap();
    let mut attr = Attr { attr: [0; 256], canary: [0xa5; 64] };
    attr.attr[..4].copy_from_slice(&cgroup.as_raw_fd().to_ne_bytes());
    attr.attr[4..8].copy_from_slice(&6u32.to_ne_bytes());
    // SAFETY: BPF_PROG_QUERY on an attribute of 256 bytes, more than any kernel's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, 16, &raw mut attr, 256) };
    assert!(result == 0 || Errno::last() == Errno::EPERM, "{}", Errno::last());
    assert_eq!(attr.canary, [0xa5; 64]);
}

#[test]
fn cgroup_events_reports_changes_as_urgent_data() {
    let dir = conformance::host::hierarchy().join(format!("events-test-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
    let mut events = File::open(dir.join("cgroup.events")).unwrap();
    let mut text = String::new();
    events.read_to_string(&mut text).unwrap();
    assert!(text.contains("populated 1"), "{text}");
    fs::write(dir.join("cgroup.kill"), "1").unwrap();
    let mut entry = libc::pollfd { fd: events.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
    // SAFETY: one pollfd.
    assert_eq!(call(unsafe { libc::poll(&raw mut entry, 1, 10_000) }.into()), 1);
    child.wait().unwrap();
    fs::remove_dir(&dir).unwrap();
}

#[repr(C)]
struct Fprog {
    len: u16,
    filter: *const seccomp::Instruction,
}

/// Calls seccomp(SECCOMP_SET_MODE_FILTER, flags, program).
fn set_filter(flags: u32, program: Option<&[seccomp::Instruction]>) -> Result<i32, Errno> {
    let program = program.map(|p| Fprog { len: p.len() as u16, filter: p.as_ptr() });
    let pointer = program.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a whole sock_fprog, or null, which the kernel refuses to read.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, pointer) }).map(|fd| fd as i32)
}

#[test]
fn the_kernel_says_which_flags_of_filters_it_knows() {
    const SPEC_ALLOW: u32 = 1 << 2;
    assert_eq!(set_filter(SPEC_ALLOW, None), Err(Errno::EFAULT));
    assert_eq!(set_filter(1 << 30, None), Err(Errno::EINVAL));
    assert!(fs::read_to_string("/proc/thread-self/status").unwrap().contains("Seccomp:\t0\n"));
}

#[test]
fn a_listener_takes_the_lowest_free_number_and_can_be_fetched_from_a_process_that_it_stops() {
    const NEW_LISTENER: u32 = 1 << 3;
    const NOTIFY: u32 = 0x7fc0_0000;
    let ask_always = [seccomp::Instruction { code: 0x06, jt: 0, jf: 0, k: NOTIFY }];
    // SAFETY: the child makes four system calls and is stopped in the last one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            // SAFETY: plain integers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // SAFETY: nothing in the child uses these descriptors.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            let _loaded = set_filter(NEW_LISTENER, Some(&ask_always));
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) }
        }
        ForkResult::Parent { child } => {
            // SAFETY: plain integers.
            let pidfd = fd(unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) });
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            let is_listener = || {
                // SAFETY: plain integers.
                let third = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), 3, 0) };
                if third == -1 {
                    assert_eq!(Errno::last(), Errno::EBADF);
                    return false;
                }
                // Before the child has closed it, this is a file of another test.
                let third = fd(third);
                let link = fs::read_link(format!("/proc/self/fd/{}", third.as_raw_fd())).unwrap();
                link.to_str() == Some("anon_inode:seccomp notify")
            };
            while !is_listener() {
                assert!(std::time::Instant::now() < end, "there is no listener");
            }
            nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).unwrap();
            waitpid(child, None).unwrap();
        }
    }
}

#[test]
fn execve_ends_what_is_only_effective_and_permitted() {
    const CAP_SYS_ADMIN: u32 = 21;
    let capabilities = |status: &str, set: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t")).unwrap();
        u64::from_str_radix(line, 16).unwrap()
    };
    in_child(|| {
        // SAFETY: plain integers.
        call(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) }.into());
        let before = fs::read_to_string("/proc/self/status").unwrap();
        let after = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
        let after = String::from_utf8(after.stdout).unwrap();
        ["CapPrm", "CapEff"].iter().all(|set| {
            capabilities(&before, set) >> CAP_SYS_ADMIN & 1 == 1
                && capabilities(&after, set) >> CAP_SYS_ADMIN & 1 == 0
        })
    });
}
