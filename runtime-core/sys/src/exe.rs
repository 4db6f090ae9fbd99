// SPDX-License-Identifier: Apache-2.0
//! The program file that a process runs from, and its exchange for another one.

use super::fd;
use super::process::{MmMap, set_mm_map};
use super::result::{Result, check, done};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// A mapping of the program file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Segment {
    start: usize,
    len: usize,
    file_offset: i64,
    /// PROT_* of mmap(2).
    protection: i32,
    /// True if the program writes to the mapping (data, relocated constants), so that
    /// its bytes differ from the file's.
    written: bool,
}

/// The facts about a program that are collected before the clone, to exchange its file after
/// the clone.
#[derive(Debug)]
pub struct Image {
    /// The device and inode of the program file, as in /proc/PID/maps.
    device: (u32, u32),
    inode: u64,
    /// The mappings that the program was started with.
    segments: Box<[Segment]>,
    map: MmMap,
    /// The addresses of the arguments (without the program's name) and of the environment.
    strings: std::ops::Range<u64>,
}

impl Image {
    /// Returns the image of the calling process. `file` is a path of its program file. Parent only
    /// (heap).
    pub fn of_self(file: &CStr) -> Result<Self> {
        let stat = fd::read_piece(fd::CWD, c"/proc/self/stat")?;
        let map = memory_map(&String::from_utf8_lossy(&stat)).ok_or(Errno::EINVAL)?;
        let file = fd::stat_at(fd::CWD, file, 0)?;
        let hidden = without_arguments(map);
        // True if the strings are where execve put them. A program can claim other addresses
        // (PR_SET_MM), and those need not be mapped.
        let are_on_stack =
            map.start_stack <= hidden.arg_end && map.env_end.wrapping_sub(map.start_stack) < STRINGS_MAX;
        Ok(Image {
            device: (libc::major(file.st_dev), libc::minor(file.st_dev)),
            inode: file.st_ino,
            segments: program_segments().ok_or(Errno::ENOEXEC)?.into(),
            map: MmMap { brk: program_break(), ..hidden },
            strings: if are_on_stack { hidden.arg_end..map.env_end } else { 0..0 },
        })
    }

    /// Parses a line of /proc/PID/maps (proc(5)). Returns `None` for a mapping of another file.
    fn segment(&self, line: &[u8]) -> Option<Segment> {
        let mut fields = line.split(|b| *b == b' ').filter(|field| !field.is_empty());
        let (start, end) = split_hex(fields.next()?, b'-')?;
        let permissions = fields.next()?;
        let offset = hex(fields.next()?)?;
        let device = split_hex(fields.next()?, b':')?;
        let inode = fields.next()?.iter().try_fold(0u64, |n, b| {
            n.checked_mul(10)?.checked_add(u64::from(b.checked_sub(b'0').filter(|d| *d < 10)?))
        })?;
        if device != (u64::from(self.device.0), u64::from(self.device.1)) || inode != self.inode {
            return None;
        }
        let (start, end) = (start as usize, end as usize);
        let bit = |c: u8, bit: i32| if permissions.contains(&c) { bit } else { 0 };
        Some(Segment {
            start,
            len: end.checked_sub(start)?,
            file_offset: offset as i64,
            protection: bit(b'r', libc::PROT_READ) | bit(b'w', libc::PROT_WRITE) | bit(b'x', libc::PROT_EXEC),
            written: self.segments.iter().any(|s| s.written && start < s.start + s.len && s.start < end),
        })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, b| Some(n.checked_mul(16)? + u64::from((*b as char).to_digit(16)?)))
}

fn split_hex(text: &[u8], separator: u8) -> Option<(u64, u64)> {
    let at = text.iter().position(|b| *b == separator)?;
    Some((hex(text.get(..at)?)?, hex(text.get(at + 1..)?)?))
}

