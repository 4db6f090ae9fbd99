// SPDX-License-Identifier: Apache-2.0
//! `linux.netDevices`: the network interfaces of the host that move into the container.

use super::field::{c_string, invalid};
use super::namespaces::{NamespaceKind, Namespaces};
use crate::error::Result;
use crate::spec;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

/// A network interface to move into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetDevice {
    /// The name on the host.
    pub(crate) host: CString,
    /// The name in the container, or a template that ends in `%d`.
    pub(crate) name: CString,
}

impl NetDevice {
    /// Returns true if the kernel chooses the number in the name.
    pub(crate) fn is_template(&self) -> bool {
        is_template(&self.name.to_string_lossy())
    }
}

fn is_template(name: &str) -> bool {
    name.ends_with("%d")
}

pub(crate) fn net_devices(
    spec: &BTreeMap<String, spec::NetDevice>,
    namespaces: &Namespaces,
) -> Result<Vec<NetDevice>> {
    let mut all: Vec<NetDevice> = Vec::with_capacity(spec.len());
    let mut names = BTreeSet::new();
    for (host, device) in spec {
        let at = format!("linux.netDevices.{host}");
        if !namespaces.is_own(NamespaceKind::Network) {
            let note = namespaces.note(NamespaceKind::Network);
            return Err(invalid(at, format_args!("needs a private network namespace to be moved to{note}")));
        }
        check(&at, host)?;
        let name = if device.name.is_empty() { host } else { &device.name };
        let at_name = format!("{at}.name");
        check(&at_name, name.strip_suffix("%d").filter(|stem| !stem.is_empty()).unwrap_or(name))?;
        let device = NetDevice { host: c_string(&at, host)?, name: c_string(&at_name, name)? };
        if !device.is_template() && !names.insert(device.name.clone()) {
            return Err(invalid(at_name, format_args!("another interface has the same name {name:?}")));
        }
        all.push(device);
    }
    Ok(all)
}

/// Checks a name by the rules of the kernel (dev_valid_name).
fn check(at: &str, name: &str) -> Result<()> {
    /// The maximum length of a name: IFNAMSIZ without the NUL.
    const LENGTH: usize = 15;
    let bad = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | ':' | '%' | '\0');
    if name.is_empty() || name.len() > LENGTH || name == "." || name == ".." || name.contains(bad) {
        return Err(invalid(at, format_args!("invalid network device name {name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(devices: &[(&str, &str)], own: bool) -> Result<Vec<NetDevice>> {
        let devices = devices
            .iter()
            .map(|(host, name)| ((*host).into(), spec::NetDevice { name: (*name).into() }))
            .collect();
        let namespaces = own.then(|| spec::Namespace { kind: "network".into(), path: String::new() });
        let linux = spec::Linux { namespaces: namespaces.into_iter().collect(), ..Default::default() };
        net_devices(&devices, &Namespaces::new(&linux, &[]).unwrap())
    }

    #[test]
    fn a_missing_name_is_the_host_s_and_a_template_may_repeat() {
        let devices = parse(&[("eth0", ""), ("eth1", "lan%d"), ("eth2", "lan%d")], true).unwrap();
        assert_eq!((devices[0].name.as_c_str(), devices[0].is_template()), (c"eth0", false));
        assert!(devices[1].is_template() && devices[2].is_template());
    }

    #[test]
    fn refusals_of_devices_name_the_field() {
        let report = |devices: &[(&str, &str)], own| parse(devices, own).unwrap_err().report();
        assert!(report(&[("eth0", "")], false).starts_with("linux.netDevices.eth0: needs a private network"));
        for bad in ["a b", "a/b", "a:b", ".", "..", "0123456789abcdef", "%d", "a%db", "a%d%d", "a%s"] {
            let error = report(&[("eth0", bad)], true);
            assert!(error.starts_with("linux.netDevices.eth0.name: invalid network device name"), "{error}");
        }
        assert!(report(&[("a/b", "")], true).starts_with("linux.netDevices.a/b: invalid"));
        assert!(
            report(&[("e0", "x"), ("e1", "x")], true).contains("another interface has the same name \"x\"")
        );
    }
}
