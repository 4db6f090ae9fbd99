// SPDX-License-Identifier: Apache-2.0
//! `linux.memoryPolicy`: the NUMA nodes of the container's memory (set_mempolicy(2)).

use super::field::{invalid, lookup, number_list};
use crate::error::Result;
use crate::spec;
use crate::values::MemoryPolicy;

/// The number of nodes that a mode requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nodes {
    None,
    Any,
    Some,
}

/// The modes. `features` prints their names.
pub(crate) const MODES: &[(&str, i32)] = &[
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// The flags. `features` prints their names.
pub(crate) const FLAGS: &[(&str, i32)] = &[
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

fn nodes_of(mode: &str) -> Nodes {
    match mode {
        "MPOL_DEFAULT" | "MPOL_LOCAL" => Nodes::None,
        "MPOL_PREFERRED" => Nodes::Any,
        _ => Nodes::Some,
    }
}

impl MemoryPolicy {
    pub(crate) fn new(spec: &spec::MemoryPolicy) -> Result<Self> {
        let at = "linux.memoryPolicy";
        let mut mode = lookup(format_args!("{at}.mode"), "invalid memory policy mode", &spec.mode, MODES)?;
        for (i, flag) in spec.flags.iter().enumerate() {
            let at = format_args!("{at}.flags[{i}]").to_string();
            mode |= lookup(at, "invalid memory policy flag", flag, FLAGS)?;
        }
        let at = format_args!("{at}.nodes").to_string();
        let nodes = number_list(&at, "invalid memory policy node list", &spec.nodes)?;
        let count: u32 = nodes.iter().map(|word| word.count_ones()).sum();
        match nodes_of(&spec.mode) {
            Nodes::None if count > 0 => {
                Err(invalid(at, format_args!("this mode requires 0 nodes but got {count}")))
            }
            Nodes::Some if count == 0 => Err(invalid(at, "this mode requires at least one node but got 0")),
            _ => Ok(MemoryPolicy { mode, nodes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mode: &str, nodes: &str, flags: &[&str]) -> Result<MemoryPolicy> {
        MemoryPolicy::new(&spec::MemoryPolicy {
            mode: mode.into(),
            nodes: nodes.into(),
            flags: flags.iter().map(|flag| (*flag).into()).collect(),
        })
    }

    #[test]
    fn a_policy_has_mode_flags_and_nodes() {
        assert_eq!(
            policy("MPOL_BIND", "0,65", &["MPOL_F_STATIC_NODES"]).unwrap(),
            MemoryPolicy { mode: 2 | 1 << 15, nodes: vec![1, 2] }
        );
        assert_eq!(policy("MPOL_DEFAULT", "", &[]).unwrap(), MemoryPolicy { mode: 0, nodes: vec![] });
        assert!(policy("MPOL_PREFERRED", "", &[]).is_ok());
    }

    #[test]
    fn refusals_of_policies_name_the_field() {
        let report = |mode, nodes, flags: &[&str]| policy(mode, nodes, flags).unwrap_err().report();
        assert!(report("", "0", &[]).starts_with("linux.memoryPolicy.mode: invalid memory policy mode \"\""));
        assert!(report("MPOL_BIND", "0", &["x"]).starts_with("linux.memoryPolicy.flags[0]: invalid"));
        assert!(
            report("MPOL_BIND", "0-9876543210", &[])
                .starts_with("linux.memoryPolicy.nodes: invalid memory policy node")
        );
        assert!(report("MPOL_LOCAL", "0-7", &[]).ends_with("mode requires 0 nodes but got 8"));
        assert!(report("MPOL_INTERLEAVE", "", &[]).ends_with("at least one node but got 0"));
    }
}
