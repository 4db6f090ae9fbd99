// SPDX-License-Identifier: Apache-2.0
//! The whole of config.json, and the parts that belong to no platform.

use super::absent::{is_false, null_default};
use super::linux::*;
use super::process::*;
use super::resources::Resources;
use super::{json_path, known, strict, typos};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The oldest version of the specification whose configurations this library accepts.
pub const OCI_VERSION_MIN: &str = "1.0.0";

/// The maximum size in bytes of config.json and of the documents of `exec --process` and
/// `update --resources`. Engines pass a configuration on in messages of at most this size
/// (containerd's gRPC).
pub const JSON_MAX: usize = 16 << 20;

/// The whole of config.json (config.md).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The version of the specification that the bundle complies with.
    pub oci_version: String,
    /// The program to run, and its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The container's root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name in the container's UTS namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The NIS domain name in the container's UTS namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// The mounts to make, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub mounts: Vec<Mount>,
    /// Programs to run at points of the life cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Arbitrary metadata about the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
    /// The Linux-specific configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// The container's root file system (config.md, "Root").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Root {
    /// The path of a directory, absolute or relative to the bundle.
    pub path: String,
    /// True if the root file system must be read-only inside the container.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_default")]
    pub readonly: bool,
}

/// One mount (config.md, "Mounts").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// The mount point inside the container.
    pub destination: String,
    /// The type of file system, or `none`/`bind`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// A device name, the path of a file or directory, or a dummy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Options as in mount(8).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub options: Vec<String>,
    /// The user id mappings of an id-mapped mount. Each file system supports these from some kernel
    /// on: tmpfs, for example, needs Linux 6.3 (mount_setattr(2)).
    #[serde(
        rename = "uidMappings",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub uid_mappings: Vec<IdMapping>,
    /// The group id mappings of an id-mapped mount, as for user ids.
    #[serde(
        rename = "gidMappings",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs to run at points of the life cycle (config.md, "POSIX-platform Hooks").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// Deprecated hooks that run in the same way as `createRuntime`, and before it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub prestart: Vec<Hook>,
    /// Hooks that run in the runtime's namespaces, before pivot_root.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub create_runtime: Vec<Hook>,
    /// Hooks that run in the container's namespaces, before pivot_root.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub create_container: Vec<Hook>,
    /// Hooks that run in the container, at `start`, before the program.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub start_container: Vec<Hook>,
    /// Hooks that run in the runtime's namespaces, after the program was started.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub poststart: Vec<Hook>,
    /// Hooks that run in the runtime's namespaces, after the container was deleted.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub poststop: Vec<Hook>,
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The absolute path of the program.
    pub path: String,
    /// The program's arguments, including its name. Empty means the path alone.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub args: Vec<String>,
    /// The program's environment; `None` if config.json has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The time in seconds after which the hook is killed. Without it, a hook may run for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl Spec {
    /// Parses config.json.
    ///
    /// Errors: [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), with the JSON path, the
    /// line and the column.
    pub fn from_json(json: &[u8]) -> crate::error::Result<Self> {
        from_json(json)
    }

    /// Converts any value that serializes as a config.json, such as an
    /// `oci_spec::runtime::Spec`:
    ///
    /// ```
    /// let theirs = oci_spec::runtime::Spec::default();
    /// let spec = runtime_core::spec::Spec::from_serialize(&theirs)?;
    /// # Ok::<_, runtime_core::Error>(())
    /// ```
    ///
    /// Distinctions that the other type cannot express are lost before the conversion: for
    /// example, the types of oci-spec 0.10 make an absent `pids.limit` a 0.
    ///
    /// Errors: see [`from_json`](Self::from_json).
    pub fn from_serialize(value: &impl Serialize) -> crate::error::Result<Self> {
        use crate::error::{Error, ErrorKind};
        let json = serde_json::to_vec(value)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))?;
        Self::from_json(&json)
    }

    /// Returns the JSON paths of the properties in `json`, a valid config.json, that this
    /// library does not know. Unknown properties are ignored, as config.md ("Extensibility")
    /// asks. A caller can show them to the user, who may have mistyped one.
    pub fn unknown_properties(json: &[u8]) -> Vec<String> {
        json_path::unknown(json, "", known::NAMES)
    }

    /// Parses config.json like [`from_json`](Self::from_json), with a warning for each unknown
    /// property whose name is similar to that of a known property of the same object. Such a
    /// property need not be a mistake, because engines may add properties.
    ///
    /// Errors: see [`from_json`](Self::from_json).
    pub fn from_json_warning(json: &[u8]) -> crate::error::Result<(Self, Vec<crate::error::Warning>)> {
        from_json_warning(json, "")
    }
}

