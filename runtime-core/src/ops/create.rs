// SPDX-License-Identifier: Apache-2.0
//! create(1) of a container: everything but its program running.
//!
//! The order is the design: what can be refused is refused before anything is
//! made; the record that names all that will be made is written before it is
//! made; and the child is let go after everything is written down. Killed at
//! any point, nothing is left that `delete --force` does not find.

use super::attempt::{Attempt, Made, Waits};
use super::bundle::Bundle;
use super::handover::{Handover, handover_options};
use super::inherited::Inherited;
use super::process::{Created, Held};
use super::{Container, Runtime, host_mount, notify};
use crate::boundary::plan::Keeps;
use crate::cgroup::Hierarchy;
use crate::cgroup::driver;
use crate::config::namespaces::{KINDS, Kind as NamespaceKind, Origin};
use crate::config::{Caller, Config};
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::parent::ids;
use crate::parent::network::NewNetwork;
use crate::prepare::{self, Extras};
use crate::resctrl::Resctrl;
use crate::spec::Spec;
use crate::state::filter::CompiledFilter;
use crate::sys::{cred, fd, ns};
use seccomp::Policy;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What a container is to be made of. Made by [`Runtime::create`].
#[derive(Debug)]
#[must_use]
pub struct Create {
    container: Container,
    bundle: PathBuf,
    spec: Option<Box<Spec>>,
    loaded: Option<Loaded>,
    warnings: Vec<Warning>,
    systemd: bool,
    without_cgroup: bool,
    rootless: Option<bool>,
    notify: bool,
    parallel: bool,
    handover: Handover,
}

/// What was found out, and begun, when the configuration was read.
#[derive(Debug)]
struct Loaded {
    bundle: Bundle,
    network: Option<NewNetwork>,
}

impl Runtime {
    /// Begins to make the container `id` from the bundle at `bundle`.
    pub fn create(&self, id: ContainerId, bundle: impl AsRef<Path>) -> Create {
        Create {
            container: self.container(id),
            bundle: bundle.as_ref().to_owned(),
            spec: None,
            loaded: None,
            warnings: Vec::new(),
            systemd: false,
            without_cgroup: false,
            rootless: None,
            notify: false,
            parallel: false,
            handover: Handover::default(),
        }
    }
}

impl Create {
    handover_options!();

    /// Takes `spec` for the content of the bundle's config.json.
    pub fn spec(mut self, spec: Spec) -> Self {
        self.spec = Some(Box::new(spec));
        self
    }

    /// Reads the bundle's config.json now, for a caller that wants to look at it
    /// ([`Self::loaded`]) before the container is made. If [`Self::parallel`] has been
    /// allowed before, the thread begins meanwhile, and ends with this at the latest.
    ///
    /// Errors: there is no bundle, or its config.json is not one.
    pub fn load(mut self) -> Result<Self> {
        let bundle = Bundle::open(&self.bundle)?;
        let json = bundle.json()?;
        let ahead = self.parallel && NewNetwork::may_suit(&json);
        let network = ahead.then(NewNetwork::begin).flatten();
        let (spec, warnings) = bundle.parse(&json)?;
        self.spec = Some(Box::new(spec));
        self.warnings = warnings;
        self.loaded = Some(Loaded { bundle, network });
        Ok(self)
    }

    /// The configuration, if it is known already.
    #[must_use]
    pub fn loaded(&self) -> Option<&Spec> {
        self.spec.as_deref()
    }

    /// Takes the warnings about the configuration that [`Self::load`] has read, for a caller
    /// that shows them before anything can fail. Those that are not taken are in
    /// [`Created::warnings`].
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Whether a container that asks for nothing of its cgroup, neither limits nor a
    /// place, goes without one, and without a device filter, if there are no
    /// rights to make them. `None`, the default: if the caller is not the root of
    /// the initial user namespace.
    pub fn rootless(mut self, rootless: Option<bool>) -> Self {
        self.rootless = rootless;
        self
    }

