// SPDX-License-Identifier: Apache-2.0
//! checkpoint(1): writes the processes of a container into files, by CRIU.

use super::container::Container;
use super::images::{
    DESCRIPTORS, ImageDirs, ImageOptions, ManageCgroups, check_caller, check_images, check_mount_point,
    image_options, is_fifo,
};
use super::join::root_of;
use super::state::status;
use crate::cgroup::Cgroup;
use crate::config::namespaces::NamespaceKind;
use crate::criu::{Criu, Feature, Message, Notice, RequestKind, option};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use crate::path::proc::PidFile;
use crate::path::root::Root;
use crate::spec::Status;
use crate::state::record::Record;
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;

/// A builder for a checkpoint, made by [`Container::checkpoint`].
#[derive(Debug)]
#[must_use]
pub struct CheckpointBuilder {
    container: Container,
    images: ImageOptions,
    parent: Option<PathBuf>,
    leave_running: bool,
    tcp_skip_in_flight: bool,
    link_remap: bool,
    page_server: Option<(String, u16)>,
    lazy_ready: Option<OwnedFd>,
    cancel: Option<OwnedFd>,
}

impl Container {
    /// Returns a builder for a checkpoint of the container in the directory `images`, which is made if
    /// it is missing. [`Runtime::restore`](crate::Runtime::restore) makes a container of it.
    pub fn checkpoint(&self, images: impl Into<PathBuf>) -> CheckpointBuilder {
        CheckpointBuilder {
            container: self.clone(),
            images: ImageOptions { images: images.into(), ..ImageOptions::default() },
            parent: None,
            leave_running: false,
            tcp_skip_in_flight: false,
            link_remap: false,
            page_server: None,
            lazy_ready: None,
            cancel: None,
        }
    }
}

impl CheckpointBuilder {
    image_options!();

    /// Leaves out memory that is in the images of an earlier [`pre_dump`](Self::pre_dump), in the
    /// directory at `path`, which is relative to the image directory.
    pub fn parent(mut self, path: impl Into<PathBuf>) -> Self {
        self.parent = Some(path.into());
        self
    }

    /// Lets the container go on after the checkpoint.
    pub fn leave_running(mut self, leave: bool) -> Self {
        self.leave_running = leave;
        self
    }

    /// Leaves out TCP connections that are not established yet.
    pub fn tcp_skip_in_flight(mut self, skip: bool) -> Self {
        self.tcp_skip_in_flight = skip;
        self
    }

    /// Gives deleted files that are still open a name next to their old one, until the restore.
    pub fn link_remap(mut self, remap: bool) -> Self {
        self.link_remap = remap;
        self
    }

    /// Sends the memory to the page server of CRIU at this address, instead of writing it into files.
    /// With [`lazy_pages`](Self::lazy_pages), listens at this address instead.
    pub fn page_server(mut self, address: impl Into<String>, port: u16) -> Self {
        self.page_server = Some((address.into(), port));
        self
    }

    /// Leaves the memory in the container, and serves it at the address of
    /// [`page_server`](Self::page_server) to a restore that asks for it page by page. The checkpoint
    /// ends when all pages are sent. When the server is ready, writes a byte of zeros to `ready`, and
    /// closes it.
    pub fn lazy_pages(mut self, ready: Option<OwnedFd>) -> Self {
        self.images.lazy_pages = true;
        self.lazy_ready = ready;
        self
    }

    /// Cancels the checkpoint when `event` becomes readable. The container then goes on.
    pub fn cancel(mut self, event: OwnedFd) -> Self {
        self.cancel = Some(event);
        self
    }

    /// Makes the checkpoint. Unless the container is to go on, it has stopped then, and is left to be
    /// deleted. After an error it goes on.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::InvalidState`]: the container does not run;
    /// [`ErrorKind::Unsupported`]: CRIU is missing or too old, or the container has something that
    /// cannot be in a checkpoint; [`ErrorKind::Cancelled`]; [`ErrorKind::System`]: CRIU has failed.
    pub fn dump(self) -> Result<()> {
        self.run(RequestKind::Dump)
    }

    /// Writes the present memory only, as a [`parent`](Self::parent) of the checkpoint. The container
    /// goes on.
    ///
    /// Errors: see [`dump`](Self::dump).
    pub fn pre_dump(self) -> Result<()> {
        self.run(RequestKind::PreDump)
    }

