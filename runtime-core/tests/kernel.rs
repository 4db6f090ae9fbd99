// SPDX-License-Identifier: Apache-2.0
//! Facts about the kernel that the design relies on. If one of these tests fails, the design is
//! wrong, not the code.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use runtime_sys::clone::{ChildMain, clone3};
use runtime_sys::cred::{CAP_SYS_ADMIN, drop_bounding};
use runtime_sys::fd::{CWD, close_range, poll};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::process::{pidfd_getfd, pidfd_open};
use runtime_sys::seccomp::{check_flags, load_listening};
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use sys_testing::process::{exit, fork};

/// Runs `body` in a child, where it must return `true`.
fn in_child(body: impl FnOnce() -> bool) {
    let child = fork(|| i32::from(!body())).unwrap();
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
}

fn clone_tree(path: &CStr) -> OwnedFd {
    mount::clone_tree(CWD, path, Depth::One, 0).unwrap()
}

fn attach(tree: &OwnedFd, path: &CStr) {
    mount::attach_at(tree, CWD, path).unwrap();
}

fn make_private() {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

#[test]
fn a_detached_tree_of_the_parent_can_be_attached_in_a_new_user_and_mount_namespace() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mark"), "x").unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    let tree = clone_tree(&path);
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
        attach(&tree, c"/mnt");
        fs::read_to_string("/mnt/mark").unwrap() == "x"
    });
}

/// Clears MOUNT_ATTR_RDONLY of a mount.
fn make_writable(tree: &OwnedFd) -> Result<(), Errno> {
    let attributes = MountAttr { clear: attr::RDONLY, ..MountAttr::default() };
    mount::set_attr(tree, Depth::One, &attributes)
}

#[test]
fn flags_are_locked_in_a_tree_that_is_cloned_where_it_is_attached_and_only_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        make_private();
        let (bind, none) = (MsFlags::MS_BIND, None::<&str>);
        nix::mount::mount(Some(dir.path()), dir.path(), none, bind, none).unwrap();
        nix::mount::mount(none, dir.path(), none, bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)
            .unwrap();
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
    let open_tree = || mount::clone_tree(CWD, &path, Depth::One, 0);
    in_child(|| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let child = fork(|| {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
            let denied = open_tree().is_err_and(|errno| errno == Errno::EACCES);
            writer.write_all(&[u8::from(denied)]).unwrap();
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        let mut denied = [0];
        reader.read_exact(&mut denied).unwrap();
        setns(pidfd_open(child.as_raw()).unwrap(), CloneFlags::CLONE_NEWNS).unwrap();
        let cloned = open_tree().is_ok();
        nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).unwrap();
        waitpid(child, None).unwrap();
        denied == [1] && cloned
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
        attach(&tree, c"/");
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
    let events = |timeout| poll(&writer, 0, timeout).unwrap();
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
        let child = fork(|| {
            let namespaces = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
            unshare(namespaces).unwrap();
            setns(pidfd_open(own.as_raw()).unwrap(), namespaces).unwrap();
            let same = nix::unistd::gethostname().unwrap() == "joined";
            i32::from(!same)
        })
        .unwrap();
        waitpid(child, None).unwrap() == WaitStatus::Exited(child, 0)
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

/// A child without heap, which waits for a signal.
struct Sleeper;

impl ChildMain for Sleeper {
    fn run(self) -> ! {
        nix::unistd::pause();
        exit(0)
    }
}

#[test]
fn a_child_can_be_born_in_a_cgroup() {
    let dir = conformance::host::hierarchy().join(format!("kernel-test-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let cgroup = File::open(&dir).unwrap();
    let (pid, _pidfd) = clone3(0, false, Some(cgroup.as_fd()), Sleeper).unwrap();
    let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap();
    fs::write(dir.join("cgroup.kill"), "1").unwrap();
    waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
    fs::remove_dir(&dir).unwrap();
    assert_eq!(inside.trim(), pid.to_string());
}

#[test]
fn bpf_prog_query_writes_after_a_short_attribute_but_not_after_ours() {
    // Linux 6.17 to 7.1 write 8 bytes at offset 56, whatever size they are given.
    let cgroup = File::open(conformance::host::hierarchy()).unwrap();
    let (result, canary) = sys_testing::raw::query_device_filters(&cgroup);
    assert!(matches!(result, Ok(()) | Err(Errno::EPERM)), "{result:?}");
    assert!(canary.iter().all(|byte| *byte == sys_testing::raw::CANARY), "{canary:x?}");
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
    assert_ne!(poll(&events, libc::POLLPRI, 10_000).unwrap(), 0);
    child.wait().unwrap();
    fs::remove_dir(&dir).unwrap();
}

#[test]
fn the_kernel_reports_the_flags_of_filters_that_it_supports() {
    const SPEC_ALLOW: u32 = 1 << 2;
    // EFAULT, for a program that is null.
    assert_eq!(check_flags(SPEC_ALLOW), Ok(()));
    assert_eq!(check_flags(1 << 30), Err(Errno::EINVAL));
    assert!(fs::read_to_string("/proc/thread-self/status").unwrap().contains("Seccomp:\t0\n"));
}

#[test]
fn a_listener_takes_the_lowest_free_number_and_can_be_fetched_from_a_process_that_it_stops() {
    const NEW_LISTENER: u32 = 1 << 3;
    const NOTIFY: u32 = 0x7fc0_0000;
    let ask_always = [seccomp::Instruction { code: 0x06, jt: 0, jf: 0, k: NOTIFY }];
    let child = fork(|| {
        // It makes four system calls, and is stopped in the last one.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::SIGKILL).unwrap();
        close_range(3, i32::MAX, 0).unwrap();
        let _listener = load_listening(&ask_always, NEW_LISTENER);
        1
    })
    .unwrap();
    let pidfd = pidfd_open(child.as_raw()).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let is_listener = || match pidfd_getfd(&pidfd, 3) {
        Err(errno) => {
            assert_eq!(errno, Errno::EBADF);
            false
        }
        // Before the child has closed it, this is a file of another test.
        Ok(third) => {
            let link = fs::read_link(format!("/proc/self/fd/{}", third.as_raw_fd())).unwrap();
            link.to_str() == Some("anon_inode:seccomp notify")
        }
    };
    while !is_listener() {
        assert!(std::time::Instant::now() < end, "there is no listener");
    }
    nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).unwrap();
    waitpid(child, None).unwrap();
}

#[test]
fn execve_ends_capabilities_that_are_only_effective_and_permitted() {
    let capabilities = |status: &str, set: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t")).unwrap();
        u64::from_str_radix(line, 16).unwrap()
    };
    in_child(|| {
        drop_bounding(CAP_SYS_ADMIN).unwrap();
        let before = fs::read_to_string("/proc/self/status").unwrap();
        let after = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
        let after = String::from_utf8(after.stdout).unwrap();
        ["CapPrm", "CapEff"].iter().all(|set| {
            capabilities(&before, set) >> CAP_SYS_ADMIN & 1 == 1
                && capabilities(&after, set) >> CAP_SYS_ADMIN & 1 == 0
        })
    });
}
