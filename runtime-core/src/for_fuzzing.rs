// SPDX-License-Identifier: Apache-2.0
//! Access to internal parsers for the fuzz targets alone. Each function panics if a parser
//! breaks one of its invariants.

use crate::boundary::reply::Reply;
use crate::config::devices;
use crate::spec::{DeviceCgroup, Spec};
use crate::state::record::Record;

/// Writes a configuration as JSON.
pub fn to_json(spec: &Spec) -> Vec<u8> {
    serde_json::to_vec(spec).unwrap_or_default()
}

/// Parses state.json: an accepted record must stay the same when it is written and read again.
pub fn record(json: &[u8]) {
    for id in ["x", "container"] {
        if let Ok(record) = Record::from_json(id, json) {
            assert_eq!(record.id, id);
            assert_eq!(Record::from_json(id, &record.to_json()).ok(), Some(record));
        }
    }
}

/// Runs all parsers that are small enough to share one fuzz target.
pub fn small_parsers(bytes: &[u8]) {
    if let Some(message) = bytes.first_chunk()
        && let Some(reply) = Reply::decode(*message)
    {
        assert_eq!(Reply::decode(reply.encode()), Some(reply));
    }
    crate::state::process::parse_stat(bytes);
    crate::child::parse_passwd(bytes);
    crate::cgroup::parse_files(bytes);
    runtime_sys::exe::parse_maps(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let clean = crate::path::clean(text);
        assert_eq!(crate::path::clean(&clean), clean);
        assert!(clean.split('/').all(|part| part != ".." && part != "."));
        let _list = crate::config::field::number_list("x", "list", text);
        let _words = crate::error::Error::new(crate::error::ErrorKind::System, text.repeat(100)).report();
        if let Ok(id) = crate::id::ContainerId::new(text) {
            assert!(!id.as_str().contains('/'));
        }
    }
    device_rules(bytes);
}

/// Makes device rules from the input, 7 bytes for each, and checks the program that the
/// compiler makes of them, without loading it.
fn device_rules(bytes: &[u8]) {
    let rules: Vec<DeviceCgroup> = bytes
        .chunks_exact(7)
        .take(200)
        .map(|chunk| DeviceCgroup {
            allow: chunk[0] & 1 != 0,
            kind: ["", "a", "b", "c"][usize::from(chunk[1] % 4)].to_owned(),
            major: (chunk[2] != 0).then(|| i64::from(chunk[3] % 4)),
            minor: (chunk[4] != 0).then(|| i64::from(chunk[5] % 4)),
            access: ["r", "w", "m"]
                .iter()
                .enumerate()
                .filter(|(i, _)| chunk[6] & 1 << i != 0)
                .map(|(_, a)| *a)
                .collect(),
        })
        .collect();
    if let Ok(rules) = devices::rules(&rules, &mut Vec::new()) {
        crate::cgroup::devices::check(&rules);
    }
}
