// SPDX-License-Identifier: Apache-2.0
//! The budget of the runtime, in numbers that do not depend on the load of the machine. `make
//! budget` compares the release build that RUNTIME names with them. docs/performance.md has the
//! reasons for the numbers.
#![allow(clippy::disallowed_methods)]

use conformance::tally::{PrivateMemory, Tally, tally};
use conformance::{Bundle, Doing, Result, ensure, host, payload};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of the program file.
const SIZE: u64 = 2 << 20;
/// System calls of the runtime, and of the container's process before it executes its program, for
/// the bundle of `runc spec`. Waits of one for the other add up to eight on a busy machine.
const RUN_CALLS: u64 = 472 + 8;
/// Further system calls that detect a chroot where the root directory of process 1 is not readable.
const CHROOT_CALLS: u64 = 8;
const STATE_CALLS: u64 = 60;
/// Peak memory of any of the processes, in KiB.
const RUN_PEAK_KIB: u64 = 2560;
/// Private memory of a created container, in KiB. (The rest is in the page cache, shared by all
/// containers.)
const CREATED_OWN_KIB: u64 = 300;

#[test]
fn the_program_is_within_its_size() -> Result {
    let size = std::fs::metadata(program()?).doing("program")?.len();
    within("bytes of the program", size, SIZE)
}

#[test]
fn the_program_needs_no_libraries() -> Result {
    let file = File::open(program()?).doing("program")?;
    ensure!(!has_interpreter(&file)?, "the program asks for a dynamic linker");
    Ok(())
}

#[test]
fn run_is_within_its_budget() -> Result {
    let _alone = host::alone();
    let workdir = Workdir::new()?;
    let cost = workdir.tally(&["run", "budget"])?;
    let chroot = if Path::new("/proc/1/root/.").exists() { 0 } else { CHROOT_CALLS };
    within("system calls of run", cost.calls, RUN_CALLS + chroot)?;
    within("KiB at the peak of run", cost.peak_kib, RUN_PEAK_KIB)
}

#[test]
fn a_created_container_is_within_its_budget() -> Result {
    let _alone = host::alone();
    let workdir = Workdir::new()?;
    // Pages that are not on the disk yet would count as private memory.
    File::open(&workdir.program).and_then(|file| file.sync_all()).doing("program")?;
    let container = workdir.create("budget")?;
    let state = workdir.tally(&["state", "budget"])?;
    within("system calls of state", state.calls, STATE_CALLS)?;
    let memory = PrivateMemory::of(container.pid)?;
    within("KiB of a created container's own", memory.dirty_kib, CREATED_OWN_KIB)
}

fn within(what: &str, cost: u64, budget: u64) -> Result {
    println!("{what}: {cost} of {budget}");
    ensure!(cost <= budget, "{what}: {cost}, want at most {budget}");
    Ok(())
}

fn program() -> Result<PathBuf> {
    let program = std::env::var_os("RUNTIME").ok_or("RUNTIME is not set: make budget")?;
    std::path::absolute(program).doing("RUNTIME")
}

/// A bundle and a state directory.
struct Workdir {
    program: PathBuf,
    root: tempfile::TempDir,
    bundle: Bundle,
}

impl Workdir {
    fn new() -> Result<Self> {
        let root = tempfile::tempdir().doing("temporary directory")?;
        Ok(Workdir { program: program()?, root, bundle: payload::bundle("/exits")? })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root.path()).args(args).current_dir(self.bundle.path());
        command
    }

    fn tally(&self, args: &[&str]) -> Result<Tally> {
        tally(&self.command(args), &self.bundle.rootfs("exits"))
    }

    /// Creates a container, which is deleted when it is dropped.
    fn create(&self, id: &str) -> Result<Created<'_>> {
        let pid_file = self.bundle.path().join(id);
        let mut command = self.command(&["create", "--pid-file"]);
        // Null streams, because the container inherits them.
        command.arg(&pid_file).arg(id).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().doing("create")?;
        ensure!(status.success(), "{command:?}: {status}");
        Ok(Created { workdir: self, id: id.to_owned(), pid: read_pid(&pid_file)? })
    }
}

fn read_pid(file: &Path) -> Result<i32> {
    std::fs::read_to_string(file).doing("pid file")?.parse().doing("pid file")
}

struct Created<'a> {
    workdir: &'a Workdir,
    id: String,
    pid: i32,
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        let deleted = self.workdir.command(&["delete", "--force", &self.id]).status();
        assert!(deleted.is_ok_and(|status| status.success()), "delete {}", self.id);
    }
}

/// Returns true if an ELF file (elf(5), 64 bits) has a program header PT_INTERP.
fn has_interpreter(file: &File) -> Result<bool> {
    let half = |at: u64| -> Result<u16> {
        let mut bytes = [0; 2];
        file.read_exact_at(&mut bytes, at).doing("ELF header")?;
        Ok(u16::from_le_bytes(bytes))
    };
    // e_phoff (its low half will do), e_phentsize, e_phnum, and p_type first in each.
    let (start, size, count) = (half(32)?, half(54)?, half(56)?);
    ensure!(count > 0, "no program headers");
    (0..count).try_fold(false, |found, i| Ok(found | (half((start + i * size).into())? == 3)))
}
