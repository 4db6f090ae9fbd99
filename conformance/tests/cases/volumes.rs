// SPDX-License-Identifier: Apache-2.0
//! Volumes as engines write them: options with a special meaning, and propagation.

use crate::support::Case;
use conformance::Mounted;
use conformance::change::{push, with_user_namespace};
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use nix::mount::MsFlags;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "rw leaves a read-only source read-only in a user namespace",
        quote: "Podman writes `rw` for each volume and for /sys: without root, on a host whose /usr or /sys is read-only, \
                no container with such a mount starts with runc since 1.2 (crun without root: it stays read-only)",
        run: |runtime| {
            let source = Source::new()?;
            let _readonly = Mounted::bind(&source.path, &source.path)?.with(MsFlags::MS_RDONLY)?;
            each([&["rbind", "rw"][..], &["bind", "nosuid", "rw"], &["rbind", "rw", "rprivate"]], |options| {
                let report = report(runtime, &source.path, options, Identity::Mapped)?;
                let mount = report.mount("/volume").ok_or("no mount")?;
                ensure!(mount.options.iter().any(|option| option == "ro"), "writable: {mount:?}");
                Ok(())
            })
        },
    },
    Case {
        name: "no option removes restrictions of a source in a user namespace",
        quote: "when creating a less privileged mount namespace, the flags read-only, nosuid, noexec and nodev \
                become locked (mount_namespaces(7)): the explicit option `exec` is an error",
        run: |runtime| {
            let source = Source::new()?;
            let flags = MsFlags::MS_NOEXEC | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
            let _restricted = Mounted::bind(&source.path, &source.path)?.with(flags)?;
            each(["exec", "dev", "suid"], |option| {
                let bundle = bundle(&source.path, &["rbind", option], Identity::Mapped)?;
                let output = runtime.run_in(&bundle, &["run", "volume"])?.failed()?;
                ensure!(output.stderr.contains("locked"), "not said why: {output}");
                Ok(())
            })
        },
    },
    Case {
        name: "a user namespace cannot have a volume without the mounts below it",
        quote: "mounts that come as a single unit from a more privileged mount namespace are locked together and may not \
                be separated in a less privileged one: it might reveal what is underneath (mount_namespaces(7))",
        run: |runtime| {
            let source = Source::new()?;
            let below = source.path.join("below");
            fs::create_dir(&below).doing("mkdir")?;
            fs::write(below.join("hidden"), "").doing("write")?;
            let _below = Mounted::tmpfs(&below)?;
            let output = runtime
                .run_in(&bundle(&source.path, &["bind"], Identity::Mapped)?, &["run", "volume"])?
                .failed()?;
            for words in ["mounts[", "only rbind"] {
                ensure!(output.stderr.contains(words), "not {words:?}: {output}");
            }
            // A privileged container sees all of it with bind, like with rbind.
            report(runtime, &source.path, &["bind"], Identity::Host)?;
            report(runtime, &source.path, &["rbind"], Identity::Mapped).map(drop)
        },
    },
    Case {
        name: "rslave makes the volume and the root slaves, as Docker needs",
        quote: "slave: the mount receives events from its master, but does not send any; rootfsPropagation sets the \
                rootfs's mount propagation (config-linux.md, Rootfs Mount Propagation)",
        run: |runtime| {
            let source = Source::new()?;
            source.mounted.share()?;
            let bundle = bundle(&source.path, &["rbind", "rslave"], Identity::Host)?.with(|config| {
                config["linux"]["rootfsPropagation"] = json!("rslave");
            })?;
            let rootfs = bundle.rootfs("");
            let shared = Mounted::bind(&rootfs, &rootfs)?;
            shared.share()?;
            let report = runtime.report(&bundle)?;
            for point in ["/volume", "/"] {
                let fields = &report.mount(point).ok_or("no mount")?.propagation;
                let [field] = &fields[..] else { return Err(format!("{point}: {fields:?}")) };
                ensure!(field.starts_with("master:"), "{point} is no slave: {fields:?}");
            }
            // The container's own mounts stay in the container.
            ensure_eq!(fs::read_dir(rootfs.join("proc")).doing("read")?.count(), 0);
            Ok(())
        },
    },
    Case {
        name: "a private root may have a slave volume, and an rprivate root has none",
        quote: "rootfsPropagation sets the rootfs's mount propagation (config-linux.md, Rootfs Mount Propagation); \
                slave: the mount receives events from its master (mount_namespaces(7))",
        run: |runtime| {
            let source = Source::new()?;
            source.mounted.share()?;
            for (root, is_slave) in [("private", true), ("rprivate", false)] {
                let bundle = bundle(&source.path, &["rbind", "rslave"], Identity::Host)?.with(|config| {
                    config["linux"]["rootfsPropagation"] = json!(root);
                })?;
                let report = runtime.report(&bundle)?;
                let fields = &report.mount("/volume").ok_or("no mount")?.propagation;
                let slave = fields.iter().any(|field| field.starts_with("master:"));
                ensure!(slave == is_slave, "{root}: {fields:?}");
            }
            Ok(())
        },
    },
];

/// The user ids of a container.
#[derive(Clone, Copy, Debug)]
enum Identity {
    Host,
    Mapped,
}

fn report(runtime: &Runtime, source: &Path, options: &[&str], identity: Identity) -> Result<Report> {
    runtime.report(&bundle(source, options, identity)?)
}

fn bundle(source: &Path, options: &[&str], identity: Identity) -> Result<Bundle> {
    let bundle = Bundle::new(&["report"])?;
    // Root of a user namespace could not make it.
    fs::create_dir(bundle.rootfs("volume")).doing("mkdir")?;
    bundle.with(|config| {
        push(config, json!({ "destination": "/volume", "source": source, "options": options }));
        if let Identity::Mapped = identity {
            with_user_namespace(config);
        }
    })
}

/// A tmpfs of the host.
struct Source {
    path: PathBuf,
    mounted: Mounted,
    _dir: tempfile::TempDir,
}

impl Source {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let path = dir.path().to_owned();
        Ok(Source { mounted: Mounted::tmpfs(&path)?, path, _dir: dir })
    }
}
