// SPDX-License-Identifier: Apache-2.0
//! Programs in containers: what they report, use and attack.

pub mod load;
pub mod report;
pub mod score;
pub mod tamper;
