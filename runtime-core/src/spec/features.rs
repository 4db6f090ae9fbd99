// SPDX-License-Identifier: Apache-2.0
//! What a runtime says it can do (features.md, features-linux.md).

use serde::Serialize;
use std::collections::BTreeMap;

/// The Features structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// The oldest version of the specification that configurations may have.
    pub oci_version_min: &'static str,
    /// The newest.
    pub oci_version_max: &'static str,
    /// The kinds of hooks.
    pub hooks: Vec<&'static str>,
    /// The options of mounts that are not handed to the file system.
    pub mount_options: Vec<&'static str>,
    /// The part that only Linux has.
    pub linux: LinuxFeatures,
    /// What else there is to say.
    pub annotations: BTreeMap<&'static str, &'static str>,
    /// Annotations of configurations that change what is done; those that end
    /// with a dot are prefixes.
    pub potentially_unsafe_config_annotations: Vec<&'static str>,
}

/// The part of [`Features`] that only Linux has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxFeatures {
    /// The types of namespaces.
    pub namespaces: Vec<&'static str>,
    /// The names of capabilities.
    pub capabilities: Vec<&'static str>,
    /// Versions and drivers of cgroups.
    pub cgroup: CgroupFeatures,
    /// System call filters.
    pub seccomp: SeccompFeatures,
    /// AppArmor profiles.
    pub apparmor: Enabled,
    /// SELinux labels.
    pub selinux: Enabled,
    /// Intel's resource director technology.
    pub intel_rdt: IntelRdtFeatures,
    /// NUMA memory policies.
    pub memory_policy: MemoryPolicyFeatures,
    /// More about mounts.
    pub mount_extensions: MountExtensions,
    /// Moving network devices into the container.
    pub net_devices: Enabled,
}

/// Something that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Enabled {
    /// Whether it is.
    pub enabled: bool,
}

/// Versions and drivers of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFeatures {
    /// The old hierarchies.
    pub v1: bool,
    /// The unified hierarchy.
    pub v2: bool,
    /// By the system's systemd.
    pub systemd: bool,
    /// By a user's systemd.
    pub systemd_user: bool,
    /// The rdma controller.
    pub rdma: bool,
}

/// System call filters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompFeatures {
    /// Whether there are any.
    pub enabled: bool,
    /// What may be done about a call.
    pub actions: Vec<&'static str>,
    /// How an argument may be compared.
    pub operators: Vec<&'static str>,
    /// Whose calls a filter may be about.
    pub archs: Vec<&'static str>,
    /// The flags of seccomp(2).
    pub known_flags: Vec<&'static str>,
    /// Those that the running kernel knows, too.
    pub supported_flags: Vec<&'static str>,
}

/// Intel's resource director technology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IntelRdtFeatures {
    /// Whether there is anything of it.
    pub enabled: bool,
    /// `linux.intelRdt.schemata`.
    pub schemata: bool,
    /// `linux.intelRdt.enableMonitoring`.
    pub monitoring: bool,
}

/// NUMA memory policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPolicyFeatures {
    /// The policies.
    pub modes: Vec<&'static str>,
    /// Their flags.
    pub flags: Vec<&'static str>,
}

/// More about mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MountExtensions {
    /// `uidMappings` and `gidMappings` of mounts.
    pub idmap: Enabled,
}
