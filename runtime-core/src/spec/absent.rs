// SPDX-License-Identifier: Apache-2.0
//! The forms of an absent value.

use serde::Deserialize;

/// Deserializes `null` as the default value. Go writes an empty slice or map as `null`;
/// for any other optional value, `null` means that the value is absent.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
