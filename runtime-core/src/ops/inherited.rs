// SPDX-License-Identifier: Apache-2.0
//! The properties that later processes of a container inherit from its first process.

use crate::error::{Error, ErrorKind, Result};
use crate::spec;
use crate::state::record::Record;
use serde::{Deserialize, Serialize};

/// The properties that later processes of a container inherit from its first process. They are
/// those of config.json at the time of create; a later change of the file has no effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Inherited {
    pub(super) process: spec::Process,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) personality: Option<spec::Personality>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory_policy: Option<spec::MemoryPolicy>,
}

impl Inherited {
    /// Reads the properties from the record. A record of version 1 lacks them.
    pub(super) fn of(record: &Record) -> Result<Self> {
        if !record.allows_exec() {
            let why = "cannot exec in a container that an older version of this runtime has made";
            return Err(Error::new(ErrorKind::InvalidState, why));
        }
        record.read(&record.inherited)
    }

    /// Takes the properties out of config.json.
    pub(super) fn new(spec: spec::Spec) -> Self {
        let linux = spec.linux.unwrap_or_default();
        Inherited {
            process: spec.process.unwrap_or_default(),
            personality: linux.personality,
            memory_policy: linux.memory_policy,
        }
    }

    /// Fills in the properties that `process` leaves open.
    pub(super) fn complete(&self, process: &mut spec::Process) {
        fn fill<T: Clone>(place: &mut Option<T>, value: &Option<T>) {
            if place.is_none() {
                place.clone_from(value);
            }
        }
        let first = &self.process;
        fill(&mut process.capabilities, &first.capabilities);
        fill(&mut process.oom_score_adj, &first.oom_score_adj);
        fill(&mut process.scheduler, &first.scheduler);
        fill(&mut process.io_priority, &first.io_priority);
        fill(&mut process.exec_cpu_affinity, &first.exec_cpu_affinity);
        fill(&mut process.user.umask, &first.user.umask);
        if process.rlimits.is_empty() {
            process.rlimits.clone_from(&first.rlimits);
        }
        if process.apparmor_profile.is_empty() {
            process.apparmor_profile.clone_from(&first.apparmor_profile);
        }
        if process.selinux_label.is_empty() {
            process.selinux_label.clone_from(&first.selinux_label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Resources;
    use crate::state::record::Document;

    /// Reads a stored record and writes its parts again unchanged, like the test in `state::record`.
    #[test]
    fn the_recorded_format_is_unchanged() {
        let json = include_bytes!("../state/record-2.json");
        let record = Record::from_json("old-record", json).unwrap();
        let inherited = Inherited::of(&record).unwrap();
        assert_eq!(inherited.process.rlimits[0].soft, 10);
        assert_eq!(inherited.personality.as_ref().unwrap().domain, "LINUX");
        assert_eq!(Document::new(&inherited), record.inherited);
        let resources: Resources = record.read(&record.resources).unwrap();
        assert_eq!(resources.devices[1].major, Some(10));
        assert_eq!(Document::new(&resources), record.resources);
    }
}
