// SPDX-License-Identifier: Apache-2.0
//! The device filter: rules compiled to one eBPF program of type
//! BPF_PROG_TYPE_CGROUP_DEVICE, which the kernel runs at each open and mknod of a device.

use crate::config::devices::{Rule, RuleKind};
use crate::error::{Context, Error, ErrorKind, Result};
use runtime_sys::Errno;
use runtime_sys::bpf::{self, Insn};
use std::os::fd::{AsFd, BorrowedFd};

/// The eBPF opcodes that are used (linux/bpf.h).
mod op {
    pub(super) const LOAD_32: u8 = 0x61; // dst = *(u32 *)(src + offset)
    pub(super) const COPY: u8 = 0xbf; // dst = src
    pub(super) const COPY_IMM: u8 = 0xb7; // dst = immediate
    pub(super) const AND_32: u8 = 0x54; // (u32) dst &= immediate
    pub(super) const OR_32: u8 = 0x4c; // (u32) dst |= src
    pub(super) const SHIFT_LEFT_32: u8 = 0x64; // (u32) dst <<= immediate
    pub(super) const SHIFT_RIGHT_32: u8 = 0x74; // (u32) dst >>= immediate
    pub(super) const JUMP_NE_32: u8 = 0x56; // if (u32) dst != immediate goto offset
    pub(super) const JUMP_EQ_32: u8 = 0x16; // if (u32) dst == immediate goto offset
    pub(super) const EXIT: u8 = 0x95; // return r0
}

// Registers: r1 is the context at the start, and scratch after that.
const RESULT: u8 = 0;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// Major and minor in one number, as in MKDEV (linux/kdev_t.h), so that one test is enough.
const DEVICE: u8 = 6;
const MINOR_BITS: i32 = 20;

// BPF_DEVCG_DEV_* of linux/bpf.h.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

fn insn(code: u8, dst: u8, src: u8, immediate: i32) -> Insn {
    Insn { code, registers: src << 4 | dst, offset: 0, immediate }
}

