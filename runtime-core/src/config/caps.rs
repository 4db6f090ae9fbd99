// SPDX-License-Identifier: Apache-2.0
//! Capability sets: from names to bits, less what cannot be granted.

use crate::error::Warning;
use crate::spec;
use caps::Capability;
use std::collections::BTreeSet;

/// The five sets, bit n for capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

impl Capabilities {
    /// Reads the sets. A name that is unknown, or outside of `available`, is
    /// left out with a warning, as config.md ("Linux Process") asks; so is one that
    /// is not in the sets which its own depends on.
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
            warnings.push(Warning(format!(
                "ignoring unknown or unavailable capabilities: [{}]",
                names.join(" ")
            )));
        }
        // capabilities(7): the kernel refuses effective ones that are not permitted, and
        // inheritable ones outside of the bounding set, with EPERM; and execve(2) takes
        // permitted ones away that are not in the bounding set.
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

fn bit(name: &str) -> Option<u64> {
    let capability: Capability = name.parse().ok()?;
    Some(1 << capability.index())
}

/// The names of the capabilities in a set, by number.
pub(crate) fn names(set: u64) -> Vec<String> {
    // The crate's list is a hash table, which needs a random number.
    if set == 0 {
        return Vec::new();
    }
    let mut all: Vec<_> = caps::all().into_iter().filter(|c| set & 1 << c.index() != 0).collect();
    all.sort_by_key(Capability::index);
    all.iter().map(ToString::to_string).collect()
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
            "ignoring unknown or unavailable capabilities: [CAP_BOGUS CAP_SYS_MODULE kill]"
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
}
