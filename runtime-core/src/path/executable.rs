// SPDX-License-Identifier: Apache-2.0
//! The reason why the kernel does not execute a file that exists. execve(2) returns only a number,
//! and that number is about another file: an interpreter that is missing is ENOENT. Nothing here
//! allocates, because a child of a clone calls it too.

use super::root::PathBuffer;
use runtime_sys::{Errno, Result, fd};
use std::ffi::CStr;

/// The beginning of a file that is read. The kernel reads 256 bytes of a script; linkers place the
/// headers of a program, and the path of the dynamic linker, at the beginning.
const HEAD_MAX: usize = 1024;

/// The limit of a reason in bytes: a kind, and a path or a number.
const REASON_MAX: usize = 200;

/// The scripts that may be interpreters of scripts (execve(2)).
const LEVELS_MAX: usize = 5;

/// A reason: a file that is missing, or the wrong processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason {
    bytes: [u8; REASON_MAX],
    len: usize,
}

const INTERPRETER: u8 = b'#';
const LINKER: u8 = b'l';
const MACHINE: u8 = b'm';

impl Reason {
    /// No reason was found.
    pub(crate) const NONE: Self = Reason { bytes: [0; REASON_MAX], len: 0 };

    /// Returns a reason, which has no NUL byte; none if the value is too long.
    fn new(kind: u8, value: &[u8]) -> Self {
        let mut reason = Reason::NONE;
        let whole = std::iter::once(&kind).chain(value);
        if value.len() < REASON_MAX {
            for (place, byte) in reason.bytes.iter_mut().zip(whole) {
                *place = *byte;
                reason.len += 1;
            }
        }
        reason
    }

    /// Finds out why execve(2) of `path` has failed with `errno`: ENOENT or ENOEXEC.
    pub(crate) fn find(path: &CStr, errno: Errno) -> Self {
        if !matches!(errno, Errno::ENOENT | Errno::ENOEXEC) {
            return Reason::NONE;
        }
        let mut path_buf = PathBuffer::new();
        let mut head = [0; HEAD_MAX];
        let Ok(mut path) = path_buf.set(path.to_bytes()) else { return Reason::NONE };
        for _ in 0..LEVELS_MAX {
            let Ok(n) = read_head(path, &mut head) else { return Reason::NONE };
            let head = head.get(..n).unwrap_or_default();
            let next = match needs(head) {
                Some(Needs::Interpreter(next)) => (INTERPRETER, next),
                Some(Needs::Linker(next)) if errno == Errno::ENOENT => (LINKER, next),
                Some(Needs::Machine(machine)) if errno == Errno::ENOEXEC && machine != OWN_MACHINE => {
                    return Reason::new(MACHINE, &digits(machine));
                }
                _ => return Reason::NONE,
            };
            let reason = Reason::new(next.0, next.1);
            path = match path_buf.set(next.1) {
                Ok(path) => path,
                Err(_) => return Reason::NONE,
            };
            match fd::open_follow(fd::CWD, path, libc::O_PATH, 0) {
                Err(Errno::ENOENT) => return reason,
                Err(_) => return Reason::NONE,
                Ok(_) => {}
            }
        }
        Reason::NONE
    }

    /// Returns the reason as it is sent to another process.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Returns the sentence for a reason that another process has sent; `None` if there is none.
pub(crate) fn sentence(reason: &[u8]) -> Option<String> {
    let (kind, value) = reason.split_first()?;
    let path = String::from_utf8_lossy(value);
    Some(match *kind {
        INTERPRETER if path.ends_with('\r') => {
            format!(
                "its #! line names {path:?}, which is missing: the file has the line ends of Windows (CRLF)"
            )
        }
        INTERPRETER => format!("its #! line names {path:?}, which is missing"),
        LINKER => format!(
            "its dynamic linker {path:?} is missing: the program was built for another C library, or the \
             image lacks it"
        ),
        MACHINE => {
            let machine = path.parse().ok()?;
            let own = std::env::consts::ARCH;
            match name_of(machine) {
                Some(name) => format!("it is a program for {name}, and this host is {own}"),
                None => format!(
                    "it is a program for another processor (ELF machine {machine}), and this host is {own}"
                ),
            }
        }
        _ => return None,
    })
}

/// Returns a number in decimal.
fn digits(number: u16) -> [u8; 5] {
    let digit = |power: u16| b'0' + (number / power % 10) as u8;
    [digit(10_000), digit(1000), digit(100), digit(10), digit(1)]
}

fn read_head(path: &CStr, head: &mut [u8]) -> Result<usize> {
    let file = fd::open_follow(fd::CWD, path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0)?;
    fd::read(file, head)
}

/// The other file, or the processor, that an executable file needs.
#[derive(Debug, PartialEq, Eq)]
enum Needs<'a> {
    Interpreter(&'a [u8]),
    Linker(&'a [u8]),
    Machine(u16),
}

/// Returns the need of the file that begins with `head`: a script or an ELF file (elf(5)).
fn needs(head: &[u8]) -> Option<Needs<'_>> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.trim_ascii_start();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0))?;
        return line.get(..end).map(Needs::Interpreter);
    }
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let is_64 = *head.get(4)? == 2;
    let is_big = *head.get(5)? == 2;
    let machine = *head.get(18..)?.first_chunk()?;
    let machine = if is_big { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    if machine != OWN_MACHINE || !is_64 || is_big {
        return Some(Needs::Machine(machine));
    }
    let half = |at: usize| head.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)));
    let word = |at: usize| {
        let bytes = head.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let (start, size, count) = (word(32)?, half(54)?, half(56)?);
    for i in 0..count {
        let entry = size.checked_mul(i)?.checked_add(start)?;
        let kind = head.get(entry..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))?;
        if kind == libc::PT_INTERP {
            let (offset, length) = (word(entry.checked_add(8)?)?, word(entry.checked_add(32)?)?);
            let path = head.get(offset..offset.checked_add(length)?)?;
            return path.split(|byte| *byte == 0).next().map(Needs::Linker);
        }
    }
    Some(Needs::Machine(machine))
}

