// SPDX-License-Identifier: Apache-2.0
//! ps(1): the processes of a container.

use super::container::{Container, NO_CGROUP};
use crate::cgroup::Cgroup;
use crate::cgroup::record::CgroupRecord;
use crate::error::{Error, ErrorKind, Result};

impl Container {
    /// Returns the pids of all processes in the container's cgroup and below it, in the
    /// caller's pid namespace. Empty if the container has stopped.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::Unsupported`]: the container has no cgroup of
    /// its own.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let record = self.store.entry(&self.id)?.record()?;
        if record.cgroup == CgroupRecord::None {
            return Err(Error::new(ErrorKind::Unsupported, NO_CGROUP));
        }
        match Cgroup::from_record(record.cgroup_path())? {
            Some(cgroup) => cgroup.pids(),
            None => Ok(Vec::new()),
        }
    }
}
