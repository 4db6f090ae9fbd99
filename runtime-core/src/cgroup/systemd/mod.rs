// SPDX-License-Identifier: Apache-2.0
//! The systemd driver: the container's cgroup is that of a transient scope. systemd makes
//! the scope around the container's process, and delegates its cgroup to the runtime.

mod bus;
mod manager;
mod message;
pub(crate) mod properties;
pub(crate) mod unit;
mod variant;
mod wire;

pub(crate) use manager::Manager;
pub(crate) use wire::Value;

use super::fs;
use super::fs::Occupants;
use super::group::Cgroup;
use super::hierarchy::Hierarchy;
use super::limits::{UnitProperties, Write};
use crate::error::{Error, ErrorKind, Result, Warning};
use bus::{Answer, Bus, BusFailure};
use nix::unistd::geteuid;
use properties::Translated;

impl Manager {
    /// Returns the manager that makes units for the calling process.
    pub(crate) fn ours() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Manager::User);
        }
        if crate::userns::is_initial_user_namespace()? {
            return Ok(Manager::System);
        }
        // Root of a user namespace: a system in a container, or a user with more
        // than one id. The user's bus knows our uid outside the namespace.
        match Bus::connect(Manager::User).map(|mut bus| bus.own_uid()) {
            Ok(Ok(uid)) if uid != 0 => Ok(Manager::User),
            _ => Ok(Manager::System),
        }
    }

    /// Asks the manager for its version.
    pub(crate) fn version(self) -> Result<String> {
        let version = Bus::connect_briefly(self)?.property("Version");
        version.map_err(|failure| failure.into_error("asking for its version"))
    }
}

/// The scope of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) manager: Manager,
    pub(crate) unit: String,
    /// The absolute path of the scope's cgroup.
    pub(crate) path: String,
    /// The name of the cgroup in the scope that the processes are in; empty: the scope's own.
    pub(crate) leaf: String,
}

/// The other parameters of a new scope, and the connection to systemd.
#[derive(Debug)]
pub(crate) struct Wanted {
    bus: Bus,
    slice: String,
    description: String,
    /// The properties that annotations ask for.
    properties: Vec<(String, Value)>,
}

impl Scope {
    /// Plans the scope of a container. Makes nothing, but connects to systemd and fails if that
    /// cannot be reached.
    pub(crate) fn plan(
        hierarchy: &Hierarchy,
        manager: Manager,
        name: unit::Name,
        id: &str,
        leaf: String,
        properties: Vec<(String, Value)>,
    ) -> Result<(Self, Wanted)> {
        let mut bus = Bus::connect(manager)?;
        let default = match manager {
            Manager::System => "system.slice",
            Manager::User => "user.slice",
        };
        let slice = name.slice.unwrap_or_else(|| default.to_owned());
        let above = match manager {
            Manager::System => String::new(),
            Manager::User => {
                let own = bus.property("ControlGroup");
                own.map_err(|failure| failure.into_error("asking for its cgroup"))?
            }
        };
        let path = crate::path::clean(&format!("{above}/{}/{}", unit::slice_path(&slice)?, name.unit));
        let scope = Scope { manager, unit: name.unit, path: hierarchy.absolute(&path), leaf };
        Ok((scope, Wanted { bus, slice, description: format!("container {id}"), properties }))
    }

    /// Returns the properties that [`start`](Self::start) asks systemd for, apart from those that every
    /// scope has, in words; and the writes to do in the cgroup's files.
    pub(crate) fn shown(
        &self,
        wanted: &mut Wanted,
        writes: &[Write],
    ) -> Result<(UnitProperties, Vec<Write>)> {
        let Translated { properties, mut writes } = self.translate(&mut wanted.bus, writes, true)?;
        self.leave_to_leaf(&mut writes);
        let slice = [("Slice".to_owned(), wanted.slice.clone())];
        let others = wanted.properties.iter().cloned().chain(properties);
        Ok((slice.into_iter().chain(others.map(|(name, value)| (name, value.words()))).collect(), writes))
    }

    /// Makes the scope around a process, with limits. Returns the writes to do in the cgroup's
    /// files.
    pub(crate) fn start(&self, wanted: &mut Wanted, pid: i32, writes: &[Write]) -> Result<Vec<Write>> {
        let bus = &mut wanted.bus;
        let Translated { properties, writes } = self.translate(bus, writes, true)?;
        let yes = |name: &str| (name.to_owned(), Value::Bool(true));
        let mut all = vec![
            ("Description".to_owned(), Value::str(&wanted.description)),
            ("Slice".to_owned(), Value::str(&wanted.slice)),
            yes("Delegate"),
            ("PIDs".to_owned(), Value::Array("u".to_owned(), vec![Value::Uint32(pid.unsigned_abs())])),
            yes("MemoryAccounting"),
            yes("CPUAccounting"),
            yes("IOAccounting"),
            yes("TasksAccounting"),
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
        ];
        all.extend(wanted.properties.iter().cloned());
        all.extend(properties);
        let body = [
            Value::str(&self.unit),
            Value::str("replace"),
            property_list(all),
            Value::Array("(sa(sv))".to_owned(), Vec::new()),
        ];
        let start = |bus: &mut Bus| bus.job("StartTransientUnit", body.to_vec());
        let result = match start(bus) {
            // The existing unit may be a failed one of an earlier container.
            Err(failure) if failure.is("UnitExists") => {
                self.reset(bus).map_err(|failure| self.failed("resetting", failure))?;
                start(bus)
            }
            other => other,
        };
        let result = result.map_err(|failure| {
            let exists = failure.is("UnitExists");
            let error = failure.into_error(format_args!("starting {}", self.unit));
            if exists { error.of_kind(ErrorKind::AlreadyExists) } else { error }
        });
        match result?.as_str() {
            "done" => Ok(writes),
            other => {
                let text = format!("systemd: starting {}: the job ended with {other:?}", self.unit);
                Err(Error::new(ErrorKind::Setup, text))
            }
        }
    }

