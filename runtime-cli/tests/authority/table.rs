// SPDX-License-Identifier: Apache-2.0
//! The form of the page's tables.

use std::collections::{BTreeMap, BTreeSet};

/// The columns of the page's tables, behind the steps.
pub(crate) const COLUMNS: [&str; 10] = [
    "descriptors",
    "permitted",
    "bounding",
    "inheritable",
    "namespaces of the host",
    "joined namespaces",
    "root directory",
    "user",
    "dumpable",
    "has a pid in",
];

/// The cells of a row.
pub(crate) type Cells = BTreeMap<&'static str, BTreeSet<String>>;

/// The observed cells, for each section of the page and each step in it, in the order of time.
pub(crate) type Seen = BTreeMap<&'static str, Vec<(String, Cells)>>;
