// SPDX-License-Identifier: Apache-2.0
//! list(1): all containers of a state directory.

use super::container::Runtime;
use super::state::{State, state};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::state::entry::StateEntry;
use nix::sys::stat::fstat;
use runtime_sys::fd;
use std::collections::BTreeMap;

/// An entry of the list: a container's state, or the error of reading it.
#[non_exhaustive]
#[derive(Debug)]
pub struct Listed {
    /// The container's id.
    pub id: ContainerId,
    /// The container's state.
    pub state: Result<State>,
}

impl Runtime {
    /// Returns the containers of the state directory, sorted by id.
    ///
    /// Errors: [`ErrorKind::NotFound`]: the directory does not exist.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let ids = self.store.ids().map_err(|error| match error.errno() {
            Some(libc::ENOENT) => error.of_kind(ErrorKind::NotFound),
            _ => error,
        })?;
        // Without the file, the owners are shown by their numbers.
        let passwd = fd::read_file(fd::CWD, c"/etc/passwd", 64 << 20).unwrap_or_default();
        let mut users = BTreeMap::new();
        let mut list = Vec::with_capacity(ids.len());
        for id in ids {
            match self.listed(&id, &passwd, &mut users) {
                Err(error) if error.kind() == ErrorKind::NotFound && self.is_changing(&id) => {}
                state => list.push(Listed { id, state }),
            }
        }
        Ok(list)
    }

    /// Returns whether a container that had no record has been made or deleted meanwhile, or is being
    /// made or deleted by another command, which holds the lock. Otherwise the directory was left
    /// behind.
    fn is_changing(&self, id: &ContainerId) -> bool {
        match self.store.entry(id).and_then(StateEntry::try_lock) {
            Ok(Ok(locked)) => locked.is_gone() || locked.record().is_ok(),
            Ok(Err(_)) => true,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// Returns the state of a container with its owner. `users` caches the names of users.
    fn listed(&self, id: &ContainerId, passwd: &[u8], users: &mut BTreeMap<u32, String>) -> Result<State> {
        let entry = self.store.entry(id)?;
        let record = entry.record().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(error.kind(), format!("load container {id}: {error}")),
            _ => error,
        })?;
        let owner = fstat(entry.dir()).context(|| format!("stat container {id}"))?.st_uid;
        let owner = users.entry(owner).or_insert_with(|| user_name(owner, passwd)).clone();
        Ok(State { owner, ..state(&entry, record)? })
    }
}

/// Returns the name of a user in the host's /etc/passwd, or `#uid`. The C library's name
/// service (NSS) is not used, because it does not work in a static program.
fn user_name(uid: u32, passwd: &[u8]) -> String {
    let passwd = String::from_utf8_lossy(passwd);
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("#{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_being_made_or_deleted_is_not_listed() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(root.path());
        let id = ContainerId::new("c").unwrap();
        let reserved = runtime.store.reserve(&id).unwrap();
        assert!(runtime.list().unwrap().is_empty());
        drop(reserved);
        let left_behind = runtime.list().unwrap();
        let report = left_behind[0].state.as_ref().unwrap_err().report();
        assert_eq!(report, "load container c: container does not exist");
    }

    #[test]
    fn a_user_without_a_name_is_a_number() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nbroken\n::\nu:x:1000:1000::/:\n";
        assert_eq!(user_name(0, passwd), "root");
        assert_eq!(user_name(1000, passwd), "u");
        assert_eq!(user_name(7, passwd), "#7");
    }
}