    fn run(mut self, kind: RequestKind) -> Result<()> {
        check_caller()?;
        let entry = self.container.store.entry(&self.container.id)?.lock_made("checkpoint")?;
        let record = entry.record()?;
        let before = status(&entry, &record)?;
        if !matches!(before, Status::Running | Status::Paused) {
            let text = format!("Container cannot be checkpointed in {before} state");
            return Err(Error::new(ErrorKind::InvalidState, text));
        }
        let external = check(&record)?;
        self.images.check(&record.annotations)?;
        // CRIU is asked first: without it, no directory is made.
        let null = || [Stdio::null(), Stdio::null(), Stdio::null()];
        let cancel = self.cancel.as_ref().map(AsFd::as_fd);
        let mut criu = Criu::start(self.images.program.as_deref(), null(), None, cancel)?;
        if kind == RequestKind::PreDump {
            criu.check_feature(Feature::MemTrack, cancel)?;
        }
        if self.images.lazy_pages {
            criu.check_feature(Feature::LazyPages, cancel)?;
        }
        let dirs = self.images.open(true, c"dump.log")?;
        let options = self.options(kind, &record, external, &dirs)?;
        let (ready, mut is_first_seen) = (&mut self.lazy_ready, false);
        let dumped = criu.request(kind, &options, cancel, |notice: Notice| {
            // From the first announcement on, CRIU holds the process.
            if !is_first_seen {
                is_first_seen = true;
                check_alive(&record)?;
            }
            if notice.script == "status-ready"
                && let Some(ready) = ready.take()
            {
                // A caller that no longer waits for it does not end the checkpoint.
                runtime_sys::ignore(fd::write_all(ready, &[0]));
            }
            Ok(())
        });
        drop(criu);
        // CRIU thaws what it has frozen, unless it was killed.
        let thawed = if before == Status::Running { thaw(record.cgroup_path()) } else { Ok(()) };
        dumped.map_err(|error| dirs.explain(error)).and(thawed)
    }

