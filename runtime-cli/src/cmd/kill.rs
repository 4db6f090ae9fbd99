// SPDX-License-Identifier: Apache-2.0
//! `kill`.

use super::{Context, Failure};
use nix::sys::signal::Signal;
use runtime_core::ErrorKind;

pub(super) fn kill(context: &Context<'_>) -> Result<u8, Failure> {
    let container = context.container()?;
    let name = context.arguments.get(1).map(|name| name.to_string_lossy()).unwrap_or("SIGTERM".into());
    // An unknown container is the error to report, even with an unknown signal.
    let Some(signal) = parse_signal(&name) else {
        container.state()?;
        return Err(Failure::new(format!("unknown signal {name:?}")));
    };
    match container.kill(signal) {
        // Obsolete, but engines still say it: then a stopped container is fine.
        Err(error) if error.kind() == ErrorKind::NotRunning && context.flags.is_set("all") => Ok(0),
        other => Ok(other.map(|()| 0)?),
    }
}

/// A number, or a name with or without SIG in any case.
fn parse_signal(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        // 64: SIGRTMAX.
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for (name, number) in [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGUSR1", 10), ("0", 0), ("64", 64)]
        {
            assert_eq!(parse_signal(name), Some(number), "{name}");
        }
        for name in ["BADSIG", "", "65", "-1", "SIG", "1x"] {
            assert_eq!(parse_signal(name), None, "{name}");
        }
    }
}
