// SPDX-License-Identifier: Apache-2.0
//! Tests of the whole check with valid configurations that are changed in one or two places.
//! The error must name the place, and nothing may panic.

use super::{Caller, Config};
use crate::spec::{NAMES, Spec};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Returns a valid configuration that has nearly every property.
fn rich() -> Value {
    serde_json::from_str(include_str!("rich.json")).unwrap()
}

/// Returns the configuration that the command `spec` writes.
fn example() -> Value {
    serde_json::to_value(Spec::example(true)).unwrap()
}

/// Checks a configuration, and returns the text of the error.
fn check(config: &Value) -> Result<(), String> {
    let json = serde_json::to_vec(config).unwrap();
    Spec::from_json(&json)
        .and_then(|spec| Config::new(&spec, "/bundle", &Caller::default(), &mut Vec::new()))
        .map(drop)
        .map_err(|error| error.report())
}

/// Returns the places of all values in a document, as JSON pointers.
fn places(config: &Value) -> Vec<String> {
    fn below(value: &Value, place: &str, all: &mut Vec<String>) {
        let entries: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (name, value) in entries {
            let place = format!("{place}/{name}");
            below(value, &place, all);
            all.push(place);
        }
    }
    let mut all = Vec::new();
    below(config, "", &mut all);
    all
}

/// Returns whether `error` begins with the path of `place`. In some paths, a name that may
/// have dots is quoted.
fn is_named(error: &str, place: &str) -> bool {
    let (mut plain, mut quoted) = (String::new(), String::new());
    for name in place.split('/').skip(1) {
        let separator = if plain.is_empty() { "" } else { "." };
        match name.parse::<usize>() {
            Ok(index) => [&mut plain, &mut quoted].map(|path| path.push_str(&format!("[{index}]"))),
            Err(_) => {
                plain.push_str(&format!("{separator}{name}"));
                let quote = if quoted.ends_with(".unified") || quoted.ends_with(".rdma") { "\"" } else { "" };
                quoted.push_str(&format!("{separator}{quote}{name}{quote}"));
                [(), ()]
            }
        };
    }
    [plain, quoted]
        .iter()
        .any(|path| error.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with([':', '.', '['])))
}

/// Returns the configuration with another value in a place. The value is added if the place
/// ends in a new name, or in the index after the last one.
fn with(config: &Value, place: &str, value: &Value) -> Value {
    let mut config = config.clone();
    let (outer, name) = place.rsplit_once('/').unwrap();
    match config.pointer_mut(outer).unwrap() {
        Value::Object(map) => drop(map.insert(name.to_owned(), value.clone())),
        Value::Array(list) => match list.get_mut(name.parse::<usize>().unwrap()) {
            Some(old) => *old = value.clone(),
            None => list.push(value.clone()),
        },
        other => unreachable!("{other} has no {name}"),
    }
    config
}

fn without(config: &Value, place: &str) -> Value {
    let mut config = config.clone();
    let (outer, name) = place.rsplit_once('/').unwrap();
    config.pointer_mut(outer).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    config
}

#[test]
fn the_base_document_is_valid_and_nearly_complete() {
    check(&example()).unwrap();
    check(&rich()).unwrap();
    let pattern = |place: String| {
        let mut pattern = String::new();
        for name in place.split('/').skip(1) {
            match name.parse::<usize>() {
                Ok(_) => pattern.push_str("[]"),
                Err(_) if pattern.is_empty() => pattern.push_str(name),
                Err(_) => {
                    let any = format!("{pattern}.*");
                    let is_map = NAMES.contains(&any.as_str());
                    pattern = if is_map { any } else { format!("{pattern}.{name}") };
                }
            }
        }
        pattern
    };
    let had: BTreeSet<String> = places(&rich()).into_iter().map(pattern).collect();
    let missing: Vec<_> = NAMES.iter().filter(|name| !had.contains(**name)).collect();
    // Other spellings of names that the configuration has, and entries of a list that must be
    // empty.
    let other = |name: &str| {
        name.contains(".CPU")
            || name.ends_with("pus")
            || name.ends_with("ems")
            || name.ends_with("pagesize")
            || name.contains(".network.priorities[]")
    };
    assert!(missing.iter().all(|name| other(name)), "{missing:#?}");
}