    /// Returns the options of CRIU, and writes which streams the first process has.
    fn options(
        &self,
        kind: RequestKind,
        record: &Record,
        external: &[String],
        dirs: &ImageDirs,
    ) -> Result<Message> {
        let mut options = Message::default();
        self.images.fill(&mut options, dirs, &record.annotations);
        let pid = record.init.pid;
        options.number(option::PID, pid.into());
        options.flag(option::LEAVE_RUNNING, self.leave_running);
        options.flag(option::TCP_SKIP_IN_FLIGHT, self.tcp_skip_in_flight);
        options.flag(option::LINK_REMAP, self.link_remap);
        if !record.cgroup_path().is_empty() {
            options.text(option::FREEZE_CGROUP, record.cgroup_path());
        }
        if let Some((address, port)) = &self.page_server {
            let mut server = Message::default();
            server.text(1, address);
            server.number(2, (*port).into());
            options.message(option::PAGE_SERVER, &server);
        }
        if let Some(parent) = &self.parent {
            options.text(option::PARENT_IMG, &parent_image(parent, dirs.images())?);
            options.flag(option::TRACK_MEM, true);
        }
        for namespace in external.iter().filter(|name| !name.starts_with('/')) {
            let name = format!("ns/{namespace}");
            let file = PidFile::new(pid, &name);
            let stat = file.absolute().and_then(|path| fd::stat_at(fd::CWD, &path, 0));
            let inode = stat.context(|| format!("stat {file}"))?.st_ino;
            options.text(option::EXTERNAL, &format!("{namespace}[{inode}]:{}", namespace_key(namespace)));
        }
        for fifo in record.external_descriptors.iter().filter(|stream| is_fifo(stream)) {
            options.text(option::EXTERNAL, fifo);
        }
        let root = root_of(pid)?;
        // A pre-dump is of memory only.
        let named = external.iter().filter(|name| name.starts_with('/') && kind == RequestKind::Dump);
        let named = named.map(|name| NamedMount::open(&root, name)).collect::<Result<Vec<_>>>()?;
        let own = record.own_mounts.iter().map(|name| NamedMount::open(&root, name));
        // No link leads to a mount that is gone.
        let own = own.filter(|own| !matches!(own, Err(error) if error.kind() == ErrorKind::Unsupported));
        let own = own.collect::<Result<Vec<_>>>()?;
        let mounts = Mounts::of(pid)?;
        if let Some(point) = mounts.id_mapped() {
            let text = format!("mount {point:?} is id-mapped, which a checkpoint cannot have");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        for (point, name) in mounts.points(&named, &own, &record.read_only)? {
            options.message(option::EXT_MNT, &external_mount(&point, name)?);
        }
        if kind == RequestKind::Dump {
            write_descriptors(dirs.images(), &record.external_descriptors)?;
        }
        check_alive(record)?;
        Ok(options)
    }
}

/// Thaws the cgroup at the path of a record. cgroup.events does not tell whether that is necessary: it
/// reports a cgroup as frozen only when all of its processes are.
fn thaw(cgroup: &str) -> Result<()> {
    match Cgroup::from_record(cgroup)? {
        // After a checkpoint of the last process, systemd removes the cgroup at any time.
        Some(opened) => opened.thaw().or_else(|error| match Cgroup::from_record(cgroup)? {
            Some(_) => Err(error),
            None => Ok(()),
        }),
        None => Ok(()),
    }
}

/// Fails if the process of the record has ended. Until then, all that was found by its pid is its own.
fn check_alive(record: &Record) -> Result<()> {
    if !record.init.is_alive()? {
        let text = "Container cannot be checkpointed in stopped state";
        return Err(Error::new(ErrorKind::InvalidState, text));
    }
    Ok(())
}

/// Returns what of the container is of the host. Refuses a container that cannot be restored.
fn check(record: &Record) -> Result<&[String]> {
    let refuse =
        |why: &str| Err(Error::new(ErrorKind::Unsupported, format!("cannot checkpoint a container {why}")));
    let has = |kind: NamespaceKind| record.namespace_paths.contains_key(kind.clone_name());
    if !has(NamespaceKind::Pid) {
        return refuse("without a pid namespace of its own: its pids may be taken when it is restored");
    }
    if !has(NamespaceKind::Mount) {
        return refuse("without a mount namespace of its own");
    }
    if let Some(why) = &record.not_restorable {
        return refuse(&format!("{why} (it could not be restored)"));
    }
    match &record.external {
        // Without the names of its pipes, the restore would not connect them.
        Some(external) if !record.external_descriptors.is_empty() => Ok(external),
        _ => refuse("that an older version of this runtime has made"),
    }
}

/// Returns the name of an external namespace in the images. It is that of runc.
pub(super) fn namespace_key(namespace: &str) -> &'static str {
    if namespace == "pid" { "extRootPidNS" } else { "extRootNetNS" }
}

/// Returns the entry for a mount of the host: its mount point in the container, and its name in the
/// images.
fn external_mount(point: &str, name: &str) -> Result<Message> {
    check_mount_point(point)?;
    check_mount_point(name)?;
    let mut mount = Message::default();
    mount.text(1, point);
    mount.text(2, name);
    Ok(mount)
}

/// Checks the path of the parent's images, which CRIU puts into a link in the image directory.
fn parent_image(parent: &std::path::Path, images: BorrowedFd<'_>) -> Result<String> {
    let bad = |why: &str| {
        Error::new(ErrorKind::InvalidConfig, format!("invalid --parent-path: {}: {why}", parent.display()))
    };
    let text = parent.to_str().filter(|text| !text.is_empty()).ok_or_else(|| bad("not UTF-8"))?;
    if parent.is_absolute() {
        return Err(Error::new(ErrorKind::InvalidConfig, "--parent-path must be relative"));
    }
    let path = path::c_path(parent).context(|| "invalid --parent-path")?;
    let opened = fd::open_follow(images, &path, libc::O_RDONLY | libc::O_DIRECTORY, 0).map_err(|errno| {
        Error::os(errno, format!("invalid --parent-path: open {text}")).of_kind(ErrorKind::InvalidConfig)
    })?;
    check_images(&opened)
        .map_err(|error| error.wrap_as(ErrorKind::InvalidConfig, format!("invalid --parent-path: {text}")))?;
    Ok(text.to_owned())
}

/// A mount of the host at a destination of config.json, opened in the container.
#[derive(Debug)]
struct NamedMount<'a> {
    name: &'a str,
    id: u64,
    /// Keeps the id from being given to another mount.
    _file: OwnedFd,
}

