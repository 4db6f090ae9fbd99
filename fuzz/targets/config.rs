// SPDX-License-Identifier: Apache-2.0
//! config.json: whatever it holds, it is accepted, or refused in one line that
//! begins with a place. What is accepted survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_core::spec::{Process, Spec};

fuzz_target!(|json: &[u8]| {
    let _process = Process::from_json(json);
    let spec = match Spec::from_json(json) {
        Ok(spec) => spec,
        Err(error) => return assert!(!error.report().contains('\n'), "{error:?}"),
    };
    let again = serde_json_round_trip(&spec);
    assert_eq!(spec, again);
    let _unknown = Spec::unknown_properties(json);
    if let Err(error) = spec.validate("/bundle") {
        assert!(error.report().contains(": "), "{error:?}");
    }
});

fn serde_json_round_trip(spec: &Spec) -> Spec {
    let json = runtime_core::for_fuzzing::to_json(spec);
    Spec::from_json(&json).unwrap()
}
