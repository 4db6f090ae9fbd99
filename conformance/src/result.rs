// SPDX-License-Identifier: Apache-2.0
//! The result of a case, and of the steps of a test.

use crate::ensure;

/// The reason why a case failed.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Adds the failed operation of the test itself to an error.
pub trait Doing<T> {
    /// Turns the error into the reason of a failed case.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// Checks every item, and names all that fail.
pub fn each<T: std::fmt::Debug>(
    items: impl IntoIterator<Item = T>,
    mut check: impl FnMut(&T) -> Result,
) -> Result {
    let (mut count, mut failed) = (0, Vec::new());
    for item in items {
        count += 1;
        if let Err(why) = check(&item) {
            failed.push(format!("{item:?}: {why}"));
        }
    }
    ensure!(failed.is_empty(), "{} of {count} fail:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}