/// Makes the calling process run from `file`, a copy of the program file that `image`
/// describes, or the same file on another mount. From then on /proc/self/exe leads to
/// `file`, and no mapping leads to the old file. Hides the arguments and the environment
/// of the process.
///
/// The kernel changes the program file of a process only if no mapping of the old one
/// is left (PR_SET_MM_EXE_FILE of prctl(2): EBUSY). Child only: the process must have
/// one thread.
///
/// All mappings are made by raw system calls. musl's mmap waits for threads that hold a
/// lock; in a child these threads do not exist, and the lock is never released.
pub fn run_from(file: impl AsFd, image: &Image) -> Result<()> {
    // Adjacent written segments are replaced by one mapping, which is divided afterwards.
    let are_one = |a: &Segment, b: &Segment| a.written && b.written && a.start + a.len == b.start;
    for segments in image.segments.chunk_by(are_one) {
        replace(segments, file.as_fd())?;
    }
    let map = MmMap { exe_fd: file.as_fd().as_raw_fd() as u32, ..image.map };
    match set_mm_map(&map) {
        // The process has mapped the file once more, for example for a backtrace.
        Err(Errno::EBUSY) => {
            replace_all(file.as_fd(), image)?;
            set_mm_map(&map)
        }
        other => other,
    }
}

/// Replaces all mappings of the program file that /proc/self/maps shows.
fn replace_all(file: BorrowedFd<'_>, image: &Image) -> Result<()> {
    /// The number of mappings that are handled: more than any program has of one file.
    const MAX: usize = 64;
    let mut all = [Segment::default(); MAX];
    let mut count = 0;
    // All lines are read first: a change of the mappings during the read could hide lines.
    each_segment(image, |segment| {
        *all.get_mut(count).ok_or(Errno::E2BIG)? = segment;
        count += 1;
        Ok(())
    })?;
    all.iter().take(count).try_for_each(|segment| replace(std::slice::from_ref(segment), file))
}

/// Calls `found` for each mapping of the program file in the calling process.
fn each_segment(image: &Image, mut found: impl FnMut(Segment) -> Result<()>) -> Result<()> {
    let maps = fd::open(fd::CWD, c"/proc/self/maps", libc::O_RDONLY, 0)?;
    let mut line = [0u8; 128];
    let mut len = 0;
    let mut buf = [0u8; 4096];
    loop {
        let n = fd::read(&maps, &mut buf)?;
        if n == 0 {
            return Ok(());
        }
        for byte in buf.get(..n).unwrap_or_default() {
            if *byte != b'\n' {
                // A long line loses a part of its path only.
                if let Some(place) = line.get_mut(len) {
                    *place = *byte;
                    len += 1;
                }
                continue;
            }
            if let Some(segment) = image.segment(line.get(..len).unwrap_or_default()) {
                found(segment)?;
            }
            len = 0;
        }
    }
}

/// Replaces a mapping of the program file by one of `file`. If the program writes to the
/// mapping, replaces it by anonymous memory, together with the adjacent ones in `segments`.
fn replace(segments: &[Segment], file: BorrowedFd<'_>) -> Result<()> {
    let [segment, ..] = segments else { return Ok(()) };
    if segment.written {
        return copy_to_memory(segments, segment.start);
    }
    // SAFETY: the kernel replaces the mapping in one step, and `file` has the same bytes at
    // this offset, which the program has not written to. So the code that reads or executes
    // them, this function included, sees no change.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            segment.start,
            segment.len,
            segment.protection,
            libc::MAP_PRIVATE | libc::MAP_FIXED,
            file.as_raw_fd(),
            segment.file_offset,
        )
    };
    done(mapped)
}