#[cfg(target_arch = "x86_64")]
const OWN_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const OWN_MACHINE: u16 = 183;
#[cfg(target_arch = "riscv64")]
const OWN_MACHINE: u16 = 243;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const OWN_MACHINE: u16 = 0;

/// Returns the name of a value of `e_machine`, as `uname -m` prints it.
fn name_of(machine: u16) -> Option<&'static str> {
    Some(match machine {
        3 => "i386",
        8 => "mips",
        20 => "ppc",
        21 => "ppc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::path::c_path;
    use std::path::Path;

    fn reason(path: &Path, errno: Errno) -> Option<String> {
        sentence(Reason::find(&c_path(path).unwrap(), errno).as_bytes())
    }

    #[test]
    fn the_file_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let inner = write("inner", b"#! /nonexistent/sh -e\n");
        let outer = write("outer", format!("#!{} x\n", inner.display()).as_bytes());
        for script in [&inner, &outer] {
            let want = "its #! line names \"/nonexistent/sh\", which is missing";
            assert_eq!(reason(script, Errno::ENOENT).as_deref(), Some(want));
        }
        let windows = write("windows", b"#!/bin/sh\r\nexit\r\n");
        assert!(reason(&windows, Errno::ENOENT).unwrap().contains("\"/bin/sh\\r\", which is missing"));
        // The interpreter is there, so the cause is something else.
        assert_eq!(reason(&write("fine", b"#!/bin/sh\n"), Errno::ENOENT), None);
        for other in [&b""[..], b"#!", b"#!/no/end", b"\x7fELF", b"exit 0\n", &[b'#'; 5000]] {
            assert_eq!(reason(&write("other", other), Errno::ENOENT), None, "{other:?}");
            assert_eq!(reason(&write("other", other), Errno::ENOEXEC), None, "{other:?}");
        }
        assert_eq!(reason(&dir.path().join("nothing"), Errno::ENOENT), None);
        assert_eq!(reason(&inner, Errno::EACCES), None);
        // A script that is its own interpreter.
        let circle = dir.path().join("circle");
        std::fs::write(&circle, format!("#!{}\n", circle.display())).unwrap();
        assert_eq!(reason(&circle, Errno::ENOENT), None);
    }

    #[test]
    fn the_dynamic_linker_and_the_processor_are_named() {
        let dir = tempfile::tempdir().unwrap();
        // A program of the host, with a linker that has a name of the same length.
        let mut program = std::fs::read("/bin/true").unwrap();
        let Some(Needs::Linker(linker)) = needs(&program[..HEAD_MAX]) else { unreachable!() };
        let at = program.windows(linker.len()).position(|window| window == linker).unwrap();
        program[at + 1] = b'?';
        let path = dir.path().join("program");
        std::fs::write(&path, &program).unwrap();
        let text = reason(&path, Errno::ENOENT).unwrap();
        assert!(text.starts_with("its dynamic linker \"/?"), "{text}");
        program[18..20].copy_from_slice(&22u16.to_le_bytes());
        std::fs::write(&path, &program).unwrap();
        let want = format!("it is a program for s390x, and this host is {}", std::env::consts::ARCH);
        assert_eq!(reason(&path, Errno::ENOEXEC), Some(want));
    }

    #[test]
    fn a_reason_has_a_limit() {
        for (length, want) in [(REASON_MAX - 1, REASON_MAX), (REASON_MAX, 0), (5000, 0)] {
            assert_eq!(Reason::new(INTERPRETER, &vec![b'x'; length]).as_bytes().len(), want);
        }
        assert_eq!(sentence(Reason::NONE.as_bytes()), None);
        assert_eq!(sentence(b"?"), None);
        assert_eq!(sentence(b"m"), None);
    }

    /// Parsing any bytes must not panic: the image determines them.
    #[test]
    fn damaged_headers_need_nothing() {
        let program = std::fs::read("/bin/true").unwrap();
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut head = program[..HEAD_MAX].to_vec();
                head[at] = value;
                let _ = needs(&head);
                let _ = needs(&head[..at]);
            }
        }
    }
}
