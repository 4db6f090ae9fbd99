// SPDX-License-Identifier: Apache-2.0
//! The options that checkpoint and restore have in common: where CRIU writes and reads, and what it
//! is told about the processes.

use crate::boundary::plan::Stream;
use crate::config::annotations::CRIU_CONFIG;
use crate::criu::{Message, option};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::ids::is_rootless;
use crate::path;
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, dir, fd};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

/// The file in the image directory that says what the standard streams of the first process were, as
/// runc writes it.
pub(super) const DESCRIPTORS: &CStr = c"descriptors.json";

/// The link to the images that a checkpoint is the difference to.
const PARENT: &CStr = c"parent";

/// The largest number of images that are the difference to others.
const PARENTS_MAX: usize = 256;

/// The configuration file of CRIU without the annotation [`CRIU_CONFIG`]: that of runc, so a host needs
/// no other one. CRIU ignores a missing file.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";

/// Returns the names of standard streams that are connected with the host, empty for others. They
/// are in the record, and [`DESCRIPTORS`] has them in the images.
pub(super) fn descriptors(terminal: bool, streams: [Stream; 3]) -> Vec<String> {
    let name = |stream| match stream {
        _ if terminal => TERMINAL.to_owned(),
        Stream::Pipe(inode) => format!("{PIPE}{inode}]"),
        Stream::Fifo { mount, inode } => format!("{FIFO}{mount:x}:{inode:x}]"),
        Stream::Device(_) | Stream::Other => String::new(),
    };
    streams.map(name).into()
}

/// The beginnings of CRIU's names of a pipe and of a file of the host, and the name of the first terminal
/// of a container.
const PIPE: &str = "pipe:[";
const FIFO: &str = "file[";
const TERMINAL: &str = "/dev/pts/0";

/// Returns whether a standard stream was a pipe or a fifo. It becomes that of the caller.
pub(super) fn is_pipe(stream: &str) -> bool {
    stream.starts_with(PIPE) || is_fifo(stream)
}

/// Returns whether a standard stream was a fifo with a name, which CRIU has to be told at the checkpoint.
pub(super) fn is_fifo(stream: &str) -> bool {
    stream.starts_with(FIFO)
}

/// Returns whether a standard stream was a terminal.
pub(super) fn is_terminal(stream: &str) -> bool {
    stream.starts_with("/dev/pts/")
}

/// CRIU's way to treat the cgroups of a container ([criu.org/CGroups](https://criu.org/CGroups)).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManageCgroups {
    /// CRIU's own default, which is that of `Soft`.
    #[default]
    Default,
    /// Nothing: the restored processes are in the cgroup that the library makes, and cgroups below it
    /// are lost.
    Ignore,
    /// Restores the properties of cgroups that the restore has made.
    Soft,
    /// Restores all cgroups and their properties.
    Full,
    /// Restores all, and fails if a cgroup exists.
    Strict,
}

impl ManageCgroups {
    /// Returns the number of `criu_cg_mode` in rpc.proto.
    fn number(self) -> i64 {
        match self {
            ManageCgroups::Ignore => 0,
            ManageCgroups::Soft => 3,
            ManageCgroups::Full => 4,
            ManageCgroups::Strict => 5,
            ManageCgroups::Default => 6,
        }
    }
}

/// The options of both operations.
#[derive(Debug, Default)]
pub(super) struct ImageOptions {
    pub(super) images: PathBuf,
    pub(super) work: Option<PathBuf>,
    pub(super) program: Option<OsString>,
    pub(super) manage_cgroups: ManageCgroups,
    pub(super) tcp_established: bool,
    pub(super) external_unix_sockets: bool,
    pub(super) shell_job: bool,
    pub(super) file_locks: bool,
    pub(super) auto_dedup: bool,
    pub(super) lazy_pages: bool,
}