/// Replaces adjacent private mappings of a file, the first of which begins at `start`, by
/// anonymous memory with the same content.
fn copy_to_memory(segments: &[Segment], start: usize) -> Result<()> {
    let len: usize = segments.iter().map(|segment| segment.len).sum();
    // MAP_POPULATE: otherwise each page would cost a page fault.
    let copy = super::shared::anonymous(len, libc::MAP_PRIVATE | libc::MAP_POPULATE)?;
    let copy = ptr::with_exposed_provenance_mut::<u8>(copy);
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    let original = ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: both are mapped for `len` bytes: the original by the segments, which are
    // adjacent, the copy by the call above, which never returns memory that is in use. Nothing
    // writes to the original meanwhile, because this is the only thread.
    unsafe { ptr::copy_nonoverlapping(original, copy, len) };
    // SAFETY: the kernel replaces the original in one step, by a mapping with the same bytes,
    // which nothing has written to since they were copied.
    let moved = unsafe {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        libc::syscall(libc::SYS_mremap, copy, len, len, flags, start)
    };
    done(moved)?;
    for segment in segments.iter().filter(|segment| segment.protection != writable) {
        let address = ptr::with_exposed_provenance_mut(segment.start);
        // SAFETY: these bytes had this protection before they were replaced, so all code that uses
        // them keeps to it.
        check(unsafe { libc::mprotect(address, segment.len, segment.protection) }.into())?;
    }
    Ok(())
}

/// Returns the mappings of the running program's file, from its PT_LOAD headers (elf(5)).
/// PT_GNU_RELRO is a mapping of its own, because it becomes read-only after relocation.
/// Returns `None` if the address of the program is unknown.
fn program_segments() -> Option<Vec<Segment>> {
    let address = auxiliary(libc::AT_PHDR);
    let count = auxiliary(libc::AT_PHNUM);
    if address == 0 {
        return None;
    }
    // SAFETY: the kernel passes the address and the number of the program's own headers in the
    // auxiliary vector. They are mapped as long as the program runs, and nothing writes to them.
    let headers = unsafe {
        std::slice::from_raw_parts(ptr::with_exposed_provenance::<libc::Elf64_Phdr>(address), count)
    };
    let base = match headers.iter().find(|h| h.p_type == libc::PT_PHDR) {
        Some(h) => address.wrapping_sub(h.p_vaddr as usize),
        // A program without a dynamic linker may lack PT_PHDR (static ones of musl do).
        None => {
            let start = elf_header(address)?;
            let first = headers.iter().find(|h| h.p_type == libc::PT_LOAD && h.p_offset == 0)?;
            start.wrapping_sub(first.p_vaddr as usize)
        }
    };
    Some(segments_of(headers, base))
}

/// Returns the address of the ELF header, if the program headers at `address` are in the
/// first page of the file, where linkers put them.
fn elf_header(address: usize) -> Option<usize> {
    let start = address & !(auxiliary(libc::AT_PAGESZ) - 1);
    if address - start < size_of::<libc::Elf64_Ehdr>() {
        return None;
    }
    // SAFETY: the page is mapped, because the program headers are in it, and they begin at least
    // the size of a header behind `start`. Nothing writes to it, and any bytes are a valid header.
    let header = unsafe { &*ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(start) };
    (header.e_ident.starts_with(b"\x7fELF") && header.e_phoff as usize == address - start).then_some(start)
}

/// `unsigned long getauxval(unsigned long type)`: returns 0 if the kernel gave no such value.
fn auxiliary(kind: libc::c_ulong) -> usize {
    // SAFETY: getauxval only reads the auxiliary vector, which nothing writes to.
    unsafe { libc::getauxval(kind) as usize }
}

