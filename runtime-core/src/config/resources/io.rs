// SPDX-License-Identifier: Apache-2.0
//! `linux.resources.blockIO`: weights and rates of block devices.

use super::limit::{AT, Limit, only_version_1};
use crate::config::field::invalid;
use crate::error::Result;
use crate::spec;
use std::fmt::Display;

/// The numbers of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Io {
    /// The weight, 10 to 1000.
    pub(crate) weight: Option<u16>,
    pub(crate) device_weights: Vec<DeviceWeight>,
    pub(crate) rates: Vec<Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceWeight {
    pub(crate) device: Device,
    /// The weight, 10 to 1000. `None` resets the device to the cgroup's weight.
    pub(crate) weight: Option<u16>,
}

/// A limit on the bytes or operations per second of a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) device: Device,
    /// The field of config.json that the limit comes from.
    pub(crate) field: String,
    /// The name of the limit in io.max: `rbps`, `wbps`, `riops`, `wiops`.
    pub(crate) key: &'static str,
    pub(crate) limit: Limit,
}

pub(super) fn io(spec: &spec::BlockIo) -> Result<Io> {
    if spec.leaf_weight.unwrap_or(0) != 0 {
        return Err(only_version_1("blockIO.leafWeight"));
    }
    let mut device_weights = Vec::new();
    for (i, entry) in spec.weight_device.iter().enumerate() {
        let field = format!("blockIO.weightDevice[{i}]");
        if entry.leaf_weight.unwrap_or(0) != 0 {
            return Err(only_version_1(&format!("{field}.leafWeight")));
        }
        let Some(weight) = entry.weight else {
            return Err(invalid(format_args!("{AT}.{field}.weight"), "must be given"));
        };
        device_weights.push(DeviceWeight {
            device: device(&field, entry.major, entry.minor)?,
            weight: io_weight(&format!("{field}.weight"), weight)?,
        });
    }
    let mut rates = Vec::new();
    for (name, key, entries) in [
        ("throttleReadBpsDevice", "rbps", &spec.throttle_read_bps_device),
        ("throttleWriteBpsDevice", "wbps", &spec.throttle_write_bps_device),
        ("throttleReadIOPSDevice", "riops", &spec.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", "wiops", &spec.throttle_write_iops_device),
    ] {
        for (i, entry) in entries.iter().enumerate() {
            let field = format!("blockIO.{name}[{i}]");
            rates.push(Rate {
                device: device(&field, entry.major, entry.minor)?,
                field,
                key,
                // A rate of 0 removes a limit in cgroup v1. In cgroup v2 the kernel refuses it.
                limit: if entry.rate == 0 { Limit::Max } else { Limit::At(entry.rate) },
            });
        }
    }
    Ok(Io {
        weight: spec.weight.map(|weight| io_weight("blockIO.weight", weight)).transpose()?.flatten(),
        device_weights,
        rates,
    })
}

fn io_weight(field: &str, weight: u16) -> Result<Option<u16>> {
    match weight {
        0 => Ok(None),
        10..=1000 => Ok(Some(weight)),
        _ => Err(invalid(format_args!("{AT}.{field}"), format_args!("expected 10 to 1000, got {weight}"))),
    }
}

fn device(field: &str, major: i64, minor: i64) -> Result<Device> {
    let number = |name: &str, value: i64, max: u32| match u32::try_from(value) {
        Ok(value) if value <= max => Ok(value),
        _ => Err(invalid(
            format_args!("{AT}.{field}.{name}"),
            format_args!("expected 0 to {max}, got {value}"),
        )),
    };
    // The kernel's MKDEV has 12 bits for the major and 20 bits for the minor number.
    Ok(Device { major: number("major", major, 0xfff)?, minor: number("minor", minor, 0xf_ffff)? })
}
