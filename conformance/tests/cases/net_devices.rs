// SPDX-License-Identifier: Apache-2.0
//! config-linux.md, "Network Devices": interfaces of the host for containers.

use crate::support::{Case, Device, ip, refused};
use conformance::change::{beside, join_process, with_user_namespace, without_namespace};
use conformance::{Bundle, Doing, Result, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a network device is moved and is up",
        quote: "netDevices: a set of network devices that MUST be made available in the container; the runtime MUST set \
                the network device state to \"up\" after moving it (config-linux.md, Network Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfa0")?;
            let bundle = reporting(json!({ device.name: {} }))?;
            ensure_eq!(runtime.report(&bundle)?.interfaces.get(device.name), Some(&true));
            Ok(())
        },
    },
    Case {
        name: "a network device is moved into a user namespace",
        quote: "netDevices: a set of network devices that MUST be made available in the container (config-linux.md, Network \
                Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfu0")?;
            let bundle = reporting(json!({ device.name: {} }))?.with(with_user_namespace)?;
            ensure_eq!(runtime.report(&bundle)?.interfaces.get(device.name), Some(&true));
            Ok(())
        },
    },
    Case {
        name: "with shared pids a network device moves into a joined network",
        quote: "netDevices: a set of network devices that MUST be made available in the container (config-linux.md, Network \
                Devices, since 1.3). A process that shares the pid namespace of others, as in a pod, joins the network \
                itself, and until then has the host's",
        run: |runtime| {
            each([false, true].repeat(4), |&joins_pid| {
                let device = Device::new("cfj0")?;
                let report = beside(
                    runtime,
                    |_| (),
                    |pid| {
                        let bundle =
                            reporting(json!({ device.name: { "name": "inside0" } }))?.with(|config| {
                                without_namespace(config, "pid");
                                join_process(
                                    config,
                                    pid,
                                    if joins_pid { &["network", "pid"] } else { &["network"] },
                                );
                            })?;
                        Ok(runtime.report(&bundle))
                    },
                )?;
                // A runtime that has only renamed the device leaves it on the host.
                let _gone = ip("link delete inside0");
                ensure_eq!(report?.interfaces.get("inside0"), Some(&true));
                Ok(())
            })
        },
    },
    Case {
        name: "a network device is renamed",
        quote: "name (string, OPTIONAL): the name of the network device inside the container namespace (config-linux.md, \
                Network Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfb0")?;
            let bundle = reporting(json!({ device.name: { "name": "inside0" } }))?;
            let interfaces = runtime.report(&bundle)?.interfaces;
            ensure_eq!(interfaces.keys().collect::<Vec<_>>(), ["inside0", "lo"]);
            Ok(())
        },
    },
    Case {
        name: "a network device keeps its properties",
        quote: "The runtime MUST preserve existing network interface attributes, including all permanent IP addresses \
                (IFA_F_PERMANENT flag) of any family with global scope (config-linux.md, Network Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfc0")?;
            for args in [
                "link set cfc0-peer up",
                "link set cfc0 mtu 1377 address 02:00:00:00:13:77",
                "address add 192.0.2.7/24 dev cfc0",
                "address add 2001:db8::7/64 dev cfc0 nodad",
                "link set cfc0 up",
            ] {
                ip(args)?;
            }
            let bundle = Bundle::new(&["sleep"])?
                .with(|config| config["linux"]["netDevices"] = json!({ device.name: {} }))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let pid = runtime.state("c")?["pid"].to_string();
            let output = Command::new("nsenter")
                .args(["-t", &pid, "-n", "ip", "address", "show", device.name])
                .output();
            let text = String::from_utf8_lossy(&output.doing("nsenter")?.stdout).into_owned();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            for part in ["mtu 1377", "02:00:00:00:13:77", "192.0.2.7/24", "2001:db8::7/64", "UP"] {
                ensure!(text.contains(part), "no {part}: {text}");
            }
            Ok(())
        },
    },
    Case {
        name: "a network device whose name is taken is an error",
        quote: "If a network device with the specified name already exists in the container namespace, the runtime MUST \
                generate an error (config-linux.md, Network Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfd0")?;
            refused(runtime, |config| {
                config["linux"]["netDevices"] = json!({ device.name: { "name": "lo" } });
            })
        },
    },
    Case {
        name: "a failed create gives a network device back",
        quote: "generating an error MUST leave the state of the environment as if the operation were never attempted \
                (runtime.md, Errors)",
        run: |runtime| {
            let device = Device::new("cfg0")?;
            refused(runtime, |config| {
                config["linux"]["netDevices"] = json!({ device.name: { "name": "lo" } });
            })?;
            ip(&format!("link show {}", device.name))?;
            refused(runtime, |config| {
                config["linux"]["netDevices"] = json!({ device.name: {} });
                config["process"]["cwd"] = json!("/probe");
            })?;
            ip(&format!("link show {}", device.name))
        },
    },
    Case {
        name: "a network device is found by an alternative name",
        quote: "netDevices: a set of network devices that MUST be made available in the container (config-linux.md, \
                Network Devices, since 1.3); ip-link(8): a device may have alternative names",
        run: |runtime| {
            let device = Device::new("cfh0")?;
            ip("link property add dev cfh0 altname cfh0alternative")?;
            let bundle = reporting(json!({ "cfh0alternative": {} }))?;
            ensure_eq!(runtime.report(&bundle)?.interfaces.get(device.name), Some(&true));
            Ok(())
        },
    },
    Case {
        name: "a network device that cannot be renamed goes back with its address",
        quote: "generating an error MUST leave the state of the environment as if the operation were never attempted \
                (runtime.md, Errors)",
        run: |runtime| {
            let device = Device::new("cfi0")?;
            ip("address add 192.0.2.9/24 dev cfi0")?;
            ip("link property add dev cfi0 altname cfi0alternative")?;
            // The kernel finds the conflict, with the device's own alternative name, after the
            // move.
            refused(runtime, |config| {
                config["linux"]["netDevices"] = json!({ device.name: { "name": "cfi0alternative" } });
            })?;
            let output = Command::new("ip").args(["address", "show", "dev", device.name]).output();
            let text = String::from_utf8_lossy(&output.doing("ip")?.stdout).into_owned();
            ensure!(text.contains("192.0.2.9/24"), "on the host: {text}");
            Ok(())
        },
    },
    Case {
        name: "the name of a network device may be a template",
        quote: "unless the user has provided a template by appending `%d` to the new name. In that case, the runtime MUST \
                allow the move, and the kernel will generate a unique name (config-linux.md, Network Devices, since 1.3)",
        run: |runtime| {
            let device = Device::new("cfe0")?;
            let bundle = reporting(json!({ device.name: { "name": "lan%d" } }))?;
            ensure_eq!(runtime.report(&bundle)?.interfaces.get("lan0"), Some(&true));
            Ok(())
        },
    },
    Case {
        name: "a network device that does not exist is an error",
        quote: "The runtime MUST check if moving the network interface to the container namespace is possible \
                (config-linux.md, Network Devices, since 1.3)",
        run: |runtime| {
            refused(runtime, |config| config["linux"]["netDevices"] = json!({ "nonexistent0": {} }))?;
            // A device cannot move into the namespace where it is already.
            let device = Device::new("cff0")?;
            refused(runtime, |config| {
                without_namespace(config, "network");
                config["linux"]["netDevices"] = json!({ device.name: {} });
            })
        },
    },
];

/// Makes a bundle that reports its interfaces, with these network devices.
fn reporting(devices: Value) -> Result<Bundle> {
    Bundle::new(&["report"])?.with(|config| config["linux"]["netDevices"] = devices)
}
