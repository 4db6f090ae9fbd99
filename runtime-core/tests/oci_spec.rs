// SPDX-License-Identifier: Apache-2.0
//! The types of the crate oci-spec, compared with ours.
#![allow(clippy::unwrap_used)]

use runtime_core::spec::Spec;

/// Converts to their types and back, by way of JSON.
fn round_trip(spec: &Spec) -> Spec {
    let theirs: oci_spec::runtime::Spec = serde_json::from_slice(&serde_json::to_vec(spec).unwrap()).unwrap();
    in_order(Spec::from_serialize(&theirs).unwrap())
}

/// Sorts the capabilities, which are unordered sets in their types.
fn in_order(mut spec: Spec) -> Spec {
    let sets = spec.process.as_mut().and_then(|process| process.capabilities.as_mut()).unwrap();
    for set in [
        &mut sets.bounding,
        &mut sets.effective,
        &mut sets.inheritable,
        &mut sets.permitted,
        &mut sets.ambient,
    ] {
        set.sort();
    }
    spec
}

#[test]
fn the_example_survives_the_way_through_oci_spec() {
    for unified in [true, false] {
        let spec = Spec::example(unified);
        assert_eq!(round_trip(&spec), in_order(spec));
    }
}

#[test]
fn the_default_of_oci_spec_is_a_configuration() {
    let spec = Spec::from_serialize(&oci_spec::runtime::Spec::default()).unwrap();
    spec.validate("/bundle").unwrap();
    assert_eq!(round_trip(&spec), in_order(spec));
}

#[test]
fn what_is_no_configuration_is_an_error() {
    assert!(Spec::from_serialize(&["no", "object"]).unwrap_err().report().contains("expected a JSON object"));
}