impl Process {
    /// Parses the document of `exec --process`. Errors: see [`Spec::from_json`].
    pub fn from_json(json: &[u8]) -> crate::error::Result<Self> {
        from_json(json)
    }

    /// Parses the document of `exec --process`, with warnings like those of
    /// [`Spec::from_json_warning`]. Errors: see [`Spec::from_json`].
    pub fn from_json_warning(json: &[u8]) -> crate::error::Result<(Self, Vec<crate::error::Warning>)> {
        from_json_warning(json, "process")
    }
}

impl Resources {
    /// Parses the document of `update --resources`. Errors: see [`Spec::from_json`].
    pub fn from_json(json: &[u8]) -> crate::error::Result<Self> {
        from_json(json)
    }

    /// Parses the document of `update --resources`, with warnings like those of
    /// [`Spec::from_json_warning`]. Errors: see [`Spec::from_json`].
    pub fn from_json_warning(json: &[u8]) -> crate::error::Result<(Self, Vec<crate::error::Warning>)> {
        from_json_warning(json, "linux.resources")
    }
}

/// Parses a document that has the JSON path `place` in config.json, and returns warnings
/// about its unknown properties.
fn from_json_warning<'a, T: Deserialize<'a>>(
    json: &'a [u8],
    place: &str,
) -> crate::error::Result<(T, Vec<crate::error::Warning>)> {
    let has_unknown = Cell::new(false);
    let value = parse(json, &has_unknown)?;
    let warnings = if has_unknown.get() { typos::find(json, place) } else { Vec::new() };
    Ok((value, warnings))
}

/// Parses any of the types of this module; the error names the JSON path.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> crate::error::Result<T> {
    parse(json, &Cell::new(false))
}

/// Parses a document, and sets `has_unknown` if there is a property that `T` does not know.
fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], has_unknown: &Cell<bool>) -> crate::error::Result<T> {
    use crate::error::{Error, ErrorKind};
    if json.trim_ascii_start().first().is_some_and(|b| *b != b'{') {
        return Err(Error::new(ErrorKind::InvalidConfig, "expected a JSON object"));
    }
    let bad = |line, column, error: &dyn std::fmt::Display| {
        // A name in the document may have control characters.
        let path = json_path::path_at(json, line, column).replace(char::is_control, "?");
        let text = error.to_string();
        let (path, text) = match missing_field(&text) {
            Some((name, place)) if path.is_empty() => (name.to_owned(), format!("must be given{place}")),
            Some((name, place)) => (format!("{path}.{name}"), format!("must be given{place}")),
            None => (path, in_words_of_json(&text)),
        };
        if path.is_empty() {
            return Error::new(ErrorKind::InvalidConfig, text);
        }
        Error::new(ErrorKind::InvalidConfig, format!("{path}: {text}")).at(&path)
    };
    // UTF-8 is checked for the whole text at once, not for each string.
    let text = std::str::from_utf8(json).map_err(|error| {
        let valid = json.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
        let column = 1 + valid.iter().rev().take_while(|b| **b != b'\n').count();
        bad(line, column, &format_args!("not UTF-8 at line {line} column {column}"))
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(strict::Strict(&mut deserializer, has_unknown));
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| bad(error.line(), error.column(), &error))
}

/// Returns serde's message about a wrong type with the words of JSON instead of those of Rust.
fn in_words_of_json(text: &str) -> String {
    // A string of the document may have the same words, but comes before them.
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let found = match found {
        "invalid type: map" => "invalid type: object",
        "invalid type: sequence" => "invalid type: array",
        other => other,
    };
    let (what, place) = expected.split_at(expected.find(" at line ").unwrap_or(expected.len()));
    let what = match what {
        "a sequence" => "an array",
        "a map" => "an object",
        "u16" => "a number from 0 to 65535",
        "u32" => "a number from 0 to 4294967295",
        "u64" => "a number from 0 to 2^64 - 1",
        "i32" => "a number of 32 bits",
        "i64" => "a number of 64 bits",
        other => other,
    };
    format!("{found}, expected {what}{place}")
}

/// Splits serde's message about a missing field into the name of the field and the position
/// at which its object ends.
fn missing_field(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("missing field `")?.split_once('`')
}
