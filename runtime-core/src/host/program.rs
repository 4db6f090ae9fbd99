// SPDX-License-Identifier: Apache-2.0
//! The check whether a program could be executed in a root file system, without executing it: its
//! place, its permissions, its architecture and its interpreter.
//!
//! The files belong to the image: paths never leave the root directory, special files are not opened,
//! and of a regular file only the beginning is read.

use crate::path::proc::{self, is_kernels};
use crate::path::root::Root;
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// The number of bytes that are read of a program. The headers of an ELF file, and the path of its
/// interpreter, are in the first few hundred.
const BEGINNING: usize = 16 << 10;

/// The number of `#!` lines that lead to a program, as in the kernel.
const INTERPRETERS: u32 = 5;

/// A root directory with programs.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    pub(crate) root: &'a OwnedFd,
    /// The user and the groups of the process, if their ids are those of the host.
    pub(crate) user: Option<(u32, &'a [u32])>,
    /// The working directory of the process, where relative paths begin.
    pub(crate) cwd: &'a CStr,
}

/// The reason why a program cannot be executed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProgramFault {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
    /// True if the file system lacks a file, which a mount may bring.
    pub(crate) is_missing: bool,
    /// True if it is about the interpreter of the program.
    is_of_interpreter: bool,
}

fn fault(text: String, hint: &'static str) -> ProgramFault {
    ProgramFault { text, hint, is_missing: false, is_of_interpreter: false }
}

impl Image<'_> {
    /// Checks the program `name`, which is searched in the directories of `search_path` unless it has
    /// a slash.
    pub(crate) fn check(&self, name: &CStr, search_path: &[u8]) -> Result<(), ProgramFault> {
        let name = name.to_bytes();
        if name.contains(&b'/') {
            return self.check_file(name, "", Some(0));
        }
        let mut denied = None;
        for directory in search_path.split(|b| *b == b':') {
            match self.check_file(&[directory, b"/", name].concat(), "", Some(0)) {
                Err(fault) if fault.is_missing && !fault.is_of_interpreter => {}
                Err(fault) => denied = denied.or(Some(fault)),
                Ok(()) => return Ok(()),
            }
        }
        Err(denied.unwrap_or_else(|| ProgramFault {
            text: format!("{:?} is in no directory of PATH in the rootfs", String::from_utf8_lossy(name)),
            hint: "use an absolute path, or set PATH in process.env",
            is_missing: true,
            is_of_interpreter: false,
        }))
    }

    /// Checks one file, the interpreter of `wanted_by` unless that is empty. `scripts` is the number of
    /// scripts that have led to it; `None` for the dynamic linker of an ELF file, whose own one the
    /// kernel ignores.
    fn check_file(&self, path: &[u8], wanted_by: &str, scripts: Option<u32>) -> Result<(), ProgramFault> {
        let path = match path.first() {
            Some(b'/') => path.to_vec(),
            _ => [self.cwd.to_bytes(), b"/", path].concat(),
        };
        let shown = String::from_utf8_lossy(&path).into_owned();
        let of = |text: String| match wanted_by {
            "" => text,
            program => format!("{program}: its interpreter {text}"),
        };
        let opened = c_str(path).and_then(|path| Root::new(self.root).open(&path, libc::O_PATH));
        let file = match opened {
            Ok(file) => file,
            Err(errno) => {
                return Err(ProgramFault {
                    text: of(format!("{shown}: {}", super::row::text(errno))),
                    hint: match wanted_by {
                        "" => "paths are those of the rootfs: is it complete?",
                        _ => {
                            "the #! line or the dynamic linker is of another system: use an image that has it"
                        }
                    },
                    is_missing: matches!(errno, Errno::ENOENT | Errno::ENOTDIR),
                    is_of_interpreter: !wanted_by.is_empty(),
                });
            }
        };
        self.check_permission(&file, &of(shown.clone()))?;
        if fd::mount_flags(&file).is_ok_and(|flags| flags & libc::ST_NOEXEC != 0) {
            let text = of(format!("{shown} is on a mount with the option noexec"));
            return Err(fault(text, "mount -o remount,exec, or move the rootfs to another file system"));
        }
        let Some(beginning) = beginning(&file) else { return Ok(()) };
        let interpreter =
            interpreter(&beginning).map_err(|text| fault(of(format!("{shown} {text}")), FOREIGN))?;
        match (interpreter, scripts) {
            (Some(Interpreter::OfScript(_)), Some(INTERPRETERS)) => {
                Err(fault(format!("{shown}: too many interpreters of interpreters"), ""))
            }
            (Some(Interpreter::OfScript(path)), Some(n)) => self.check_file(&path, &shown, Some(n + 1)),
            (Some(Interpreter::Linker(path)), Some(_)) => self.check_file(&path, &shown, None),
            (_, None) | (None, _) => Ok(()),
        }
    }

    fn check_permission(&self, file: &OwnedFd, shown: &str) -> Result<(), ProgramFault> {
        let Ok(st) = fstat(file) else { return Ok(()) };
        match st.st_mode & libc::S_IFMT {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(fault(format!("{shown} is a directory"), "")),
            _ => return Err(fault(format!("{shown} is no regular file"), "")),
        }
        let bit = match self.user {
            None | Some((0, _)) => 0o111,
            Some((uid, _)) if uid == st.st_uid => 0o100,
            Some((_, gids)) if gids.contains(&st.st_gid) => 0o010,
            Some(_) => 0o001,
        };
        if st.st_mode & bit == 0 {
            let text = format!("{shown}: permission denied (mode {:04o})", st.st_mode & 0o7777);
            return Err(fault(text, "chmod +x in the rootfs, or another process.user"));
        }
        Ok(())
    }
}