fn segments_of(headers: &[libc::Elf64_Phdr], base: usize) -> Vec<Segment> {
    let page = auxiliary(libc::AT_PAGESZ);
    let down = |address: usize| address & !(page - 1);
    let up = |address: usize| down(address + page - 1);
    let relro = headers.iter().find(|h| h.p_type == libc::PT_GNU_RELRO).map_or((0, 0), |h| {
        let start = base.wrapping_add(h.p_vaddr as usize);
        (down(start), down(start + h.p_memsz as usize))
    });
    let mut segments = Vec::new();
    for h in headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_filesz > 0) {
        let address = base.wrapping_add(h.p_vaddr as usize);
        let (start, end) = (down(address), up(address + h.p_filesz as usize));
        let file_offset = h.p_offset as i64 - (address - start) as i64;
        let bit = |flag: u32, bit: i32| if h.p_flags & flag != 0 { bit } else { 0 };
        let protection = bit(libc::PF_R, libc::PROT_READ)
            | bit(libc::PF_W, libc::PROT_WRITE)
            | bit(libc::PF_X, libc::PROT_EXEC);
        let written = h.p_flags & libc::PF_W != 0;
        // The read-only part is a mapping of its own, because its protection differs.
        let cut = if written { relro.1.clamp(start, end) } else { start };
        for (start, end, protection) in [(start, cut, libc::PROT_READ), (cut, end, protection)] {
            if start < end {
                let file_offset = file_offset + (start - down(address)) as i64;
                segments.push(Segment { start, len: end - start, file_offset, protection, written });
            }
        }
    }
    segments
}

/// Returns the program break (brk(2)).
fn program_break() -> u64 {
    // SAFETY: brk(0) changes nothing: the kernel returns the current break.
    unsafe { libc::syscall(libc::SYS_brk, 0) as u64 }
}

/// `int memfd_create(const char *name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)`:
/// makes a memory file that can be executed, even if the sysctl vm.memfd_noexec is 1,
/// which applies to files without that flag.
pub fn memfd(name: &CStr) -> Result<OwnedFd> {
    let create = |flags| memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | flags);
    match create(MFdFlags::from_bits_retain(libc::MFD_EXEC)) {
        // KERNEL(6.3): MFD_EXEC and the sysctl.
        Err(Errno::EINVAL) => create(MFdFlags::empty()),
        other => other,
    }
}

const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Seals a memfd: its content and size never change again.
pub fn seal(memfd: impl AsFd) -> Result<()> {
    fcntl(memfd, FcntlArg::F_ADD_SEALS(SEALS)).map(drop)
}

/// Returns true if the file is a memfd whose content and size can never change.
pub fn is_sealed(file: impl AsFd) -> bool {
    // EINVAL: the file is no memfd.
    fcntl(file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(SEALS))
}

/// `ssize_t sendfile(int out, int in, NULL, size_t count)`: copies up to 1 GiB. Returns the number
/// of bytes, 0 at the end of `from`.
pub fn copy_some(from: impl AsFd, to: impl AsFd) -> Result<usize> {
    nix::sys::sendfile::sendfile(to, from, None, 1 << 30)
}

/// Returns the arguments of the process, from /proc/self/cmdline (proc(5)), for execve. Parent only
/// (heap).
pub fn arguments() -> Result<Vec<CString>> {
    let file = fd::open_follow(fd::CWD, c"/proc/self/cmdline", libc::O_RDONLY, 0)?;
    let text = fd::read_all(file, 1 << 22)?;
    Ok(text
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|arg| Some(CStr::from_bytes_with_nul(arg).ok()?.to_owned()))
        .collect())
}

/// Returns the environment of the process, for execve. Only for the program, at its start. Parent
/// only (heap).
pub fn environment() -> Vec<CString> {
    use std::os::unix::ffi::OsStringExt;
    std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect()
}

/// Parses any text as /proc/PID/maps and as /proc/PID/stat, for the fuzz target.
pub fn parse_maps(text: &[u8]) {
    let image =
        Image { device: (0xfe, 0), inode: 7, segments: Box::default(), map: MmMap::default(), strings: 0..0 };
    for line in text.split(|b| *b == b'\n') {
        image.segment(line);
    }
    memory_map(&String::from_utf8_lossy(text));
}

/// Returns a map that cuts /proc/PID/cmdline down to the program's name and empties
/// /proc/PID/environ. Other users may read cmdline. It may hold data of the caller or of the
/// container's program, for example the variables of `exec --env`.
fn without_arguments(map: MmMap) -> MmMap {
    let name = std::env::args_os().next().map_or(0, |name| name.len() as u64 + 1);
    let end = map.arg_end.min(map.arg_start.saturating_add(name));
    MmMap { arg_end: end, env_end: map.env_start, ..map }
}

