// SPDX-License-Identifier: Apache-2.0
//! The features document of a runtime (features.md, features-linux.md).

use serde::Serialize;
use std::collections::BTreeMap;

/// The Features structure.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// The oldest version of the specification that a configuration may have.
    pub oci_version_min: &'static str,
    /// The newest version of the specification that a configuration may have.
    pub oci_version_max: &'static str,
    /// The kinds of hooks.
    pub hooks: Vec<&'static str>,
    /// The mount options that are not passed on to the file system.
    pub mount_options: Vec<&'static str>,
    /// The Linux-specific features.
    pub linux: LinuxFeatures,
    /// Arbitrary metadata about the runtime.
    pub annotations: BTreeMap<&'static str, &'static str>,
    /// The annotations of config.json that change the runtime's behaviour. A name that ends
    /// in a dot is a prefix.
    pub potentially_unsafe_config_annotations: Vec<&'static str>,
}

/// The Linux-specific part of [`Features`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxFeatures {
    /// The types of namespaces.
    pub namespaces: Vec<&'static str>,
    /// The names of capabilities.
    pub capabilities: Vec<&'static str>,
    /// Support for cgroups.
    pub cgroup: CgroupFeatures,
    /// Support for system call filters.
    pub seccomp: SeccompFeatures,
    /// Support for AppArmor profiles.
    pub apparmor: Enabled,
    /// Support for SELinux labels.
    pub selinux: Enabled,
    /// Support for Intel's Resource Director Technology.
    pub intel_rdt: IntelRdtFeatures,
    /// Support for NUMA memory policies.
    pub memory_policy: MemoryPolicyFeatures,
    /// Support for extensions of mounts.
    pub mount_extensions: MountExtensions,
    /// Support for moving network devices into the container.
    pub net_devices: Enabled,
}

/// A feature that is either supported or not.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Enabled {
    /// True if the runtime supports the feature.
    pub enabled: bool,
}

/// The supported versions, managers and controllers of cgroups.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFeatures {
    /// cgroup v1.
    pub v1: bool,
    /// cgroup v2, the unified hierarchy.
    pub v2: bool,
    /// The cgroup manager of the system-wide systemd.
    pub systemd: bool,
    /// The cgroup manager of a user's systemd.
    pub systemd_user: bool,
    /// The rdma controller.
    pub rdma: bool,
}

/// The supported features of system call filters.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompFeatures {
    /// True if system call filters are supported.
    pub enabled: bool,
    /// The actions of rules.
    pub actions: Vec<&'static str>,
    /// The operators that compare arguments.
    pub operators: Vec<&'static str>,
    /// The architectures that a filter may name.
    pub archs: Vec<&'static str>,
    /// The flags of seccomp(2).
    pub known_flags: Vec<&'static str>,
    /// The flags that the running kernel knows, too.
    pub supported_flags: Vec<&'static str>,
}

/// The supported features of Intel's Resource Director Technology.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IntelRdtFeatures {
    /// True if `linux.intelRdt` is supported.
    pub enabled: bool,
    /// True if `linux.intelRdt.schemata` is supported.
    pub schemata: bool,
    /// True if `linux.intelRdt.enableMonitoring` is supported.
    pub monitoring: bool,
}

/// The supported NUMA memory policies.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPolicyFeatures {
    /// The modes, such as `MPOL_BIND`.
    pub modes: Vec<&'static str>,
    /// The flags of modes, such as `MPOL_F_STATIC_NODES`.
    pub flags: Vec<&'static str>,
}

/// The supported extensions of mounts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MountExtensions {
    /// Support for `uidMappings` and `gidMappings` of mounts.
    pub idmap: Enabled,
}
