// SPDX-License-Identifier: Apache-2.0
//! `linux.devices` and `linux.resources.devices`: the device nodes to make, and the rules of
//! the device filter, which apply to every node.

use super::field::{c_string, id, invalid};
use crate::error::{Result, Warning};
use crate::path::clean;
use crate::spec;
use std::ffi::{CStr, CString};

/// The type of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Char,
    Block,
    Fifo,
}

impl NodeKind {
    /// Returns the S_IF* value for mknod(2).
    pub(crate) fn mode(self) -> u32 {
        match self {
            NodeKind::Char => libc::S_IFCHR,
            NodeKind::Block => libc::S_IFBLK,
            NodeKind::Fifo => libc::S_IFIFO,
        }
    }
}

/// A device node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// True for a default node, which config.json does not list.
    pub(crate) is_default: bool,
    /// The path, relative to the container's root and lexically clean.
    pub(crate) path: CString,
    pub(crate) kind: NodeKind,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// The permission bits. `None` keeps those of an existing node; a new node gets 0666.
    pub(crate) mode: Option<u32>,
    /// The owner. `None` keeps that of an existing node; a new node belongs to root.
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// The nodes that every container gets (config-linux.md, "Default Devices").
const DEFAULT_NODES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/random", 1, 8),
    (c"dev/full", 1, 7),
    (c"dev/tty", 5, 0),
    (c"dev/zero", 1, 5),
    (c"dev/urandom", 1, 9),
];

/// Returns the default nodes, followed by those of `linux.devices`. A node of `linux.devices`
/// replaces a default node that has the same path.
pub(crate) fn nodes(spec: &[spec::Device]) -> Result<Vec<Node>> {
    let own: Vec<Node> = spec.iter().enumerate().map(|(i, device)| node(i, device)).collect::<Result<_>>()?;
    let default = DEFAULT_NODES.into_iter().map(|(path, major, minor)| Node {
        is_default: true,
        path: path.to_owned(),
        kind: NodeKind::Char,
        major,
        minor,
        mode: None,
        uid: None,
        gid: None,
    });
    let mut all: Vec<Node> = default.filter(|node| own.iter().all(|o| o.path != node.path)).collect();
    all.extend(own);
    Ok(all)
}

fn node(i: usize, spec: &spec::Device) -> Result<Node> {
    let at = format_args!("linux.devices[{i}]");
    let path = clean(&spec.path);
    if !spec.path.starts_with('/') || path.is_empty() {
        return Err(invalid(
            format_args!("{at}.path"),
            format_args!("{:?} is not an absolute path", spec.path),
        ));
    }
    let kind = match spec.kind.as_str() {
        "c" | "u" => NodeKind::Char,
        "b" => NodeKind::Block,
        "p" => NodeKind::Fifo,
        other => {
            return Err(invalid(format_args!("{at}.type"), format_args!("{other:?} (known: b, c, p, u)")));
        }
    };
    // The numbers of a fifo are ignored (docs/decisions/traps.md, T10).
    let number = |field: &str, value: Option<i64>, max: u32| {
        if kind == NodeKind::Fifo {
            return Ok(0);
        }
        let at = format_args!("{at}.{field}").to_string();
        let Some(value) = value else { return Err(invalid(at, "must be given")) };
        match u32::try_from(value) {
            Ok(value) if value <= max => Ok(value),
            _ => Err(invalid(at, format_args!("expected 0 to {max}, got {value}"))),
        }
    };
    // Go's os.FileMode and C's mode_t agree in the permission bits. The file type is that of
    // the field `type`.
    let mode = spec.file_mode.map(|mode| mode & !libc::S_IFMT);
    if let Some(mode) = mode.filter(|mode| *mode > 0o7777) {
        return Err(invalid(
            format_args!("{at}.fileMode"),
            format_args!("{mode} has bits other than permissions"),
        ));
    }
    Ok(Node {
        is_default: false,
        path: c_string(format_args!("{at}.path"), &path)?,
        kind,
        // The kernel's MKDEV has 12 bits for the major and 20 bits for the minor number.
        major: number("major", spec.major, 0xfff)?,
        minor: number("minor", spec.minor, 0xf_ffff)?,
        mode,
        uid: spec.uid.map(|uid| id(format_args!("{at}.uid"), uid)).transpose()?,
        gid: spec.gid.map(|gid| id(format_args!("{at}.gid"), gid)).transpose()?,
    })
}

/// The device type that a rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleKind {
    Any,
    Char,
    Block,
}

/// One rule of the device filter. The last rule that matches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    pub(crate) kind: RuleKind,
    /// The major number; `None` means any.
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    /// The covered accesses: bits of [`Rule::READ`], [`Rule::WRITE`] and [`Rule::MKNOD`].
    pub(crate) access: u8,
}

impl Rule {
    // The values of BPF_DEVCG_ACC_*.
    pub(crate) const MKNOD: u8 = 1;
    pub(crate) const READ: u8 = 2;
    pub(crate) const WRITE: u8 = 4;
    pub(crate) const ALL: u8 = 7;
}