    /// Lets systemd make the cgroup: a scope, which `linux.cgroupsPath` names in the
    /// form `slice:prefix:name`. A user's own systemd does it for users.
    pub fn systemd(mut self, systemd: bool) -> Self {
        self.systemd = systemd;
        self
    }

    /// Leaves the container in the caller's cgroup. It has no limits then, and no
    /// device filter; a configuration that asks for limits is refused.
    pub fn without_cgroup(mut self, without_cgroup: bool) -> Self {
        self.without_cgroup = without_cgroup;
        self
    }

    /// Gives the program an address for notifications, such as that it is ready
    /// (sd_notify(3)): its variable NOTIFY_SOCKET leads to the socket that whoever
    /// starts it makes at [`Container::notify_socket`].
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Lets a thread make the container's network namespace while the caller's prepares
    /// the rest, which is a tenth quicker where two processors are free. It blocks all
    /// signals, and has ended when the container is made or could not be. By default
    /// there are no threads.
    pub fn parallel(mut self, parallel: bool) -> Self {
        self.parallel = parallel;
        self
    }

    /// Uses chroot(2) instead of pivot_root(2), for a rootfs on an initramfs.
    /// Less safe: the host's mounts stay in the mount namespace.
    pub fn no_pivot(mut self, no_pivot: bool) -> Self {
        self.handover.extras.no_pivot = no_pivot;
        self
    }

    /// Leaves the container in the caller's session keyring.
    pub fn no_new_keyring(mut self, no_new_keyring: bool) -> Self {
        self.handover.extras.no_new_keyring = no_new_keyring;
        self
    }

    /// Makes the container. Its program waits for [`Container::start`].
    pub fn create(self) -> Result<Created> {
        self.make(Waits::ForStart)?.let_go()
    }

    /// Makes the container, starts its program, and runs the poststart hooks when it has
    /// been executed. If it cannot be, or a hook fails, nothing is left.
    pub fn run(self) -> Result<Created> {
        self.hold()?.release_at_once()
    }

    /// Makes the container, whose program waits for [`Held::release`]: for a
    /// caller that wants to set up the terminal first.
    pub fn hold(self) -> Result<Held> {
        self.make(Waits::ForRelease)
    }

    fn make(mut self, waits: Waits) -> Result<Held> {
        let mut warnings = std::mem::take(&mut self.warnings);
        Held::warned(self.attempt(waits, &mut warnings), warnings)
    }

    fn attempt(mut self, waits: Waits, warnings: &mut Vec<Warning>) -> Result<Held> {
        self.handover.check()?;
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Loaded { bundle: Bundle::open(&self.bundle)?, network: None },
        };
        let bundle = loaded.bundle;
        let mut spec = match self.spec {
            Some(spec) => spec,
            None => {
                let (spec, more) = bundle.parse(&bundle.json()?)?;
                warnings.extend(more);
                Box::new(spec)
            }
        };
        let ahead = self.parallel && spec.linux.as_ref().is_some_and(NewNetwork::suits);
        let network = loaded.network.filter(|_| ahead).or_else(|| ahead.then(NewNetwork::begin).flatten());
        // Later processes of the container do not speak for it.
        let process = if self.notify { spec.process.clone() } else { None };
        if self.notify {
            notify::add(&mut spec, &self.container.store, &self.container.id)?;
        }
        let own = own_namespaces(&spec)?;
        let caller = Caller { capabilities: available_capabilities(&spec, &own)?, namespaces: own };
        let config = Config::new(&spec, &bundle.path, &caller, warnings).traced(Mark::CheckConfig)?;
        // Early, for the sake of the message; `reserve` makes sure of it.
        if self.container.store.has(&self.container.id) {
            return Err(Error::new(ErrorKind::AlreadyExists, "container with given ID already exists"));
        }
        let hierarchy = Hierarchy::find()?;
        let linux = spec.linux.as_ref();
        let id = self.container.id.as_str();
        let place = if self.without_cgroup {
            driver::Plan::none(&config)?
        } else if self.systemd {
            let path = linux.map_or("", |linux| linux.cgroups_path.as_str());
            driver::Plan::systemd(&hierarchy, path, &config, id).traced(Mark::FindCgroup)?
        } else {
            driver::Plan::fs(&hierarchy, &config, id).traced(Mark::FindCgroup)?
        };
        let resources = linux.and_then(|linux| linux.resources.clone()).unwrap_or_default();
        let mut inherited = Inherited::new(*spec);
        if let Some(process) = process {
            inherited.process = process;
        }
        let filter =
            config.seccomp.as_ref().map(prepare::seccomp::compile).transpose().traced(Mark::CompileFilter)?;
        let ignored =
            config.seccomp.iter().flat_map(Policy::notes).map(|note| format!("linux.seccomp.{note}"));
        let notes = ignored.chain(filter.as_ref().map(CompiledFilter::note)).collect();
        let extras = Extras {
            // Of a new user namespace the child finds out.
            keeps: if config.keeps_groups {
                Keeps::All
            } else if !config.namespaces.is_own(NamespaceKind::User) && ids::denies_groups(None)? {
                Keeps::Undroppable
            } else {
                Keeps::None
            },
            filter,
            ..self.handover.take_extras()?
        };