/// Defines the methods that set these options, for both builders.
macro_rules! image_options {
    () => {
        /// Lets CRIU write its log and its statistics into the directory at `path`, which is made if it
        /// is missing, instead of into that of the images.
        pub fn work_dir(mut self, path: impl Into<PathBuf>) -> Self {
            self.images.work = Some(path.into());
            self
        }

        /// Uses the program at `path` instead of the `criu` in PATH.
        pub fn criu(mut self, path: impl Into<std::ffi::OsString>) -> Self {
            self.images.program = Some(path.into());
            self
        }

        /// Sets what CRIU does with cgroups. The container's own is always the library's.
        pub fn manage_cgroups(mut self, mode: ManageCgroups) -> Self {
            self.images.manage_cgroups = mode;
            self
        }

        /// Includes TCP connections. They block until the container is restored.
        pub fn tcp_established(mut self, include: bool) -> Self {
            self.images.tcp_established = include;
            self
        }

        /// Allows unix sockets that are connected to processes outside of the container.
        pub fn external_unix_sockets(mut self, allow: bool) -> Self {
            self.images.external_unix_sockets = allow;
            self
        }

        /// Allows processes that are in a session, or on a terminal, of the caller.
        pub fn shell_job(mut self, allow: bool) -> Self {
            self.images.shell_job = allow;
            self
        }

        /// Includes file locks, which is safe if no process outside of the container has the files.
        pub fn file_locks(mut self, include: bool) -> Self {
            self.images.file_locks = include;
            self
        }

        /// Removes memory pages from earlier images when later ones have them.
        pub fn auto_dedup(mut self, dedup: bool) -> Self {
            self.images.auto_dedup = dedup;
            self
        }
    };
}
pub(super) use image_options;

/// The opened directories.
#[derive(Debug)]
pub(super) struct ImageDirs {
    images: OwnedFd,
    work: Option<OwnedFd>,
    /// The name of the log file, in the work directory.
    log: &'static CStr,
    /// The path of the log file, for messages.
    log_path: PathBuf,
}

impl ImageOptions {
    /// Opens the directories. A missing work directory is made, and a missing image directory too if
    /// `makes` is true.
    pub(super) fn open(&self, makes: bool, log: &'static CStr) -> Result<ImageDirs> {
        let of = |error: Error, what: &str, path: &Path| {
            error.wrap_as(ErrorKind::InvalidConfig, format!("{what} {}", path.display()))
        };
        let images = directory(&self.images, makes).context(|| "image directory")?;
        check_images(&images).map_err(|error| of(error, "image directory", &self.images))?;
        let open_work = |path: &PathBuf| {
            let work = directory(path, true).context(|| "work directory")?;
            check_files(&work, is_of_work).map_err(|error| of(error, "work directory", path))?;
            Ok(work)
        };
        let work = self.work.as_ref().map(open_work).transpose()?;
        let log_path = self.work.as_ref().unwrap_or(&self.images).join(path::show(log).to_string());
        let dirs = ImageDirs { images, work, log, log_path };
        // The log of an earlier operation would explain another failure.
        match unlinkat(dirs.work(), log, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(dirs),
            Err(errno) => Err(Error::os(errno, format!("remove {}", dirs.log_path.display()))),
        }
    }

    /// Checks the caller's rights, and the configuration file of the annotation.
    pub(super) fn check(&self, annotations: &BTreeMap<String, String>) -> Result<()> {
        check_caller()?;
        match annotations.get(CRIU_CONFIG).map(String::as_str) {
            None | Some("") => Ok(()),
            Some(file) => check_config_file(file),
        }
    }

    /// Adds the options to those of CRIU.
    pub(super) fn fill(&self, to: &mut Message, dirs: &ImageDirs, annotations: &BTreeMap<String, String>) {
        to.number(option::IMAGES_DIR_FD, dirs.images.as_raw_fd().into());
        if let Some(work) = &dirs.work {
            to.number(option::WORK_DIR_FD, work.as_raw_fd().into());
        }
        to.number(option::LOG_LEVEL, 4);
        to.bytes(option::LOG_FILE, dirs.log.to_bytes());
        to.flag(option::NOTIFY_SCRIPTS, true);
        to.flag(option::ORPHAN_PTS_MASTER, true);
        // The library does not restore network devices: a network namespace of the container's own
        // begins empty, as with create.
        to.number(option::EMPTY_NS, libc::CLONE_NEWNET.into());
        to.flag(option::MANAGE_CGROUPS, true);
        to.number(option::MANAGE_CGROUPS_MODE, self.manage_cgroups.number());
        to.flag(option::TCP_ESTABLISHED, self.tcp_established);
        to.flag(option::EXT_UNIX_SK, self.external_unix_sockets);
        to.flag(option::SHELL_JOB, self.shell_job);
        to.flag(option::FILE_LOCKS, self.file_locks);
        to.flag(option::AUTO_DEDUP, self.auto_dedup);
        to.flag(option::LAZY_PAGES, self.lazy_pages);
        match annotations.get(CRIU_CONFIG).map_or(CONFIG_FILE, String::as_str) {
            "" => {}
            file => to.text(option::CONFIG_FILE, file),
        }
    }
}

