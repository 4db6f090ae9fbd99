// SPDX-License-Identifier: Apache-2.0
//! `linux.netDevices`: interfaces of the host, moved into the container
//! (config-linux.md, "Network Devices").

mod route;

use crate::config::net_devices::NetDevice;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::proc::PidFile;
use route::{Address, Link, Route};
use runtime_sys::{Errno, fd, net};
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// The number of indices that are tried for an interface before its move fails.
const TRIES: u32 = 1000;

/// Interfaces that have been moved, and can be moved back.
#[derive(Debug)]
pub(crate) struct Moved {
    here: Route,
    here_namespace: OwnedFd,
    /// A socket in the container's namespace. The socket keeps the namespace alive.
    there: Route,
    there_namespace: OwnedFd,
    devices: Vec<MovedDevice>,
}

/// An interface that is to be moved. It is recorded before the move, because the kernel may
/// have moved it even if it reports a failure.
#[derive(Debug)]
struct MovedDevice {
    /// The name on the host.
    name: CString,
    index: u32,
    link: Link,
    was_up: bool,
    addresses: Vec<Address>,
    index_there: u32,
}

impl Moved {
    /// Moves all of `devices` into the network namespace of process `pid`. `socket` is a
    /// NETLINK_ROUTE socket of that namespace. If a device cannot be moved, all are moved back.
    ///
    /// An interface that is there already is an error, or, if `keeps` is true, stays as it is.
    pub(crate) fn new(devices: &[NetDevice], pid: i32, socket: OwnedFd, keeps: bool) -> Result<Self> {
        let open = |file: PidFile<'_>| {
            let open = |path: CString| fd::open_follow(fd::CWD, &path, libc::O_RDONLY, 0);
            file.absolute().and_then(open).context(|| format!("open {file}"))
        };
        let mut moved = Moved {
            here: Route::new(net::route_socket().context(|| "socket(NETLINK_ROUTE)")?),
            here_namespace: open(PidFile::own("ns/net"))?,
            there: Route::new(socket),
            there_namespace: open(PidFile::new(pid, "ns/net"))?,
            devices: Vec::new(),
        };
        for device in devices {
            let made = match keeps {
                true => moved.has(device).and_then(|has| if has { Ok(()) } else { moved.one(device) }),
                false => moved.one(device),
            };
            if let Err(error) = made {
                let field = format!("linux.netDevices.{}", device.host.to_string_lossy());
                let error = error.wrap_as(ErrorKind::Setup, field.as_str()).at(&field);
                return Err(match moved.back() {
                    Ok(()) => error,
                    Err(left) => error.with_hint(left.report()),
                });
            }
        }
        Ok(moved)
    }

    /// Returns whether the container has an interface with the name of `device`.
    fn has(&self, device: &NetDevice) -> Result<bool> {
        let index = self.there.index_of(&device.name).context(|| "SIOCGIFINDEX")?;
        Ok(index.is_some() && !device.is_template())
    }

    fn one(&mut self, device: &NetDevice) -> Result<()> {
        let missing = || Error::os(Errno::ENODEV, "the host has no such interface");
        let index = self.here.index_of(&device.host).context(|| "SIOCGIFINDEX")?.ok_or_else(missing)?;
        // `device.host` may be an alternative name. These names move with the interface.
        let host = self.here.name_of(index).context(|| "SIOCGIFNAME")?.ok_or_else(missing)?;
        let name = if device.name == device.host { &host } else { &device.name };
        // The kernel would report this only after it has moved the interface.
        if !device.is_template() && self.there.index_of(name).context(|| "SIOCGIFINDEX")?.is_some() {
            let why = format!("the container already has an interface {:?}", name.to_string_lossy());
            return Err(Error::os(Errno::EEXIST, why));
        }
        let mut addresses = self.here.addresses(index).context(|| "RTM_GETADDR")?;
        addresses.retain(Address::is_lasting);
        let link = self.here.link(index).context(|| "RTM_GETLINK")?;
        let was_up = self.here.is_up(&host).context(|| "SIOCGIFFLAGS")?;
        let name = name.clone();
        self.devices.push(MovedDevice { name: host, index, link, was_up, addresses, index_there: index });
        let Some(moved) = self.devices.last_mut() else { return Ok(()) };
        loop {
            match self.here.move_to(index, &self.there_namespace, &name, Some(moved.index_there)) {
                Ok(()) => break,
                Err(Errno::EBUSY) if moved.index_there - index < TRIES => moved.index_there += 1,
                Err(errno) => {
                    let error = Error::os(errno, "RTM_NEWLINK (IFLA_NET_NS_FD)");
                    return Err(match errno {
                        Errno::EINVAL | Errno::EOPNOTSUPP => {
                            error.with_hint("interfaces of this type are bound to their network namespace")
                        }
                        Errno::EPERM => error.with_hint("moving it requires CAP_NET_ADMIN on the host"),
                        Errno::EEXIST => error.with_hint("the name is taken in the container's namespace"),
                        _ => error,
                    });
                }
            }
        }
        for address in &moved.addresses {
            self.there
                .add_address(moved.index_there, address)
                .context(|| format!("RTM_NEWADDR {}", address.show()))?;
        }
        self.there.set_up(moved.index_there).context(|| "RTM_NEWLINK (IFF_UP)")
    }

    /// Moves all interfaces back to the host, after a failed create. Virtual interfaces would be
    /// destroyed with the container's network namespace.
    pub(crate) fn back(self) -> Result<()> {
        let mut failed = Vec::new();
        for device in self.devices.iter().rev() {
            if let Err(error) = self.one_back(device) {
                failed.push(format!("{} ({})", device.name.to_string_lossy(), error.report()));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        let text = format!("interfaces that could not be moved back: {}", failed.join(", "));
        Err(Error::new(ErrorKind::System, text))
    }

    fn one_back(&self, device: &MovedDevice) -> Result<()> {
        let name_here = self.here.name_of(device.index).context(|| "SIOCGIFNAME")?;
        if name_here.as_ref() == Some(&device.name) {
            // The interface has not been moved.
            return Ok(());
        }
        // A process with CAP_NET_ADMIN in an existing namespace can put another interface in
        // its place. That interface would get to the host, with the original's addresses and name.
        let now = self.there.link(device.index_there).context(|| "RTM_GETLINK")?;
        let home = self.there.number_of(&self.here_namespace).context(|| "RTM_GETNSID")?;
        if !now.can_be(&device.link, home.as_deref()) {
            return Err(Error::new(ErrorKind::System, "another interface is in its place"));
        }
        let move_back =
            |index| self.there.move_to(device.index_there, &self.here_namespace, &device.name, index);
        let index = match move_back(Some(device.index)) {
            // Another interface has the index by now.
            Err(Errno::EBUSY) => {
                move_back(None).context(|| "RTM_NEWLINK (IFLA_NET_NS_FD)")?;
                self.here.index_of(&device.name).context(|| "SIOCGIFINDEX")?.unwrap_or_default()
            }
            moved => moved.context(|| "RTM_NEWLINK (IFLA_NET_NS_FD)").map(|()| device.index)?,
        };
        // The interface may have been replaced after the check above. If so, the host must not
        // trust it: it gets no address, is not set up, and is given back.
        if self.here.link(index).context(|| "RTM_GETLINK")? != device.link {
            let given_back = self.here.move_to(index, &self.there_namespace, &device.name, None);
            let error = Error::new(ErrorKind::System, "another interface has taken its place");
            return Err(match given_back {
                Ok(()) => error,
                Err(errno) => {
                    error.with_hint(format!("it is down, with index {index}, on the host: {errno}"))
                }
            });
        }
        for address in &device.addresses {
            self.here.add_address(index, address).context(|| "RTM_NEWADDR")?;
        }
        if device.was_up { self.here.set_up(index).context(|| "RTM_NEWLINK (IFF_UP)") } else { Ok(()) }
    }
}