const FOREIGN: &str =
    "use an image for this processor, or register an emulator (binfmt_misc, qemu-user-static)";

/// Reads the beginning of a file, if the caller may read it.
fn beginning(file: &OwnedFd) -> Option<Vec<u8>> {
    if is_kernels(fd::filesystem(file).ok()?) {
        return None;
    }
    let file = proc::host().ok()?.reopen(file, libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
    let mut buf = vec![0; BEGINNING];
    let n = fd::read_at_start(file, &mut buf).ok()?;
    buf.truncate(n);
    Some(buf)
}

/// The path of a program that executes another.
#[derive(Debug, PartialEq, Eq)]
enum Interpreter {
    OfScript(Vec<u8>),
    /// The dynamic linker of an ELF file.
    Linker(Vec<u8>),
}

/// Returns the interpreter of a program that begins with these bytes, if it has one.
/// Errors: the file is no program of this processor, and no emulator is registered.
fn interpreter(bytes: &[u8]) -> Result<Option<Interpreter>, String> {
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
        let path = line.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
        return if path.is_empty() {
            Err("has an empty #! line".to_owned())
        } else {
            Ok(Some(Interpreter::OfScript(path.to_vec())))
        };
    }
    let is_emulated = has_emulators();
    if bytes.starts_with(b"\x7fELF") {
        let elf = Elf(bytes);
        let machine = elf.number(18, 2).unwrap_or_default();
        return match machine {
            _ if machine == NATIVE || MACHINES.iter().all(|(own, _)| *own != NATIVE) => {
                Ok(elf.interpreter().map(Interpreter::Linker))
            }
            _ if COMPATIBLE.contains(&machine) || is_emulated => Ok(None),
            _ => Err(format!("is for another processor: {}", name_of(machine))),
        };
    }
    if is_emulated {
        return Ok(None);
    }
    match bytes.is_empty() {
        true => Err("is empty: exec format error".to_owned()),
        false => Err("is neither an ELF program nor a script with a #! line: exec format error".to_owned()),
    }
}

