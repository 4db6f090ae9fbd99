// SPDX-License-Identifier: Apache-2.0
//! Programs of one system call, for the containers of benchmarks: the start of a real program would
//! hide the costs of the runtime.

use crate::harness::bundle::Bundle;
use crate::result::{Doing, Result};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[cfg(target_arch = "x86_64")]
mod code {
    pub(super) const MACHINE: u16 = 62;
    /// `mov edi, status; mov eax, SYS_exit_group; syscall`
    pub(super) fn exit(status: u8) -> Vec<u8> {
        vec![0xbf, status, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05]
    }
    /// `again: mov eax, SYS_pause; syscall; jmp again`
    pub(super) const WAIT: &[u8] = &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
}

#[cfg(target_arch = "aarch64")]
mod code {
    pub(super) const MACHINE: u16 = 183;
    /// `mov x0, status; mov x8, SYS_exit_group; svc 0`
    pub(super) fn exit(status: u8) -> Vec<u8> {
        let [low, high] = (u16::from(status) << 5).to_le_bytes();
        vec![low, high, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]
    }
    /// `again: mov x0, 0; ... mov x4, 0; mov x8, SYS_ppoll; svc 0; b again`
    pub(super) const WAIT: &[u8] = &[
        0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2, 0x04,
        0x00, 0x80, 0xd2, 0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xf9, 0xff, 0xff, 0x17,
    ];
}

/// Makes a bundle like that of `runc spec` with both programs, `/exits` and `/waits`, that executes
/// `program`.
pub fn bundle(program: &str) -> Result<Bundle> {
    let bundle = Bundle::new(&[])?.with(|config| config["process"]["args"] = json!([program]))?;
    for (name, content) in [("exits", exits()), ("waits", waits())] {
        let path = bundle.rootfs(name);
        std::fs::write(&path, content).doing(name)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).doing(name)?;
    }
    Ok(bundle)
}

/// Returns a static program that exits with status 0.
pub fn exits() -> Vec<u8> {
    exits_with(0)
}

/// Returns a static program that exits with a status.
pub fn exits_with(status: u8) -> Vec<u8> {
    elf(&code::exit(status))
}

/// Returns a static program that waits for ever.
pub fn waits() -> Vec<u8> {
    elf(code::WAIT)
}

const ADDRESS: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// Returns an ELF file (elf(5)) of one segment: the headers, followed by `code`.
fn elf(code: &[u8]) -> Vec<u8> {
    let len = HEADERS + code.len() as u64;
    let mut file = Vec::new();
    // 64 bits, little-endian, version 1.
    file.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2, code::MACHINE] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    // Entry, program headers, no section headers.
    for word in [ADDRESS + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    for word in [1u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, ADDRESS, ADDRESS, len, len, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    fn start(program: &[u8]) -> std::process::Child {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, program).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Command::new(path).stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn one_exits_and_one_waits() {
        assert!(start(&exits()).wait().unwrap().success());
        assert_eq!(start(&exits_with(7)).wait().unwrap().code(), Some(7));
        let mut waiting = start(&waits());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(waiting.try_wait().unwrap().is_none());
        waiting.kill().unwrap();
        waiting.wait().unwrap();
    }
}
