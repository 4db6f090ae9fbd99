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
#![allow(unsafe_code)] // Raw system calls are all that there is.
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::disallowed_methods)]

use libc::{
    MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SLAVE,
    MS_STRICTATIME,
};
use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};

/// Exits on failure, with the line number (modulo 256) as the exit status.
macro_rules! must {
    ($call:expr) => {{
        // SAFETY: each call below gets C strings and buffers that outlive it.
        let result = unsafe { $call };
        if result as i64 == -1 {
            exit(line!() as c_int & 0xff);
        }
        result
    }};
}

fn exit(status: c_int) -> ! {
    // SAFETY: always.
    unsafe { libc::_exit(status) }
}

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, args: *const *const c_char) -> c_int {
    // SAFETY: the C library passes `count` strings.
    let arg =
        |n: c_int| unsafe { CStr::from_ptr(if n < count { *args.offset(n as isize) } else { c"".as_ptr() }) };
    run(arg(2), arg(4), arg(5));
    0
}

fn run(root: &CStr, id: &CStr, filter: &CStr) {
    let mut buf = [0u8; 64 << 10];
    // The specification asks to read it.
    let config = must!(libc::open(c"config.json".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC));
    must!(libc::read(config, buf.as_mut_ptr().cast(), buf.len()));
    let mut instructions = [0u64; 4096];
    let mut filter_len = 0;
    if !filter.is_empty() {
        let file = must!(libc::open(filter.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC));
        let size = size_of_val(&instructions);
        filter_len = must!(libc::read(file, instructions.as_mut_ptr().cast(), size)) as usize / 8;
    }
    let directory = Joined::new([root, c"/", id]);
    must!(libc::mkdir(directory.as_ptr(), 0o711));
    let cgroup_path = Joined::new([c"/sys/fs/cgroup/", id, c""]);
    must!(libc::mkdir(cgroup_path.as_ptr(), 0o755));
    let cgroup =
        must!(libc::open(cgroup_path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC));
    let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    let page = must!(libc::mmap(null_mut(), 4096, read_write, shared, -1, 0));
    // SAFETY: a page of zeros, shared with the child, that is never unmapped.
    let go = unsafe { &*page.cast::<AtomicU32>() };

    let pid = clone(cgroup);
    if pid == 0 {
        make();
        become_user();
        if filter_len > 0 {
            load_filter(&instructions, filter_len);
        }
        while go.load(Ordering::Acquire) == 0 {
            // SAFETY: the address is that of the shared page.
            unsafe { libc::syscall(libc::SYS_futex, page, libc::FUTEX_WAIT, 0, null::<u8>()) };
        }
        let env = [c"PATH=/bin".as_ptr(), c"TERM=xterm".as_ptr(), null()];
        let program = c"/exits".as_ptr();
        must!(libc::execve(program, [program, null()].as_ptr(), env.as_ptr()));
    }
    limit_devices(cgroup);
    go.store(1, Ordering::Release);
    must!(libc::syscall(libc::SYS_futex, page, libc::FUTEX_WAKE, 1));
    let record = Joined::new([directory.as_c_str(), c"/state.json", c""]);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let file = must!(libc::open(record.as_ptr(), flags, 0o600));
    must!(libc::write(file, buf.as_ptr().cast(), 800));

    let mut status = 0;
    must!(libc::waitpid(pid, &raw mut status, 0));
    must!(libc::rmdir(cgroup_path.as_ptr()));
    must!(libc::unlink(record.as_ptr()));
    must!(libc::rmdir(directory.as_ptr()));
    exit(libc::WEXITSTATUS(status));
}

fn clone(cgroup: c_int) -> c_int {
    // SAFETY: zeros ask for nothing.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    args.flags = namespaces as u64 | 0x2_0000_0000; // CLONE_INTO_CGROUP
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = cgroup as u64;
    must!(libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())) as c_int
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: c_ulong, data: &CStr) {
    must!(libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()));
}

