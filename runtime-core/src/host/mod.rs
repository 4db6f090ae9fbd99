// SPDX-License-Identifier: Apache-2.0
//! The fitness of a host for containers: [`Runtime::check`](crate::Runtime::check).
//!
//! Each row is asked of the kernel or read from the host. What can be tried is tried, in child
//! processes with their own namespaces; nothing is left on the host. Versions are never compared.

mod caller;
pub(crate) mod cgroups;
mod files;
pub(crate) mod kernel;
mod program;
mod row;
mod system;
pub(crate) mod users;

pub use caller::Caller;
pub(crate) use files::is_filesystem_loaded;
pub(crate) use program::Image;
pub use row::{Fitness, Row};

use serde::Serialize;
use std::path::Path;

/// The fitness of a host for containers of the calling user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The caller for whom the report is.
    pub caller: Caller,
    /// The rows, ordered by subject. Their names and their order are always the same.
    pub rows: Vec<Row>,
}

impl Report {
    /// Makes the report for a runtime with this state directory.
    pub(crate) fn new(state: &Path) -> Self {
        let caller = Caller::new();
        let mut rows = system::rows(&caller, state);
        rows.extend(kernel::rows(&caller));
        rows.extend(cgroups::rows(&caller));
        rows.extend(users::rows(&caller));
        Report { caller, rows }
    }

    /// Returns the row of this name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Returns the fitness of the host as a whole: [`Fitness::Missing`] if the caller can make no
    /// container, [`Fitness::Limited`] if something is missing that some containers need.
    #[must_use]
    pub fn fitness(&self) -> Fitness {
        let lacks = |row: &&Row| matches!(row.fitness, Fitness::Limited | Fitness::Missing);
        let is_fatal = |row: &Row| row.required && row.fitness == Fitness::Missing;
        match self.rows.iter().filter(lacks).collect::<Vec<_>>() {
            lacking if lacking.is_empty() => Fitness::Works,
            lacking if lacking.iter().any(|row| is_fatal(row)) => Fitness::Missing,
            _ => Fitness::Limited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::row::{optional, required};
    use super::*;

    fn fitness(rows: Vec<Row>) -> Fitness {
        Report { caller: Caller::new(), rows }.fitness()
    }

    #[test]
    fn only_a_required_row_makes_containers_impossible() {
        let (needed, useful) = (required("a", "", ""), optional("b", "", ""));
        assert_eq!(fitness(vec![needed.works(""), useful.row(Fitness::Unknown, "")]), Fitness::Works);
        assert_eq!(fitness(vec![needed.works(""), useful.row(Fitness::Missing, "")]), Fitness::Limited);
        assert_eq!(fitness(vec![needed.row(Fitness::Limited, "")]), Fitness::Limited);
        assert_eq!(fitness(vec![needed.row(Fitness::Missing, ""), useful.works("")]), Fitness::Missing);
    }
}
