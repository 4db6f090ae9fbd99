// SPDX-License-Identifier: Apache-2.0
//! The JSON paths of the properties that config.json may have. A test compares the list
//! with the properties that the types of `spec` read.

pub(crate) const NAMES: &[&str] = &[
    "annotations",
    "annotations.*",
    "domainname",
    "hooks",
    "hooks.createContainer",
    "hooks.createContainer[].args",
    "hooks.createContainer[].env",
    "hooks.createContainer[].path",
    "hooks.createContainer[].timeout",
    "hooks.createRuntime",
    "hooks.createRuntime[].args",
    "hooks.createRuntime[].env",
    "hooks.createRuntime[].path",
    "hooks.createRuntime[].timeout",
    "hooks.poststart",
    "hooks.poststart[].args",
    "hooks.poststart[].env",
    "hooks.poststart[].path",
    "hooks.poststart[].timeout",
    "hooks.poststop",
    "hooks.poststop[].args",
    "hooks.poststop[].env",
    "hooks.poststop[].path",
    "hooks.poststop[].timeout",
    "hooks.prestart",
    "hooks.prestart[].args",
    "hooks.prestart[].env",
    "hooks.prestart[].path",
    "hooks.prestart[].timeout",
    "hooks.startContainer",
    "hooks.startContainer[].args",
    "hooks.startContainer[].env",
    "hooks.startContainer[].path",
    "hooks.startContainer[].timeout",
    "hostname",
    "linux",
    "linux.cgroupsPath",
    "linux.devices",
    "linux.devices[].fileMode",
    "linux.devices[].gid",
    "linux.devices[].major",
    "linux.devices[].minor",
    "linux.devices[].path",
    "linux.devices[].type",
    "linux.devices[].uid",
    "linux.gidMappings",
    "linux.gidMappings[].containerID",
    "linux.gidMappings[].hostID",
    "linux.gidMappings[].size",
    "linux.intelRdt",
    "linux.intelRdt.closID",
    "linux.intelRdt.enableMonitoring",
    "linux.intelRdt.l3CacheSchema",
    "linux.intelRdt.memBwSchema",
    "linux.intelRdt.schemata",
    "linux.maskedPaths",
    "linux.memoryPolicy",
    "linux.memoryPolicy.flags",
    "linux.memoryPolicy.mode",
    "linux.memoryPolicy.nodes",
    "linux.mountLabel",
    "linux.namespaces",
    "linux.namespaces[].path",
    "linux.namespaces[].type",
    "linux.netDevices",
    "linux.netDevices.*",
    "linux.netDevices.*.name",
    "linux.personality",
    "linux.personality.domain",
    "linux.personality.flags",
    "linux.readonlyPaths",
    "linux.resources",
    "linux.resources.CPU",
    "linux.resources.CPU.Cpus",
    "linux.resources.CPU.Mems",
    "linux.resources.CPU.burst",
    "linux.resources.CPU.cpus",
    "linux.resources.CPU.idle",
    "linux.resources.CPU.mems",
    "linux.resources.CPU.period",
    "linux.resources.CPU.quota",
    "linux.resources.CPU.realtimePeriod",
    "linux.resources.CPU.realtimeRuntime",
    "linux.resources.CPU.shares",
    "linux.resources.blockIO",
    "linux.resources.blockIO.leafWeight",
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleReadBpsDevice[].major",
    "linux.resources.blockIO.throttleReadBpsDevice[].minor",
    "linux.resources.blockIO.throttleReadBpsDevice[].rate",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice[].major",
    "linux.resources.blockIO.throttleReadIOPSDevice[].minor",
    "linux.resources.blockIO.throttleReadIOPSDevice[].rate",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice[].major",
    "linux.resources.blockIO.throttleWriteBpsDevice[].minor",
    "linux.resources.blockIO.throttleWriteBpsDevice[].rate",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice[].major",
    "linux.resources.blockIO.throttleWriteIOPSDevice[].minor",
    "linux.resources.blockIO.throttleWriteIOPSDevice[].rate",
    "linux.resources.blockIO.weight",
    "linux.resources.blockIO.weightDevice",
    "linux.resources.blockIO.weightDevice[].leafWeight",
    "linux.resources.blockIO.weightDevice[].major",
    "linux.resources.blockIO.weightDevice[].minor",
    "linux.resources.blockIO.weightDevice[].weight",
    "linux.resources.cpu",
    "linux.resources.cpu.Cpus",
    "linux.resources.cpu.Mems",
    "linux.resources.cpu.burst",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.idle",
    "linux.resources.cpu.mems",
    "linux.resources.cpu.period",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.realtimePeriod",
    "linux.resources.cpu.realtimeRuntime",
    "linux.resources.cpu.shares",
    "linux.resources.devices",
    "linux.resources.devices[].access",
    "linux.resources.devices[].allow",
    "linux.resources.devices[].major",
    "linux.resources.devices[].minor",
    "linux.resources.devices[].type",
    "linux.resources.hugepageLimits",
    "linux.resources.hugepageLimits[].limit",
    "linux.resources.hugepageLimits[].pageSize",
    "linux.resources.hugepageLimits[].pagesize",
    "linux.resources.memory",
    "linux.resources.memory.checkBeforeUpdate",
    "linux.resources.memory.disableOOMKiller",
    "linux.resources.memory.kernel",
    "linux.resources.memory.kernelTCP",
    "linux.resources.memory.limit",
    "linux.resources.memory.reservation",
    "linux.resources.memory.swap",
    "linux.resources.memory.swappiness",
    "linux.resources.memory.useHierarchy",
    "linux.resources.network",
    "linux.resources.network.classID",
    "linux.resources.network.priorities",
    "linux.resources.network.priorities[].name",
    "linux.resources.network.priorities[].priority",
    "linux.resources.pids",
    "linux.resources.pids.limit",
    "linux.resources.rdma",
    "linux.resources.rdma.*",
    "linux.resources.rdma.*.hcaHandles",
    "linux.resources.rdma.*.hcaObjects",
    "linux.resources.unified",
    "linux.resources.unified.*",
    "linux.rootfsPropagation",
    "linux.seccomp",
    "linux.seccomp.architectures",
    "linux.seccomp.defaultAction",
    "linux.seccomp.defaultErrnoRet",
    "linux.seccomp.flags",
    "linux.seccomp.listenerMetadata",
    "linux.seccomp.listenerPath",
    "linux.seccomp.syscalls",
    "linux.seccomp.syscalls[].action",
    "linux.seccomp.syscalls[].args",
    "linux.seccomp.syscalls[].args[].index",
    "linux.seccomp.syscalls[].args[].op",
    "linux.seccomp.syscalls[].args[].value",
    "linux.seccomp.syscalls[].args[].valueTwo",
    "linux.seccomp.syscalls[].errnoRet",
    "linux.seccomp.syscalls[].names",
    "linux.sysctl",
    "linux.sysctl.*",
    "linux.timeOffsets",
    "linux.timeOffsets.*",
    "linux.timeOffsets.*.nanosecs",
    "linux.timeOffsets.*.secs",
    "linux.uidMappings",
    "linux.uidMappings[].containerID",
    "linux.uidMappings[].hostID",
    "linux.uidMappings[].size",
    "mounts",
    "mounts[].destination",
    "mounts[].gidMappings",
    "mounts[].gidMappings[].containerID",
    "mounts[].gidMappings[].hostID",
    "mounts[].gidMappings[].size",
    "mounts[].options",
    "mounts[].source",
    "mounts[].type",
    "mounts[].uidMappings",
    "mounts[].uidMappings[].containerID",
    "mounts[].uidMappings[].hostID",
    "mounts[].uidMappings[].size",
    "ociVersion",
    "process",
    "process.apparmorProfile",
    "process.args",
    "process.capabilities",
    "process.capabilities.ambient",
    "process.capabilities.bounding",
    "process.capabilities.effective",
    "process.capabilities.inheritable",
    "process.capabilities.permitted",
    "process.consoleSize",
    "process.consoleSize.height",
    "process.consoleSize.width",
    "process.cwd",
    "process.env",
    "process.execCPUAffinity",
    "process.execCPUAffinity.final",
    "process.execCPUAffinity.initial",
    "process.ioPriority",
    "process.ioPriority.class",
    "process.ioPriority.priority",
    "process.noNewPrivileges",
    "process.oomScoreAdj",
    "process.rlimits",
    "process.rlimits[].hard",
    "process.rlimits[].soft",
    "process.rlimits[].type",
    "process.scheduler",
    "process.scheduler.deadline",
    "process.scheduler.flags",
    "process.scheduler.nice",
    "process.scheduler.period",
    "process.scheduler.policy",
    "process.scheduler.priority",
    "process.scheduler.runtime",
    "process.selinuxLabel",
    "process.terminal",
    "process.user",
    "process.user.additionalGids",
    "process.user.gid",
    "process.user.uid",
    "process.user.umask",
    "root",
    "root.path",
    "root.readonly",
];

