// SPDX-License-Identifier: Apache-2.0
//! Changes of config.json: a JSON path as error messages have it, and the new value.

use serde_json::Value;

/// A change: the path of a property and its new value as JSON. `[]` behind a list appends to it; without
/// a value the property is removed.
pub(crate) type Edit = (&'static str, &'static str);

/// Makes the change in `config`.
pub(crate) fn apply(config: &mut Value, path: &str, value: &str) {
    let (parent, last) = match path.strip_suffix("[]") {
        Some(list) => (find(config, list), "[]"),
        None => match path.rfind(['.', '[']) {
            Some(at) => (find(config, &path[..at]), &path[at..]),
            None => (config, path),
        },
    };
    let new = || serde_json::from_str(value).unwrap_or_else(|error| panic!("{path}: {value}: {error}"));
    let last = last.trim_start_matches(['.', '[']).trim_end_matches(']');
    match parent {
        Value::Array(list) if last.is_empty() => list.push(new()),
        Value::Array(list) if value.is_empty() => drop(list.remove(last.parse().unwrap())),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = new(),
        Value::Object(map) if value.is_empty() => drop(map.remove(last)),
        Value::Object(map) => drop(map.insert(last.to_owned(), new())),
        other => panic!("{path}: {other} has no properties"),
    }
}

/// Returns the value at a path. Objects that do not exist are made.
fn find<'a>(config: &'a mut Value, path: &str) -> &'a mut Value {
    let parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty());
    parts.fold(config, |value, part| match part.parse::<usize>() {
        Ok(index) => &mut value[index],
        Err(_) => &mut value[part],
    })
}
