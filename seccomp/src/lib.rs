// SPDX-License-Identifier: Apache-2.0
//! A pure compiler from OCI seccomp policies to classic BPF.
#![forbid(unsafe_code)]
