// SPDX-License-Identifier: Apache-2.0
//! The messages of containerd: `containerd.task.v2` and `containerd.task.v3`, which have the same
//! fields, the events, the bootstrap of a shim, and the options. The numbers are those of the files
//! api/**/*.proto of containerd, and of cgroup2/stats/metrics.proto of containerd/cgroups.
//!
//! A field that a newer containerd has and this file has not is ignored, as everywhere in Protocol
//! Buffers.

use prost::Message;
use std::time::SystemTime;

/// A message inside of another one, with its type (`google.protobuf.Any`).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

impl Any {
    /// Wraps a message. containerd's typeurl has the bare name of the message as the type.
    pub(crate) fn of(name: &str, message: &impl Message) -> Self {
        Any { type_url: name.to_owned(), value: message.encode_to_vec() }
    }

    /// Returns the name of the type: the part of the URL behind the last slash.
    pub(crate) fn name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }
}

/// A point in time (`google.protobuf.Timestamp`).
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Timestamp {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp {
            seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
            nanos: since.subsec_nanos().try_into().unwrap_or(0),
        }
    }
}

/// An answer without content (`google.protobuf.Empty`).
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Empty {}

/// The messages of ttrpc itself.
pub(crate) mod rpc {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Request {
        #[prost(string, tag = "1")]
        pub(crate) service: String,
        #[prost(string, tag = "2")]
        pub(crate) method: String,
        #[prost(bytes = "vec", tag = "3")]
        pub(crate) payload: Vec<u8>,
        #[prost(int64, tag = "4")]
        pub(crate) timeout_nano: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Response {
        #[prost(message, optional, tag = "1")]
        pub(crate) status: Option<Status>,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) payload: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Status {
        #[prost(int32, tag = "1")]
        pub(crate) code: i32,
        #[prost(string, tag = "2")]
        pub(crate) message: String,
    }
}

/// A mount (`containerd.types.Mount`).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Mount {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, tag = "3")]
    pub(crate) target: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) options: Vec<String>,
}

/// The status of a process (`containerd.v1.types.Status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessStatus {
    Created = 1,
    Running = 2,
    Stopped = 3,
    Paused = 4,
    Pausing = 5,
}

