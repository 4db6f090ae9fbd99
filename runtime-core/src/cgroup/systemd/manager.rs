// SPDX-License-Identifier: Apache-2.0
//! The managers of systemd, and the addresses of their buses.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The systemd manager that makes the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Manager {
    /// The system's manager (pid 1), over the system bus.
    System,
    /// A user's manager, over the session bus.
    User,
}

/// Returns the AF_UNIX addresses to try. An abstract one has a leading NUL.
pub(super) fn addresses(manager: Manager) -> Result<Vec<Vec<u8>>> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (name, default) = match manager {
        Manager::System => ("DBUS_SYSTEM_BUS_ADDRESS", Some(PathBuf::from("/run/dbus/system_bus_socket"))),
        Manager::User => (
            "DBUS_SESSION_BUS_ADDRESS",
            variable("XDG_RUNTIME_DIR").map(|directory| Path::new(&directory).join("bus")),
        ),
    };
    if let Some(list) = variable(name) {
        let addresses: Vec<_> = list.as_bytes().split(|b| *b == b';').filter_map(parse_address).collect();
        if addresses.is_empty() {
            let text = format!("{name}={} has no address of the form unix:path=...", list.display());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        return Ok(addresses);
    }
    match default {
        Some(path) => Ok(vec![path.into_os_string().into_encoded_bytes()]),
        None => Err(Error::new(
            ErrorKind::Unsupported,
            "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
        )),
    }
}

/// Parses `unix:path=/run/x,guid=...` (D-Bus Specification, "Server Addresses").
fn parse_address(address: &[u8]) -> Option<Vec<u8>> {
    let pairs = address.strip_prefix(b"unix:")?;
    pairs.split(|b| *b == b',').find_map(|pair| {
        if let Some(path) = pair.strip_prefix(b"path=") {
            return unescape(path).filter(|path| !path.is_empty());
        }
        let name = unescape(pair.strip_prefix(b"abstract=")?)?;
        Some([b"\0", name.as_slice()].concat())
    })
}

/// Decodes `%xx`.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    Some(bytes)
}

pub(super) fn show(address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    text.strip_prefix('\0').map_or_else(|| text.to_string(), |name| format!("@{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets_are_bus_addresses() {
        let parse = |text: &str| parse_address(text.as_bytes()).map(|bytes| show(&bytes));
        assert_eq!(parse("unix:path=/run/user/1000/bus").as_deref(), Some("/run/user/1000/bus"));
        assert_eq!(parse("unix:guid=1,path=/a%20b%2c").as_deref(), Some("/a b,"));
        assert_eq!(parse("unix:abstract=/tmp/x,guid=2").as_deref(), Some("@/tmp/x"));
        for none in
            ["", "tcp:host=x", "unix:", "unix:tmpdir=/x", "unix:path=", "unix:path=%2", "unix:path=%zz"]
        {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