impl<'a> NamedMount<'a> {
    /// Opens the topmost mount at `name`. A container that shares a volume can remove the directory of
    /// a mount that is on it, which detaches the mount. The destination is then missing, or in another
    /// mount.
    fn open(root: &OwnedFd, name: &'a str) -> Result<Self> {
        let open = || -> runtime_sys::Result<_> {
            let file = Root::new(root).open(&c_str(name)?, libc::O_PATH)?;
            Ok((fd::mount_of_root(&file)?, file))
        };
        match open() {
            Ok((Some(id), file)) => Ok(NamedMount { name, id, _file: file }),
            Ok((None, _)) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Err(gone(name)),
            Err(errno) => Err(Error::os(errno, format!("mount {name:?} in the container"))),
        }
    }
}

fn gone(name: &str) -> Error {
    refused(name, "is gone from the container")
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("cannot checkpoint: the mount at {name:?} {why}"))
}

/// The mounts of a container, from /proc/PID/mountinfo (proc_pid_mountinfo(5)).
struct Mounts(Vec<u8>);

/// A line of mountinfo.
struct MountLine<'a> {
    id: u64,
    point: &'a [u8],
    options: &'a [u8],
}

impl MountLine<'_> {
    fn has(&self, option: &[u8]) -> bool {
        self.options.split(|byte| *byte == b',').any(|given| given == option)
    }
}

impl Mounts {
    fn of(pid: i32) -> Result<Self> {
        const TABLE_MAX: usize = 64 << 20;
        let file = PidFile::new(pid, "mountinfo");
        let text = file.absolute().and_then(|path| fd::read_file(fd::CWD, &path, TABLE_MAX));
        Ok(Mounts(text.context(|| format!("read {file}"))?))
    }

    fn lines(&self) -> impl Iterator<Item = MountLine<'_>> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            Some(MountLine { id, point: fields.nth(3)?, options: fields.next()? })
        })
    }

    /// Returns the mount point of each named mount, as CRIU will see it, and its name. CRIU gives a
    /// mount the name of its mount point, so neither may be ambiguous: the restore would mount the
    /// directory of another name there. So it may not be one of the container's `own`, to which a link
    /// can lead. A mount that is among `read_only` must still be so, because CRIU keeps the options
    /// that it finds.
    fn points<'a>(
        &self,
        named: &[NamedMount<'a>],
        own: &[NamedMount<'_>],
        read_only: &[String],
    ) -> Result<Vec<(String, &'a str)>> {
        let mut points: Vec<(String, &str)> = Vec::with_capacity(named.len());
        for NamedMount { name, id, .. } in named {
            if points.iter().any(|(_, other)| other == name) {
                continue;
            }
            let mount = self.lines().find(|line| line.id == *id).ok_or_else(|| gone(name))?;
            let point = String::from_utf8(unescape(mount.point))
                .ok()
                .ok_or_else(|| refused(name, "has a mount point that is not UTF-8"))?;
            if point == "/" {
                return Err(gone(name));
            }
            if self.lines().filter(|line| line.point == mount.point).nth(1).is_some() {
                return Err(refused(name, "is on or below another mount at the same place"));
            }
            if let Some((_, other)) = points.iter().find(|(taken, _)| *taken == point) {
                return Err(refused(name, &format!("is the same as that at {other:?}")));
            }
            if let Some(other) = own.iter().find(|other| other.id == *id) {
                return Err(refused(name, &format!("is now that at {:?}", other.name)));
            }
            if read_only.iter().any(|path| path == name) && !mount.has(b"ro") {
                return Err(refused(name, "is no longer read-only"));
            }
            points.push((point, name));
        }
        Ok(points)
    }

    fn id_mapped(&self) -> Option<String> {
        let mapped = self.lines().find(|line| line.has(b"idmapped"))?;
        Some(String::from_utf8_lossy(&unescape(mapped.point)).into_owned())
    }
}

/// Replaces the escapes of mountinfo, such as `\040` for a space.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let octal =
            behind.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal.filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

