// SPDX-License-Identifier: Apache-2.0
//! The program file that a process runs from, and how to let go of it.

use super::process::{MmMap, set_mm_map};
use super::{Errno, Result, check, fd};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A part of the address space that the program file is mapped to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// What is known of a program before the clone, to change its file after it.
#[derive(Debug)]
pub(crate) struct Image {
    /// The program file, as lines of /proc/PID/maps name it.
    device: (u32, u32),
    inode: u64,
    /// Where the program may have written.
    writable: Box<[(usize, usize)]>,
    map: MmMap,
}

impl Image {
    /// That of the calling process, whose program file is `file`. Parent only (heap).
    pub(crate) fn of_self(file: impl AsFd) -> Result<Self> {
        let stat = fd::read_file(fd::CWD, c"/proc/self/stat", 1 << 16)?;
        let map = memory_map(&String::from_utf8_lossy(&stat)).ok_or(Errno::EINVAL)?;
        let file = fd::stat(file)?;
        Ok(Image {
            device: (libc::major(file.st_dev), libc::minor(file.st_dev)),
            inode: file.st_ino,
            writable: writable_ranges().into(),
            map: MmMap { brk: program_break(), ..map },
        })
    }

    /// The segment in a line of /proc/PID/maps (proc(5)), if it is of the file.
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
            written: self.writable.iter().any(|(first, last)| start < *last && *first < end),
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

/// More mappings of one file than any program has.
const SEGMENTS_MAX: usize = 64;

/// The mappings of the program file in the calling process. Asked by the child
/// itself: a thread of the parent may have mapped the file once more since
/// [`Image::of_self`] (for a backtrace, say).
fn segments<'a>(image: &Image, all: &'a mut [Segment; SEGMENTS_MAX]) -> Result<&'a [Segment]> {
    let maps = fd::open(fd::CWD, c"/proc/self/maps", libc::O_RDONLY, 0)?;
    let mut count = 0;
    let mut line = [0u8; 128];
    let mut len = 0;
    let mut buf = [0u8; 4096];
    loop {
        let n = fd::read(&maps, &mut buf)?;
        if n == 0 {
            return all.get(..count).ok_or(Errno::E2BIG);
        }
        for byte in buf.get(..n).unwrap_or_default() {
            if *byte != b'\n' {
                // Of a long line only the path is cut off.
                if let Some(place) = line.get_mut(len) {
                    *place = *byte;
                    len += 1;
                }
                continue;
            }
            if let Some(segment) = image.segment(line.get(..len).unwrap_or_default()) {
                *all.get_mut(count).ok_or(Errno::E2BIG)? = segment;
                count += 1;
            }
            len = 0;
        }
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
    let mut all = [Segment::default(); SEGMENTS_MAX];
    for segment in segments(image, &mut all)? {
        if segment.written {
            copy_to_memory(segment)?;
        } else {
            // SAFETY: the mapping is one of the file's (segments), and is
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
    // SAFETY: both are `len` bytes, mapped (segments) and apart from each
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

/// For the fuzz target: reads any text as the files that are read here.
pub(crate) fn parse_maps(text: &[u8]) {
    let image =
        Image { device: (0xfe, 0), inode: 7, writable: Box::new([(4096, 8192)]), map: MmMap::default() };
    for line in text.split(|b| *b == b'\n') {
        image.segment(line);
    }
    memory_map(&String::from_utf8_lossy(text));
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
        let image = Image {
            device: (0xfe, 0),
            inode: 77,
            writable: Box::new([(0x40_2800, 0x40_2900)]),
            map: MmMap::default(),
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

    #[test]
    fn our_own_segments() {
        let exe = fd::open_follow(fd::CWD, c"/proc/self/exe", libc::O_RDONLY, 0).unwrap();
        let mut all = [Segment::default(); SEGMENTS_MAX];
        let found = segments(&Image::of_self(exe).unwrap(), &mut all).unwrap();
        let code = segments as *const () as usize;
        assert!(
            found
                .iter()
                .any(|s| (s.start..s.start + s.len).contains(&code) && s.protection & libc::PROT_EXEC != 0)
        );
        assert!(found.iter().any(|s| s.written) && found.iter().any(|s| !s.written));
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
        assert!(
            !writable_ranges()
                .iter()
                .any(|(start, end)| (*start..*end).contains(&(segments as *const () as usize)))
        );
    }
}
