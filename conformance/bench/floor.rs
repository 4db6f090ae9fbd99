// SPDX-License-Identifier: Apache-2.0
//! The floor: the least that a `run` of the benchmark's bundle can cost. This program does only
//! what the specification and the kernel demand, with as few system calls as possible. All that a
//! runtime would have to work out is written down here already: the program reads config.json but
//! does not parse it, trusts every path of the image, defends nothing, recovers from nothing and
//! explains nothing. **It is a measure, not a runtime.**
//!
//! `floor --root ROOT run ID [FILTER]`, in the bundle's directory. FILTER is a file with the
//! instructions of a compiled system call filter.
#![no_main]

use libc::{
    MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SLAVE,
    MS_STRICTATIME,
};
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, stat};
use nix::unistd::{
    UnlinkatFlags, chdir, mkdir, pivot_root, read, setsid, symlinkat, unlink, unlinkat, write,
};
use runtime_sys::bpf::{Insn, attach_device_filter, load_device_filter};
use runtime_sys::clone::{ChildMain, clone3};
use runtime_sys::cred::{CapSets, cap_set, drop_bounding, set_groups};
use runtime_sys::fd::umask;
use runtime_sys::startup::Arguments;
use seccomp::Instruction;
use std::ffi::{CStr, c_int, c_ulong};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use sys_testing::memory;
use sys_testing::process::{execve, exit};

/// Exits on failure, with the line number (modulo 256) as the exit status.
macro_rules! must {
    ($call:expr) => {
        match $call {
            Ok(value) => value,
            Err(_) => exit(line!() as c_int & 0xff),
        }
    };
}

runtime_sys::entry!(start);

fn start(arguments: Arguments) -> u8 {
    let argument = |n| arguments.get(n).unwrap_or_default();
    run(argument(2), argument(4), argument(5))
}

/// Ends the process by `exit`, so that nothing is closed that its end closes too.
fn run(root: &CStr, id: &CStr, filter: &CStr) -> ! {
    let mut buf = [0u8; 64 << 10];
    let read_only = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // The specification asks to read it.
    let config = must!(open(c"config.json", read_only, Mode::empty()));
    must!(read(&config, &mut buf));
    let mut instructions = [0u8; 8 * 4096];
    let mut filter_size = 0;
    let _filter_file = (!filter.is_empty()).then(|| {
        let file = must!(open(filter, read_only, Mode::empty()));
        filter_size = must!(read(&file, &mut instructions));
        file
    });
    let directory = Joined::new([root, c"/", id]);
    must!(mkdir(directory.as_c_str(), Mode::from_bits_retain(0o711)));
    let cgroup_path = Joined::new([c"/sys/fs/cgroup/", id, c""]);
    must!(mkdir(cgroup_path.as_c_str(), Mode::from_bits_retain(0o755)));
    let cgroup = must!(open(cgroup_path.as_c_str(), read_only | OFlag::O_DIRECTORY, Mode::empty()));
    let go = must!(memory::word());

    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let filter = instructions.get(..filter_size).unwrap_or_default();
    let (_, pidfd) = must!(clone3(namespaces, false, Some(cgroup.as_fd()), Init { go, filter }));
    let _program = limit_devices(&cgroup);
    go.store(1, Ordering::Release);
    must!(memory::wake(go));
    let record = Joined::new([directory.as_c_str(), c"/state.json", c""]);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = must!(open(record.as_c_str(), flags, Mode::from_bits_retain(0o600)));
    must!(write(&file, buf.get(..800).unwrap_or_default()));

    let status = must!(runtime_sys::process::wait(&pidfd, 0));
    must!(unlinkat(AT_FDCWD, cgroup_path.as_c_str(), UnlinkatFlags::RemoveDir));
    must!(unlink(record.as_c_str()));
    must!(unlinkat(AT_FDCWD, directory.as_c_str(), UnlinkatFlags::RemoveDir));
    exit(status.code());
}

/// The container's first process.
struct Init<'a> {
    /// 1 as soon as the limits of the cgroup are set.
    go: &'a AtomicU32,
    /// The bytes of a compiled system call filter; none without a filter.
    filter: &'a [u8],
}

