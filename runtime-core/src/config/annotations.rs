// SPDX-License-Identifier: Apache-2.0
//! `annotations`: the annotations of runc and crun that have an effect (docs/annotations.md).
//!
//! The annotations for properties of the systemd unit are read by the cgroup driver
//! (`cgroup::systemd::unit`), and the one for the label of mounts by `config::mounts`.

use super::field::invalid;
use crate::error::{Result, Warning};
use std::collections::BTreeMap;

/// The annotation of `podman run --group-add keep-groups`: the container keeps the
/// supplementary groups of the user, and so can access the files of these groups. A user
/// without root has no other way to give it this access.
pub(crate) const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// The annotation with the path of a configuration file of CRIU for this container. The file
/// overrides what the runtime asks CRIU for.
pub(crate) const CRIU_CONFIG: &str = "org.criu.config";

/// The annotations that crun supports and this library does not. Each of them is reported
/// with a warning.
const NOT_DONE: &[&str] = &[
    "run.oci.delegate-cgroup",
    "run.oci.handler",
    "run.oci.hooks.stderr",
    "run.oci.hooks.stdout",
    "run.oci.pidfd_receiver",
    "run.oci.seccomp.plugins",
    "run.oci.seccomp.receiver",
    "run.oci.seccomp_bpf_data",
    "run.oci.seccomp_fail_unknown_syscall",
    "run.oci.systemd.force_cgroup_v1",
];

/// Checks the keys. Unknown keys are ignored (config.md, "Annotations").
pub(super) fn check(annotations: &BTreeMap<String, String>, warnings: &mut Vec<Warning>) -> Result<()> {
    if annotations.contains_key("") {
        return Err(invalid("annotations", "a key must not be empty"));
    }
    let not_done = NOT_DONE.iter().filter(|key| annotations.contains_key(**key));
    warnings.extend(not_done.map(|key| Warning(format!("annotations.{key}: ignored, it is not supported"))));
    Ok(())
}

/// Returns whether the program keeps the supplementary groups of the runtime's caller.
pub(crate) fn keeps_groups(annotations: &BTreeMap<String, String>) -> Result<bool> {
    match annotations.get(KEEP_GROUPS).map(String::as_str) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => {
            Err(invalid(format_args!("annotations.{KEEP_GROUPS}"), format_args!("{other:?} is not 0 or 1")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn unknown_keys_are_ignored_and_known_ones_are_not_dropped_silently() {
        let check = |key| {
            let mut warnings = Vec::new();
            check(&one(key, "x"), &mut warnings).map(|()| warnings.len()).map_err(|error| error.report())
        };
        assert_eq!(check("com.example.x"), Ok(0));
        assert_eq!(check("run.oci.handler"), Ok(1));
        assert_eq!(check(""), Err("annotations: a key must not be empty".to_owned()));
    }

    #[test]
    fn the_annotation_keeps_groups_only_with_1() {
        let keeps = |value| keeps_groups(&one(KEEP_GROUPS, value)).ok();
        assert_eq!([keeps("1"), keeps("0"), keeps("yes")], [Some(true), Some(false), None]);
        assert!(!keeps_groups(&BTreeMap::new()).unwrap());
    }
}
