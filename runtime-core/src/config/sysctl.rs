// SPDX-License-Identifier: Apache-2.0
//! `linux.sysctl`: the kernel parameters of the container's own namespaces. All others are
//! refused.

use super::field::{c_string, invalid};
use super::namespaces::{NamespaceKind, Namespaces};
use crate::error::Result;
use std::collections::BTreeMap;
use std::ffi::CString;

/// A kernel parameter to set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// The name in config.json.
    pub(crate) name: String,
    /// The path of the parameter's file, relative to /proc.
    pub(crate) path: CString,
    /// The value as a line, as sysctl(8) writes it. Without the newline, an empty value would be
    /// a write of 0 bytes, which changes nothing and cannot fail.
    pub(crate) line: CString,
    /// The type of namespace that the parameter belongs to.
    pub(crate) namespace: NamespaceKind,
}

/// The parameters of an IPC namespace that share no prefix (ipc_namespaces(7)).
const IPC: &[&str] = &[
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
];

/// Checks `linux.sysctl` against the container's namespaces, and against the field `domainname`.
pub(crate) fn sysctls(
    spec: &BTreeMap<String, String>,
    namespaces: &Namespaces,
    domainname: &str,
) -> Result<Vec<Sysctl>> {
    spec.iter()
        .map(|(name, value)| {
            let at = format!("linux.sysctl.{name}");
            let path = path(name);
            // A path that is not lexically clean could name another parameter.
            if crate::path::clean(&path) != path || path.is_empty() {
                return Err(invalid(at, "not the name of a kernel parameter"));
            }
            let namespace = namespace(&at, &path)?;
            if path == "kernel/domainname" && !domainname.is_empty() && value != domainname {
                let why = format!("{value:?} conflicts with the field domainname, which sets {domainname:?}");
                return Err(invalid(at, why));
            }
            if !namespaces.is_own(namespace) {
                let kind = namespace.name();
                let note = namespaces.note(namespace);
                let why =
                    format!("not allowed without a private {kind} namespace{note}: it would change the host");
                return Err(invalid(at, why));
            }
            Ok(Sysctl {
                name: name.clone(),
                path: c_string(&at, &format!("sys/{path}"))?,
                line: c_string(&at, &format!("{value}\n"))?,
                namespace,
            })
        })
        .collect()
}

/// Returns the path of a parameter's file, relative to /proc/sys. The first dot or slash in
/// the name is the separator. If it is a slash, the name is the path. If it is a dot, dots
/// and slashes are swapped: a slash stands for a dot in an interface's name (sysctl.d(5)).
fn path(name: &str) -> String {
    match name.find(['.', '/']).and_then(|i| name.as_bytes().get(i)) {
        Some(b'.') => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn namespace(at: &str, path: &str) -> Result<NamespaceKind> {
    if IPC.contains(&path) || path.starts_with("fs/mqueue/") {
        return Ok(NamespaceKind::Ipc);
    }
    if path.starts_with("net/") {
        return Ok(NamespaceKind::Network);
    }
    if path == "kernel/domainname" {
        return Ok(NamespaceKind::Uts);
    }
    if path == "kernel/hostname" {
        return Err(invalid(at, "conflicts with the field hostname, which sets it"));
    }
    if path.starts_with("user/") {
        return Ok(NamespaceKind::User);
    }
    Err(invalid(at, "is not in a separate kernel namespace: it would change the host"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn parse(name: &str, own: &[&str]) -> Result<Vec<Sysctl>> {
        let namespaces =
            own.iter().map(|k| spec::Namespace { kind: (*k).into(), path: String::new() }).collect();
        let namespaces = Namespaces::new(&spec::Linux { namespaces, ..Default::default() }, &[]).unwrap();
        sysctls(&BTreeMap::from([(name.to_owned(), "1".to_owned())]), &namespaces, "")
    }

    #[test]
    fn names_become_paths() {
        let path = |name| parse(name, &["network"]).unwrap()[0].path.clone();
        assert_eq!(path("net.ipv4.ip_forward").as_c_str(), c"sys/net/ipv4/ip_forward");
        assert_eq!(
            path("net/ipv4/conf/eth0.100/rp_filter").as_c_str(),
            c"sys/net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(
            path("net.ipv4.conf.eth0/100.rp_filter").as_c_str(),
            c"sys/net/ipv4/conf/eth0.100/rp_filter"
        );
    }

    #[test]
    fn a_second_domainname_is_a_conflict() {
        let namespaces = vec![spec::Namespace { kind: "uts".into(), path: String::new() }];
        let namespaces = Namespaces::new(&spec::Linux { namespaces, ..Default::default() }, &[]).unwrap();
        let set = BTreeMap::from([("kernel.domainname".to_owned(), "two".to_owned())]);
        assert!(sysctls(&set, &namespaces, "").is_ok());
        assert!(sysctls(&set, &namespaces, "two").is_ok());
        let error = sysctls(&set, &namespaces, "one").unwrap_err().report();
        assert!(error.starts_with("linux.sysctl.kernel.domainname: \"two\" conflicts"), "{error}");
    }

    #[test]
    fn only_parameters_of_the_containers_namespaces() {
        let all = ["ipc", "network", "uts", "mount", "pid"];
        assert!(parse("kernel.shmmax", &["ipc"]).is_ok());
        assert!(parse("fs.mqueue.msg_max", &["ipc"]).is_ok());
        assert!(parse("kernel.domainname", &["uts"]).is_ok());
        for (name, own) in [
            ("kernel.shmmax", &[][..]),
            ("net.ipv4.ip_forward", &["ipc"]),
            ("kernel.hostname", &all),
            ("kernel.panic", &all),
            ("kernel.core_pattern", &all),
            ("vm.swappiness", &all),
            ("fs.file-max", &all),
            ("user.max_user_namespaces", &all),
            ("net/../kernel/core_pattern", &all),
            ("net..kernel", &all),
            ("net.", &all),
            ("/net/ipv4/ip_forward", &all),
            ("", &all),
            ("net.a\0b", &all),
        ] {
            let error = parse(name, own).unwrap_err().report();
            assert!(error.starts_with(&format!("linux.sysctl.{name}: ")), "{error}");
        }
    }
}
