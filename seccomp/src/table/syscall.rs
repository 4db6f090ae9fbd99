// SPDX-License-Identifier: Apache-2.0
//! The numbers of system calls: each name once, and one column of `u16` for each ABI.

use super::rows::{NONE, ROWS};
use crate::arch::{ARM_PRIVATE, Arch, Multiplexers};

pub(super) const COUNT: usize = ROWS.len();

/// The size of the hash table: at least twice the rows, so that most lookups take one step.
const PLACES: usize = (2 * COUNT).next_power_of_two();

/// The first cell for ARM's private calls, whose numbers do not fit into 16 bits.
const PRIVATE_CELL: u16 = 0xf000;

/// A limit for all other cells.
const CELLS: usize = 640;

/// The number of cells with the private ones, which come last.
const ALL_CELLS: usize = CELLS + 8;

/// A system call of the tables: its index in the list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Syscall(pub(super) u16);

// `ROWS` is written to be read in a diff. The compiler turns it into these tables, which have
// neither pointers nor relocations.
static NAMES: [u8; names_len()] = concatenated();
static NAME_ENDS: [u16; COUNT] = name_ends();
static ROW_AT: [u16; PLACES] = rows_by_name();
static NUMBERS: [[u16; COUNT]; Arch::ALL.len()] = columns();
static BY_CELL: [[u16; ALL_CELLS]; Arch::ALL.len()] = rows_by_cell();
static CARRIED: [u8; COUNT] = carried();

/// The calls that socketcall(2) carries. The first argument is the index here plus one.
const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The calls that ipc(2) carries, with the first argument.
const IPC: [(&str, u8); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// Marks an entry of `CARRIED` for ipc(2) instead of socketcall(2).
const IN_IPC: u8 = 0x80;

impl Arch {
    /// Returns the number that a filter sees when a program of this ABI makes the call of
    /// that name.
    pub fn number(self, name: &str) -> Option<u32> {
        Syscall::from_name(name)?.number(self)
    }
}

impl Syscall {
    /// Returns the call with this name.
    pub(crate) fn from_name(name: &str) -> Option<Syscall> {
        let mut place = place_of(name.as_bytes());
        loop {
            let row = ROW_AT[place];
            if row == NONE {
                return None;
            }
            if name_at(usize::from(row)) == name.as_bytes() {
                return Some(Syscall(row));
            }
            place = (place + 1) % PLACES;
        }
    }

    /// Returns the number with which programs of this ABI make the call directly.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        match NUMBERS[arch as usize][usize::from(self.0)] {
            NONE => None,
            cell @ PRIVATE_CELL.. => Some(ARM_PRIVATE + u32::from(cell - PRIVATE_CELL)),
            cell => Some(arch.numbers().start() | u32::from(cell)),
        }
    }

    /// Returns all numbers of this ABI, ascending, each with its call.
    pub(crate) fn numbers(arch: Arch) -> impl Iterator<Item = (u32, Syscall)> {
        let first = *arch.numbers().start();
        BY_CELL[arch as usize].iter().enumerate().filter(|(_, row)| **row != NONE).map(move |(cell, row)| {
            let private = cell.checked_sub(CELLS).map(|cell| ARM_PRIVATE + cell as u32);
            (private.unwrap_or(first | cell as u32), Syscall(*row))
        })
    }

    /// Returns the number of the multiplexer that carries the call, and its first argument.
    pub(crate) fn multiplexed(self, arch: Arch) -> Option<(u32, u8)> {
        let Multiplexers { socketcall, ipc } = arch.multiplexers()?;
        match CARRIED[usize::from(self.0)] {
            0 => None,
            call if call & IN_IPC == 0 => Some((socketcall, call)),
            call => Some((ipc, call & !IN_IPC)),
        }
    }

    /// Returns all calls of the tables, in the order of their names.
    pub(crate) fn all() -> impl Iterator<Item = Syscall> {
        (0..COUNT as u16).map(Syscall)
    }

    /// Returns its index in [`all`](Self::all).
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

fn name_at(index: usize) -> &'static [u8] {
    let start = if index == 0 { 0 } else { NAME_ENDS[index - 1] };
    &NAMES[usize::from(start)..usize::from(NAME_ENDS[index])]
}

const fn names_len() -> usize {
    let (mut len, mut row) = (0, 0);
    while row < COUNT {
        len += ROWS[row].0.len();
        row += 1;
    }
    assert!(len <= u16::MAX as usize, "NAME_ENDS would overflow");
    len
}

const fn concatenated() -> [u8; names_len()] {
    let mut names = [0; names_len()];
    let (mut row, mut at) = (0, 0);
    while row < COUNT {
        let name = ROWS[row].0.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            names[at] = name[byte];
            at += 1;
            byte += 1;
        }
        row += 1;
    }
    names
}

const fn name_ends() -> [u16; COUNT] {
    let mut ends = [0; COUNT];
    let (mut row, mut at) = (0, 0);
    while row < COUNT {
        at += ROWS[row].0.len();
        ends[row] = at as u16;
        row += 1;
    }
    ends
}

/// Returns the first place to look for a name, by FNV-1a.
const fn place_of(name: &[u8]) -> usize {
    let (mut hash, mut byte): (u32, _) = (0x811c_9dc5, 0);
    while byte < name.len() {
        hash = (hash ^ name[byte] as u32).wrapping_mul(0x0100_0193);
        byte += 1;
    }
    (hash ^ hash >> 16) as usize % PLACES
}

