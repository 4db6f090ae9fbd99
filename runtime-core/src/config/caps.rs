// SPDX-License-Identifier: Apache-2.0
//! The check of capability sets: from names to bits, without the capabilities that cannot be
//! granted.

use crate::error::Warning;
use crate::spec;
use crate::values::Capabilities;
use std::collections::BTreeSet;

impl Capabilities {
    /// Reads the sets. A capability that is unknown or not in `available` is left out with a
    /// warning, as config.md ("Linux Process") asks. So is a capability of a set that depends
    /// on another set, if that other set lacks it.
    pub(crate) fn new(spec: &spec::Capabilities, available: u64, warnings: &mut Vec<Warning>) -> Self {
        let mut unknown = BTreeSet::new();
        let mut set = |names: &[String]| {
            names.iter().fold(0, |set, name| match bit(name) {
                Some(bit) if available & bit != 0 => set | bit,
                _ => {
                    unknown.insert(name.clone());
                    set
                }
            })
        };
        let mut all = Capabilities {
            bounding: set(&spec.bounding),
            effective: set(&spec.effective),
            permitted: set(&spec.permitted),
            inheritable: set(&spec.inheritable),
            ambient: set(&spec.ambient),
        };
        if !unknown.is_empty() {
            let names: Vec<_> = unknown.into_iter().collect();
            let advice = match names.iter().all(|name| name.starts_with("CAP_")) {
                true => "",
                false => "; the names of capabilities begin with CAP_",
            };
            let names = names.join(" ");
            warnings
                .push(Warning(format!("ignoring unknown or unavailable capabilities: [{names}]{advice}")));
        }
        // capabilities(7): the kernel refuses effective capabilities that are not permitted, and
        // inheritable ones outside of the bounding set, with EPERM. execve(2) drops permitted
        // capabilities that are not in the bounding set.
        let mut limit = |set: &mut u64, to: u64, why: &str| {
            let lost = names(*set & !to);
            if !lost.is_empty() {
                warnings.push(Warning(format!("ignoring {why}: [{}]", lost.join(" "))));
            }
            *set &= to;
        };
        limit(&mut all.permitted, all.bounding, "permitted capabilities outside of the bounding set");
        limit(&mut all.inheritable, all.bounding, "inheritable capabilities outside of the bounding set");
        limit(&mut all.effective, all.permitted, "effective capabilities that are not permitted");
        let grantable = all.permitted & all.inheritable;
        for name in names(all.ambient & !grantable) {
            warnings.push(Warning(format!("can't raise ambient capability {name}: operation not permitted")));
        }
        all.ambient &= grantable;
        all
    }
}

/// The names of capabilities(7), by number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

fn bit(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

/// Returns the names of the capabilities in a set, in the order of their numbers.
pub(crate) fn names(set: u64) -> Vec<&'static str> {
    (0..).zip(NAMES).filter(|(number, _)| set & 1 << number != 0).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(names: &[&str]) -> Vec<String> {
        names.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn unknown_and_unavailable_ones_are_named_once() {
        let mut warnings = Vec::new();
        let sets = Capabilities::new(
            &spec::Capabilities {
                bounding: spec(&["CAP_KILL", "CAP_BOGUS", "CAP_SYS_MODULE", "kill"]),
                permitted: spec(&["CAP_BOGUS"]),
                ..Default::default()
            },
            1 << 5,
            &mut warnings,
        );
        assert_eq!(sets, Capabilities { bounding: 1 << 5, ..Default::default() });
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            warnings[0].to_string(),
            "ignoring unknown or unavailable capabilities: [CAP_BOGUS CAP_SYS_MODULE kill]; the names of \
             capabilities begin with CAP_"
        );
    }

    #[test]
    fn ambient_needs_permitted_and_inheritable() {
        let mut warnings = Vec::new();
        let sets = Capabilities::new(
            &spec::Capabilities {
                bounding: spec(&["CAP_KILL", "CAP_CHOWN"]),
                permitted: spec(&["CAP_KILL", "CAP_CHOWN"]),
                inheritable: spec(&["CAP_KILL"]),
                ambient: spec(&["CAP_KILL", "CAP_CHOWN"]),
                ..Default::default()
            },
            u64::MAX,
            &mut warnings,
        );
        assert_eq!(sets.ambient, 1 << 5);
        assert_eq!(
            warnings[0].to_string(),
            "can't raise ambient capability CAP_CHOWN: operation not permitted"
        );
    }

    #[test]
    fn no_set_exceeds_those_that_it_depends_on() {
        let mut warnings = Vec::new();
        let sets = Capabilities::new(
            &spec::Capabilities {
                bounding: spec(&["CAP_KILL", "CAP_CHOWN"]),
                permitted: spec(&["CAP_KILL", "CAP_FOWNER"]),
                effective: spec(&["CAP_KILL", "CAP_CHOWN"]),
                inheritable: spec(&["CAP_CHOWN", "CAP_SETUID"]),
                ..Default::default()
            },
            u64::MAX,
            &mut warnings,
        );
        let kill = 1 << 5;
        assert_eq!(
            sets,
            Capabilities { bounding: kill | 1, effective: kill, permitted: kill, inheritable: 1, ambient: 0 }
        );
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "ignoring permitted capabilities outside of the bounding set: [CAP_FOWNER]",
                "ignoring inheritable capabilities outside of the bounding set: [CAP_SETUID]",
                "ignoring effective capabilities that are not permitted: [CAP_CHOWN]",
            ]
        );
    }

    #[test]
    fn names_are_in_the_order_of_the_kernel() {
        assert_eq!(names(0b10_0001), ["CAP_CHOWN", "CAP_KILL"]);
        assert_eq!(names(u64::MAX).len(), 41);
    }

    #[test]
    fn every_name_is_a_bit_of_its_own() {
        let all: u64 = NAMES.iter().filter_map(|name| bit(name)).sum();
        assert_eq!(all, (1 << 41) - 1);
        // The numbers of linux/capability.h.
        let known = [("CAP_SETPCAP", 8), ("CAP_SYS_ADMIN", 21), ("CAP_SETFCAP", 31), ("CAP_PERFMON", 38)];
        for (name, number) in known {
            assert_eq!(bit(name), Some(1 << number), "{name}");
        }
    }
}
