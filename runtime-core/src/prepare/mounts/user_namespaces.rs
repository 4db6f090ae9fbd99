// SPDX-License-Identifier: Apache-2.0
//! The user namespaces for id-mapped mounts.

use crate::error::{ErrorKind, Result};
use crate::parent::helpers;
use crate::values::IdRange;
use std::fmt::Arguments;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// User namespaces without processes, one for each distinct pair of uid and gid maps.
#[derive(Debug, Default)]
pub(in crate::prepare) struct UserNamespaces<'a>(Vec<(&'a [IdRange], &'a [IdRange], Arc<OwnedFd>)>);

impl<'a> UserNamespaces<'a> {
    /// Returns the user namespace with these maps. `at` is the name of the mount in errors.
    pub(in crate::prepare) fn get(
        &mut self,
        at: Arguments<'_>,
        uid: &'a [IdRange],
        gid: &'a [IdRange],
    ) -> Result<Arc<OwnedFd>> {
        if let Some((_, _, known)) = self.0.iter().find(|(u, g, _)| (*u, *g) == (uid, gid)) {
            return Ok(Arc::clone(known));
        }
        let made = helpers::user_namespace(uid, gid).map_err(|error| {
            let what = format!("{at}: making a user namespace with its mappings");
            error.wrap_as(ErrorKind::Setup, what).at(&at.to_string())
        })?;
        let made = Arc::new(made);
        self.0.push((uid, gid, Arc::clone(&made)));
        Ok(made)
    }
}
