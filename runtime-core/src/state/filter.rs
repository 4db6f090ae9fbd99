// SPDX-License-Identifier: Apache-2.0
//! The seccomp filter as stored for `exec`: the same BPF program that init has loaded. A later
//! version of this library, or an edited config.json, does not change the filter.
//!
//! The program is in a file of its own, `seccomp.bpf`, which only exec reads: an array of the
//! kernel's `struct sock_filter`, 2 KiB for Docker's profile. The rest is in the record.

use seccomp::{Instruction, Listener, Program};
use serde::{Deserialize, Serialize};

/// The size of an instruction in bytes.
const INSTRUCTION: usize = 8;

/// The size of the longest program in bytes.
pub(super) const PROGRAM_MAX: usize = seccomp::MAX_INSTRUCTIONS * INSTRUCTION;

/// A compiled seccomp filter with what is needed to load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompiledFilter {
    pub(crate) program: Program,
    /// SECCOMP_FILTER_FLAG_*.
    pub(crate) flags: u32,
    /// The seccomp agent, which decides calls with SCMP_ACT_NOTIFY.
    pub(crate) agent: Option<Listener>,
}

/// The part of the filter that is in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilterRecord {
    flags: u32,
    /// The number of instructions in the file.
    instructions: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AgentRecord {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

impl CompiledFilter {
    /// Returns the part for the record.
    pub(crate) fn record(&self) -> FilterRecord {
        let agent = self.agent.clone().map(|Listener { path, metadata }| AgentRecord { path, metadata });
        FilterRecord { flags: self.flags, instructions: self.program.instructions().len(), agent }
    }

    /// Returns the flags of the filter for a debug log, in the wording that runc's tests expect.
    pub(crate) fn note(&self) -> String {
        format!("seccomp filter flags: {}", self.flags)
    }

    /// Makes the filter of the record's part and the content of the file. The error text says
    /// why the kernel would refuse the program, or that the file is not whole.
    pub(super) fn read(record: &FilterRecord, file: &[u8]) -> Result<Self, String> {
        let (chunks, rest) = file.as_chunks::<INSTRUCTION>();
        if chunks.len() != record.instructions || !rest.is_empty() {
            return Err(format!("{} bytes are not {} instructions", file.len(), record.instructions));
        }
        let instruction = |[c0, c1, jt, jf, k @ ..]: &[u8; INSTRUCTION]| Instruction {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        };
        let program =
            Program::new(chunks.iter().map(instruction).collect()).map_err(|error| error.to_string())?;
        let agent = record.agent.clone().map(|AgentRecord { path, metadata }| Listener { path, metadata });
        Ok(CompiledFilter { program, flags: record.flags, agent })
    }
}

/// Returns the content of the file.
pub(super) fn to_bytes(program: &[Instruction]) -> Vec<u8> {
    let bytes = |i: &Instruction| {
        let ([c0, c1], [k0, k1, k2, k3]) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
        [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
    };
    program.iter().flat_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seccomp::{Arch, Policy, Profile, SyscallRule, compile};

    fn filter() -> CompiledFilter {
        let profile = Profile {
            default_action: "SCMP_ACT_ERRNO",
            listener_path: "/run/agent",
            listener_metadata: "m",
            syscalls: vec![SyscallRule {
                names: vec!["mkdir", "execve"],
                action: "SCMP_ACT_NOTIFY",
                ..Default::default()
            }],
            ..Default::default()
        };
        let policy = Policy::new(&profile, Arch::X86_64).unwrap();
        let program = compile(&policy).unwrap();
        CompiledFilter { program, flags: policy.filter_flags(), agent: policy.listener().cloned() }
    }

    #[test]
    fn a_filter_is_read_back_as_written() {
        let filter = filter();
        let json = serde_json::to_string(&filter.record()).unwrap();
        assert_eq!(json, r#"{"flags":12,"instructions":12,"agent":{"path":"/run/agent","metadata":"m"}}"#);
        let record = serde_json::from_str(&json).unwrap();
        assert_eq!(CompiledFilter::read(&record, &to_bytes(filter.program.instructions())), Ok(filter));
    }

    #[test]
    fn torn_and_foreign_programs_are_refused() {
        let filter = filter();
        let (record, mut bytes) = (filter.record(), to_bytes(filter.program.instructions()));
        for torn in 0..bytes.len() {
            assert!(CompiledFilter::read(&record, &bytes[..torn]).is_err(), "{torn}");
        }
        bytes[0] = 0xff;
        assert!(CompiledFilter::read(&record, &bytes).unwrap_err().contains("instruction"));
    }
}
