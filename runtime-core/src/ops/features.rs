// SPDX-License-Identifier: Apache-2.0
//! features(1): the abilities of this library, generated from the tables and checks that
//! implement them.

use crate::cgroup::systemd::unit;
use crate::config::{annotations, caps, memory_policy, mounts, namespaces};
use crate::hook::HookKind;
use crate::prepare;
use crate::spec::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures,
    MountExtensions, OCI_VERSION, OCI_VERSION_MIN, SeccompFeatures,
};
use seccomp::{Action, Arch, Flag, Operator};
use std::collections::BTreeMap;

/// Returns the features that a configuration may use, and which of them the running kernel
/// supports (`supportedFlags`).
pub fn features() -> Features {
    Features {
        oci_version_min: OCI_VERSION_MIN,
        oci_version_max: OCI_VERSION,
        hooks: HookKind::ALL.map(HookKind::name).to_vec(),
        mount_options: mounts::known_options().collect(),
        linux: linux(),
        // runc's annotation, which programs look for.
        annotations: BTreeMap::from([("org.opencontainers.runc.checkpoint.enabled", "true")]),
        potentially_unsafe_config_annotations: vec![
            unit::PROPERTY,
            unit::LEAF,
            annotations::KEEP_GROUPS,
            mounts::LABEL_ANNOTATION,
            annotations::CRIU_CONFIG,
        ],
    }
}

fn linux() -> LinuxFeatures {
    LinuxFeatures {
        namespaces: names(namespaces::NAMESPACE_KINDS),
        capabilities: caps::names(u64::MAX),
        cgroup: CgroupFeatures { v1: false, v2: true, systemd: true, systemd_user: true, rdma: true },
        seccomp: seccomp(),
        apparmor: Enabled { enabled: true },
        selinux: Enabled { enabled: true },
        intel_rdt: IntelRdtFeatures { enabled: true, schemata: true, monitoring: true },
        memory_policy: MemoryPolicyFeatures {
            modes: names(memory_policy::MODES),
            flags: names(memory_policy::FLAGS),
        },
        mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        net_devices: Enabled { enabled: true },
    }
}

fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

fn seccomp() -> SeccompFeatures {
    SeccompFeatures {
        enabled: Arch::NATIVE.is_some(),
        actions: Action::names().collect(),
        operators: Operator::ALL.map(Operator::name).to_vec(),
        archs: Arch::ALL.map(Arch::name).to_vec(),
        known_flags: Flag::ALL.map(Flag::name).to_vec(),
        supported_flags: Flag::ALL
            .into_iter()
            .filter(|flag| prepare::seccomp::is_supported(*flag))
            .map(Flag::name)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares docs/annotations.md, which says what is implemented, with the list that engines get.
    #[test]
    fn annotations_that_change_rights_are_those_of_the_page() {
        let page = include_str!("../../../docs/annotations.md");
        let mut done: Vec<&str> = page
            .lines()
            .filter_map(|row| row.strip_prefix("| `")?.split_once(" | supported"))
            .filter_map(|(row, _)| row.split('`').next())
            .map(|name| name.trim_end_matches("NAME"))
            .collect();
        let mut listed = features().potentially_unsafe_config_annotations;
        done.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, done);
    }

    #[test]
    fn listed_features_are_supported() {
        let features = features();
        assert!(features.mount_options.is_sorted() && features.mount_options.contains(&"rro"));
        assert_eq!(features.linux.capabilities.len(), 41);
        assert_eq!(features.linux.namespaces.len(), 8);
        let seccomp = features.linux.seccomp;
        assert!(seccomp.supported_flags.iter().all(|flag| seccomp.known_flags.contains(flag)));
        assert!(seccomp.supported_flags.contains(&"SECCOMP_FILTER_FLAG_SPEC_ALLOW"));
    }
}
