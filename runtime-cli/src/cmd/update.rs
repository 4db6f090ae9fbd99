// SPDX-License-Identifier: Apache-2.0
//! `update`.

use super::context::CommandContext;
use crate::args::Values;
use crate::args::flags::{
    BLKIO_WEIGHT, CPU_BURST, CPU_IDLE, CPU_PERIOD, CPU_QUOTA, CPU_RT_PERIOD, CPU_RT_RUNTIME, CPU_SHARE,
    CPUSET_CPUS, CPUSET_MEMS, KERNEL_MEMORY, KERNEL_MEMORY_TCP, L3_CACHE_SCHEMA, MEM_BW_SCHEMA, MEMORY,
    MEMORY_RESERVATION, MEMORY_SWAP, PIDS_LIMIT, RESOURCES, Text,
};
use crate::failure::Failure;
use crate::input;
use runtime_core::spec::{BlockIo, Cpu, Memory, Pids, Resources};

pub(super) fn update(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let flags = context.flags;
    let container = context.container()?;
    // An unknown container is the error to report, even with a wrong value.
    container.state()?;
    let resources = match flags.path(RESOURCES) {
        Some(path) => {
            let (resources, warnings) = input::parse(path, Resources::from_json_warning)?;
            context.warn(&warnings);
            resources
        }
        None => from_flags(flags)?,
    };
    if let Some(flag) = [L3_CACHE_SCHEMA, MEM_BW_SCHEMA].into_iter().find(|flag| flags.path(*flag).is_some())
    {
        return Err(Failure::new(format!("--{}: this runtime does not update Intel RDT", flag.name())));
    }
    if flags.path(KERNEL_MEMORY).is_some() || flags.path(KERNEL_MEMORY_TCP).is_some() {
        context.log.warning("Kernel memory settings are ignored: Linux no longer has them");
    }
    for warning in container.update(&resources)? {
        context.log.warning(&warning.to_string());
    }
    Ok(0)
}

fn from_flags(flags: &Values) -> Result<Resources, Failure> {
    let weight = match flags.integer(BLKIO_WEIGHT) {
        None | Some(0) => None,
        Some(weight) => Some(u16::try_from(weight).map_err(|_out_of_range| {
            Failure::new(format!("invalid value for blkio-weight: expected 10 to 1000, got {weight}"))
        })?),
    };
    Ok(Resources {
        memory: Some(Memory {
            limit: size(flags, MEMORY)?,
            reservation: size(flags, MEMORY_RESERVATION)?,
            swap: size(flags, MEMORY_SWAP)?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(flags, CPU_SHARE)?,
            quota: number(flags, CPU_QUOTA)?,
            burst: number(flags, CPU_BURST)?,
            period: number(flags, CPU_PERIOD)?,
            realtime_runtime: number(flags, CPU_RT_RUNTIME)?,
            realtime_period: number(flags, CPU_RT_PERIOD)?,
            cpus: text(flags, CPUSET_CPUS)?,
            mems: text(flags, CPUSET_MEMS)?,
            idle: number(flags, CPU_IDLE)?,
        }),
        pids: flags.integer(PIDS_LIMIT).map(|limit| Pids { limit: Some(limit) }),
        block_io: Some(BlockIo { weight, ..BlockIo::default() }),
        ..Resources::default()
    })
}

fn invalid(flag: Text, value: &str, why: &str) -> Failure {
    Failure::new(format!("invalid value for {}: {why}: {value:?}", flag.name()))
}

/// Returns the value of a flag, empty if it was not given.
fn text(flags: &Values, flag: Text) -> Result<String, Failure> {
    let value = flags.get(flag).unwrap_or_default();
    let text = value.to_str().ok_or_else(|| invalid(flag, &value.to_string_lossy(), "not UTF-8"))?;
    Ok(text.to_owned())
}

fn number<T: std::str::FromStr>(flags: &Values, flag: Text) -> Result<Option<T>, Failure> {
    let value = text(flags, flag)?;
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_not_a_number| invalid(flag, &value, "not a number in range"))
}

fn size(flags: &Values, flag: Text) -> Result<Option<i64>, Failure> {
    let value = text(flags, flag)?;
    match value.as_str() {
        "" => Ok(None),
        "-1" => Ok(Some(-1)),
        _ => parse_size(&value).map(Some).ok_or_else(|| invalid(flag, &value, "invalid size")),
    }
}

/// Parses a size as Docker's RAMInBytes does: a number, possibly with a fraction, and a binary
/// unit: `32`, `32b`, `32k`, `32 KB`, `32MiB`, `1.5g`.
fn parse_size(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        unit => {
            let power = ["k", "m", "g", "t", "p"].iter().position(|prefix| unit.starts_with(prefix))?;
            if !["", "b", "ib"].contains(&unit.get(1..)?) {
                return None;
            }
            power as u32 + 1
        }
    };
    let scale = 1i64 << (10 * power);
    match number.parse::<i64>() {
        Ok(whole) => whole.checked_mul(scale),
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * scale as f64;
            (bytes < i64::MAX as f64).then_some(bytes as i64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_of_docker() {
        for (text, want) in [
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32 kb", 32 << 10),
            ("100M", 100 << 20),
            ("50Mb", 50 << 20),
            ("2GiB", 2 << 30),
            ("1.5g", 3 << 29),
            ("3t", 3 << 40),
            ("1p", 1 << 50),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Some(want), "{text}");
        }
        for text in ["", "x", "-2", "1x", "1kx", "1.2.3", ".5", "9999999p", "1  k", "k", "1ki"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
