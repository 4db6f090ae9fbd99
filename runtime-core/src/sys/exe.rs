// SPDX-License-Identifier: Apache-2.0
//! The program file that a process runs from, and how to let go of it.

use super::process::{MmMap, set_mm_map};
use super::{Errno, Result, check};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A part of the address space that the program file is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    start: usize,
    len: usize,
    file_offset: i64,
    /// PROT_* of mmap(2).
    protection: i32,
    /// The program has written into it (data, relocated constants): its bytes
    /// are not the file's.
    written: bool,
}

/// How the running program lies in memory.
#[derive(Debug)]
pub(crate) struct Image {
    segments: Box<[Segment]>,
    map: MmMap,
}

impl Image {
    /// That of the calling process, whose program file is `file`. Parent only (heap).
    pub(crate) fn of_self(file: impl AsFd) -> Result<Self> {
        let read = |path| super::fd::read_file(super::fd::CWD, path, 16 << 20);
        let maps = read(c"/proc/self/maps")?;
        let stat = read(c"/proc/self/stat")?;
        let file = super::fd::stat(file)?;
        let segments = segments(&String::from_utf8_lossy(&maps), &file, &writable_ranges());
        let map = memory_map(&String::from_utf8_lossy(&stat)).ok_or(Errno::EINVAL)?;
        Ok(Image { segments: segments.into(), map: MmMap { brk: program_break(), ..map } })
    }
}

/// Makes the calling process run from `file`, which has the same content as the
/// file that it was executed from: /proc/self/exe leads there from now on, and
/// to the old file nothing does.
///
/// The kernel changes the file of a process only when no mapping of the old one
/// is left (prctl(2), PR_SET_MM_EXE_FILE: EBUSY). Child only: it has one thread.
/// `file` is the program file that `image` was made with, on whatever mount.
pub(crate) fn run_from(file: impl AsFd, image: &Image) -> Result<()> {
    let fd = file.as_fd().as_raw_fd();
    for segment in &image.segments {
        if segment.written {
            copy_to_memory(segment)?;
        } else {
            // SAFETY: the mapping is one of the file's (Image::of_self), and is
            // replaced in one step by one of the same bytes, so whatever reads or
            // executes it, this code included, sees no change.
            let mapped = unsafe {
                libc::mmap(
                    ptr::with_exposed_provenance_mut(segment.start),
                    segment.len,
                    segment.protection,
                    libc::MAP_PRIVATE | libc::MAP_FIXED,
                    fd,
                    segment.file_offset,
                )
            };
            mapped_ok(mapped)?;
        }
    }
    set_mm_map(&MmMap { exe_fd: fd as u32, ..image.map })
}

fn mapped_ok(address: *mut libc::c_void) -> Result<()> {
    if address == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
}

/// Replaces a private mapping of a file by plain memory with the same content.
fn copy_to_memory(segment: &Segment) -> Result<()> {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let copy = unsafe {
        libc::mmap(ptr::null_mut(), segment.len, libc::PROT_READ | libc::PROT_WRITE, private, -1, 0)
    };
    mapped_ok(copy)?;
    let original = ptr::with_exposed_provenance::<u8>(segment.start);
    // SAFETY: both are `len` bytes, mapped (Image::of_self) and apart from each
    // other; nobody writes to the original meanwhile: this thread is the only one.
    unsafe { ptr::copy_nonoverlapping(original, copy.cast::<u8>(), segment.len) };
    // SAFETY: our own mapping.
    check(unsafe { libc::mprotect(copy, segment.len, segment.protection) }.into())?;
    // SAFETY: the original is replaced in one step by a mapping of the same bytes.
    let moved = unsafe {
        libc::mremap(
            copy,
            segment.len,
            segment.len,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            ptr::with_exposed_provenance_mut::<libc::c_void>(segment.start),
        )
    };
    mapped_ok(moved)
}

/// The address ranges of the running program that it may write to, or may have
/// written to before it gave that up (PT_LOAD with PF_W of elf(5)).
fn writable_ranges() -> Vec<(usize, usize)> {
    // SAFETY: getauxval only looks into the auxiliary vector.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
    // SAFETY: as above.
    let count = unsafe { libc::getauxval(libc::AT_PHNUM) };
    if headers == 0 {
        return Vec::new();
    }
    let first = ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers as usize);
    // SAFETY: the kernel passes the address and the number of the program's own
    // headers, which are part of its image and never change.
    let headers_slice = unsafe { std::slice::from_raw_parts(first, count as usize) };
    let base = headers_slice
        .iter()
        .find(|h| h.p_type == libc::PT_PHDR)
        .map_or(0, |h| (headers as usize).wrapping_sub(h.p_vaddr as usize));
    headers_slice
        .iter()
        .filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W != 0)
        .map(|h| {
            let start = base.wrapping_add(h.p_vaddr as usize);
            (start & !0xfff, start + h.p_memsz as usize)
        })
        .collect()
}