/// The requests and responses of the task service.
pub(crate) mod task {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct CreateTaskRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) bundle: String,
        #[prost(message, repeated, tag = "3")]
        pub(crate) rootfs: Vec<Mount>,
        #[prost(bool, tag = "4")]
        pub(crate) terminal: bool,
        #[prost(string, tag = "5")]
        pub(crate) stdin: String,
        #[prost(string, tag = "6")]
        pub(crate) stdout: String,
        #[prost(string, tag = "7")]
        pub(crate) stderr: String,
        #[prost(string, tag = "8")]
        pub(crate) checkpoint: String,
        #[prost(message, optional, tag = "10")]
        pub(crate) options: Option<Any>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct CreateTaskResponse {
        #[prost(uint32, tag = "1")]
        pub(crate) pid: u32,
    }

    /// The requests that name a task or one of its processes: State, Start, Delete, Wait; with
    /// `exec_id` empty also Pids, Pause, Resume, Stats, Connect.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ProcessRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
    }

    /// The requests that name a task: Pids, Pause, Resume, Stats, Connect.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct StartResponse {
        #[prost(uint32, tag = "1")]
        pub(crate) pid: u32,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct DeleteResponse {
        #[prost(uint32, tag = "1")]
        pub(crate) pid: u32,
        #[prost(uint32, tag = "2")]
        pub(crate) exit_status: u32,
        #[prost(message, optional, tag = "3")]
        pub(crate) exited_at: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ExecProcessRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
        #[prost(bool, tag = "3")]
        pub(crate) terminal: bool,
        #[prost(string, tag = "4")]
        pub(crate) stdin: String,
        #[prost(string, tag = "5")]
        pub(crate) stdout: String,
        #[prost(string, tag = "6")]
        pub(crate) stderr: String,
        #[prost(message, optional, tag = "7")]
        pub(crate) spec: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ResizePtyRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
        #[prost(uint32, tag = "3")]
        pub(crate) width: u32,
        #[prost(uint32, tag = "4")]
        pub(crate) height: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct StateResponse {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) bundle: String,
        #[prost(uint32, tag = "3")]
        pub(crate) pid: u32,
        #[prost(int32, tag = "4")]
        pub(crate) status: i32,
        #[prost(string, tag = "5")]
        pub(crate) stdin: String,
        #[prost(string, tag = "6")]
        pub(crate) stdout: String,
        #[prost(string, tag = "7")]
        pub(crate) stderr: String,
        #[prost(bool, tag = "8")]
        pub(crate) terminal: bool,
        #[prost(uint32, tag = "9")]
        pub(crate) exit_status: u32,
        #[prost(message, optional, tag = "10")]
        pub(crate) exited_at: Option<Timestamp>,
        #[prost(string, tag = "11")]
        pub(crate) exec_id: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct KillRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
        #[prost(uint32, tag = "3")]
        pub(crate) signal: u32,
        #[prost(bool, tag = "4")]
        pub(crate) all: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct CloseIoRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
        #[prost(bool, tag = "3")]
        pub(crate) stdin: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct PidsResponse {
        #[prost(message, repeated, tag = "1")]
        pub(crate) processes: Vec<ProcessInfo>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ProcessInfo {
        #[prost(uint32, tag = "1")]
        pub(crate) pid: u32,
        #[prost(message, optional, tag = "2")]
        pub(crate) info: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct UpdateTaskRequest {
        #[prost(string, tag = "1")]
        pub(crate) id: String,
        #[prost(message, optional, tag = "2")]
        pub(crate) resources: Option<Any>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct WaitResponse {
        #[prost(uint32, tag = "1")]
        pub(crate) exit_status: u32,
        #[prost(message, optional, tag = "2")]
        pub(crate) exited_at: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct StatsResponse {
        #[prost(message, optional, tag = "1")]
        pub(crate) stats: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ConnectResponse {
        #[prost(uint32, tag = "1")]
        pub(crate) shim_pid: u32,
        #[prost(uint32, tag = "2")]
        pub(crate) task_pid: u32,
        #[prost(string, tag = "3")]
        pub(crate) version: String,
    }
}

/// The events of a task, and how they are sent.
pub(crate) mod events {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskIo {
        #[prost(string, tag = "1")]
        pub(crate) stdin: String,
        #[prost(string, tag = "2")]
        pub(crate) stdout: String,
        #[prost(string, tag = "3")]
        pub(crate) stderr: String,
        #[prost(bool, tag = "4")]
        pub(crate) terminal: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskCreate {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(string, tag = "2")]
        pub(crate) bundle: String,
        #[prost(message, repeated, tag = "3")]
        pub(crate) rootfs: Vec<Mount>,
        #[prost(message, optional, tag = "4")]
        pub(crate) io: Option<TaskIo>,
        #[prost(uint32, tag = "6")]
        pub(crate) pid: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskStart {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(uint32, tag = "2")]
        pub(crate) pid: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskDelete {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(uint32, tag = "2")]
        pub(crate) pid: u32,
        #[prost(uint32, tag = "3")]
        pub(crate) exit_status: u32,
        #[prost(message, optional, tag = "4")]
        pub(crate) exited_at: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskExit {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(string, tag = "2")]
        pub(crate) id: String,
        #[prost(uint32, tag = "3")]
        pub(crate) pid: u32,
        #[prost(uint32, tag = "4")]
        pub(crate) exit_status: u32,
        #[prost(message, optional, tag = "5")]
        pub(crate) exited_at: Option<Timestamp>,
    }

    /// The events that have a container id only: TaskOOM, TaskPaused, TaskResumed.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskId {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskExecAdded {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TaskExecStarted {
        #[prost(string, tag = "1")]
        pub(crate) container_id: String,
        #[prost(string, tag = "2")]
        pub(crate) exec_id: String,
        #[prost(uint32, tag = "3")]
        pub(crate) pid: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Envelope {
        #[prost(message, optional, tag = "1")]
        pub(crate) timestamp: Option<Timestamp>,
        #[prost(string, tag = "2")]
        pub(crate) namespace: String,
        #[prost(string, tag = "3")]
        pub(crate) topic: String,
        #[prost(message, optional, tag = "4")]
        pub(crate) event: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ForwardRequest {
        #[prost(message, optional, tag = "1")]
        pub(crate) envelope: Option<Envelope>,
    }
}

/// The options of a runtime, and the details of a process.
pub(crate) mod options {
    use super::*;

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

    /// `containerd.runc.v1.ProcessDetails`.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ProcessDetails {
        #[prost(string, tag = "1")]
        pub(crate) exec_id: String,
    }
}

/// What containerd and the shim's program tell each other before the shim serves.
pub(crate) mod bootstrap {
    use super::*;

    /// `containerd.runtime.bootstrap.v1.BootstrapParams`, since containerd 2.3.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Params {
        #[prost(string, tag = "1")]
        pub(crate) instance_id: String,
        #[prost(string, tag = "2")]
        pub(crate) namespace: String,
        #[prost(int32, tag = "3")]
        pub(crate) log_level: i32,
        #[prost(string, tag = "5")]
        pub(crate) containerd_ttrpc_address: String,
        #[prost(string, tag = "6")]
        pub(crate) containerd_grpc_address: String,
        #[prost(message, repeated, tag = "8")]
        pub(crate) extensions: Vec<Extension>,
        #[prost(string, optional, tag = "9")]
        pub(crate) socket_dir: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Extension {
        #[prost(message, optional, tag = "1")]
        pub(crate) value: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Answer {
        #[prost(int32, tag = "1")]
        pub(crate) version: i32,
        #[prost(string, tag = "2")]
        pub(crate) address: String,
        #[prost(string, tag = "3")]
        pub(crate) protocol: String,
    }

    /// `containerd.types.RuntimeInfo`, the answer of `-info`.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct RuntimeInfo {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, optional, tag = "2")]
        pub(crate) version: Option<RuntimeVersion>,
        #[prost(message, optional, tag = "3")]
        pub(crate) options: Option<Any>,
        #[prost(message, optional, tag = "4")]
        pub(crate) features: Option<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct RuntimeVersion {
        #[prost(string, tag = "1")]
        pub(crate) version: String,
    }
}

/// The resource usage of a container, `io.containerd.cgroups.v2.Metrics`.
pub(crate) mod metrics {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Metrics {
        #[prost(message, optional, tag = "1")]
        pub(crate) pids: Option<Pids>,
        #[prost(message, optional, tag = "2")]
        pub(crate) cpu: Option<Cpu>,
        #[prost(message, optional, tag = "4")]
        pub(crate) memory: Option<Memory>,
        #[prost(message, optional, tag = "5")]
        pub(crate) rdma: Option<Rdma>,
        #[prost(message, optional, tag = "6")]
        pub(crate) io: Option<Io>,
        #[prost(message, repeated, tag = "7")]
        pub(crate) hugetlb: Vec<HugeTlb>,
        #[prost(message, optional, tag = "8")]
        pub(crate) memory_events: Option<MemoryEvents>,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(crate) struct PsiData {
        #[prost(double, tag = "1")]
        pub(crate) avg10: f64,
        #[prost(double, tag = "2")]
        pub(crate) avg60: f64,
        #[prost(double, tag = "3")]
        pub(crate) avg300: f64,
        #[prost(uint64, tag = "4")]
        pub(crate) total: u64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(crate) struct Psi {
        #[prost(message, optional, tag = "1")]
        pub(crate) some: Option<PsiData>,
        #[prost(message, optional, tag = "2")]
        pub(crate) full: Option<PsiData>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct Pids {
        #[prost(uint64, tag = "1")]
        pub(crate) current: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) limit: u64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(crate) struct Cpu {
        #[prost(uint64, tag = "1")]
        pub(crate) usage_usec: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) user_usec: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) system_usec: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) nr_periods: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) nr_throttled: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) throttled_usec: u64,
        #[prost(message, optional, tag = "7")]
        pub(crate) psi: Option<Psi>,
        #[prost(uint64, tag = "8")]
        pub(crate) nr_bursts: u64,
        #[prost(uint64, tag = "9")]
        pub(crate) burst_usec: u64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(crate) struct Memory {
        #[prost(uint64, tag = "1")]
        pub(crate) anon: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) file: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) kernel_stack: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) slab: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) sock: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) shmem: u64,
        #[prost(uint64, tag = "7")]
        pub(crate) file_mapped: u64,
        #[prost(uint64, tag = "8")]
        pub(crate) file_dirty: u64,
        #[prost(uint64, tag = "9")]
        pub(crate) file_writeback: u64,
        #[prost(uint64, tag = "10")]
        pub(crate) anon_thp: u64,
        #[prost(uint64, tag = "11")]
        pub(crate) inactive_anon: u64,
        #[prost(uint64, tag = "12")]
        pub(crate) active_anon: u64,
        #[prost(uint64, tag = "13")]
        pub(crate) inactive_file: u64,
        #[prost(uint64, tag = "14")]
        pub(crate) active_file: u64,
        #[prost(uint64, tag = "15")]
        pub(crate) unevictable: u64,
        #[prost(uint64, tag = "16")]
        pub(crate) slab_reclaimable: u64,
        #[prost(uint64, tag = "17")]
        pub(crate) slab_unreclaimable: u64,
        #[prost(uint64, tag = "18")]
        pub(crate) pgfault: u64,
        #[prost(uint64, tag = "19")]
        pub(crate) pgmajfault: u64,
        #[prost(uint64, tag = "20")]
        pub(crate) workingset_refault: u64,
        #[prost(uint64, tag = "21")]
        pub(crate) workingset_activate: u64,
        #[prost(uint64, tag = "22")]
        pub(crate) workingset_nodereclaim: u64,
        #[prost(uint64, tag = "23")]
        pub(crate) pgrefill: u64,
        #[prost(uint64, tag = "24")]
        pub(crate) pgscan: u64,
        #[prost(uint64, tag = "25")]
        pub(crate) pgsteal: u64,
        #[prost(uint64, tag = "26")]
        pub(crate) pgactivate: u64,
        #[prost(uint64, tag = "27")]
        pub(crate) pgdeactivate: u64,
        #[prost(uint64, tag = "28")]
        pub(crate) pglazyfree: u64,
        #[prost(uint64, tag = "29")]
        pub(crate) pglazyfreed: u64,
        #[prost(uint64, tag = "30")]
        pub(crate) thp_fault_alloc: u64,
        #[prost(uint64, tag = "31")]
        pub(crate) thp_collapse_alloc: u64,
        #[prost(uint64, tag = "32")]
        pub(crate) usage: u64,
        #[prost(uint64, tag = "33")]
        pub(crate) usage_limit: u64,
        #[prost(uint64, tag = "34")]
        pub(crate) swap_usage: u64,
        #[prost(uint64, tag = "35")]
        pub(crate) swap_limit: u64,
        #[prost(uint64, tag = "36")]
        pub(crate) max_usage: u64,
        #[prost(uint64, tag = "37")]
        pub(crate) swap_max_usage: u64,
        #[prost(message, optional, tag = "38")]
        pub(crate) psi: Option<Psi>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct MemoryEvents {
        #[prost(uint64, tag = "1")]
        pub(crate) low: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) high: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) max: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) oom: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) oom_kill: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) oom_group_kill: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Rdma {
        #[prost(message, repeated, tag = "1")]
        pub(crate) current: Vec<RdmaEntry>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) limit: Vec<RdmaEntry>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct RdmaEntry {
        #[prost(string, tag = "1")]
        pub(crate) device: String,
        #[prost(uint32, tag = "2")]
        pub(crate) hca_handles: u32,
        #[prost(uint32, tag = "3")]
        pub(crate) hca_objects: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Io {
        #[prost(message, repeated, tag = "1")]
        pub(crate) usage: Vec<IoEntry>,
        #[prost(message, optional, tag = "2")]
        pub(crate) psi: Option<Psi>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub(crate) struct IoEntry {
        #[prost(uint64, tag = "1")]
        pub(crate) major: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) minor: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) rbytes: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) wbytes: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) rios: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) wios: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct HugeTlb {
        #[prost(uint64, tag = "1")]
        pub(crate) current: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) max: u64,
        #[prost(string, tag = "3")]
        pub(crate) pagesize: String,
        #[prost(uint64, tag = "4")]
        pub(crate) failcnt: u64,
    }
}
