// SPDX-License-Identifier: Apache-2.0
//! `kill`.

use super::context::CommandContext;
use crate::args::flags::ALL;
use crate::failure::Failure;
use nix::sys::signal::Signal;
use runtime_core::ErrorKind;

pub(super) fn kill(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let container = context.container()?;
    // An empty name is no name, as in runc: `kill ID "$SIGNAL"` without such a variable.
    let name = context.arguments.get(1).filter(|name| !name.is_empty());
    let name = name.map(|name| name.to_string_lossy()).unwrap_or("SIGTERM".into());
    // An unknown container is the error to report, even with an unknown signal.
    let Some(signal) = parse_signal(&name) else {
        container.state()?;
        return Err(Failure::new(format!("unknown signal {name:?}")));
    };
    match container.kill(signal) {
        // --all is obsolete, but engines still pass it. With --all, a stopped container is no
        // error.
        Err(error) if error.kind() == ErrorKind::NotRunning && context.flags.is_set(ALL) => Ok(0),
        other => Ok(other.map(|()| 0)?),
    }
}

/// The numbers of the real-time signals in glibc and kill(1). The kernel's are 32 to 64, but each
/// C library reserves the first few.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Synonyms of signal(7).
const ALIASES: &[(&str, Signal)] =
    &[("CLD", Signal::SIGCHLD), ("IOT", Signal::SIGABRT), ("POLL", Signal::SIGIO)];

/// Parses a number, or a name with or without SIG in any case: `TERM`, `SIGRTMIN+3`.
fn parse_signal(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (0..=RTMAX).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = short.strip_prefix("RTMIN") {
        return real_time(RTMIN, offset, '+');
    }
    if let Some(offset) = short.strip_prefix("RTMAX") {
        return real_time(RTMAX, offset, '-');
    }
    let alias = ALIASES.iter().find(|(name, _)| *name == short).map(|(_, signal)| *signal);
    alias.or_else(|| format!("SIG{short}").parse().ok()).map(|signal| signal as i32)
}

/// Parses the text behind RTMIN or RTMAX: nothing, or a sign and a number.
fn real_time(base: i32, offset: &str, sign: char) -> Option<i32> {
    let digits = match offset {
        "" => return Some(base),
        offset => offset.strip_prefix(sign).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()))?,
    };
    let offset: i32 = digits.parse().ok()?;
    let signal = if sign == '+' { base.checked_add(offset)? } else { base.checked_sub(offset)? };
    (RTMIN..=RTMAX).contains(&signal).then_some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_names_and_aliases() {
        let plain = [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGUSR1", 10), ("0", 0), ("64", 64)];
        let aliases = [("SIGIOT", 6), ("poll", 29), ("CLD", 17)];
        let real_time = [
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("SIGRTMAX-30", 34),
            ("RTMAX-0", 64),
        ];
        for (name, number) in plain.into_iter().chain(aliases).chain(real_time) {
            assert_eq!(parse_signal(name), Some(number), "{name}");
        }
        for name in [
            "BADSIG",
            "",
            "65",
            "-1",
            "SIG",
            "1x",
            "SIGSIGTERM",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
            "RTMIN++3",
            "RTMIN+ 3",
            "RTMIN3",
            "RTMIN+99999999999",
        ] {
            assert_eq!(parse_signal(name), None, "{name}");
        }
    }
}
