// SPDX-License-Identifier: Apache-2.0
//! The types of the crate oci-spec, compared with ours.
#![allow(clippy::unwrap_used)]

use runtime_core::spec::Spec;

/// Converts to their types and back.
fn round_trip(spec: &Spec) -> Spec {
    let theirs = oci_spec::runtime::Spec::try_from(spec).unwrap();
    in_order(Spec::try_from(theirs).unwrap())
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
    let spec = Spec::try_from(oci_spec::runtime::Spec::default()).unwrap();
    spec.validate("/bundle").unwrap();
    assert_eq!(round_trip(&spec), in_order(spec));
}

#[test]
fn an_invalid_configuration_is_an_error() {
    assert!(Spec::from_serialize(&["no", "object"]).unwrap_err().report().contains("expected a JSON object"));
}

#[test]
fn what_has_no_place_here_is_an_error() {
    let fails = |pointer: &str, value: serde_json::Value| {
        let mut json = serde_json::to_value(oci_spec::runtime::Spec::default()).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[name] = value;
        let theirs: oci_spec::runtime::Spec = serde_json::from_value(json).unwrap();
        Spec::try_from(&theirs).unwrap_err().report()
    };
    for (pointer, value, lost) in [
        ("/windows", serde_json::json!({ "layerFolders": ["C:"] }), "windows"),
        ("/solaris", serde_json::json!({ "milestone": "m" }), "solaris"),
        ("/vm", serde_json::json!({ "kernel": { "path": "/vmlinuz" } }), "vm"),
        ("/zos", serde_json::json!({ "namespaces": [{ "type": "pid" }] }), "zos"),
        ("/process/user/username", serde_json::json!("ContainerUser"), "process.user.username"),
    ] {
        assert_eq!(fails(pointer, value), format!("{lost}: runtime_core has no place for it"));
    }
}

/// The types of oci-spec 0.10 say less than config.json.
#[test]
fn what_has_no_place_in_oci_spec_is_an_error() {
    let fails = |pointer: &str, value: serde_json::Value| {
        let mut json = serde_json::to_value(Spec::example(true)).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[name] = value;
        let spec = Spec::from_json(&serde_json::to_vec(&json).unwrap()).unwrap();
        oci_spec::runtime::Spec::try_from(&spec).unwrap_err().report()
    };
    let no_limit = fails("/linux/resources/pids", serde_json::json!({}));
    assert_eq!(no_limit, "linux.resources.pids.limit: oci_spec has no place for it");
    let unknown = fails("/process/capabilities/bounding", serde_json::json!(["CAP_OF_TOMORROW"]));
    assert!(unknown.starts_with("oci_spec: ") && unknown.contains("CAP_OF_TOMORROW"), "{unknown}");
}