/// The current end of the heap (brk(2)).
fn program_break() -> u64 {
    // SAFETY: brk(0) only asks.
    unsafe { libc::syscall(libc::SYS_brk, 0) as u64 }
}

/// `int memfd_create(const char *name, MFD_CLOEXEC | MFD_ALLOW_SEALING)`
pub(crate) fn memfd(name: &std::ffi::CStr) -> Result<std::os::fd::OwnedFd> {
    // SAFETY: `name` is a C string.
    super::new_fd(
        unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) }.into(),
    )
}

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Makes a memfd unchangeable for good.
pub(crate) fn seal(memfd: impl AsFd) -> Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::fcntl(memfd.as_fd().as_raw_fd(), libc::F_ADD_SEALS, SEALS) }.into()).map(drop)
}

/// True if the file is a memfd that nobody can change.
pub(crate) fn is_sealed(file: impl AsFd) -> bool {
    // SAFETY: F_GET_SEALS only asks; EINVAL for other files.
    let seals = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GET_SEALS) };
    seals != -1 && seals & SEALS == SEALS
}

/// `ssize_t sendfile(int out, int in, NULL, size_t count)`: 0 at the end of `from`.
pub(crate) fn copy_some(from: impl AsFd, to: impl AsFd) -> Result<usize> {
    // SAFETY: the null offset means the position of `from`.
    let n =
        unsafe { libc::sendfile(to.as_fd().as_raw_fd(), from.as_fd().as_raw_fd(), ptr::null_mut(), 1 << 30) };
    check(n as libc::c_long).map(|n| n as usize)
}

/// The environment of the process as execve takes it. Only the binary, at its start.
pub(crate) fn environment() -> Vec<std::ffi::CString> {
    use std::os::unix::ffi::OsStringExt;
    std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            std::ffi::CString::new(name.into_vec()).ok()
        })
        .collect()
}

/// The mappings of one file in the text of /proc/PID/maps (proc(5)).
fn segments(maps: &str, file: &libc::stat, writable: &[(usize, usize)]) -> Vec<Segment> {
    let device = format!("{:02x}:{:02x}", libc::major(file.st_dev), libc::minor(file.st_dev));
    let inode = file.st_ino.to_string();
    maps.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (range, permissions) = (fields.next()?, fields.next()?);
            let (offset, dev, ino) = (fields.next()?, fields.next()?, fields.next()?);
            if dev != device || ino != inode {
                return None;
            }
            let (start, end) = range.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            let bit = |c: char, bit: i32| if permissions.contains(c) { bit } else { 0 };
            Some(Segment {
                start,
                len: end - start,
                file_offset: i64::from_str_radix(offset, 16).ok()?,
                protection: bit('r', libc::PROT_READ)
                    | bit('w', libc::PROT_WRITE)
                    | bit('x', libc::PROT_EXEC),
                written: writable.iter().any(|(first, last)| start < *last && *first < end),
            })
        })
        .collect()
}

/// The addresses that PR_SET_MM_MAP wants, from the text of /proc/PID/stat.
fn memory_map(stat: &str) -> Option<MmMap> {
    // Behind the name, which may hold anything, the fields count from 3 (proc(5)).
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
        let mut st = super::super::fd::stat(super::super::fd::stdio(0)).unwrap();
        st.st_dev = libc::makedev(0xfe, 0);
        st.st_ino = 77;
        let maps = "400000-401000 r--p 00000000 fe:00 77 /bin/x y\n\
                    401000-402000 r-xp 00001000 fe:00 77 /bin/x y\n\
                    402000-403000 rw-p 00002000 fe:00 77 /bin/x y\n\
                    500000-501000 r-xp 00000000 fe:00 78 /lib/z\n\
                    600000-601000 rw-p 00000000 00:00 0 [heap]\n";
        let found = segments(maps, &st, &[(0x402800, 0x402900)]);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found[1],
            Segment { start: 0x401000, len: 0x1000, file_offset: 0x1000, protection: 5, written: false }
        );
        assert!(found[2].written);
    }

    #[test]
    fn memory_map_of_a_name_with_a_bracket() {
        let stat = format!("1 (a) b) R{}", (4..60).map(|n| format!(" {n}")).collect::<String>());
        let map = memory_map(&stat).unwrap();
        assert_eq!((map.start_code, map.env_end), (26, 51));
        assert!(memory_map("1 (x) R 1 2").is_none());
        assert!(memory_map("").is_none());
    }

    #[test]
    fn our_own_data_is_writable() {
        static DATA: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);
        let address = (&raw const DATA).addr();
        assert!(writable_ranges().iter().any(|(start, end)| (*start..*end).contains(&address)));
        assert!(!writable_ranges().iter().any(|(start, end)| (*start..*end).contains(&(segments as usize))));
    }
}
