// SPDX-License-Identifier: Apache-2.0
//! The authority of each process of the runtime at each step, as docs/authority.md has it. This
//! test stops the processes at every system call, and compares.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod page;
mod scenarios;
mod words;

use conformance::host;
use std::collections::{BTreeMap, BTreeSet};

/// The columns of the page's tables, behind the steps.
const COLUMNS: [&str; 10] = [
    "descriptors",
    "permitted",
    "bounding",
    "inheritable",
    "of the host",
    "joined",
    "root directory",
    "user",
    "dumpable",
    "has a pid in",
];

/// The cells of a row.
type Cells = BTreeMap<&'static str, BTreeSet<String>>;

/// The observed cells, for each section of the page and each step in it.
type Seen = BTreeMap<&'static str, BTreeMap<String, Cells>>;

#[test]
fn the_page_is_what_processes_have() {
    let _alone = host::alone();
    let seen = scenarios::all();
    let wrong = page::compare(&seen);
    assert!(wrong.is_empty(), "{}\n\nWhat was seen:\n{}", wrong.join("\n"), page::tables(&seen));
}
