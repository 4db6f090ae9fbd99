// SPDX-License-Identifier: Apache-2.0
//! The host of a test, with a check that nothing is left behind.

use conformance::host::{self, HostSnapshot};
use conformance::{Output, Runtime};

/// The runtime of this workspace, and the state of the host before the test. Tests of one program
/// hold it one at a time.
pub(crate) struct Host {
    pub(crate) runtime: Runtime,
    pub(crate) before: HostSnapshot,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Host {
    /// Waits for the other tests. With `systemd`, systemd makes the cgroups.
    pub(crate) fn new(systemd: bool) -> Self {
        let alone = host::alone();
        // Not CARGO_BIN_EXE_runtime-cli: the VM has no target directory.
        let program = conformance::bundle::beside("runtime-cli");
        let runtime = Runtime::new(&program).unwrap().with_systemd(systemd);
        Host { runtime, before: HostSnapshot::take().unwrap(), _alone: alone }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.runtime.run(args).unwrap()
    }

    /// Fails if anything is left behind.
    pub(crate) fn done(self) {
        self.before.check(&self.runtime).unwrap();
    }
}

impl Drop for Host {
    /// Deletes the containers of a failed test, which could make other tests fail.
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.runtime.root()).into_iter().flatten().flatten() {
            let _output = self.runtime.run(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
    }
}
