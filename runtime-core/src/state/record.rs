// SPDX-License-Identifier: Apache-2.0
//! state.json. Its format is independent of config.json. Fields that other programs are known
//! to read have runc's names.

use super::filter::FilterRecord;
use super::process::ProcessId;
use crate::cgroup::driver::Driver;
use crate::cgroup::record::CgroupRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::hook::Hook;
use crate::resctrl::ResctrlGroup;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the format that is written. A newer version is refused.
const VERSION: u32 = 2;

/// The oldest version that is read. Version 1 lacks the process that exec needs.
const OLDEST: u32 = 1;

/// The persistent state of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) id: String,
    /// The phase of creation: `Creating` in the record that is written before anything is made,
    /// `Created` in the one that replaces it at the end.
    pub(crate) phase: Phase,
    #[serde(flatten)]
    pub(crate) init: ProcessId,
    /// The time of creation, RFC 3339, UTC.
    pub(crate) created: String,
    /// The absolute path of the bundle.
    pub(crate) bundle: String,
    /// The absolute path of the root file system.
    pub(crate) rootfs: String,
    pub(crate) annotations: BTreeMap<String, String>,
    /// `{"": path}`, as cgroup2 has a single hierarchy. Empty without a cgroup.
    pub(crate) cgroup_paths: BTreeMap<String, String>,
    pub(crate) cgroup: CgroupRecord,
    /// The limits of config.json and later updates.
    #[serde(default)]
    pub(crate) resources: Document,
    /// `{"NEWPID": "/proc/1/ns/pid", ...}` for the namespaces that are not the host's.
    pub(crate) namespace_paths: BTreeMap<String, String>,
    /// The container has no pid namespace of its own, so killing init does not end its other
    /// processes.
    pub(crate) shared_pid_namespace: bool,
    pub(crate) no_new_keyring: bool,
    /// The id of the mount at `rootfs` before the container's own mount was put over it. Only for
    /// a container in the host's mount namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host_mount_below: Option<u64>,
    /// The container's group in the resctrl file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resctrl: Option<ResctrlGroup>,
    /// The parts of the container that are of the host, which a checkpoint only names: `net` and `pid`
    /// for a namespace that was joined, and the destinations of bind mounts, which begin with a
    /// slash. Absent in the record of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) external: Option<Vec<String>>,
    /// The destinations of bind mounts that config.json makes read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read_only: Vec<String>,
    /// The places of mounts that are not of the host, and of those that cover or restrict a path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) own_mounts: Vec<String>,
    /// The names of the standard streams that the init began with: `pipe:[INODE]` or `/dev/pts/0`, or an
    /// empty text for a stream that is not connected with the host. Absent in the record of an older version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) external_descriptors: Vec<String>,
    /// The reason why a checkpoint of the container could not be restored, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_restorable: Option<String>,
    /// The defaults for later processes of the container.
    pub(crate) inherited: Document,
    /// The filter that every process of the container loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seccomp: Option<FilterRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "start_container")]
    pub(crate) start_container: Vec<HookRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) poststart: Vec<HookRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) poststop: Vec<HookRecord>,
}

/// A part of the record that is kept as JSON in another format, that of config.json.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Document(Box<RawValue>);