/// Hides the arguments and the environment of the calling process, without an exchange of its
/// program file. Child only.
pub fn hide_arguments(image: &Image) -> Result<()> {
    set_mm_map(&MmMap { exe_fd: u32::MAX, ..image.map })
}

/// Overwrites the strings that [`hide_arguments`] hides with zeros. Child only: there, no code
/// reads them any more.
pub fn wipe_arguments(image: &Image) {
    let place = ptr::with_exposed_provenance_mut::<u8>(image.strings.start as usize);
    let length = image.strings.end.saturating_sub(image.strings.start);
    // SAFETY: `Image::of_self` accepts these bytes only right above the start of the stack, where
    // execve put them: in the mapping of the stack, above every frame. The child reads them no
    // more, and has no other thread. Without such bytes, the length is 0.
    unsafe { ptr::write_bytes(place, 0, length as usize) };
}

/// The greatest distance from the start of the stack to the end of the environment that is taken
/// for execve's layout: more than execve(2) allows for arguments and environment.
const STRINGS_MAX: u64 = 8 << 20;

/// Returns the addresses for PR_SET_MM_MAP from the text of /proc/PID/stat.
fn memory_map(stat: &str) -> Option<MmMap> {
    // The field behind the name is number 3 (proc(5)). The name itself may hold any character.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
    let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(MmMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        ..MmMap::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_those_of_the_file() {
        let written = Segment { start: 0x40_2000, len: 0x1000, written: true, ..Segment::default() };
        let image = Image {
            device: (0xfe, 0),
            inode: 77,
            segments: Box::new([written]),
            map: MmMap::default(),
            strings: 0..0,
        };
        let segment = |line: &str| image.segment(line.as_bytes());
        assert_eq!(
            segment("401000-402000 r-xp 00001000 fe:00 77                         /bin/x y"),
            Some(Segment {
                start: 0x40_1000,
                len: 0x1000,
                file_offset: 0x1000,
                protection: 5,
                written: false
            })
        );
        assert!(segment("402000-403000 rw-p 00002000 fe:00 77 /bin/x").unwrap().written);
        for other in [
            "500000-501000 r-xp 00000000 fe:00 78 /lib/z",
            "600000-601000 rw-p 00000000 00:00 0 [heap]",
            "",
            "x-y",
        ] {
            assert_eq!(segment(other), None, "{other}");
        }
    }

    /// Checks that the segments of the program headers are those of /proc/self/maps.
    #[test]
    fn the_segments_of_the_program_are_found() {
        let image = Image::of_self(c"/proc/self/exe").unwrap();
        let mut shown = Vec::new();
        each_segment(&image, |segment| {
            shown.push(segment);
            Ok(())
        })
        .unwrap();
        let mut found = image.segments.to_vec();
        found.sort_by_key(|segment| segment.start);
        assert_eq!(found, shown);
        #[expect(clippy::fn_to_numeric_cast_any, reason = "where the code is")]
        let code = replace as *const () as usize;
        assert!(
            found
                .iter()
                .any(|s| (s.start..s.start + s.len).contains(&code) && s.protection & libc::PROT_EXEC != 0)
        );
        static DATA: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);
        let data = (&raw const DATA).addr();
        assert!(found.iter().any(|s| s.written && (s.start..s.start + s.len).contains(&data)));
    }

    #[test]
    fn a_name_with_a_bracket_does_not_hide_the_memory_map() {
        let stat = format!("1 (a) b) R{}", (4..60).map(|n| format!(" {n}")).collect::<String>());
        let map = memory_map(&stat).unwrap();
        assert_eq!((map.start_code, map.env_end), (26, 51));
        assert!(memory_map("1 (x) R 1 2").is_none());
        assert!(memory_map("").is_none());
    }
}
