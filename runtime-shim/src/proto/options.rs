// SPDX-License-Identifier: Apache-2.0
//! The options of a runtime, and the details of a process.

use prost::Message;

/// `containerd.runc.v1.Options`. The fields 12 and 13, `task_api_address` and
/// `task_api_version`, are for containerd alone.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Runc {
    #[prost(bool, tag = "1")]
    pub(crate) no_pivot_root: bool,
    #[prost(bool, tag = "2")]
    pub(crate) no_new_keyring: bool,
    #[prost(string, tag = "3")]
    pub(crate) shim_cgroup: String,
    #[prost(uint32, tag = "4")]
    pub(crate) io_uid: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) io_gid: u32,
    #[prost(string, tag = "6")]
    pub(crate) binary_name: String,
    #[prost(string, tag = "7")]
    pub(crate) root: String,
    /// Of containerd 1.
    #[prost(string, tag = "8")]
    pub(crate) criu_path: String,
    #[prost(bool, tag = "9")]
    pub(crate) systemd_cgroup: bool,
    #[prost(string, tag = "10")]
    pub(crate) criu_image_path: String,
    #[prost(string, tag = "11")]
    pub(crate) criu_work_path: String,
}

/// `containerd.linux.runc.CreateOptions`: what the client of containerd 1 sends for a runtime that it
/// does not know. The fields 2 to 7 are about checkpoints.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Linux {
    #[prost(bool, tag = "1")]
    pub(crate) no_pivot_root: bool,
    #[prost(bool, tag = "8")]
    pub(crate) no_new_keyring: bool,
    #[prost(string, tag = "9")]
    pub(crate) shim_cgroup: String,
    #[prost(uint32, tag = "10")]
    pub(crate) io_uid: u32,
    #[prost(uint32, tag = "11")]
    pub(crate) io_gid: u32,
    #[prost(string, tag = "12")]
    pub(crate) criu_work_path: String,
    #[prost(string, tag = "13")]
    pub(crate) criu_image_path: String,
}

/// `runtimeoptions.v1.Options`: what the CRI and Docker send for a runtime that they do not know.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Generic {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(string, tag = "2")]
    pub(crate) config_path: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) config_body: Vec<u8>,
}

/// `containerd.runc.v1.CheckpointOptions`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Checkpoint {
    #[prost(bool, tag = "1")]
    pub(crate) exit: bool,
    #[prost(bool, tag = "2")]
    pub(crate) open_tcp: bool,
    #[prost(bool, tag = "3")]
    pub(crate) external_unix_sockets: bool,
    #[prost(bool, tag = "4")]
    pub(crate) terminal: bool,
    #[prost(bool, tag = "5")]
    pub(crate) file_locks: bool,
    #[prost(string, repeated, tag = "6")]
    pub(crate) empty_namespaces: Vec<String>,
    #[prost(string, tag = "7")]
    pub(crate) cgroups_mode: String,
    #[prost(string, tag = "8")]
    pub(crate) image_path: String,
    #[prost(string, tag = "9")]
    pub(crate) work_path: String,
    #[prost(string, tag = "10")]
    pub(crate) parent_path: String,
}

/// `containerd.linux.runc.CheckpointOptions`: what the client of containerd 1 sends for a runtime that it
/// does not know. The paths are not in the order of [`Checkpoint`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LinuxCheckpoint {
    #[prost(bool, tag = "1")]
    pub(crate) exit: bool,
    #[prost(bool, tag = "2")]
    pub(crate) open_tcp: bool,
    #[prost(bool, tag = "3")]
    pub(crate) external_unix_sockets: bool,
    #[prost(bool, tag = "4")]
    pub(crate) terminal: bool,
    #[prost(bool, tag = "5")]
    pub(crate) file_locks: bool,
    #[prost(string, repeated, tag = "6")]
    pub(crate) empty_namespaces: Vec<String>,
    #[prost(string, tag = "7")]
    pub(crate) cgroups_mode: String,
    #[prost(string, tag = "8")]
    pub(crate) work_path: String,
    #[prost(string, tag = "9")]
    pub(crate) image_path: String,
}

/// `containerd.runc.v1.ProcessDetails`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProcessDetails {
    #[prost(string, tag = "1")]
    pub(crate) exec_id: String,
}