    /// Sets limits in systemd. Returns the writes to do in the cgroup's files.
    pub(crate) fn set(&self, writes: &[Write]) -> Result<Vec<Write>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let mut bus = Bus::connect(self.manager)?;
        let Translated { properties, writes } = self.translate(&mut bus, writes, false)?;
        if !properties.is_empty() {
            // `true`: only until the next boot, as the scope itself.
            let body = vec![Value::str(&self.unit), Value::Bool(true), property_list(properties)];
            bus.call("SetUnitProperties", body).map_err(|failure| {
                failure.into_error(format_args!("unable to set unit properties of {}", self.unit))
            })?;
        }
        Ok(writes)
    }

    /// Lets systemd move a process into the cgroup of the container's processes, or into the
    /// cgroup `below` that. Only systemd may do so if the process comes from a cgroup that does
    /// not belong to the caller.
    pub(crate) fn attach(&self, below: &str, pid: i32) -> Result<()> {
        let below = format!("{}/{below}", self.leaf);
        let body = vec![
            Value::str(&self.unit),
            Value::Str(format!("/{}", below.trim_matches('/'))),
            Value::Array("u".to_owned(), vec![Value::Uint32(pid.unsigned_abs())]),
        ];
        let attached = Bus::connect(self.manager)?.call("AttachProcessesToUnit", body);
        attached.map(drop).map_err(|failure| failure.into_error(format_args!("attaching to {}", self.unit)))
    }

    /// Opens the leaf, if the container has one and it still exists.
    pub(crate) fn leaf(&self, scope: &Cgroup) -> Result<Option<Cgroup>> {
        if self.leaf.is_empty() { Ok(None) } else { scope.leaf(&self.leaf) }
    }

    /// Drops the writes that are for the leaf alone: limits on the number and depth of cgroups
    /// below. In the scope these would count the leaf, which the container has not made.
    pub(crate) fn leave_to_leaf(&self, writes: &mut Vec<Write>) {
        writes.retain(|write| self.leaf.is_empty() || write.controller().is_some());
    }

    /// Removes the scope and all cgroups in it. Returns a warning if systemd does not answer: a
    /// scope without processes ends by itself.
    pub(crate) fn remove(&self, occupants: Occupants) -> Result<Option<Warning>> {
        fs::end_all(&self.path, occupants)?;
        let stopped = self.stop();
        // Some versions of systemd leave the cgroups below the scope.
        fs::remove(&self.path, 1, occupants)?;
        match stopped {
            Ok(()) => Ok(None),
            Err(failure) => {
                let silence = failure.is_silence();
                let error = self.failed("stopping", failure);
                if !silence {
                    return Err(error);
                }
                let text = format!("systemd still keeps the failed unit {}: {}", self.unit, error.report());
                Ok(Some(Warning(text)))
            }
        }
    }

    fn stop(&self) -> Answer<()> {
        let mut bus = Bus::connect(self.manager)?;
        match bus.job("StopUnit", vec![Value::str(&self.unit), Value::str("replace")]) {
            // A scope ends by itself with its last process.
            Err(failure) if failure.is("NoSuchUnit") => {}
            other => drop(other?),
        }
        self.reset(&mut bus)
    }

    /// Makes systemd forget a failed unit.
    fn reset(&self, bus: &mut Bus) -> Answer<()> {
        match bus.call("ResetFailedUnit", vec![Value::str(&self.unit)]) {
            Err(failure) if failure.is("NoSuchUnit") => Ok(()),
            other => other.map(drop),
        }
    }

    fn failed(&self, doing: &str, failure: BusFailure) -> Error {
        failure.into_error(format_args!("{doing} {}", self.unit))
    }

    fn translate(&self, bus: &mut Bus, writes: &[Write], new: bool) -> Result<Translated> {
        let version = if properties::depends_on_version(writes) {
            let text = bus.property("Version");
            version(&text.map_err(|failure| failure.into_error("asking for its version"))?)
        } else {
            0
        };
        Ok(properties::translate(writes, version, new))
    }
}

fn property_list(properties: Vec<(String, Value)>) -> Value {
    let pair = |(name, value)| Value::Struct(vec![Value::Str(name), Value::Variant(Box::new(value))]);
    Value::Array("(sv)".to_owned(), properties.into_iter().map(pair).collect())
}

/// Returns the major version in `252.39-1~deb12u2` or `v245.4-1.fc32`; 0 if there is none.
fn version(text: &str) -> u32 {
    let text = text.trim_start_matches(['"', 'v']);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Parses any bytes with each parser of this module. For the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) fn check_parsers(bytes: &[u8]) {
    message::check(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _value = variant::parse(text);
        if let Ok(name) = unit::name(text, "id") {
            assert!(!name.unit.contains('/'));
        }
        if let Ok(path) = unit::slice_path(text) {
            assert!(path.split('/').all(|part| part.is_empty() || part.ends_with(".slice")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_first_number() {
        for (text, want) in [
            ("252.39-1~deb12u2", 252),
            ("v245.4-1.fc32", 245),
            ("\"v245", 245),
            ("257", 257),
            ("", 0),
            ("x", 0),
        ] {
            assert_eq!(version(text), want, "{text}");
        }
    }
}
