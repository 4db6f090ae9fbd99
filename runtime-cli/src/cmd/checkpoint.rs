// SPDX-License-Identifier: Apache-2.0
//! `checkpoint`, and the flags that `restore` has, too.

use super::context::CommandContext;
use crate::args::Values;
use crate::args::flags::{
    AUTO_DEDUP, EMPTY_NS, EXT_UNIX_SK, FILE_LOCKS, IMAGE_PATH, LAZY_PAGES, LEAVE_RUNNING, LINK_REMAP,
    MANAGE_CGROUPS_MODE, PAGE_SERVER, PARENT_PATH, PRE_DUMP, SHELL_JOB, STATUS_FD, TCP_ESTABLISHED,
    TCP_SKIP_IN_FLIGHT, WORK_PATH,
};
use crate::failure::{Failure, io_text};
use nix::unistd::geteuid;
use runtime_core::{DeleteOptions, ManageCgroups, is_initial_user_namespace};
use runtime_sys::fd;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(super) fn checkpoint(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let flags = context.flags;
    check_user()?;
    let container = context.container()?;
    // An unknown container is the error to report, even with a wrong value.
    container.state()?;
    let options = ImageFlags::new(flags)?;
    let mut builder = container.checkpoint(&options.images);
    image_flags!(builder, options);
    if let Some(parent) = flags.path(PARENT_PATH) {
        builder = builder.parent(parent);
    }
    if let Some((address, port)) = page_server(flags)? {
        builder = builder.page_server(address, port);
    }
    if flags.is_set(LAZY_PAGES) {
        builder = builder.lazy_pages(status_fd(flags)?);
    }
    let (is_pre_dump, goes_on) = (flags.is_set(PRE_DUMP), flags.is_set(LEAVE_RUNNING));
    let builder = builder
        .leave_running(goes_on)
        .tcp_skip_in_flight(flags.is_set(TCP_SKIP_IN_FLIGHT))
        .link_remap(flags.is_set(LINK_REMAP));
    if is_pre_dump {
        builder.pre_dump()?;
        return Ok(0);
    }
    builder.dump()?;
    if !goes_on {
        // The images are complete, whatever becomes of the rest.
        match container.delete(DeleteOptions::new()) {
            Ok(warnings) => context.warn(&warnings),
            Err(left) => context.log.warning(&left.report()),
        }
    }
    Ok(0)
}

/// Refuses a user without root, before anything else is looked at. runc only warns.
pub(super) fn check_user() -> Result<(), Failure> {
    if !geteuid().is_root() || !is_initial_user_namespace()? {
        return Err(Failure::new(
            "checkpoint and restore need root of the host: the rootless mode of CRIU is not supported",
        ));
    }
    Ok(())
}

/// The values of the flags that `checkpoint` and `restore` have in common.
pub(super) struct ImageFlags {
    pub(super) images: PathBuf,
    pub(super) work: Option<PathBuf>,
    pub(super) manage_cgroups: ManageCgroups,
    pub(super) tcp_established: bool,
    pub(super) external_unix_sockets: bool,
    pub(super) shell_job: bool,
    pub(super) file_locks: bool,
    pub(super) auto_dedup: bool,
}

impl ImageFlags {
    pub(super) fn new(flags: &Values) -> Result<Self, Failure> {
        // The content of network namespaces is left out in any case.
        if let Some(other) = flags.texts(EMPTY_NS).find(|name| *name != "network") {
            return Err(Failure::new(format!("namespace {other:?} is not supported")));
        }
        let mode = flags.get(MANAGE_CGROUPS_MODE).unwrap_or_default();
        let manage_cgroups = match mode.as_encoded_bytes() {
            b"" => ManageCgroups::Default,
            b"soft" => ManageCgroups::Soft,
            b"full" => ManageCgroups::Full,
            b"strict" => ManageCgroups::Strict,
            b"ignore" => ManageCgroups::Ignore,
            _ => return Err(Failure::new("invalid manage-cgroups-mode value")),
        };
        Ok(ImageFlags {
            images: flags.path(IMAGE_PATH).unwrap_or(Path::new("checkpoint")).to_owned(),
            work: flags.path(WORK_PATH).map(Path::to_owned),
            manage_cgroups,
            tcp_established: flags.is_set(TCP_ESTABLISHED),
            external_unix_sockets: flags.is_set(EXT_UNIX_SK),
            shell_job: flags.is_set(SHELL_JOB),
            file_locks: flags.is_set(FILE_LOCKS),
            auto_dedup: flags.is_set(AUTO_DEDUP),
        })
    }
}

/// Gives the values of [`ImageFlags`] to a builder of either operation.
macro_rules! image_flags {
    ($builder:ident, $options:ident) => {
        if let Some(work) = $options.work {
            $builder = $builder.work_dir(work);
        }
        $builder = $builder
            .manage_cgroups($options.manage_cgroups)
            .tcp_established($options.tcp_established)
            .external_unix_sockets($options.external_unix_sockets)
            .shell_job($options.shell_job)
            .file_locks($options.file_locks)
            .auto_dedup($options.auto_dedup);
    };
}
pub(super) use image_flags;

fn page_server(flags: &Values) -> Result<Option<(String, u16)>, Failure> {
    let Some(value) = flags.get(PAGE_SERVER).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    let (address, port) = value.rsplit_once(':').unwrap_or_default();
    // The address of IPv6 is in brackets.
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if address.is_empty() || port.is_empty() {
        return Err(Failure::new("Use --page-server ADDRESS:PORT to specify page server"));
    }
    let port = port.parse().map_err(|_not_a_number| Failure::new("Invalid port number"))?;
    Ok(Some((address.to_owned(), port)))
}

/// Returns the descriptor of --status-fd. That it was open at the start was checked by
/// [`check_status_fd`].
fn status_fd(flags: &Values) -> Result<Option<OwnedFd>, Failure> {
    let Some(number) = status_number(flags) else { return Ok(None) };
    let invalid = |why: &str| Failure::new(format!("invalid --status-fd argument {number}: {why}"));
    let copy = i32::try_from(number).map_err(|_out_of_range| invalid("bad file descriptor"))?;
    let copy = fd::duplicate_number(copy).map_err(|errno| invalid(&io_text(&errno.into())))?;
    if fd::access_mode(&copy).is_ok_and(|mode| mode == nix::libc::O_RDONLY) {
        return Err(invalid("not writable"));
    }
    Ok(Some(copy))
}

fn status_number(flags: &Values) -> Option<i64> {
    flags.integer(STATUS_FD).filter(|number| *number != -1 && flags.is_set(LAZY_PAGES))
}

/// Fails if the descriptor of --status-fd is not open. Called before this program opens others.
pub(super) fn check_status_fd(flags: &Values) -> Result<(), Failure> {
    let Some(number) = status_number(flags) else { return Ok(()) };
    match i32::try_from(number) {
        Ok(number) if fd::is_open(number) => Ok(()),
        _ => Err(Failure::new(format!("invalid --status-fd argument {number}: bad file descriptor"))),
    }
}
