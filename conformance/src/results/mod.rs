// SPDX-License-Identifier: Apache-2.0
//! Outcomes of cases and attacks, and the requirements that cases hold.

pub mod attack;
pub(crate) mod page;
pub mod requirements;
pub mod verdict;
