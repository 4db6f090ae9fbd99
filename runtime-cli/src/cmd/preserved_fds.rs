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
    let Some(listening) = listen_fds()? else { return Ok((fds, None)) };
    let all = fds.checked_add(listening).ok_or_else(|| {
        Failure::new(format!("--preserve-fds: {preserved} and LISTEN_FDS={listening} are more than 65535"))
    })?;
    Ok((all, Some(listening)))
}

fn listen_fds() -> Result<Option<u16>, Failure> {
    let for_this_program = std::env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()));
    let Some(text) = std::env::var_os("LISTEN_FDS").filter(|_| for_this_program) else { return Ok(None) };
    match text.to_str().and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number).filter(|number| *number > 0)),
        None => Err(Failure::new(format!("LISTEN_FDS: expected 0 to 65535, got {text:?}"))),
    }
}
