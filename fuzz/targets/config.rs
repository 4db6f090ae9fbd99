// SPDX-License-Identifier: Apache-2.0
//! config.json: any text is accepted, or refused in one line that begins with a place. An accepted
//! one stays the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_core::spec::{Process, Resources, Spec};

fuzz_target!(|json: &[u8]| {
    let _process = Process::from_json_warning(json);
    let _resources = Resources::from_json_warning(json);
    let (spec, warnings) = match Spec::from_json_warning(json) {
        Ok(parsed) => parsed,
        Err(error) => return assert!(!error.report().contains('\n') && error.report().len() < 10_000, "{error:?}"),
    };
    assert!(warnings.len() <= Spec::unknown_properties(json).len());
    let again = serde_json_round_trip(&spec);
    assert_eq!(spec, again);
    if let Err(error) = spec.validate("/bundle") {
        assert!(error.report().contains(": "), "{error:?}");
    }
});

fn serde_json_round_trip(spec: &Spec) -> Spec {
    let json = runtime_core::for_fuzzing::to_json(spec);
    Spec::from_json(&json).unwrap()
}
