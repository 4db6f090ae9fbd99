// SPDX-License-Identifier: Apache-2.0
//! The messages between containerd and the shim's program before the shim serves.

use super::common::Any;
use prost::Message;

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
