// SPDX-License-Identifier: Apache-2.0
//! `checkpoint`, and the flags that `restore` has, too.

use super::context::CommandContext;
use crate::args::Values;
use crate::args::flags::{
    EMPTY_NS, IMAGE_PATH, LAZY_PAGES, LEAVE_RUNNING, LINK_REMAP, MANAGE_CGROUPS_MODE, PAGE_SERVER,
    PARENT_PATH, PRE_DUMP, STATUS_FD, TCP_SKIP_IN_FLIGHT,
};
use crate::failure::{Failure, io_text};
use nix::unistd::geteuid;
use runtime_core::{DeleteOptions, ManageCgroups, is_initial_user_namespace};
use runtime_sys::fd;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) fn checkpoint(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let flags = context.flags;
    check_user()?;
    let container = context.container()?;
    // An unknown container is the error to report, even with a wrong value.
    container.state()?;
    let mut builder = container.checkpoint(images(flags)).manage_cgroups(manage_cgroups(flags)?);
    image_flags!(builder, flags);
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

/// Returns the directory of the images.
pub(super) fn images(flags: &Values) -> &Path {
    flags.path(IMAGE_PATH).unwrap_or(Path::new("checkpoint"))
}

/// Gives the flags that `checkpoint` and `restore` have in common to a builder of either operation.
macro_rules! image_flags {
    ($builder:ident, $flags:ident) => {
        if let Some(work) = $flags.path(crate::args::flags::WORK_PATH) {
            $builder = $builder.work_dir(work);
        }
        $builder = $builder
            .tcp_established($flags.is_set(crate::args::flags::TCP_ESTABLISHED))
            .external_unix_sockets($flags.is_set(crate::args::flags::EXT_UNIX_SK))
            .shell_job($flags.is_set(crate::args::flags::SHELL_JOB))
            .file_locks($flags.is_set(crate::args::flags::FILE_LOCKS))
            .auto_dedup($flags.is_set(crate::args::flags::AUTO_DEDUP));
    };
}
pub(super) use image_flags;

/// Returns the value of `--manage-cgroups-mode`, and checks that of `--empty-ns`.
pub(super) fn manage_cgroups(flags: &Values) -> Result<ManageCgroups, Failure> {
    // The content of network namespaces is left out in any case.
    if let Some(other) = flags.texts(EMPTY_NS).find(|name| *name != "network") {
        return Err(Failure::new(format!("namespace {other:?} is not supported")));
    }
    let mode = flags.get(MANAGE_CGROUPS_MODE).unwrap_or_default();
    match mode.as_encoded_bytes() {
        b"" => Ok(ManageCgroups::Default),
        b"soft" => Ok(ManageCgroups::Soft),
        b"full" => Ok(ManageCgroups::Full),
        b"strict" => Ok(ManageCgroups::Strict),
        b"ignore" => Ok(ManageCgroups::Ignore),
        _ => Err(Failure::new("invalid manage-cgroups-mode value")),
    }
}

fn page_server(flags: &Values) -> Result<Option<(String, u16)>, Failure> {
    let Some(value) = flags.get(PAGE_SERVER).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    let (address, port) = value.rsplit_once(':').unwrap_or_default();
    // An address of IPv6 is in brackets.
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(address);
    if address.is_empty()
        || port.is_empty()
        || address.contains(['[', ']'])
        || bare.is_none() && address.contains(':')
    {
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
    let taken = i32::try_from(number).map_err(|_out_of_range| invalid("bad file descriptor"))?;
    // The standard streams have owners.
    let take = if taken > 2 { fd::take_number } else { fd::duplicate_number };
    let taken = take(taken).map_err(|errno| invalid(&io_text(&errno.into())))?;
    if fd::access_mode(&taken).is_ok_and(|mode| mode == nix::libc::O_RDONLY) {
        return Err(invalid("not writable"));
    }
    Ok(Some(taken))
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
