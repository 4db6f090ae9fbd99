// SPDX-License-Identifier: Apache-2.0
//! The descriptors that `create`, `run` and `exec` pass on to the process.

use crate::args::Values;
use crate::args::flags::PRESERVE_FDS;
use crate::failure::Failure;

/// Fails if a descriptor that must be passed on is not open.
pub(super) fn check(flags: &Values) -> Result<(), Failure> {
    let (fds, _) = count(flags)?;
    Ok(runtime_core::check_preserved_fds(fds)?)
}

/// Returns the number of descriptors, from 3 on, that the process gets. Also returns how many of
/// them a service manager has passed to this program (sd_listen_fds(3)).
pub(super) fn count(flags: &Values) -> Result<(u16, Option<u16>), Failure> {
    let preserved = flags.integer(PRESERVE_FDS).unwrap_or(0);
    let fds = u16::try_from(preserved).map_err(|_out_of_range| {
        Failure::new(format!("--preserve-fds: expected 0 to 65535, got {preserved}"))
    })?;
    let listening = listen_fds();
    Ok((fds.saturating_add(listening.unwrap_or(0)), listening))
}

fn listen_fds() -> Option<u16> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID")? != std::process::id() {
        return None;
    }
    number("LISTEN_FDS").and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}