/// Compiles the rules. The last matching rule decides, separately for read, write and mknod.
/// A request is allowed if each access in it is allowed. Without a matching rule an access
/// is denied.
///
/// Loading the program takes the verifier time that grows with the number of jumps. So
/// neighbouring rules that differ only in the device share all other instructions.
pub(crate) fn compile(rules: &[Rule]) -> Vec<Insn> {
    let load = |register, offset| Insn { offset, ..insn(op::LOAD_32, register, SCRATCH, 0) };
    // struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
    let mut program = vec![
        load(KIND, 0),
        insn(op::COPY, ACCESS, KIND, 0),
        insn(op::AND_32, KIND, 0, 0xffff),
        insn(op::SHIFT_RIGHT_32, ACCESS, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
        insn(op::COPY, DEVICE, MAJOR, 0),
        insn(op::SHIFT_LEFT_32, DEVICE, 0, MINOR_BITS),
        insn(op::OR_32, DEVICE, MINOR, 0),
    ];
    let rules: Vec<Rule> = rules.iter().rev().copied().filter(can_match).collect();
    // A jump offset has 16 bits.
    for neighbours in rules.chunk_by(differ_in_device).flat_map(|neighbours| neighbours.chunks(1000)) {
        let block = compile_neighbours(neighbours);
        let decides_all = block.len() == 2;
        program.extend(block);
        if decides_all {
            return program;
        }
    }
    program.extend(verdict(false));
    program
}

/// Returns true if the rule's numbers fit into the kernel's `dev_t`.
fn can_match(rule: &Rule) -> bool {
    rule.major.is_none_or(|major| major < 1 << (32 - MINOR_BITS))
        && rule.minor.is_none_or(|minor| minor < 1 << MINOR_BITS)
}

fn differ_in_device(a: &Rule, b: &Rule) -> bool {
    let shared = |rule: &Rule| Rule { major: None, minor: None, ..*rule };
    shared(a) == shared(b)
}

fn verdict(allow: bool) -> [Insn; 2] {
    [insn(op::COPY_IMM, RESULT, 0, allow.into()), insn(op::EXIT, 0, 0, 0)]
}

/// Returns the register to test and the value of a match; `None` if the rule is for all devices.
fn device(rule: &Rule) -> Option<(u8, u32)> {
    match (rule.major, rule.minor) {
        (None, None) => None,
        (Some(major), None) => Some((MAJOR, major)),
        (None, Some(minor)) => Some((MINOR, minor)),
        (Some(major), Some(minor)) => Some((DEVICE, major << MINOR_BITS | minor)),
    }
}

/// Compiles rules that differ only in the device: tests that jump past the block if none
/// matches, and then the common verdict.
fn compile_neighbours(rules: &[Rule]) -> Vec<Insn> {
    let Some(rule) = rules.first() else { return Vec::new() };
    let mut block = Vec::new();
    match rule.kind {
        RuleKind::Any => {}
        RuleKind::Block => block.push(insn(op::JUMP_NE_32, KIND, 0, BLOCK)),
        RuleKind::Char => block.push(insn(op::JUMP_NE_32, KIND, 0, CHAR)),
    }
    // With a rule for all devices among them, no device needs a test.
    let devices: Option<Vec<_>> = rules.iter().map(device).collect();
    if let Some((last, others)) = devices.as_deref().and_then(<[_]>::split_last) {
        for (i, (register, value)) in others.iter().enumerate() {
            // Jumps over the remaining tests.
            let offset = (others.len() - i) as i16;
            block.push(Insn { offset, ..insn(op::JUMP_EQ_32, *register, 0, *value as i32) });
        }
        block.push(insn(op::JUMP_NE_32, last.0, 0, last.1 as i32));
    }
    if rule.access != Rule::ALL {
        if rule.allow {
            // Clears the bits that this rule allows: earlier rules decide only on the others.
            block.push(insn(op::AND_32, ACCESS, 0, i32::from(!rule.access & Rule::ALL)));
            block.push(insn(op::JUMP_NE_32, ACCESS, 0, 0));
        } else {
            block.push(insn(op::COPY, SCRATCH, ACCESS, 0));
            block.push(insn(op::AND_32, SCRATCH, 0, i32::from(rule.access)));
            block.push(insn(op::JUMP_EQ_32, SCRATCH, 0, 0));
        }
    }
    block.extend(verdict(rule.allow));
    let end = block.len();
    for (i, insn) in block.iter_mut().enumerate() {
        if matches!(insn.code, op::JUMP_NE_32 | op::JUMP_EQ_32) && insn.offset == 0 {
            insn.offset = (end - i - 1) as i16;
        }
    }
    block
}

/// Attaches the filter to a cgroup, in place of all device filters that it has.
pub(crate) fn apply(cgroup: BorrowedFd<'_>, rules: &[Rule]) -> Result<()> {
    const FIELD: &str = "linux.resources.devices";
    let fail = |error: Error| error.of_kind(ErrorKind::Setup).wrap(FIELD).at(FIELD);
    let program = compile(rules);
    let program = bpf::load_device_filter(&program).map_err(|errno| {
        let error = Error::os(errno, "bpf(PROG_LOAD)");
        fail(match errno {
            // The verifier's limits: 8192 pending jumps, and a million instructions in total.
            Errno::E2BIG | Errno::EFAULT => error
                .with_hint(format!("{} rules may exceed the limit of the kernel's verifier", rules.len())),
            _ => error,
        })
    })?;
    let old = bpf::device_filters(cgroup).context(|| "bpf(PROG_QUERY)").map_err(fail)?;
    // The exchange of a single filter is atomic. More than one can only be another program's.
    let replaced = if old.len() == 1 { old.first() } else { None };
    bpf::attach_device_filter(cgroup, &program, replaced).context(|| "bpf(PROG_ATTACH)").map_err(fail)?;
    if replaced.is_none() {
        for filter in &old {
            bpf::detach_device_filter(cgroup, filter.as_fd()).context(|| "bpf(PROG_DETACH)").map_err(fail)?;
        }
    }
    Ok(())
}

/// Interprets a program as the kernel does. Only the opcodes in `op` are known.
#[cfg(any(test, feature = "fuzzing"))]
fn interpret(program: &[Insn], kind: i32, access: u8, major: u32, minor: u32) -> bool {
    let context = [u64::from(access) << 16 | kind as u64, major.into(), minor.into()];
    let mut r = [0u64; 7];
    let mut pc = 0usize;
    loop {
        let Some(i) = program.get(pc) else { panic!("the program has no end") };
        let (dst, src) = (usize::from(i.registers & 7) % 7, usize::from(i.registers >> 4) % 7);
        let low = r[dst] as u32;
        pc += 1;
        match i.code {
            op::LOAD_32 => r[dst] = context[i.offset as usize / 4 % 3],
            op::COPY => r[dst] = r[src],
            op::COPY_IMM => r[dst] = i.immediate as u64,
            op::AND_32 => r[dst] = u64::from(low & i.immediate as u32),
            op::OR_32 => r[dst] = u64::from(low | r[src] as u32),
            op::SHIFT_LEFT_32 => r[dst] = u64::from(low << i.immediate),
            op::SHIFT_RIGHT_32 => r[dst] = u64::from(low >> i.immediate),
            op::JUMP_NE_32 if low != i.immediate as u32 => pc += i.offset as usize,
            op::JUMP_EQ_32 if low == i.immediate as u32 => pc += i.offset as usize,
            op::JUMP_NE_32 | op::JUMP_EQ_32 => {}
            op::EXIT => return r[0] == 1,
            other => panic!("opcode {other:#x}"),
        }
    }
}

/// Evaluates the rules directly, as the specification describes them.
#[cfg(any(test, feature = "fuzzing"))]
fn meaning(rules: &[Rule], kind: i32, access: u8, major: u32, minor: u32) -> bool {
    [Rule::READ, Rule::WRITE, Rule::MKNOD].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        rules
            .iter()
            .rev()
            .find(|rule| {
                rule.access & bit != 0
                    && match rule.kind {
                        RuleKind::Any => true,
                        RuleKind::Block => kind == BLOCK,
                        RuleKind::Char => kind == CHAR,
                    }
                    && rule.major.is_none_or(|m| m == major)
                    && rule.minor.is_none_or(|m| m == minor)
            })
            .is_some_and(|rule| rule.allow)
    })
}