impl ChildMain for Init<'_> {
    fn run(self) -> ! {
        make();
        become_user();
        if !self.filter.is_empty() {
            load_filter(self.filter);
        }
        while self.go.load(Ordering::Acquire) == 0 {
            memory::wait(self.go, 0);
        }
        execve(c"/exits", &[c"/exits"], &[c"PATH=/bin", c"TERM=xterm"]);
        exit(line!() as c_int & 0xff)
    }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: c_ulong, data: &CStr) {
    must!(runtime_sys::mount::mount(source, target, kind, flags, data));
}

/// Makes the container, from the namespaces to the masked paths.
fn make() {
    must!(runtime_sys::net::loopback_up());
    must!(nix::unistd::sethostname("inside"));
    must!(setsid());
    umask(0);
    mount(c"", c"/", c"", MS_REC | MS_SLAVE, c"");
    mount(c"rootfs", c"rootfs", c"", MS_BIND | MS_REC, c"");
    must!(chdir(c"rootfs"));
    let quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount(c"proc", c"proc", c"proc", 0, c"");
    mount(c"tmpfs", c"dev", c"tmpfs", MS_NOSUID | MS_STRICTATIME, c"mode=755,size=65536k");
    for directory in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        must!(mkdir(directory, Mode::from_bits_retain(0o755)));
    }
    let pts = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount(c"devpts", c"dev/pts", c"devpts", MS_NOSUID | MS_NOEXEC, pts);
    mount(c"shm", c"dev/shm", c"tmpfs", quiet, c"mode=1777,size=65536k");
    mount(c"mqueue", c"dev/mqueue", c"mqueue", quiet, c"");
    mount(c"sysfs", c"sys", c"sysfs", quiet | MS_RDONLY, c"");
    mount(c"cgroup", c"sys/fs/cgroup", c"cgroup2", quiet | MS_RELATIME | MS_RDONLY, c"");
    for (name, major, minor) in [
        (c"dev/null", 1, 3),
        (c"dev/zero", 1, 5),
        (c"dev/full", 1, 7),
        (c"dev/random", 1, 8),
        (c"dev/urandom", 1, 9),
        (c"dev/tty", 5, 0),
    ] {
        must!(mknod(name, SFlag::S_IFCHR, Mode::from_bits_retain(0o666), makedev(major, minor)));
    }
    for (target, link) in [
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
        (c"pts/ptmx", c"dev/ptmx"),
    ] {
        must!(symlinkat(target, AT_FDCWD, link));
    }
    must!(pivot_root(c".", c"."));
    must!(umount2(c".", MntFlags::MNT_DETACH));
    for path in [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"] {
        // A path that does not exist needs no protection.
        if runtime_sys::mount::mount(path, path, c"", MS_BIND | MS_REC, c"").is_ok() {
            mount(c"", path, c"", MS_BIND | MS_REMOUNT | MS_RDONLY, c"");
        }
    }
    mask();
    mount(c"", c"/", c"", MS_BIND | MS_REMOUNT | MS_RDONLY, c"");
}

/// Masks paths. stat(2) tells directories apart because a failing mount costs more.
fn mask() {
    let paths = [
        c"/proc/acpi",
        c"/proc/asound",
        c"/proc/kcore",
        c"/proc/keys",
        c"/proc/latency_stats",
        c"/proc/timer_list",
        c"/proc/timer_stats",
        c"/proc/sched_debug",
        c"/sys/firmware",
        c"/proc/scsi",
    ];
    let mut empty: Option<&CStr> = None;
    for path in paths {
        let Ok(st) = stat(path) else { continue };
        match (st.st_mode & libc::S_IFMT == libc::S_IFDIR, empty) {
            (false, _) => mount(c"/dev/null", path, c"", MS_BIND, c""),
            (true, Some(empty)) => mount(empty, path, c"", MS_BIND, c""),
            (true, None) => {
                mount(c"tmpfs", path, c"tmpfs", MS_RDONLY, c"");
                empty = Some(path);
            }
        }
    }
}