impl Document {
    pub(crate) fn new(value: &impl Serialize) -> Self {
        // Fails only for maps with keys that are no strings. `null` is then an error at the next
        // read, where an empty object would read as a container without limits.
        Document(serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl Default for Document {
    /// Returns an empty object.
    fn default() -> Self {
        Document(RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// A hook that may run later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookRecord {
    path: String,
    args: Vec<String>,
    env: Option<Vec<String>>,
    timeout: Option<Duration>,
}

/// Reads the startContainer hooks. Version 1 keeps them in an object with the process that runs
/// them.
fn start_container<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<HookRecord>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Versions {
        Two(Vec<HookRecord>),
        One { hooks: Vec<HookRecord> },
    }
    match Versions::deserialize(deserializer)? {
        Versions::Two(hooks) | Versions::One { hooks } => Ok(hooks),
    }
}

impl HookRecord {
    /// Makes the records of hooks.
    pub(crate) fn list(hooks: &[Hook]) -> Vec<Self> {
        hooks
            .iter()
            .cloned()
            .map(|Hook { path, args, env, timeout }| HookRecord { path, args, env, timeout })
            .collect()
    }

    /// Makes hooks of their records.
    pub(crate) fn hooks(list: &[Self]) -> Vec<Hook> {
        list.iter()
            .cloned()
            .map(|HookRecord { path, args, env, timeout }| Hook { path, args, env, timeout })
            .collect()
    }
}

/// The phase of a container's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Creation is in progress or was interrupted. Any of the things that the record names may
    /// exist.
    Creating,
    /// Creation is complete.
    Created,
}

impl Record {
    /// Makes the record of a container before any part of the container is made.
    pub(crate) fn creating(
        id: &str,
        bundle: String,
        rootfs: String,
        cgroup_path: String,
        cgroup: CgroupRecord,
    ) -> Self {
        Record {
            version: VERSION,
            id: id.to_owned(),
            phase: Phase::Creating,
            init: ProcessId { pid: 0, start: 0 },
            created: now(),
            bundle,
            rootfs,
            annotations: BTreeMap::new(),
            cgroup_paths: cgroup_paths(cgroup_path),
            cgroup,
            resources: Document::default(),
            namespace_paths: BTreeMap::new(),
            shared_pid_namespace: false,
            no_new_keyring: false,
            host_mount_below: None,
            resctrl: None,
            external: None,
            read_only: Vec::new(),
            own_mounts: Vec::new(),
            external_descriptors: Vec::new(),
            not_restorable: None,
            inherited: Document::default(),
            seccomp: None,
            start_container: Vec::new(),
            poststart: Vec::new(),
            poststop: Vec::new(),
        }
    }

    /// Sets the container's cgroup.
    pub(crate) fn set_cgroup(&mut self, path: String, cgroup: CgroupRecord) {
        self.cgroup_paths = cgroup_paths(path);
        self.cgroup = cgroup;
    }

    /// Returns the absolute path of the container's cgroup; empty if it has none.
    pub(crate) fn cgroup_path(&self) -> &str {
        self.cgroup_paths.get("").map_or("", String::as_str)
    }

    /// Returns the absolute path of the cgroup that the container's processes are put into.
    pub(crate) fn process_cgroup_path(&self) -> String {
        match &self.cgroup {
            CgroupRecord::Systemd { leaf, .. } if !leaf.is_empty() => {
                format!("{}/{leaf}", self.cgroup_path())
            }
            _ => self.cgroup_path().to_owned(),
        }
    }

    /// Returns the driver of the container's cgroup.
    pub(crate) fn driver(&self) -> Driver {
        Driver::of(self.cgroup_path().to_owned(), &self.cgroup)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Fails only for maps with keys that are no strings.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Parses a part of the record.
    pub(crate) fn read<T: DeserializeOwned>(&self, part: &Document) -> Result<T> {
        serde_json::from_str(part.0.get()).map_err(|error| bad(&self.id, &error))
    }

    /// Returns whether the record has what exec needs. A record of an older version lacks it.
    pub(crate) fn allows_exec(&self) -> bool {
        self.version == VERSION
    }

    /// Parses a record. It is an error if the record is torn, belongs to another container, or has
    /// an unknown version.
    pub(crate) fn from_json(id: &str, json: &[u8]) -> Result<Self> {
        let bad = |why: &dyn std::fmt::Display| bad(id, why);
        let json = std::str::from_utf8(json).map_err(|error| bad(&error))?;
        let record: Record = serde_json::from_str(json).map_err(|error| bad(&error))?;
        if !(OLDEST..=VERSION).contains(&record.version) {
            return Err(bad(&format_args!("version {} (known: {VERSION})", record.version)));
        }
        if record.id != id {
            return Err(bad(&format_args!("it is the record of {:?}", record.id)));
        }
        Ok(record)
    }
}

fn bad(id: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::BadRecord, format!("load container {id}: state.json: {why}"))
        .with_hint("delete --force removes the record, and the process and cgroup that it still names")
}

/// The part of an unreadable record that `delete --force` needs to kill and remove the
/// container. Another version of the runtime may have written the record.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) init: ProcessId,
    pub(crate) cgroup_path: String,
    pub(crate) cgroup_made: usize,
}

impl Remains {
    /// Parses what can be found in the record; `None` if `id` is not the container's id there.
    pub(crate) fn from_json(id: &str, json: &[u8]) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_str(std::str::from_utf8(json).ok()?).ok()?;
        let number = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0);
        (json.get("id")?.as_str()? == id).then(|| Remains {
            init: ProcessId {
                pid: i32::try_from(number("/init_process_pid")).unwrap_or(0),
                start: number("/init_process_start"),
            },
            cgroup_path: json
                .pointer("/cgroup_paths/")
                .and_then(|path| path.as_str().filter(|path| !path.contains('\0')))
                .unwrap_or("")
                .to_owned(),
            cgroup_made: number("/cgroup/made") as usize,
        })
    }
}

