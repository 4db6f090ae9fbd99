// SPDX-License-Identifier: Apache-2.0
//! A low-level OCI container runtime for Linux, as a library.