/// A value of another JSON type is refused in every place.
#[test]
fn another_type_is_refused() {
    let others =
        [json!(true), json!(1), json!(1.5), json!("x"), json!([]), json!([1]), json!({}), json!({ "x": 1 })];
    let kind = |value: &Value| match value {
        // A number with a fraction is not an integer.
        Value::Number(number) if number.is_f64() => 9,
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    let mut bad = Vec::new();
    for config in [example(), rich()] {
        for place in places(&config) {
            let old = config.pointer(&place).unwrap();
            for other in others.iter().filter(|other| kind(other) != kind(old)) {
                match check(&with(&config, &place, other)) {
                    Err(error) if is_named(&error, &place) => {}
                    result => bad.push(format!("{place} = {other}: {result:?}")),
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} of them:\n{}", bad.len(), bad.join("\n"));
}

/// A string for the kernel is refused if a NUL byte would truncate it.
#[test]
fn a_nul_byte_is_refused() {
    // Strings that are not passed to the kernel, and names that are a warning if unknown.
    let kept = [
        "/annotations/",
        "/process/capabilities/",
        "/mounts/2/type",
        "/linux/resources/devices/0/access",
        "/linux/seccomp/listenerMetadata",
        "/linux/seccomp/syscalls/0/names/0",
        "/linux/seccomp/syscalls/1/names/0",
    ];
    let mut bad = Vec::new();
    for config in [example(), rich()] {
        for place in places(&config) {
            let Some(text) = config.pointer(&place).unwrap().as_str() else { continue };
            match check(&with(&config, &place, &json!(format!("{text}\0x")))) {
                Err(error) if is_named(&error, &place) => {}
                Ok(()) if kept.iter().any(|kept| place.starts_with(kept)) => {}
                result => bad.push(format!("{place}: {result:?}")),
            }
        }
    }
    assert!(bad.is_empty(), "{} of them:\n{}", bad.len(), bad.join("\n"));
}

/// Returns places of the rich configuration, each with a value that is refused there.
fn refused() -> Vec<(&'static str, Value)> {
    let twice = json!({ "type": "RLIMIT_NOFILE", "soft": 1, "hard": 1 });
    vec![
        ("/ociVersion", json!("")),
        ("/ociVersion", json!("invalid")),
        ("/ociVersion", json!("1.2")),
        ("/ociVersion", json!("0.9.0")),
        ("/ociVersion", json!("2.0.0")),
        ("/root", Value::Null),
        ("/root/path", json!("")),
        ("/process", Value::Null),
        ("/process/consoleSize/height", json!(65_536)),
        ("/process/consoleSize/width", json!(65_536)),
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(u32::MAX)),
        ("/process/user/gid", json!(u32::MAX)),
        ("/process/user/umask", json!(0o1000)),
        ("/process/user/additionalGids/0", json!(u32::MAX)),
        ("/process/args", json!([])),
        ("/process/env/0", json!("PATH")),
        ("/process/env/0", json!("=x")),
        ("/process/cwd", json!("")),
        ("/process/cwd", json!("tmp")),
        ("/process/rlimits/0/type", json!("RLIMIT_X")),
        ("/process/rlimits/0/type", json!("NOFILE")),
        ("/process/rlimits/0/soft", json!(21)),
        ("/process/rlimits/0/hard", json!(-1)),
        ("/process/rlimits/2", twice),
        ("/process/oomScoreAdj", json!(1001)),
        ("/process/oomScoreAdj", json!(-1001)),
        ("/process/scheduler/policy", json!("SCHED_X")),
        ("/process/scheduler/policy", json!("")),
        ("/process/scheduler/nice", json!(20)),
        ("/process/scheduler/nice", json!(-21)),
        ("/process/scheduler/priority", json!(1)),
        ("/process/scheduler/flags/0", json!("SCHED_FLAG_X")),
        ("/process/ioPriority/class", json!("BE")),
        ("/process/ioPriority/priority", json!(8)),
        ("/process/ioPriority/priority", json!(-1)),
        ("/process/execCPUAffinity/initial", json!("x")),
        ("/process/execCPUAffinity/final", json!("1-0")),
        ("/hostname", json!("x".repeat(65))),
        ("/domainname", json!("x".repeat(65))),
        ("/mounts/1/destination", json!("")),
        ("/mounts/1/destination", json!("/proc/sys")),
        ("/mounts/1/destination", json!("/proc")),
        ("/mounts/1/type", json!("")),
        ("/mounts/1/options/0", json!("=x")),
        ("/mounts/1/options", json!(["tmpcopyup", "ridmap"])),
        ("/mounts/1/options", json!(["src-nofollow"])),
        ("/mounts/0/options", json!(["tmpcopyup"])),
        ("/mounts/2/source", json!("")),
        ("/mounts/2/options/3", json!("size=1")),
        ("/mounts/2/uidMappings", json!([])),
        ("/mounts/2/gidMappings", json!([])),
        ("/mounts/2/uidMappings/0/size", json!(0)),
        ("/mounts/2/uidMappings/0/hostID", json!(u32::MAX)),
        ("/mounts/2/gidMappings/0/containerID", json!(u32::MAX)),
        ("/hooks/prestart/0/path", json!("true")),
        ("/hooks/createRuntime/0/path", json!("")),
        ("/hooks/createContainer/0/timeout", json!(0)),
        ("/hooks/startContainer/0/timeout", json!(-1)),
        ("/hooks/poststart/0/path", json!("./x")),
        ("/hooks/poststop/0/timeout", json!(0)),
        ("/annotations", json!({ "": "x" })),
        ("/annotations/run.oci.keep_original_groups", json!("yes")),
        ("/linux/uidMappings", json!([])),
        ("/linux/gidMappings", json!([])),
        ("/linux/uidMappings/0/size", json!(0)),
        ("/linux/gidMappings/0/hostID", json!(u32::MAX)),
        ("/linux/uidMappings/1", json!({ "containerID": 5, "hostID": 500_000, "size": 1 })),
        ("/linux/sysctl/kernel.panic", json!("1")),
        ("/linux/sysctl/net.ipv4...x", json!("1")),
        ("/linux/cgroupsPath", json!("/../x")),
        ("/linux/cgroupsPath", json!("a/../../x")),
        ("/linux/cgroupsPath", json!("/")),
        ("/linux/namespaces/0/type", json!("disk")),
        ("/linux/namespaces/0/type", json!("")),
        ("/linux/namespaces/2/path", json!("ns/ipc")),
        ("/linux/namespaces/8", json!({ "type": "pid" })),
        ("/linux/devices/0/path", json!("dev/fuse")),
        ("/linux/devices/0/path", json!("/")),
        ("/linux/devices/0/type", json!("x")),
        ("/linux/devices/0/major", json!(-1)),
        ("/linux/devices/0/minor", json!(1 << 20)),
        ("/linux/devices/0/fileMode", json!(1 << 17)),
        ("/linux/devices/0/uid", json!(u32::MAX)),
        ("/linux/devices/0/gid", json!(u32::MAX)),
        ("/linux/netDevices/a b", json!({})),
        ("/linux/netDevices/eth0/name", json!("..")),
        ("/linux/netDevices/eth0/name", json!("0123456789abcdef")),
        ("/linux/rootfsPropagation", json!("everywhere")),
        ("/linux/rootfsPropagation", json!("ro")),
        ("/linux/maskedPaths/0", json!("proc/kcore")),
        ("/linux/maskedPaths/0", json!("/")),
        ("/linux/readonlyPaths/0", json!("/a/..")),
        ("/linux/intelRdt/closID", json!("..")),
        ("/linux/intelRdt/closID", json!("a/b")),
        ("/linux/intelRdt/schemata/0", json!("a\nb")),
        ("/linux/intelRdt/memBwSchema", json!("L3:0=f")),
        ("/linux/intelRdt/memBwSchema", json!("MB:0=20\nMB:1=20")),
        ("/linux/memoryPolicy/mode", json!("MPOL_X")),
        ("/linux/memoryPolicy/mode", json!("")),
        ("/linux/memoryPolicy/nodes", json!("")),
        ("/linux/memoryPolicy/nodes", json!("zero")),
        ("/linux/memoryPolicy/flags/0", json!("MPOL_F_X")),
        ("/linux/personality/domain", json!("BSD")),
        ("/linux/personality/flags", json!(["x"])),
        ("/linux/timeOffsets/realtime", json!({ "secs": 1 })),
        ("/linux/timeOffsets/monotonic/nanosecs", json!(1_000_000_000)),
        ("/linux/resources/devices/0/type", json!("x")),
        ("/linux/resources/devices/0/major", json!(-2)),
        ("/linux/resources/devices/0/minor", json!(1u64 << 32)),
        ("/linux/resources/memory/limit", json!(-2)),
        ("/linux/resources/memory/reservation", json!(-2)),
        ("/linux/resources/memory/swap", json!(1)),
        ("/linux/resources/memory/kernel", json!(1)),
        ("/linux/resources/memory/kernelTCP", json!(1)),
        ("/linux/resources/memory/swappiness", json!(0)),
        ("/linux/resources/memory/swappiness", json!(1)),
        ("/linux/resources/memory/disableOOMKiller", json!(true)),
        ("/linux/resources/memory/useHierarchy", json!(false)),
        ("/linux/resources/cpu/quota", json!(-2)),
        ("/linux/resources/cpu/quota", json!(999)),
        ("/linux/resources/cpu/period", json!(999)),
        ("/linux/resources/cpu/period", json!(1_000_001)),
        ("/linux/resources/cpu/burst", json!(10_001)),
        ("/linux/resources/cpu/realtimeRuntime", json!(1)),
        ("/linux/resources/cpu/realtimePeriod", json!(1)),
        ("/linux/resources/cpu/cpus", json!("x")),
        ("/linux/resources/cpu/mems", json!(",")),
        ("/linux/resources/cpu/idle", json!(2)),
        ("/linux/resources/pids/limit", json!(-2)),
        ("/linux/resources/blockIO/weight", json!(9)),
        ("/linux/resources/blockIO/leafWeight", json!(10)),
        ("/linux/resources/blockIO/weightDevice/0/weight", json!(1001)),
        ("/linux/resources/blockIO/weightDevice/0/leafWeight", json!(10)),
        ("/linux/resources/blockIO/throttleReadBpsDevice/0/major", json!(-1)),
        ("/linux/resources/blockIO/throttleWriteIOPSDevice/0/minor", json!(1 << 20)),
        ("/linux/resources/hugepageLimits/0/pageSize", json!("2M")),
        ("/linux/resources/hugepageLimits/0/pageSize", json!("../2MB")),
        ("/linux/resources/network/classID", json!(1)),
        ("/linux/resources/rdma/mlx5_1", json!({})),
        ("/linux/resources/unified/cgroup.procs", json!("1")),
        ("/linux/resources/unified/x", json!("1")),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_X")),
        ("/linux/seccomp/defaultAction", json!("")),
        ("/linux/seccomp/architectures/0", json!("SCMP_ARCH_X")),
        ("/linux/seccomp/flags/0", json!("SECCOMP_FILTER_FLAG_X")),
        ("/linux/seccomp/listenerPath", json!("run/agent")),
        ("/linux/seccomp/listenerPath", json!(format!("/{}", "x".repeat(4095)))),
        ("/linux/seccomp/syscalls/0/names", json!([])),
        ("/linux/seccomp/syscalls/0/errnoRet", json!(1)),
        ("/linux/seccomp/syscalls/0/action", json!("SCMP_ACT_X")),
        ("/linux/seccomp/syscalls/0/args/0/index", json!(6)),
        ("/linux/seccomp/syscalls/0/args/0/op", json!("SCMP_CMP_X")),
    ]
}

#[test]
fn a_bad_value_is_refused_where_it_is() {
    let mut bad = Vec::new();
    for (place, value) in refused() {
        match check(&with(&rich(), place, &value)) {
            Err(error) if is_named(&error, place) => {}
            result => bad.push(format!("{place} = {value}: {result:?}")),
        }
    }
    assert!(bad.is_empty(), "{} of them:\n{}", bad.len(), bad.join("\n"));
}

/// A missing value is refused if it is REQUIRED and has no default.
#[test]
fn a_missing_value_is_refused() {
    for place in [
        "/ociVersion",
        "/root",
        "/root/path",
        "/process",
        "/process/args",
        "/process/cwd",
        "/process/consoleSize/height",
        "/process/consoleSize/width",
        "/process/rlimits/0/type",
        "/process/rlimits/0/soft",
        "/process/rlimits/0/hard",
        "/process/scheduler/policy",
        "/process/ioPriority/class",
        "/process/ioPriority/priority",
        "/mounts/1/destination",
        "/mounts/1/type",
        "/mounts/2/uidMappings",
        "/mounts/2/source",
        "/mounts/2/uidMappings/0/hostID",
        "/hooks/prestart/0/path",
        "/linux/uidMappings",
        "/linux/uidMappings/0/containerID",
        "/linux/uidMappings/0/hostID",
        "/linux/uidMappings/0/size",
        "/linux/gidMappings/0/containerID",
        "/linux/gidMappings/0/hostID",
        "/linux/namespaces/0/type",
        "/linux/devices/0/path",
        "/linux/devices/0/type",
        "/linux/devices/0/major",
        "/linux/devices/0/minor",
        "/linux/memoryPolicy/mode",
        "/linux/personality/domain",
        "/linux/resources/blockIO/weightDevice/0/weight",
        "/linux/resources/blockIO/weightDevice/0/major",
        "/linux/resources/blockIO/weightDevice/0/minor",
        "/linux/resources/blockIO/throttleReadBpsDevice/0/major",
        "/linux/resources/blockIO/throttleReadBpsDevice/0/minor",
        "/linux/resources/blockIO/throttleReadBpsDevice/0/rate",
        "/linux/resources/devices/0/allow",
        "/linux/resources/hugepageLimits/0/pageSize",
        "/linux/resources/hugepageLimits/0/limit",
        "/linux/seccomp/defaultAction",
        "/linux/seccomp/syscalls/0/names",
        "/linux/seccomp/syscalls/0/action",
        "/linux/seccomp/syscalls/0/args/0/op",
        "/linux/seccomp/syscalls/0/args/0/index",
        "/linux/seccomp/syscalls/0/args/0/value",
    ] {
        let error = check(&without(&rich(), place)).expect_err(place);
        assert!(is_named(&error, place), "{place}: {error}");
    }
    let error = check(&without(&rich(), "/linux/uidMappings/0/hostID")).unwrap_err();
    assert!(error.starts_with("linux.uidMappings[0].hostID: must be given at line 1 column "), "{error}");
}

/// A null property is equal to an absent one: both are refused, or neither.
#[test]
fn null_means_absent() {
    let mut bad = Vec::new();
    for config in [example(), rich()] {
        for place in places(&config) {
            let (outer, _) = place.rsplit_once('/').unwrap();
            // A null entry of a list, or of a map with free names, is not an absent one.
            let is_property = config.pointer(outer).unwrap().is_object()
                && !["/annotations", "/linux/sysctl", "/linux/netDevices", "/linux/timeOffsets"]
                    .contains(&outer)
                && !outer.ends_with("/unified")
                && !outer.ends_with("/rdma");
            if !is_property {
                continue;
            }
            let null = check(&with(&config, &place, &Value::Null));
            let nothing = check(&without(&config, &place));
            let agree = match (&null, &nothing) {
                (Ok(()), Ok(())) => true,
                // The error about an absent property may name another place.
                (Err(null), Err(nothing)) => null == nothing || is_named(null, &place),
                _ => false,
            };
            if !agree {
                bad.push(format!("{place}: {null:?}, {nothing:?}"));
            }
        }
    }
    assert!(bad.is_empty(), "{} of them:\n{}", bad.len(), bad.join("\n"));
}

/// A missing uid or gid is only a warning, although it is REQUIRED: runc and crun do without it.
#[test]
fn a_missing_user_is_a_warning() {
    let warnings_of = |config: &Value| {
        let spec = Spec::from_json(&serde_json::to_vec(config).unwrap()).unwrap();
        let mut warnings = Vec::new();
        let config = Config::new(&spec, "/bundle", &Caller::default(), &mut warnings).unwrap();
        let texts = warnings.iter().map(ToString::to_string);
        let texts: Vec<_> = texts.filter(|text| text.starts_with("process.")).collect();
        (config.process.uid, config.process.gid, texts.join("; "))
    };
    let warnings = |place: &str| warnings_of(&without(&rich(), place));
    assert_eq!(warnings("/process/user/uid"), (0, 2, "process.user.uid: must be given; 0 is used".into()));
    assert_eq!(warnings("/process/user/gid"), (1, 0, "process.user.gid: must be given; 0 is used".into()));
    assert_eq!(warnings("/process/user"), (0, 0, String::new()));
    // Also with a umask alone, which exec takes from the container's first process.
    let mut umask = rich();
    umask["process"]["user"] = json!({ "umask": 18 });
    assert_eq!(warnings_of(&umask), (0, 0, String::new()));
}

/// Returns a strategy for unexpected values of every type.
fn nasty() -> impl Strategy<Value = Value> {
    let numbers =
        [i64::MIN, -(1 << 32), -2, -1, 0, 1, 2, 7, 255, 4096, 65_535, 65_536, 1 << 31, 1 << 32, i64::MAX];
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "/",
        "//",
        ".",
        "..",
        "/..",
        "../../x",
        "/proc",
        "/proc/self",
        "/a/../..",
        "%d",
        "%s",
        "=",
        "=x",
        "a=b",
        "0",
        "-1",
        "0-",
        "-",
        ",",
        "0-65535",
        "0-4294967296",
        "\u{ffff}",
        "ä\u{301}",
        "SCMP_ACT_KILL",
        "RLIMIT_AS",
        "bind",
        "remount",
        "rshared",
        "idmap",
        "tmpcopyup",
        "time",
        "user",
        "p",
        "rwm",
    ];
    prop_oneof![
        prop::sample::select(numbers.to_vec()).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        (1usize..100_000).prop_map(|n| Value::from("x".repeat(n))),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!([[]])),
        Just(json!({})),
        Just(json!({ "": {} })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Changes one or two places. The change of one place may remove the other.
    #[test]
    fn any_value_is_accepted_or_refused_in_one_line(
        is_rich in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), nasty()), 1..3),
    ) {
        let mut config = if is_rich { rich() } else { example() };
        for (index, value) in changes {
            let places = places(&config);
            if !places.is_empty() {
                config = with(&config, index.get::<String>(&places), &value);
            }
        }
        if let Err(error) = check(&config) {
            prop_assert!(error.contains(": ") && !error.contains('\n'), "{error:?}");
        }
    }
}