        let rootfs = bundle.resolve(&config.rootfs);
        let host_mount = match config.namespaces.origin(NamespaceKind::Mount) {
            Origin::Shared => Some(host_mount::id_at(&rootfs)?),
            Origin::New | Origin::Path(_) => None,
        };

        let resctrl = match &config.intel_rdt {
            Some(rdt) => {
                let resctrl = Resctrl::find()?;
                let place = resctrl.place(rdt, self.container.id.as_str())?;
                Some((resctrl, place))
            }
            None => None,
        };

        let entry = self.container.store.reserve(&self.container.id).traced(Mark::Reserve)?;
        let attempt = Attempt {
            container: &self.container,
            bundle: bundle.path,
            rootfs,
            config: &config,
            hierarchy: &hierarchy,
            place,
            handover: &self.handover,
            inherited: &inherited,
            resources: &resources,
            host_mount,
            resctrl,
            rootless: self.rootless,
            notify: self.notify,
            network,
            waits,
            notes,
            made: Made::default(),
        };
        let held = attempt.make(entry, extras)?;
        Ok(held.cancelled_by(self.handover.cancel))
    }
}

/// The types of namespaces whose paths lead to the caller's own: by what the paths lead to,
/// not by how they are spelled. Not the mount namespace, whose path is refused then.
fn own_namespaces(spec: &Spec) -> Result<Vec<NamespaceKind>> {
    let given = spec.linux.iter().flat_map(|linux| &linux.namespaces).filter(|given| !given.path.is_empty());
    let mut own = Vec::new();
    for given in given {
        let kind = KINDS.iter().find(|(name, _)| *name == given.kind).map(|(_, kind)| *kind);
        let Some(kind) = kind.filter(|kind| *kind != NamespaceKind::Mount) else { continue };
        // What is wrong with a path is said when it is opened to be joined.
        let Ok(Ok(file)) = CString::new(given.path.as_str()).map(|path| fd::stat_at(fd::CWD, &path, 0))
        else {
            continue;
        };
        if ns::is_own(kind.file(), &file).context(|| format!("stat /proc/self/ns/{}", kind.file()))? {
            own.push(kind);
        }
    }
    Ok(own)
}

/// runc's words for what goes wrong inside of a container.
pub(super) fn start_failed(error: Error) -> Error {
    error.wrap("unable to start container process: error during container init")
}

/// The capabilities that a container can get: those of the caller, or with a
/// user namespace all that the kernel knows.
fn available_capabilities(spec: &Spec, own: &[NamespaceKind]) -> Result<u64> {
    let is_user = |ns: &crate::spec::Namespace| ns.kind == "user" && !own.contains(&NamespaceKind::User);
    if !spec.linux.as_ref().is_some_and(|linux| linux.namespaces.iter().any(is_user)) {
        return Ok(cred::cap_get().context(|| "capget")?.permitted);
    }
    Ok(cred::known())
}
