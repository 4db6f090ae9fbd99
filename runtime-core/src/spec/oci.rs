// SPDX-License-Identifier: Apache-2.0
//! Conversions between [`Spec`] and the `Spec` of the crate `oci_spec`, with the feature `oci-spec`.
//!
//! Both types are config.json in Rust, so the conversions use JSON. The types of `oci_spec` express
//! less: they have no place for a `pids` without a limit, or for a capability that the crate does not
//! know. [`Spec`] has no place for other platforms. A configuration that the other type cannot express
//! is an error; nothing is dropped silently.

use super::document::Spec;
use crate::error::{Error, ErrorKind};
use oci_spec::runtime as oci;
use serde_json::Value;

impl TryFrom<&oci::Spec> for Spec {
    type Error = Error;

    /// Converts the configuration.
    ///
    /// Errors: a value has no form in config.json; [`Spec`] has no place for a part of the
    /// configuration, such as `windows`, which the error names.
    fn try_from(spec: &oci::Spec) -> Result<Self, Error> {
        let json = serde_json::to_vec(spec).map_err(inexpressible)?;
        match Spec::unknown_properties(&json).first() {
            None => Spec::from_json(&json),
            Some(path) => Err(no_place("runtime_core", path)),
        }
    }
}

impl TryFrom<oci::Spec> for Spec {
    type Error = Error;

    /// Converts the configuration like `Spec::try_from(&spec)`.
    fn try_from(spec: oci::Spec) -> Result<Self, Error> {
        Spec::try_from(&spec)
    }
}

impl TryFrom<&Spec> for oci::Spec {
    type Error = Error;

    /// Converts the configuration.
    ///
    /// Errors: `oci_spec` has no place for a part of the configuration, which the error names.
    fn try_from(spec: &Spec) -> Result<Self, Error> {
        let ours = serde_json::to_value(spec).map_err(inexpressible)?;
        let theirs: oci::Spec = serde_json::from_value(ours.clone()).map_err(inexpressible)?;
        let converted = serde_json::to_value(&theirs).map_err(inexpressible)?;
        match lost(&ours, &converted).or_else(|| lost(&converted, &ours)) {
            None => Ok(theirs),
            Some(path) => Err(no_place("oci_spec", path.trim_start_matches('.'))),
        }
    }
}

impl TryFrom<Spec> for oci::Spec {
    type Error = Error;

    /// Converts the configuration like `oci_spec::runtime::Spec::try_from(&spec)`.
    fn try_from(spec: Spec) -> Result<Self, Error> {
        oci::Spec::try_from(&spec)
    }
}

fn inexpressible(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("oci_spec: {error}"))
}

/// Makes the error for a part of a configuration that the types of the other crate lack.
fn no_place(other: &str, path: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{path}: {other} has no place for it"))
}

/// Returns the path of the first part of `ours` that `theirs` lacks or has otherwise. Lists of
/// texts, such as capabilities, may have another order.
fn lost(ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours.iter().find_map(|(name, value)| {
            match theirs.get(name) {
                Some(other) => lost(value, other),
                None => (!is_nothing(value)).then(String::new),
            }
            .map(|rest| format!(".{name}{rest}"))
        }),
        (Value::Array(ours), Value::Array(theirs)) if ours.iter().all(Value::is_string) => {
            let missing = ours.iter().position(|text| !theirs.contains(text))?;
            Some(format!("[{missing}]"))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs.into_iter().find_map(|(i, (ours, theirs))| Some(format!("[{i}]{}", lost(ours, theirs)?)))
        }
        _ => (ours != theirs).then(String::new),
    }
}

/// Returns true for a value that means the same as its absence in every place that `oci_spec` drops
/// it from.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        _ => false,
    }
}
