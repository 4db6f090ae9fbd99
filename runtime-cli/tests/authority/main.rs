// SPDX-License-Identifier: Apache-2.0
//! The authority of each process of the runtime at each step. This test stops the processes at
//! every system call and compares /proc with docs/authority/tables.md. The short tables of
//! docs/authority.md are computed from that page and compared as well.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod page;
mod scenarios;
mod table;
mod words;

use conformance::host;

#[test]
fn the_full_tables_match_proc() {
    let _alone = host::alone();
    let seen = scenarios::all();
    let wrong = page::compare(&seen);
    assert!(wrong.is_empty(), "{}\n\nThe observed tables:\n{}", wrong.join("\n"), page::tables(&seen));
}

#[test]
fn the_short_tables_match_the_full_ones() {
    let (wanted, found) = page::short_tables();
    assert_eq!(found, wanted, "docs/authority.md should have:\n{wanted}");
}