/// Returns the current time as RFC 3339 with nanoseconds, without trailing zeros, as Go formats
/// it.
fn now() -> String {
    let text = humantime::format_rfc3339_nanos(std::time::SystemTime::now()).to_string();
    match text.strip_suffix('Z') {
        Some(text) => format!("{}Z", text.trim_end_matches('0').trim_end_matches('.')),
        None => text,
    }
}

fn cgroup_paths(path: String) -> BTreeMap<String, String> {
    if path.is_empty() { BTreeMap::new() } else { BTreeMap::from([(String::new(), path)]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::systemd::Manager;

    fn record() -> Record {
        let cgroup = CgroupRecord::Fs { made: 1 };
        Record::creating("x", "/b".into(), "/b/rootfs".into(), "/sys/fs/cgroup/x".into(), cgroup)
    }

    #[test]
    fn a_record_is_read_back_as_written() {
        let record = record();
        let json = record.to_json();
        assert_eq!(Record::from_json("x", &json).unwrap(), record);
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains(r#""init_process_pid":0,"init_process_start":0,"#), "{text}");
        assert!(text.contains(r#""cgroup_paths":{"":"/sys/fs/cgroup/x"}"#), "{text}");
        for (leaf, path) in [("", "/sys/fs/cgroup/x"), ("container", "/sys/fs/cgroup/x/container")] {
            let (manager, unit) = (Manager::User, "runc-x.scope".to_owned());
            let record = Record {
                cgroup: CgroupRecord::Systemd { manager, unit, leaf: leaf.into() },
                ..record.clone()
            };
            assert_eq!(Record::from_json("x", &record.to_json()).unwrap(), record);
            assert_eq!(record.process_cgroup_path(), path);
        }
    }

    /// Reads a record that was written when its types were those of config.json, and writes it again.
    #[test]
    fn the_format_is_what_it_was() {
        let json = include_str!("record-2.json").trim();
        let record = Record::from_json("old-record", json.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(record.to_json()).unwrap(), json);
        let hooks = HookRecord::hooks(&record.start_container);
        assert_eq!(HookRecord::list(&hooks), record.start_container);
    }

    /// After an upgrade, containers with a record of version 1 can be inspected, killed and deleted.
    #[test]
    fn an_older_version_is_read() {
        let old = Record::from_json("old-record", include_bytes!("record-1.json")).unwrap();
        assert_eq!((old.init.pid, old.start_container.len(), old.poststop.len()), (41, 1, 1));
        assert!(!old.allows_exec() && record().allows_exec());
    }

    #[test]
    fn torn_foreign_and_future_records_are_refused() {
        let json = record().to_json();
        let report = |json: &[u8]| Record::from_json("x", json).unwrap_err();
        for torn in 0..json.len() {
            assert_eq!(report(&json[..torn]).kind(), ErrorKind::BadRecord);
        }
        assert!(report(b"{}").report().starts_with("load container x: state.json: missing field"));
        let future = String::from_utf8(json.clone()).unwrap().replace("\"version\":2", "\"version\":3");
        assert!(report(future.as_bytes()).report().contains("version 3 (known: 2)"));
        assert!(Record::from_json("y", &json).unwrap_err().report().contains("it is the record of \"x\""));
    }

    #[test]
    fn remains_of_another_version_are_read() {
        let json = String::from_utf8(record().to_json()).unwrap();
        let future = json.replace("\"version\":2", "\"version\":3").replace("\"rootfs\"", "\"root\"");
        let remains = Remains::from_json("x", future.as_bytes()).unwrap();
        assert_eq!((remains.cgroup_path.as_str(), remains.cgroup_made), ("/sys/fs/cgroup/x", 1));
        assert_eq!(remains.init, ProcessId { pid: 0, start: 0 });
        assert!(Remains::from_json("y", future.as_bytes()).is_none(), "the record of another container");
        assert!(Remains::from_json("x", b"{\"id\":\"x\"").is_none());
    }

    #[test]
    fn times_are_short() {
        let time = now();
        assert!(time.ends_with('Z') && !time.ends_with("0Z") && time.starts_with("20"), "{time}");
    }
}