/// The default rules, which are those of runc. They follow the rules of config.json, so that
/// no configuration can deny the default devices.
const DEFAULT_RULES: [Rule; 11] = {
    const fn allow(kind: RuleKind, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
        Rule { allow: true, kind, major, minor, access }
    }
    const fn char(major: u32, minor: u32) -> Rule {
        allow(RuleKind::Char, Some(major), Some(minor), Rule::ALL)
    }
    [
        allow(RuleKind::Char, None, None, Rule::MKNOD),
        allow(RuleKind::Block, None, None, Rule::MKNOD),
        char(1, 3),
        char(1, 8),
        char(1, 7),
        char(5, 0),
        char(1, 5),
        char(1, 9),
        // The container's own pseudoterminals.
        allow(RuleKind::Char, Some(136), None, Rule::ALL),
        char(5, 2),
        // The device /dev/net/tun.
        char(10, 200),
    ]
};

/// Returns the rules of config.json, followed by the default rules.
pub(crate) fn rules(spec: &[spec::DeviceCgroup], warnings: &mut Vec<Warning>) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> =
        spec.iter().enumerate().map(|(i, entry)| rule(i, entry, warnings)).collect::<Result<_>>()?;
    rules.extend(DEFAULT_RULES);
    Ok(rules)
}

fn rule(i: usize, spec: &spec::DeviceCgroup, warnings: &mut Vec<Warning>) -> Result<Rule> {
    let at = format_args!("linux.resources.devices[{i}]");
    let kind = match spec.kind.as_str() {
        "" | "a" => RuleKind::Any,
        "b" => RuleKind::Block,
        "c" => RuleKind::Char,
        other => return Err(invalid(format_args!("{at}.type"), format_args!("{other:?} (known: a, b, c)"))),
    };
    let number = |field: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value).map(Some).map_err(|_out_of_range| {
            invalid(format_args!("{at}.{field}"), format_args!("expected -1 or more, got {value}"))
        }),
    };
    let mut access = 0;
    let mut unknown = String::new();
    for c in spec.access.chars() {
        match c {
            'r' => access |= Rule::READ,
            'w' => access |= Rule::WRITE,
            'm' => access |= Rule::MKNOD,
            other => unknown.push(other),
        }
    }
    // Beside a known letter, runc ignores an unknown one, and callers write such letters:
    // "rwa". Without a known letter, the rule would cover every access, although config.json
    // does not ask for that.
    match (unknown.is_empty(), access) {
        (true, _) => {}
        (false, 0) => {
            return Err(invalid(format_args!("{at}.access"), format_args!("{unknown:?} (known: r, w, m)")));
        }
        (false, _) => warnings
            .push(Warning(format!("{at}.access: {unknown:?} of {:?} ignored (known: r, w, m)", spec.access))),
    }
    Ok(Rule {
        allow: spec.allow,
        kind,
        major: number("major", spec.major)?,
        minor: number("minor", spec.minor)?,
        access: if access == 0 { Rule::ALL } else { access },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(path: &str, kind: &str, major: i64, minor: i64) -> spec::Device {
        let (major, minor) = (Some(major), Some(minor));
        spec::Device { path: path.into(), kind: kind.into(), major, minor, ..Default::default() }
    }

    #[test]
    fn own_nodes_replace_default_ones_of_the_same_path() {
        assert_eq!(nodes(&[]).unwrap().len(), 6);
        let all = nodes(&[device("/dev/./null", "c", 9, 9), device("/dev/fuse", "u", 10, 229)]).unwrap();
        assert_eq!(all.len(), 7);
        assert_eq!(all[5], Node { path: c"dev/null".into(), major: 9, minor: 9, ..all[5].clone() });
        assert_eq!(all[6].kind, NodeKind::Char);
    }

    #[test]
    fn refusals_of_devices_name_the_field() {
        let report = |d: spec::Device| nodes(&[d]).unwrap_err().report();
        assert!(report(device("dev/x", "c", 1, 1)).starts_with("linux.devices[0].path"));
        assert!(report(device("/dev/x", "x", 1, 1)).starts_with("linux.devices[0].type"));
        assert!(report(device("/dev/x", "c", -1, 1)).starts_with("linux.devices[0].major"));
        assert!(report(device("/dev/x", "c", 1, 1 << 20)).starts_with("linux.devices[0].minor"));
        let mode = |mode| spec::Device { file_mode: Some(mode), ..device("/dev/x", "c", 1, 1) };
        assert_eq!(nodes(&[mode(libc::S_IFCHR | 0o7777)]).unwrap()[6].mode, Some(0o7777));
        assert!(report(mode(0o10_0000 << 1)).starts_with("linux.devices[0].fileMode"));
        assert_eq!(nodes(&[device("/dev/x", "p", -8, 666)]).unwrap()[6].major, 0);
        let rule = |kind: &str, major, access: &str| {
            let rule =
                spec::DeviceCgroup { kind: kind.into(), major, access: access.into(), ..Default::default() };
            rules(&[rule], &mut Vec::new())
        };
        assert_eq!(
            rule("", Some(-1), "").unwrap()[0],
            Rule { allow: false, kind: RuleKind::Any, major: None, minor: None, access: 7 }
        );
        assert!(rule("p", None, "").unwrap_err().report().starts_with("linux.resources.devices[0].type"));
        assert!(
            rule("c", Some(-2), "").unwrap_err().report().starts_with("linux.resources.devices[0].major")
        );
        assert_eq!(rule("c", None, "rwa").unwrap()[0].access, Rule::READ | Rule::WRITE);
        assert!(rule("c", None, "x").unwrap_err().report().starts_with("linux.resources.devices[0].access"));
    }
}
