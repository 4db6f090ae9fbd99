// SPDX-License-Identifier: Apache-2.0
//! Helpers of several test programs.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test")]

pub(crate) mod generate;
pub(crate) mod json;

use seccomp::{Policy, Profile};

/// Docker's default profile for amd64 and Docker's default capabilities.
pub(crate) const DOCKER: &str = include_str!("../data/docker.json");
/// Podman's default profile, with Podman's default capabilities.
pub(crate) const PODMAN: &str = include_str!("../data/podman.json");
/// containerd's default profile, with containerd's default capabilities.
pub(crate) const CONTAINERD: &str = include_str!("../data/containerd.json");

/// Returns a policy for x86_64.
pub(crate) fn policy(profile: &Profile<'_>) -> Policy {
    Policy::new(profile, seccomp::Arch::X86_64).unwrap()
}