/// Returns whether programs of other formats may be executed.
fn has_emulators() -> bool {
    const BINFMTFS_MAGIC: i64 = 0x4249_4e4d;
    let is_mounted = |dir: OwnedFd| match fd::filesystem(&dir) {
        Ok(BINFMTFS_MAGIC) => fd::open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0),
        _ => Err(Errno::ENOENT),
    };
    // Without O_DIRECTORY, systemd's automount does not mount the file system for this.
    let dir = fd::open(fd::CWD, c"/proc/sys/fs/binfmt_misc", libc::O_PATH, 0).and_then(is_mounted);
    let entries = dir.and_then(runtime_sys::dir::entries).unwrap_or_default();
    entries.iter().any(|entry| !matches!(entry.name.to_bytes(), b"register" | b"status"))
}

/// Values of `e_machine` in elf(5).
const MACHINES: &[(u64, &str)] = &[
    (62, "x86_64"),
    (3, "i386"),
    (183, "aarch64"),
    (40, "arm"),
    (243, "riscv64"),
    (21, "ppc64"),
    (22, "s390x"),
    (258, "loongarch64"),
];
const NATIVE: u64 = match () {
    _ if cfg!(target_arch = "x86_64") => 62,
    _ if cfg!(target_arch = "aarch64") => 183,
    _ if cfg!(target_arch = "riscv64") => 243,
    _ => 0,
};
/// Processors whose programs the kernel may execute too.
const COMPATIBLE: &[u64] = match NATIVE {
    62 => &[3],
    183 => &[40],
    _ => &[],
};

fn name_of(machine: u64) -> String {
    let found = MACHINES.iter().find(|(number, _)| *number == machine);
    found.map_or_else(|| format!("ELF machine {machine}"), |(_, name)| (*name).to_owned())
}

/// An ELF file (elf(5)) of this processor's byte order.
struct Elf<'a>(&'a [u8]);

