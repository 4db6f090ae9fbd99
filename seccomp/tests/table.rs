// SPDX-License-Identifier: Apache-2.0
//! The generator of `src/table/rows.rs`, and the test that the file is up to date.
//!
//! The numbers come from the `syscalls` crate, which generates them from the kernel's headers. For
//! a newer kernel: raise the version of `syscalls` in Cargo.toml, remove the calls that it knows
//! from `NEWER`, and run `REGENERATE=1 cargo test -p runtime-seccomp --test table`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

const COLUMNS: [&str; 8] = ["aarch64", "arm", "loongarch64", "ppc64le", "riscv64", "x32", "x86", "x86_64"];

/// Calls of the kernel (up to 7.1) that the crate does not have yet. All ABIs give new calls the
/// same number.
const NEWER: [(&str, u16); 2] = [("listns", 470), ("rseq_slice_yield", 471)];

/// 32-bit ARM's private calls have the numbers 0xf0000 + n; the table stores 0xf000 + n.
const ARM_PRIVATE: [(&str, u16); 6] = [
    ("breakpoint", 0xf001),
    ("cacheflush", 0xf002),
    ("usr26", 0xf003),
    ("usr32", 0xf004),
    ("set_tls", 0xf005),
    ("get_tls", 0xf006),
];

/// Calls that asm-generic/unistd.h defines under conditions that these two ABIs do not meet: calls
/// with 64-bit times are for 32-bit ABIs ...
const TIME64: std::ops::RangeInclusive<u16> = 403..=423;
/// ... and LoongArch is newer than these.
const NOT_ON_LOONGARCH: [&str; 4] = ["getrlimit", "memfd_secret", "renameat", "setrlimit"];

/// x86_64 calls that x32 does not have.
const NOT_ON_X32: [&str; 11] = [
    "_sysctl",
    "create_module",
    "epoll_ctl_old",
    "epoll_wait_old",
    "get_kernel_syms",
    "get_thread_area",
    "nfsservctl",
    "query_module",
    "set_thread_area",
    "uselib",
    "vserver",
];

/// x86_64 calls with another entry for x32, from number 512 up, in this order.
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Calls that only architectures without a column have, so that a profile for several architectures
/// gets no note about them.
const ELSEWHERE: [&str; 12] = [
    "atomic_barrier",
    "atomic_cmpxchg_32",
    "cachectl",
    "getpagesize",
    "s390_guarded_storage",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "s390_runtime_instr",
    "s390_sthyi",
    "syscall",
    "sysmips",
    "timerfd",
];

type Rows = BTreeMap<String, [Option<u16>; COLUMNS.len()]>;

fn set(rows: &mut Rows, arch: &str, name: &str, number: u16) {
    let column = COLUMNS.iter().position(|c| *c == arch).unwrap();
    let cell = &mut rows.entry(name.to_owned()).or_default()[column];
    assert!(cell.is_none() || *cell == Some(number), "{arch} has two numbers for {name}");
    *cell = Some(number);
}

/// Lists all (name, number) of one ABI. Not by `Sysno::iter`, which omits the last one. `break` is
/// a keyword of Rust, so its variant is `r#break`.
macro_rules! numbers {
    ($module:ident) => {
        (0..=u16::MAX).filter_map(|number| {
            let name = syscalls::$module::Sysno::new(usize::from(number))?.name();
            Some((name.trim_start_matches("r#"), number))
        })
    };
}

fn rows() -> Rows {
    let mut rows = Rows::new();
    for (name, number) in numbers!(aarch64) {
        if !TIME64.contains(&number) {
            set(&mut rows, "aarch64", if name == "fstatat" { "newfstatat" } else { name }, number);
        }
    }
    for (name, number) in numbers!(loongarch64) {
        if !TIME64.contains(&number) && !NOT_ON_LOONGARCH.contains(&name) {
            set(&mut rows, "loongarch64", if name == "fstatat" { "newfstatat" } else { name }, number);
        }
    }
    for (name, number) in numbers!(arm) {
        set(&mut rows, "arm", name, number);
    }
    for (name, number) in ARM_PRIVATE {
        set(&mut rows, "arm", name, number);
    }
    for (name, number) in numbers!(powerpc64) {
        set(&mut rows, "ppc64le", name, number);
    }
    for (name, number) in numbers!(riscv64) {
        set(&mut rows, "riscv64", name, number);
    }
    for (name, number) in numbers!(x86) {
        set(&mut rows, "x86", name, number);
    }
    for (name, number) in numbers!(x86_64) {
        set(&mut rows, "x86_64", name, number);
        if !NOT_ON_X32.contains(&name) && !X32_OWN.contains(&name) {
            set(&mut rows, "x32", name, number);
        }
    }
    for (number, name) in (512..).zip(X32_OWN) {
        set(&mut rows, "x32", name, number);
    }
    for (name, number) in NEWER {
        for arch in COLUMNS {
            set(&mut rows, arch, name, number);
        }
    }
    for name in ELSEWHERE {
        rows.entry(name.to_owned()).or_default();
    }
    rows
}

fn text(rows: &Rows) -> String {
    let mut out = String::from(
        "// SPDX-License-Identifier: Apache-2.0\n\
         //! The numbers of all system calls, sorted by name. Generated: see `tests/table.rs`.\n\
         \n\
         /// The cell of a call that this ABI does not have.\n\
         pub(super) const NONE: u16 = u16::MAX;\n\
         \n\
         /// The columns are in the order of [`Arch::ALL`](crate::Arch::ALL).\n",
    );
    writeln!(out, "#[rustfmt::skip]").unwrap();
    writeln!(out, "pub(super) const ROWS: [(&str, [u16; {}]); {}] = [", COLUMNS.len(), rows.len()).unwrap();
    for (name, numbers) in rows {
        let cells: Vec<String> = numbers
            .iter()
            .map(|n| match n {
                Some(private @ 0xf000..) => format!("{private:#06x}"),
                Some(n) => n.to_string(),
                None => "NONE".to_owned(),
            })
            .collect();
        writeln!(out, "    (\"{name}\", [{}]),", cells.join(", ")).unwrap();
    }
    out.push_str("];\n");
    out
}

#[test]
fn the_checked_in_table_is_what_the_generator_makes() {
    let generated = text(&rows());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/table/rows.rs");
    if std::env::var_os("REGENERATE").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a developer's own source tree")]
        std::fs::write(path, &generated).unwrap();
    }
    // Read at run time: a regenerated table is not compiled in yet.
    assert!(std::fs::read_to_string(path).unwrap() == generated, "rows.rs is stale: REGENERATE=1");
}