/// Writes the file that tells the restore about the streams.
fn write_descriptors(images: BorrowedFd<'_>, streams: &[String]) -> Result<()> {
    let write = || -> runtime_sys::Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NONBLOCK;
        let file = fd::open(images, DESCRIPTORS, flags, 0o600)?;
        if fstat(&file)?.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(Errno::EINVAL);
        }
        // Fails only for maps with keys that are no strings.
        let json = serde_json::to_string(streams).unwrap_or_default();
        fd::write_all(file, json.as_bytes())
    };
    write().context(|| "write descriptors.json")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_mountinfo() {
        assert_eq!(unescape(br"/a\040b\134c"), br"/a b\c");
        assert_eq!(unescape(br"/a\04"), br"/a\04");
        assert_eq!(unescape(b"/\xff"), b"/\xff");
    }

    /// Finds the mount points of these names in the own mount namespace, or in `mounts`.
    fn points<'a>(names: &[&'a str], mounts: Option<Mounts>) -> Result<Vec<(String, &'a str)>> {
        points_beside(names, &[], mounts)
    }

    fn points_beside<'a>(
        names: &[&'a str],
        own: &[NamedMount<'_>],
        mounts: Option<Mounts>,
    ) -> Result<Vec<(String, &'a str)>> {
        let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let named: Vec<_> = names.iter().map(|name| NamedMount::open(&root, name)).collect::<Result<_>>()?;
        let mounts = mounts.unwrap_or_else(|| Mounts::of(std::process::id() as i32).unwrap());
        mounts.points(&named, own, &["/proc".to_owned()])
    }

    /// The table that has /proc with these mount point and options.
    fn table(point: &str, options: &str) -> Mounts {
        let id = fd::mount_id(fd::open(fd::CWD, c"/proc", libc::O_PATH, 0).unwrap()).unwrap();
        Mounts(format!("{id} 2 0:3 / {point} {options} - proc x rw\n").into_bytes())
    }

    #[test]
    fn a_mount_is_found_by_its_id() {
        let found = points(&["/proc", "/proc"], Some(table("/a\\040b", "ro,nodev"))).unwrap();
        assert_eq!(found, [("/a b".to_owned(), "/proc")]);
        assert_eq!(points(&["/proc/"], None).unwrap(), [("/proc".to_owned(), "/proc/")]);
        let mapped = Mounts(b"1 2 0:3 / /a\\040b rw,relatime,idmapped - tmpfs x rw\n".to_vec());
        assert_eq!(mapped.id_mapped().as_deref(), Some("/a b"));
    }

    /// Otherwise the restore would mount the directory of one name at the place of another.
    #[test]
    fn a_mount_that_is_not_what_it_was() {
        let report = |names: &[&str], mounts| {
            let error = points(names, mounts).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            error.report().strip_prefix("cannot checkpoint: the mount at ").unwrap().to_owned()
        };
        for name in ["/proc/1", "/no/such/mount", "/proc/version/x", "/"] {
            assert_eq!(report(&[name], None), format!("{name:?} is gone from the container"));
        }
        assert_eq!(report(&["/proc"], Some(Mounts(Vec::new()))), "\"/proc\" is gone from the container");
        assert_eq!(report(&["/proc/", "/proc/."], None), "\"/proc/.\" is the same as that at \"/proc/\"");
        let mut twice = table("/proc", "ro");
        twice.0.extend_from_slice(b"1 2 0:3 / /proc ro - tmpfs x rw\n");
        assert_eq!(
            report(&["/proc"], Some(twice)),
            "\"/proc\" is on or below another mount at the same place"
        );
        assert_eq!(report(&["/proc"], Some(table("/proc", "rw,nodev"))), "\"/proc\" is no longer read-only");
        // A link at a destination can lead to a mount of the container's own.
        let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let own = [NamedMount::open(&root, "/proc").unwrap()];
        let error = points_beside(&["/proc/"], &own, Some(table("/proc", "rw"))).unwrap_err();
        assert_eq!(error.report(), "cannot checkpoint: the mount at \"/proc/\" is now that at \"/proc\"");
        let mut bytes = table("/proc?", "ro");
        bytes.0.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
        assert_eq!(report(&["/proc"], Some(bytes)), "\"/proc\" has a mount point that is not UTF-8");
    }

    #[test]
    fn a_cgroup_whose_processes_are_not_all_frozen_is_thawed() {
        let cgroup = tempfile::tempdir().unwrap();
        std::fs::write(cgroup.path().join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        std::fs::write(cgroup.path().join("cgroup.freeze"), "1").unwrap();
        thaw(cgroup.path().to_str().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(cgroup.path().join("cgroup.freeze")).unwrap(), "0");
        thaw("").unwrap();
        thaw("/no/such/cgroup").unwrap();
    }
}