/// Applies `process` of config.json.
fn become_user() {
    must!(setrlimit(Resource::RLIMIT_NOFILE, 1024, 1024));
    umask(0o22);
    must!(nix::sys::prctl::set_no_new_privs());
    // CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE.
    let kept = 1u64 << 5 | 1 << 10 | 1 << 29;
    for capability in (0..64).filter(|c| kept & 1 << c == 0) {
        // EINVAL: the first that the kernel does not know.
        if drop_bounding(capability).is_err() {
            break;
        }
    }
    must!(set_groups(&[]));
    must!(cap_set(&CapSets { effective: kept, permitted: kept, inheritable: 0 }));
}

fn load_filter(bytes: &[u8]) {
    let mut program = [Instruction { code: 0, jt: 0, jf: 0, k: 0 }; 4096];
    let (instructions, _rest) = bytes.as_chunks::<8>();
    for (instruction, [c0, c1, jt, jf, k0, k1, k2, k3]) in program.iter_mut().zip(instructions) {
        let (code, k) = (u16::from_ne_bytes([*c0, *c1]), u32::from_ne_bytes([*k0, *k1, *k2, *k3]));
        *instruction = Instruction { code, jt: *jt, jf: *jf, k };
    }
    let flags = 4; // SECCOMP_FILTER_FLAG_SPEC_ALLOW
    must!(runtime_sys::seccomp::load(program.get(..instructions.len()).unwrap_or_default(), flags));
}

/// Applies `linux.resources.devices` and the default devices by a BPF_PROG_TYPE_CGROUP_DEVICE
/// program, which allows mknod for every device, and open for the devices that every container has.
/// Returns the program.
fn limit_devices(cgroup: &OwnedFd) -> OwnedFd {
    // linux/bpf.h: code, registers (source << 4 | destination), offset, immediate.
    const fn insn(code: u8, registers: u8, offset: i16, immediate: i32) -> Insn {
        Insn { code, registers, offset, immediate }
    }
    let program = [
        insn(0x61, 0x12, 0, 0),      // r2 = access << 16 | type
        insn(0xbf, 0x23, 0, 0),      // r3 = r2
        insn(0x54, 0x02, 0, 0xffff), // r2 = type
        insn(0x74, 0x03, 0, 16),     // r3 = access
        insn(0x61, 0x14, 4, 0),      // r4 = major
        insn(0x61, 0x15, 8, 0),      // r5 = minor
        insn(0xb7, 0x00, 0, 1),      // r0 = allow
        insn(0x16, 0x03, 13, 1),     // mknod alone: allow
        insn(0x56, 0x02, 11, 2),     // no character device: deny
        insn(0x16, 0x04, 11, 136),   // a pseudoterminal: allow
        insn(0x16, 0x04, 7, 5),      // 5: below
        insn(0x56, 0x04, 8, 1),      // not 1: deny
        insn(0x16, 0x05, 8, 3),      // null
        insn(0x16, 0x05, 7, 5),      // zero
        insn(0x16, 0x05, 6, 7),      // full
        insn(0x16, 0x05, 5, 8),      // random
        insn(0x16, 0x05, 4, 9),      // urandom
        insn(0x05, 0x00, 2, 0),      // deny
        insn(0x16, 0x05, 2, 0),      // tty
        insn(0x16, 0x05, 1, 2),      // ptmx
        insn(0xb7, 0x00, 0, 0),      // r0 = deny
        insn(0x95, 0x00, 0, 0),      // return r0
    ];
    let program = must!(load_device_filter(&program));
    must!(attach_device_filter(cgroup, &program, None));
    program
}

/// Three strings joined without the heap.
struct Joined([u8; 512]);

impl Joined {
    fn new(parts: [&CStr; 3]) -> Self {
        let mut text = [0; 512];
        let bytes = parts.iter().flat_map(|part| part.to_bytes());
        // The last byte stays zero.
        for (place, byte) in text[..511].iter_mut().zip(bytes) {
            *place = *byte;
        }
        Joined(text)
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