impl Elf<'_> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.0.get(at..at.checked_add(length)?)?;
        let mut number = [0; 8];
        number.get_mut(..length)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(number))
    }

    /// Returns the path in the segment PT_INTERP.
    fn interpreter(&self) -> Option<Vec<u8>> {
        const PT_INTERP: u64 = 3;
        let is_64 = *self.0.get(4)? == 2;
        let (table, entry, count) = if is_64 { (32, 54, 56) } else { (28, 42, 44) };
        let word = if is_64 { 8 } else { 4 };
        let table = self.number(table, word)?;
        let (size, count) = (self.number(entry, 2)?, self.number(count, 2)?);
        for n in 0..count {
            let at = usize::try_from(table.checked_add(n * size)?).ok()?;
            if self.number(at, 4)? != PT_INTERP {
                continue;
            }
            let (offset, length) = if is_64 { (8, 32) } else { (4, 16) };
            let start = usize::try_from(self.number(at + offset, word)?).ok()?;
            let length = usize::try_from(self.number(at + length, word)?).ok()?;
            let path = self.0.get(start..start.checked_add(length)?)?;
            let path = path.split(|b| *b == 0).next()?;
            return (!path.is_empty()).then(|| path.to_vec());
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    /// Makes a 64-bit ELF file for a processor, with a dynamic linker.
    fn elf(machine: u16, linker: &str) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&1u16.to_le_bytes());
        file[64..68].copy_from_slice(&3u32.to_le_bytes());
        file[72..80].copy_from_slice(&120u64.to_le_bytes());
        file[96..104].copy_from_slice(&(linker.len() as u64 + 1).to_le_bytes());
        [file, linker.into(), vec![0]].concat()
    }

    fn add(dir: &Path, name: &str, content: &[u8]) {
        std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.join(name), content).unwrap();
        std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn check(dir: &Path, name: &CStr) -> Result<(), String> {
        let root = crate::path::c_path(dir).unwrap();
        let root = fd::open(fd::CWD, &root, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        Image { root: &root, user: None, cwd: c"/work" }
            .check(name, b"/sbin:/bin")
            .map_err(|fault| fault.text)
    }

    #[test]
    fn a_program_is_found_in_the_rootfs_alone() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), "usr/bin/sh", &elf(NATIVE as u16, "/lib/ld.so"));
        add(dir.path(), "lib/ld.so", &elf(NATIVE as u16, ""));
        symlink("/usr/bin", dir.path().join("bin")).unwrap();
        symlink("/../../../../../../../../bin/true", dir.path().join("usr/bin/out")).unwrap();
        for found in [c"sh", c"/bin/sh", c"/usr/../bin/sh"] {
            assert_eq!(check(dir.path(), found), Ok(()), "{found:?}");
        }
        assert!(check(dir.path(), c"/bin/true").unwrap_err().contains("no such file"));
        assert!(check(dir.path(), c"out").unwrap_err().contains("no directory of PATH"), "outside");
        assert!(check(dir.path(), c"nosuch").unwrap_err().contains("no directory of PATH"));
        assert!(check(dir.path(), c"./sh").unwrap_err().contains("/work/./sh"));
    }

    #[test]
    fn each_fault_has_its_words() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), "bin/foreign", &elf(if NATIVE == 22 { 62 } else { 22 }, ""));
        add(dir.path(), "bin/unlinked", &elf(NATIVE as u16, "/lib/ld-none.so"));
        add(dir.path(), "bin/script", b"#! /bin/none -x\n");
        add(dir.path(), "bin/text", b"echo\n");
        add(dir.path(), "bin/empty", b"");
        add(dir.path(), "bin/loop", b"#!/bin/loop\n");
        add(dir.path(), "bin/denied", b"#!/bin/loop\n");
        std::fs::set_permissions(dir.path().join("bin/denied"), PermissionsExt::from_mode(0o644)).unwrap();
        fd::mknod(
            fd::CWD,
            &crate::path::c_path(&dir.path().join("bin/fifo")).unwrap(),
            libc::S_IFIFO | 0o755,
            0,
        )
        .unwrap();
        let mut faults = vec![
            (c"unlinked", "its interpreter /lib/ld-none.so: no such file"),
            (c"script", "its interpreter /bin/none: no such file"),
            (c"loop", "too many interpreters"),
            (c"denied", "permission denied (mode 0644)"),
            (c"fifo", "is no regular file"),
            (c"/bin", "is a directory"),
        ];
        if !has_emulators() {
            faults.extend([
                (c"foreign", "is for another processor: "),
                (c"text", "exec format error"),
                (c"empty", "is empty"),
            ]);
        }
        for (name, words) in faults {
            let said = check(dir.path(), name).unwrap_err();
            assert!(said.contains(words), "{name:?}: {said}");
        }
    }

    #[test]
    fn five_scripts_may_lead_to_a_program_with_a_linker() {
        let dir = tempfile::tempdir().unwrap();
        // The kernel does not look at the linker of a linker.
        add(dir.path(), "lib/ld.so", &elf(NATIVE as u16, "/lib/none.so"));
        add(dir.path(), "work/0", &elf(NATIVE as u16, "/lib/ld.so"));
        for n in 1..7 {
            add(dir.path(), &format!("work/{n}"), format!("#!{}\n", n - 1).as_bytes());
        }
        assert_eq!(check(dir.path(), c"./5"), Ok(()));
        assert!(check(dir.path(), c"./6").unwrap_err().contains("too many interpreters"));
    }

    #[test]
    fn the_bits_are_those_of_the_user() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), "bin/x", &elf(NATIVE as u16, ""));
        std::fs::set_permissions(dir.path().join("bin/x"), PermissionsExt::from_mode(0o750)).unwrap();
        let root = crate::path::c_path(dir.path()).unwrap();
        let root = fd::open(fd::CWD, &root, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let gid = nix::unistd::getegid().as_raw();
        let may = |uid, gids: &[u32]| {
            Image { root: &root, user: Some((uid, gids)), cwd: c"/" }.check(c"x", b"/bin").is_ok()
        };
        assert!(may(0, &[]) && may(4_000_000, &[gid]) && !may(4_000_000, &[gid + 1]));
    }

    #[test]
    fn any_bytes_are_a_program_or_not() {
        let whole = elf(NATIVE as u16, "/lib/ld.so");
        for length in 0..whole.len() {
            drop(interpreter(&whole[..length]));
        }
        for at in 0..120 {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            drop(interpreter(&broken));
        }
    }
}
