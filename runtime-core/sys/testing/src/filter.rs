// SPDX-License-Identifier: Apache-2.0
//! System call filters of tests.

use seccomp::Instruction;

/// Returns a filter that has `answer` for the calls `number` whose arguments have these values, each
/// given with its index. Only the low half of an argument is compared, on a little-endian machine. All
/// other calls are allowed. An `answer` is a `SECCOMP_RET_*` of seccomp(2).
pub fn of_call(number: libc::c_long, arguments: &[(usize, u32)], answer: u32) -> Vec<Instruction> {
    const ARGUMENTS: usize = std::mem::offset_of!(libc::seccomp_data, args);
    let step = |code: u32, jf, k| Instruction { code: code as u16, jt: 0, jf, k };
    let values = arguments.iter().map(|(index, value)| (ARGUMENTS + index * size_of::<u64>(), *value));
    let values = [(0, number as u32)].into_iter().chain(values);
    let mut filter = Vec::new();
    for (i, (offset, value)) in values.enumerate() {
        // To the last instruction, over the rest of the pairs and the first answer.
        let end = 2 * (arguments.len() - i) + 1;
        filter.push(step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset as u32));
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, end as u8, value));
    }
    for answer in [answer, libc::SECCOMP_RET_ALLOW] {
        filter.push(step(libc::BPF_RET | libc::BPF_K, 0, answer));
    }
    filter
}
