// SPDX-License-Identifier: Apache-2.0
//! Judges any OCI runtime.
