// SPDX-License-Identifier: Apache-2.0
//! What container engines write into config.json, and expect to work.

use crate::Case;
use crate::lifecycle::push;
use conformance::{Bundle, ensure};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[Case {
    name: "an empty mount option",
    quote: "`podman run --systemd=always` ends the options of its tmpfs mounts with an empty string; mount(2), as \
                mount(8), skips an empty option",
    run: |runtime| {
        let bundle = Bundle::new(&["report"])?.with(|config| {
            push(
                config,
                json!({ "destination": "/m0", "type": "tmpfs", "source": "tmpfs",
                    "options": ["", "rw", "size=64k", "", "nosuid", ""] }),
            );
            push(
                config,
                json!({ "destination": "/m1", "source": "/etc", "options": ["", "bind", "ro", ""] }),
            );
        })?;
        let report = runtime.report(&bundle)?;
        let tmpfs = report.mount("/m0").ok_or("no tmpfs")?;
        ensure!(tmpfs.super_options.iter().any(|option| option == "size=64k"), "{tmpfs:?}");
        ensure!(tmpfs.options.iter().any(|option| option == "nosuid"), "{tmpfs:?}");
        let bind = report.mount("/m1").ok_or("no bind mount")?;
        ensure!(bind.options.iter().any(|option| option == "ro"), "{bind:?}");
        Ok(())
    },
}];