impl ImageDirs {
    /// Returns the image directory.
    pub(super) fn images(&self) -> BorrowedFd<'_> {
        self.images.as_fd()
    }

    /// Returns the directory in which CRIU works.
    pub(super) fn work(&self) -> BorrowedFd<'_> {
        self.work.as_ref().unwrap_or(&self.images).as_fd()
    }

    /// Replaces the directory in which CRIU works by the same directory in another mount namespace.
    pub(super) fn set_work(&mut self, work: OwnedFd) {
        self.work = Some(work);
    }

    /// Adds the errors in CRIU's log to its failure.
    pub(super) fn explain(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::System {
            return error;
        }
        let log = tail(self.work(), self.log).unwrap_or_default();
        let error = match errors_of(&String::from_utf8_lossy(&log)) {
            words if words.is_empty() => error,
            words => Error::new(ErrorKind::System, words).wrap(error.to_string()),
        };
        error.with_hint(format!("the log of CRIU is {}", self.log_path.display()))
    }
}

/// Reads the end of a log, which may be large. `None`: there is none.
fn tail(dir: BorrowedFd<'_>, log: &CStr) -> Option<Vec<u8>> {
    const TAIL: usize = 64 << 10;
    let file = fd::open(dir, log, libc::O_RDONLY | libc::O_NONBLOCK, 0).ok()?;
    let file = std::fs::File::from(file);
    let mut text = vec![0; TAIL];
    let start = file.metadata().ok()?.len().saturating_sub(TAIL as u64);
    let length = file.read_at(&mut text, start).ok()?;
    text.truncate(length);
    Some(text)
}

/// Returns the last lines of a log of CRIU that tell of errors, such as `Error
/// (criu/mount.c:1234): mnt: ...`, without their times.
fn errors_of(log: &str) -> String {
    const LINES: usize = 4;
    let mut lines: Vec<&str> = log
        .lines()
        .rev()
        .filter_map(|line| Some(line.get(line.find("Error (")?..)?.trim()))
        .take(LINES)
        .collect();
    lines.reverse();
    lines.join("; ")
}

fn directory(path: &Path, makes: bool) -> Result<OwnedFd> {
    let what = || format!("open {}", path.display());
    let c_path = path::c_path(path).context(what)?;
    let open = || fd::open_follow(fd::CWD, &c_path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let opened = match open() {
        Err(Errno::ENOENT) if makes => {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| Error::io(&error, format!("mkdir {}", path.display())))?;
            open()
        }
        other => other,
    };
    opened.context(what).map_err(|error| error.of_kind(ErrorKind::InvalidConfig))
}