#[cfg(test)]
mod tests {
    use super::NAMES;
    use crate::spec::Spec;
    use serde::Deserialize;
    use serde::de::value::Error;
    use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
    use serde::forward_to_deserialize_any;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// A document in which every requested property has a value, and every list and map has one
    /// entry.
    #[derive(Clone)]
    struct Everything<'a> {
        names: &'a RefCell<BTreeSet<String>>,
        path: String,
    }

    impl Everything<'_> {
        fn below(&self, name: &str) -> Self {
            let separator = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{separator}{name}", self.path);
            self.names.borrow_mut().insert(path.clone());
            Everything { names: self.names, path }
        }
    }

    impl<'de> Deserializer<'de> for Everything<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.path.as_str() {
                // The type reads any value; only an object has properties.
                "process.consoleSize" => {
                    visitor.visit_map(Map { document: self, names: vec!["width", "height"], last: "" })
                }
                _ => visitor.visit_u64(1),
            }
        }

        fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_bool(true)
        }

        fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_str("x")
        }

        fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.deserialize_str(visitor)
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_some(self)
        }

        fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_seq(List(Some(self)))
        }

        fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_map(Map { document: self, names: vec!["*"], last: "" })
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &str,
            names: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Error> {
            let mut once: Vec<&'static str> = Vec::new();
            for name in names {
                // Of two spellings of a field, a document may have only one. The exception is
                // linux.resources.cpu, of which both spellings are read.
                let again = once.iter().any(|other| other.eq_ignore_ascii_case(name)) && *name != "CPU";
                if again {
                    self.below(name);
                } else {
                    once.push(name);
                }
            }
            visitor.visit_map(Map { document: self, names: once, last: "" })
        }

        forward_to_deserialize_any! {
            i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct newtype_struct
            tuple tuple_struct enum identifier ignored_any
        }
    }

    struct List<'a>(Option<Everything<'a>>);

    impl<'de> SeqAccess<'de> for List<'_> {
        type Error = Error;

        fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
            let Some(mut document) = self.0.take() else { return Ok(None) };
            document.path.push_str("[]");
            seed.deserialize(document).map(Some)
        }
    }

    struct Map<'a> {
        document: Everything<'a>,
        names: Vec<&'static str>,
        last: &'static str,
    }

    impl<'de> MapAccess<'de> for Map<'_> {
        type Error = Error;

        fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
            let Some(name) = self.names.pop() else { return Ok(None) };
            self.last = name;
            seed.deserialize(name.into_deserializer()).map(Some)
        }

        fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
            seed.deserialize(self.document.below(self.last))
        }
    }

    #[test]
    fn the_names_are_those_that_are_read() {
        let names = RefCell::default();
        Spec::deserialize(Everything { names: &names, path: String::new() }).unwrap();
        let names = names.into_inner();
        assert!(NAMES.iter().copied().eq(names.iter().map(String::as_str)), "{names:#?}");
    }
}