/// Makes the container, from the namespaces to the masked paths.
fn make() {
    loopback();
    must!(libc::sethostname(c"inside".as_ptr(), 6));
    must!(libc::setsid());
    // SAFETY: always.
    unsafe { libc::umask(0) };
    mount(c"", c"/", c"", MS_REC | MS_SLAVE, c"");
    mount(c"rootfs", c"rootfs", c"", MS_BIND | MS_REC, c"");
    must!(libc::chdir(c"rootfs".as_ptr()));
    let quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount(c"proc", c"proc", c"proc", 0, c"");
    mount(c"tmpfs", c"dev", c"tmpfs", MS_NOSUID | MS_STRICTATIME, c"mode=755,size=65536k");
    for directory in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        must!(libc::mkdir(directory.as_ptr(), 0o755));
    }
    let pts = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount(c"devpts", c"dev/pts", c"devpts", MS_NOSUID | MS_NOEXEC, pts);
    mount(c"shm", c"dev/shm", c"tmpfs", quiet, c"mode=1777,size=65536k");
    mount(c"mqueue", c"dev/mqueue", c"mqueue", quiet, c"");
    mount(c"sysfs", c"sys", c"sysfs", quiet | MS_RDONLY, c"");
    mount(c"cgroup", c"sys/fs/cgroup", c"cgroup2", quiet | MS_RELATIME | MS_RDONLY, c"");
    for (name, minor) in [(c"dev/null", 3), (c"dev/zero", 5), (c"dev/full", 7), (c"dev/random", 8)] {
        must!(libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, minor)));
    }
    must!(libc::mknod(c"dev/urandom".as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 9)));
    must!(libc::mknod(c"dev/tty".as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(5, 0)));
    for (target, link) in [
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
        (c"pts/ptmx", c"dev/ptmx"),
    ] {
        must!(libc::symlink(target.as_ptr(), link.as_ptr()));
    }
    must!(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()));
    must!(libc::umount2(c".".as_ptr(), libc::MNT_DETACH));
    for path in [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"] {
        // SAFETY: C strings. A path that does not exist needs no protection.
        if unsafe { libc::mount(path.as_ptr(), path.as_ptr(), null(), MS_BIND | MS_REC, null()) } == 0 {
            mount(c"", path, c"", MS_BIND | MS_REMOUNT | MS_RDONLY, c"");
        }
    }
    mask();
    mount(c"", c"/", c"", MS_BIND | MS_REMOUNT | MS_RDONLY, c"");
}

fn loopback() {
    let socket = must!(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0));
    // SAFETY: zeros are a request for the interface without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = *byte as c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    must!(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request));
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
        // SAFETY: zeros are a stat; C strings and the stat outlive the call.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        if unsafe { libc::stat(path.as_ptr(), &raw mut st) } != 0 {
            continue;
        }
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
    let limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    must!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit));
    // SAFETY: always.
    unsafe { libc::umask(0o22) };
    must!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    // CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE.
    let kept = 1u64 << 5 | 1 << 10 | 1 << 29;
    for capability in (0..64).filter(|c| kept & 1 << c == 0) {
        // SAFETY: always. EINVAL: the first that the kernel does not know.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) } != 0 {
            break;
        }
    }
    must!(libc::syscall(libc::SYS_setgroups, 0, null::<u32>()));
    let header = [0x2008_0522u32, 0];
    let low = kept as u32;
    let sets = [low, low, 0, 0, 0, 0];
    must!(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()));
}

fn load_filter(instructions: &[u64; 4096], len: usize) {
    let program = libc::sock_fprog { len: len as u16, filter: instructions.as_ptr().cast_mut().cast() };
    let flags = 4; // SECCOMP_FILTER_FLAG_SPEC_ALLOW
    must!(libc::syscall(libc::SYS_seccomp, 1, flags, &raw const program));
}

/// Applies `linux.resources.devices` and the default devices by a BPF_PROG_TYPE_CGROUP_DEVICE
/// program, which allows mknod for every device, and open for the devices that every container has.
fn limit_devices(cgroup: c_int) {
    // linux/bpf.h: code, registers (source << 4 | destination), offset, immediate.
    const fn insn(code: u8, registers: u8, offset: i16, immediate: i32) -> u64 {
        (immediate as u32 as u64) << 32 | (offset as u16 as u64) << 16 | (registers as u64) << 8 | code as u64
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
    let license = c"GPL";
    // union bpf_attr of BPF_PROG_LOAD: type, count, instructions, license.
    let mut load = [0u64; 32];
    load[0] = 15 | (program.len() as u64) << 32;
    load[1] = program.as_ptr().addr() as u64;
    load[2] = license.as_ptr().addr() as u64;
    let file = must!(libc::syscall(libc::SYS_bpf, 5, load.as_ptr(), size_of_val(&load)));
    // BPF_PROG_ATTACH: cgroup, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI.
    let mut attach = [0u64; 32];
    attach[0] = cgroup as u64 | (file as u64) << 32;
    attach[1] = 6 | 2 << 32;
    must!(libc::syscall(libc::SYS_bpf, 8, attach.as_ptr(), size_of_val(&attach)));
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

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