/// Refuses images that CRIU would read or write elsewhere, or that would block it: it opens them by
/// their names. It puts a link `parent` there itself, and the socket of its server of memory pages. The
/// images behind the link are checked too, and those of their parent, and so on.
pub(super) fn check_images(images: &OwnedFd) -> Result<()> {
    let is_image = |name: &CStr| name != PARENT;
    check_files(images, is_image)?;
    let mut parent = parent_of(images)?;
    let mut levels = 0;
    while let Some(dir) = parent {
        levels += 1;
        if levels > PARENTS_MAX {
            let text = format!("more than {PARENTS_MAX} parents, of which one may be its own");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        check_files(&dir, is_image).context(|| format!("parent {levels}"))?;
        parent = parent_of(&dir)?;
    }
    Ok(())
}

/// Opens the images that these images are the difference to, as CRIU does.
fn parent_of(images: &OwnedFd) -> Result<Option<OwnedFd>> {
    match fd::open_follow(images, PARENT, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(Error::os(errno, "open parent").of_kind(ErrorKind::InvalidConfig)),
    }
}

/// Returns whether CRIU opens a file with this name in its work directory, beside its log. An engine can
/// have other files there, such as Podman its fifos.
fn is_of_work(name: &CStr) -> bool {
    [&b"stats-"[..], b"irmap-cache"].iter().any(|start| name.to_bytes().starts_with(start))
}

/// Refuses links, fifos and devices among the files with the names of CRIU.
fn check_files(dir: &OwnedFd, is_of_criu: impl Fn(&CStr) -> bool) -> Result<()> {
    let files = dir::entries(dir).context(|| "reading the directory")?;
    for file in files.iter().filter(|file| !file.is_dir && is_of_criu(&file.name)) {
        let st = fd::stat_at(dir, &file.name, libc::AT_SYMLINK_NOFOLLOW);
        let kind = match st.context(|| format!("stat {}", path::show(&file.name)))?.st_mode & libc::S_IFMT {
            libc::S_IFLNK => "a link",
            libc::S_IFIFO => "a fifo",
            libc::S_IFCHR | libc::S_IFBLK => "a device",
            _ => continue,
        };
        return Err(Error::new(ErrorKind::InvalidConfig, format!("{} is {kind}", path::show(&file.name))));
    }
    Ok(())
}

/// Refuses a caller without the rights that CRIU needs.
pub(super) fn check_caller() -> Result<()> {
    if is_rootless()? {
        let text = "checkpoint and restore need root of the host: the rootless mode of CRIU is not supported";
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

/// Refuses a configuration file of CRIU that another user could have written: it can name programs,
/// which CRIU runs as root.
fn check_config_file(file: &str) -> Result<()> {
    let refuse = |why: &str| {
        let text = format!("annotations[{CRIU_CONFIG:?}]: {file:?} {why}");
        Err(Error::new(ErrorKind::InvalidConfig, text)
            .with_hint("the file can name programs that CRIU runs as root"))
    };
    if !file.starts_with('/') {
        return refuse("is not an absolute path");
    }
    let path = c_str(file);
    let st = path.and_then(|path| fd::stat_at(fd::CWD, &path, 0)).map_err(|errno| {
        Error::os(errno, format!("annotations[{CRIU_CONFIG:?}]: stat {file:?}"))
            .of_kind(ErrorKind::InvalidConfig)
    })?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG {
        return refuse("is not a regular file");
    }
    if st.st_uid != 0 {
        return refuse(&format!("belongs to user {}", st.st_uid));
    }
    if st.st_mode & libc::S_IWOTH != 0 || st.st_mode & libc::S_IWGRP != 0 && st.st_gid != 0 {
        return refuse(&format!("can be changed by others (mode {:04o})", st.st_mode & 0o7777));
    }
    Ok(())
}

/// Refuses the path of a mount in the container that CRIU would read as another one: it puts paths
/// into brackets, as in `mnt[/path]:name` (CVE-2026-119101, CVE-2026-119614).
pub(super) fn check_mount_point(path: &str) -> Result<()> {
    if path.contains("]:") {
        let text = format!("mount {path:?}: CRIU cannot name a mount point with \"]:\" in its path");
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_of_a_log() {
        let log = "(00.01) Dumping\n(00.02) Error (criu/a.c:1): one\n(00.03) Warn  (x)\n\
                   (00.04)     17: Error (criu/b.c:2): two: File exists\n(00.05) Unlock network\n";
        assert_eq!(errors_of(log), "Error (criu/a.c:1): one; Error (criu/b.c:2): two: File exists");
        let many: String = (0..9).map(|n| format!("Error (x:{n}): y\n")).collect();
        assert_eq!(errors_of(&many), "Error (x:5): y; Error (x:6): y; Error (x:7): y; Error (x:8): y");
        assert_eq!(errors_of("no Errors here"), "");
    }

    #[test]
    fn a_configuration_file_that_others_could_write() {
        use std::os::unix::fs::PermissionsExt;
        let refused = |file: &str, why: &str| {
            let error = check_config_file(file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let text = format!("annotations[\"org.criu.config\"]: {why}");
            assert!(error.report().starts_with(&text), "{}", error.report());
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("criu.conf");
        let name = file.to_str().unwrap();
        refused("criu.conf", "\"criu.conf\" is not an absolute path");
        refused(name, &format!("stat {name:?}: no such file"));
        refused("/dev/null", "\"/dev/null\" is not a regular file");
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        if !nix::unistd::geteuid().is_root() {
            return refused(name, &format!("{name:?} belongs to user"));
        }
        mode(0o664);
        check_config_file(name).unwrap();
        mode(0o646);
        refused(name, &format!("{name:?} can be changed by others (mode 0646)"));
        mode(0o664);
        std::os::unix::fs::chown(&file, None, Some(1)).unwrap();
        refused(name, &format!("{name:?} can be changed by others (mode 0664)"));
        std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        refused(name, &format!("{name:?} belongs to user 1"));
    }

    #[test]
    fn a_mount_point_that_criu_would_misread() {
        assert!(check_mount_point("/data]:/etc").is_err());
        assert!(check_mount_point("/data]x[:").is_ok());
    }
}