/// Checks that the program for `rules` agrees with [`meaning`], for the devices that the
/// rules name and a few others. For tests and the fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check(rules: &[Rule]) {
    let program = compile(rules);
    for kind in [BLOCK, CHAR] {
        for access in 1..8 {
            let near = [(0, 0), (1, 2), (1, 3), (3, 1), (9, 2), (9, 9)].into_iter();
            let named =
                rules.iter().filter(|rule| can_match(rule)).filter_map(|rule| rule.major.zip(rule.minor));
            for (major, minor) in near.chain(named) {
                assert_eq!(
                    interpret(&program, kind, access, major, minor),
                    meaning(rules, kind, access, major, minor),
                    "{rules:?} {kind} {access} {major}:{minor}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::devices::rules;
    use crate::spec::DeviceCgroup;

    #[test]
    fn programs_do_what_rules_mean() {
        // All pairs out of a set that covers every shape, each with a varying third rule.
        let mut shapes = Vec::new();
        for allow in [false, true] {
            for kind in [RuleKind::Any, RuleKind::Block, RuleKind::Char] {
                for major in [None, Some(1)] {
                    for minor in [None, Some(2)] {
                        for access in [1, 2, 5, 7] {
                            shapes.push(Rule { allow, kind, major, minor, access });
                        }
                    }
                }
            }
        }
        let mut checked = 0u32;
        for (i, first) in shapes.iter().enumerate() {
            for (j, second) in shapes.iter().enumerate() {
                let third = shapes[(i * 7 + j * 13) % shapes.len()];
                let rules = [*first, *second, third];
                check(&rules);
                checked += 1;
            }
        }
        assert_eq!(checked, 96 * 96);
    }

    #[test]
    fn the_filter_of_the_example_allows_the_default_devices() {
        let deny_all = DeviceCgroup { access: "rwm".into(), ..Default::default() };
        let program = compile(&rules(&[deny_all], &mut Vec::new()).unwrap());
        assert!(interpret(&program, CHAR, Rule::READ | Rule::WRITE, 1, 3), "/dev/null");
        assert!(interpret(&program, CHAR, Rule::MKNOD, 200, 200), "mknod of anything");
        assert!(!interpret(&program, CHAR, Rule::READ, 10, 229), "/dev/fuse");
        assert!(!interpret(&program, BLOCK, Rule::READ, 8, 0), "/dev/sda");
        assert!(program.len() < 40);
        check(&rules(&[], &mut Vec::new()).unwrap());
    }

    #[test]
    fn more_neighbours_than_an_offset_reaches() {
        let rule = |minor| Rule { minor: Some(minor), ..rules(&[], &mut Vec::new()).unwrap()[2] };
        let program = compile(&(0..40_000).map(rule).collect::<Vec<_>>());
        for (minor, allowed) in [(0, true), (999, true), (1000, true), (39_999, true), (40_000, false)] {
            assert_eq!(interpret(&program, CHAR, Rule::READ, 1, minor), allowed, "1:{minor}");
        }
    }

    #[test]
    fn numbers_that_no_device_has_match_no_device() {
        let rule = |major, minor| Rule { major, minor, ..rules(&[], &mut Vec::new()).unwrap()[2] };
        let beyond =
            [rule(Some(1 << 12), Some(3)), rule(Some(0), Some(1 << 20 | 3)), rule(None, Some(1 << 20))];
        let program = compile(&beyond);
        assert!(!interpret(&program, CHAR, Rule::READ, 0, 3));
        assert!(!interpret(&program, CHAR, Rule::READ, 1, 3));
        check(&beyond[..1]);
    }

    #[test]
    fn a_write_does_not_slip_through_with_a_read() {
        let allow = DeviceCgroup { allow: true, ..Default::default() };
        let deny = DeviceCgroup { access: "w".into(), ..Default::default() };
        let program = compile(&rules(&[allow, deny], &mut Vec::new()).unwrap());
        assert!(interpret(&program, BLOCK, Rule::READ, 8, 0));
        assert!(!interpret(&program, BLOCK, Rule::READ | Rule::WRITE, 8, 0));
    }
}