/// Puts each row at the first free place from the one of its name.
const fn rows_by_name() -> [u16; PLACES] {
    let mut rows = [NONE; PLACES];
    let mut row = 0;
    while row < COUNT {
        let mut place = place_of(ROWS[row].0.as_bytes());
        while rows[place] != NONE {
            place = (place + 1) % PLACES;
        }
        rows[place] = row as u16;
        row += 1;
    }
    rows
}

const fn columns() -> [[u16; COUNT]; Arch::ALL.len()] {
    let mut columns = [[NONE; COUNT]; Arch::ALL.len()];
    let mut column = 0;
    while column < Arch::ALL.len() {
        // `number` indexes by the discriminant, the rows are in the order of `ALL`.
        assert!(Arch::ALL[column] as usize == column);
        let mut row = 0;
        while row < COUNT {
            columns[column][row] = ROWS[row].1[column];
            row += 1;
        }
        column += 1;
    }
    columns
}

/// Inverts `NUMBERS`.
const fn rows_by_cell() -> [[u16; ALL_CELLS]; Arch::ALL.len()] {
    let mut rows = [[NONE; ALL_CELLS]; Arch::ALL.len()];
    let mut column = 0;
    while column < Arch::ALL.len() {
        let mut row = 0;
        while row < COUNT {
            match ROWS[row].1[column] {
                NONE => {}
                cell @ PRIVATE_CELL.. => rows[column][CELLS + (cell - PRIVATE_CELL) as usize] = row as u16,
                cell => {
                    assert!((cell as usize) < CELLS);
                    rows[column][cell as usize] = row as u16;
                }
            }
            row += 1;
        }
        column += 1;
    }
    rows
}

const fn carried() -> [u8; COUNT] {
    let mut carried = [0; COUNT];
    let mut call = 0;
    while call < SOCKETCALL.len() {
        carried[row_of(SOCKETCALL[call])] = call as u8 + 1;
        call += 1;
    }
    call = 0;
    while call < IPC.len() {
        carried[row_of(IPC[call].0)] = IPC[call].1 | IN_IPC;
        call += 1;
    }
    carried
}

const fn row_of(name: &str) -> usize {
    let mut row = 0;
    while !same(ROWS[row].0.as_bytes(), name.as_bytes()) {
        row += 1;
    }
    row
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut byte = 0;
    while byte < a.len() && byte < b.len() && a[byte] == b[byte] {
        byte += 1;
    }
    byte == a.len() && byte == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::X32_BIT;

    #[test]
    fn every_name_is_found_and_nothing_else() {
        for (row, (name, _)) in ROWS.iter().enumerate() {
            assert_eq!(Syscall::from_name(name), Some(Syscall(u16::try_from(row).unwrap())), "{name}");
        }
        for name in ["", "a", "zzz", "READ", "read ", "rea", "readd", "read\0"] {
            assert_eq!(Syscall::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let number = |name: &str, arch| Syscall::from_name(name).unwrap().number(arch);
        assert_eq!(number("read", Arch::X86_64), Some(0));
        assert_eq!(number("read", Arch::X86), Some(3));
        assert_eq!(number("execve", Arch::X32), Some(X32_BIT | 520));
        assert_eq!(number("open", Arch::Aarch64), None);
        assert_eq!(number("set_tls", Arch::Arm), Some(0x000f_0005));
        assert_eq!(number("set_tls", Arch::X86_64), None);
        for arch in Arch::ALL {
            let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
            assert_eq!(number("rseq_slice_yield", arch), Some(bit | 471));
        }
    }

    #[test]
    fn no_number_has_two_names() {
        for arch in Arch::ALL {
            let mut numbers: Vec<u32> = Syscall::all().filter_map(|s| s.number(arch)).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{arch:?}");
        }
    }

    #[test]
    fn numbers_ascend_and_are_all() {
        for arch in Arch::ALL {
            let numbers: Vec<_> = Syscall::numbers(arch).collect();
            assert!(numbers.is_sorted_by(|a, b| a.0 < b.0), "{arch:?}");
            let mut all: Vec<_> =
                Syscall::all().filter_map(|call| Some((call.number(arch)?, call))).collect();
            all.sort_unstable();
            assert_eq!(numbers, all);
        }
    }

    #[test]
    fn multiplexed_calls_have_their_numbers() {
        let multiplexed = |name: &str, arch| Syscall::from_name(name).unwrap().multiplexed(arch);
        assert_eq!(multiplexed("socket", Arch::X86), Some((102, 1)));
        assert_eq!(multiplexed("sendmmsg", Arch::Ppc64le), Some((102, 20)));
        assert_eq!(multiplexed("shmctl", Arch::X86), Some((117, 24)));
        assert_eq!(multiplexed("socket", Arch::X86_64), None);
        assert_eq!(multiplexed("read", Arch::X86), None);
        // The multiplexers are calls themselves, so their numbers have names.
        for (arch, both) in Arch::ALL.into_iter().filter_map(|arch| Some((arch, arch.multiplexers()?))) {
            let direct = |name| Syscall::from_name(name).unwrap().number(arch);
            assert_eq!((direct("socketcall"), direct("ipc")), (Some(both.socketcall), Some(both.ipc)));
        }
    }
}
