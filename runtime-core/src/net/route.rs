// SPDX-License-Identifier: Apache-2.0
//! The few requests of rtnetlink(7) that moving an interface takes.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use runtime_sys::{Errno, Result, fd, net, socket};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The size of the receive buffer: more than the kernel puts into one message of a dump.
const BUFFER: usize = 64 << 10;

/// A message: a fixed header and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RouteMessage {
    kind: u16,
    /// The fixed header: struct ifinfomsg, struct ifaddrmsg or struct rtgenmsg.
    header: Vec<u8>,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl RouteMessage {
    fn nlas(&self) -> Vec<DefaultNla> {
        self.attributes.iter().map(|(kind, value)| DefaultNla::new(*kind, value.clone())).collect()
    }
}

impl NetlinkSerializable for RouteMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.header.len() + self.nlas().as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, rest) = buffer.split_at_mut(self.header.len());
        header.copy_from_slice(&self.header);
        self.nlas().as_slice().emit(rest);
    }
}

impl NetlinkDeserializable for RouteMessage {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> std::result::Result<Self, DecodeError> {
        let kind = header.message_type;
        let length = match kind {
            libc::RTM_NEWADDR => IFADDRMSG,
            libc::RTM_NEWLINK => IFINFOMSG,
            libc::RTM_NEWNSID => RTGENMSG,
            // Messages of other types are not requested, and their content is not used.
            _ => payload.len(),
        };
        let (header, rest) =
            payload.split_at_checked(length).ok_or_else(|| DecodeError::from("short message"))?;
        let attributes = NlasIterator::new(rest)
            .map(|nla| nla.map(|nla| (nla.kind(), nla.value().to_vec())))
            .collect::<std::result::Result<_, _>>()?;
        Ok(RouteMessage { kind, header: header.to_vec(), attributes })
    }
}

/// sizeof(struct ifaddrmsg): family, prefix length, flags, scope, and the index.
const IFADDRMSG: usize = 8;

/// sizeof(struct ifinfomsg).
const IFINFOMSG: usize = 16;

/// sizeof(struct rtgenmsg), with its padding.
const RTGENMSG: usize = 4;

impl RouteMessage {
    fn attribute(&self, kind: u16) -> Option<&[u8]> {
        self.attributes.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.as_slice())
    }
}

/// The properties by which an interface is recognized. A process in another network namespace
/// cannot give them to an interface of its own: it can neither make one without a kind, as hardware
/// is, nor connect a virtual one to an interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The kind: `veth`, `macvlan`, ...; empty for hardware.
    kind: Vec<u8>,
    /// The index of the lower interface, or of the peer.
    lower: Option<Vec<u8>>,
    /// The namespace of `lower` if it is another one, as its nsid in this namespace.
    lower_namespace: Option<Vec<u8>>,
}

impl Link {
    fn of(message: &RouteMessage) -> Self {
        let info = message.attribute(libc::IFLA_LINKINFO).unwrap_or_default();
        let kind = NlasIterator::new(info).flatten().find(|nla| nla.kind() == libc::IFLA_INFO_KIND);
        let value = |kind| message.attribute(kind).map(<[u8]>::to_vec);
        Link {
            kind: kind.map(|nla| nla.value().to_vec()).unwrap_or_default(),
            lower: value(libc::IFLA_LINK),
            lower_namespace: value(libc::IFLA_LINK_NETNSID),
        }
    }

    /// Returns true if this interface can be the one that `before` describes. `before` was read
    /// in the original namespace, and `home` is the nsid of that namespace in this one.
    pub(super) fn can_be(&self, before: &Link, home: Option<&[u8]>) -> bool {
        let lower_is_same = || match before.lower_namespace {
            None => self.lower_namespace.as_deref() == home,
            // An nsid of one namespace cannot be compared with an nsid of another.
            Some(_) => true,
        };
        self.kind == before.kind && self.lower == before.lower && (before.lower.is_none() || lower_is_same())
    }
}

/// An address of an interface, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(RouteMessage);

impl Address {
    fn byte(&self, at: usize) -> u8 {
        self.0.header.get(at).copied().unwrap_or_default()
    }

    fn index(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.header.get(4..8)?.try_into().ok()?))
    }

    fn attribute(&self, kind: u16) -> Option<&[u8]> {
        self.0.attribute(kind)
    }

    fn flags(&self) -> u32 {
        match self.attribute(libc::IFA_FLAGS).and_then(|value| value.try_into().ok()) {
            Some(bytes) => u32::from_ne_bytes(bytes),
            None => self.byte(2).into(),
        }
    }

    /// Returns true if the address is permanent and of global scope. The specification wants
    /// these addresses to be kept.
    pub(super) fn is_lasting(&self) -> bool {
        self.flags() & libc::IFA_F_PERMANENT != 0 && self.byte(3) == libc::RT_SCOPE_UNIVERSE
    }

    /// Formats the address for a log or an error.
    pub(super) fn show(&self) -> String {
        let bytes = self.attribute(libc::IFA_LOCAL).or_else(|| self.attribute(libc::IFA_ADDRESS));
        let address = match bytes {
            Some(&[a, b, c, d]) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
            Some(bytes) => match <[u8; 16]>::try_from(bytes) {
                Ok(bytes) => std::net::Ipv6Addr::from(bytes).to_string(),
                Err(_) => "?".to_owned(),
            },
            None => "?".to_owned(),
        };
        format!("{address}/{}", self.byte(1))
    }

    /// Returns a request to add the same address to another interface. It omits the attributes
    /// that the kernel sets itself, and the label, which contains the interface's name.
    fn on(&self, index: u32) -> RouteMessage {
        /// The flags that the administrator can set.
        const SET: u32 = libc::IFA_F_NODAD | libc::IFA_F_NOPREFIXROUTE | libc::IFA_F_MANAGETEMPADDR;
        const RT_PRIORITY: u16 = 9;
        let mut header = vec![self.byte(0), self.byte(1), 0, self.byte(3)];
        header.extend(index.to_ne_bytes());
        let kept = [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST, RT_PRIORITY];
        let mut attributes: Vec<_> =
            self.0.attributes.iter().filter(|(kind, _)| kept.contains(kind)).cloned().collect();
        attributes.push((libc::IFA_FLAGS, (self.flags() & SET).to_ne_bytes().to_vec()));
        RouteMessage { kind: libc::RTM_NEWADDR, header, attributes }
    }
}

/// Returns a struct ifinfomsg with only the index, and flags to set.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut header = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    header.extend(index.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    // The mask of the flags to change.
    header.extend(flags.to_ne_bytes());
    header
}

/// A NETLINK_ROUTE socket, for the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Route {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Route {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Route { socket, sequence: Cell::new(0) }
    }

    /// Returns the index of an interface; `None` if there is none of that name.
    pub(super) fn index_of(&self, name: &CStr) -> Result<Option<u32>> {
        match net::interface_index(&self.socket, name) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the name of an interface, not one of its alternative names; `None` if there is no
    /// interface of that index.
    pub(super) fn name_of(&self, index: u32) -> Result<Option<CString>> {
        match net::interface_name(&self.socket, index) {
            Ok(name) => Ok(Some(name)),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Returns whether an interface is up.
    pub(super) fn is_up(&self, name: &CStr) -> Result<bool> {
        net::interface_is_up(&self.socket, name)
    }

    /// Returns the link of an interface. ENODEV: there is no interface of that index.
    pub(super) fn link(&self, index: u32) -> Result<Link> {
        let request =
            RouteMessage { kind: libc::RTM_GETLINK, header: link(index, 0), attributes: Vec::new() };
        let answer = self.request(NLM_F_ACK, request)?;
        answer.iter().find(|message| message.kind == libc::RTM_NEWLINK).map(Link::of).ok_or(Errno::ENODEV)
    }

    /// Returns the nsid of another namespace in this one; -1, as bytes, if it has none.
    pub(super) fn number_of(&self, namespace: impl AsFd) -> Result<Option<Vec<u8>>> {
        const NETNSA_NSID: u16 = 1;
        const NETNSA_FD: u16 = 3;
        let fd = namespace.as_fd().as_raw_fd().to_ne_bytes().to_vec();
        let request = RouteMessage {
            kind: libc::RTM_GETNSID,
            header: vec![0; RTGENMSG],
            attributes: vec![(NETNSA_FD, fd)],
        };
        let answer = self.request(NLM_F_ACK, request)?;
        Ok(answer.iter().find_map(|message| message.attribute(NETNSA_NSID)).map(<[u8]>::to_vec))
    }

    /// Returns all addresses of an interface.
    pub(super) fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let request =
            RouteMessage { kind: libc::RTM_GETADDR, header: vec![0; IFADDRMSG], attributes: Vec::new() };
        let all = self.request(NLM_F_DUMP, request)?.into_iter().map(Address);
        Ok(all.filter(|address| address.index() == Some(index)).collect())
    }

    /// Moves an interface to another namespace and gives it the name `name`. Its index there is
    /// `new_index`, or any free one. EBUSY: `new_index` is taken (since 5.13).
    ///
    /// The kernel first moves the interface, and then renames it. After an error such as EEXIST
    /// the interface may be in the other namespace.
    pub(super) fn move_to(
        &self,
        index: u32,
        namespace: impl AsFd,
        name: &CStr,
        new_index: Option<u32>,
    ) -> Result<()> {
        const IFLA_NEW_IFINDEX: u16 = 49;
        let mut attributes = vec![
            (libc::IFLA_NET_NS_FD, namespace.as_fd().as_raw_fd().to_ne_bytes().to_vec()),
            (libc::IFLA_IFNAME, name.to_bytes_with_nul().to_vec()),
        ];
        attributes.extend(new_index.map(|index| (IFLA_NEW_IFINDEX, index.to_ne_bytes().to_vec())));
        self.request(NLM_F_ACK, RouteMessage { kind: libc::RTM_NEWLINK, header: link(index, 0), attributes })
            .map(drop)
    }

    /// Adds an address to an interface. An address that it has already is no error.
    pub(super) fn add_address(&self, index: u32, address: &Address) -> Result<()> {
        match self.request(NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, address.on(index)) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Sets an interface up.
    pub(super) fn set_up(&self, index: u32) -> Result<()> {
        let header = link(index, libc::IFF_UP as u32);
        self.request(NLM_F_ACK, RouteMessage { kind: libc::RTM_NEWLINK, header, attributes: Vec::new() })
            .map(drop)
    }

    /// Sends a request, and waits for the end of the answer. Returns all messages of the answer.
    fn request(&self, flags: u16, message: RouteMessage) -> Result<Vec<RouteMessage>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        socket::send(&self.socket, &bytes)?;
        self.answer(sequence)
    }

    fn answer(&self, sequence: u32) -> Result<Vec<RouteMessage>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = fd::read(&self.socket, &mut buffer)?;
            let mut rest = buffer.get(..n).unwrap_or_default();
            while !rest.is_empty() {
                let reply = NetlinkMessage::<RouteMessage>::deserialize(rest)
                    .map_err(|_not_a_message| Errno::EBADMSG)?;
                let length = (reply.header.length as usize).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                if reply.header.sequence_number != sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(message) => all.push(message),
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(all),
                            Some(code) => Err(Errno::from_raw(code.get().saturating_neg())),
                        };
                    }
                    NetlinkPayload::Done(_) => return Ok(all),
                    NetlinkPayload::Overrun(_) => return Err(Errno::ENOBUFS),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(prefix: u8, scope: u8, flags: u32, bytes: &[u8]) -> Address {
        let mut header = vec![if bytes.len() == 4 { 2 } else { 10 }, prefix, flags as u8, scope];
        header.extend(7u32.to_ne_bytes());
        let attributes = vec![
            (libc::IFA_ADDRESS, bytes.to_vec()),
            (libc::IFA_LABEL, b"eth0\0".to_vec()),
            (libc::IFA_FLAGS, flags.to_ne_bytes().to_vec()),
            (libc::IFA_CACHEINFO, vec![0; 16]),
        ];
        Address(RouteMessage { kind: libc::RTM_NEWADDR, header, attributes })
    }

    #[test]
    fn an_encoded_message_is_decoded_to_the_same() {
        let message = address(24, 0, 0x80, &[10, 0, 0, 1]).0;
        let mut whole =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message.clone()));
        whole.finalize();
        let mut bytes = vec![0; whole.buffer_len()];
        whole.serialize(&mut bytes);
        let back = NetlinkMessage::<RouteMessage>::deserialize(&bytes).unwrap();
        assert_eq!(back.payload, NetlinkPayload::InnerMessage(message));
        for torn in 0..bytes.len() {
            assert!(NetlinkMessage::<RouteMessage>::deserialize(&bytes[..torn]).is_err());
        }
    }

    #[test]
    fn only_lasting_addresses_go_along() {
        assert!(address(24, 0, 0x80, &[10, 0, 0, 1]).is_lasting());
        assert!(!address(24, 253, 0x80, &[169, 254, 0, 1]).is_lasting(), "link scope");
        assert!(!address(24, 0, 0, &[10, 0, 0, 1]).is_lasting(), "dynamic");
        let sent = address(64, 0, 0x280, &[0xfd; 16]).on(9);
        assert_eq!(sent.header, [10, 64, 0, 0, 9, 0, 0, 0]);
        let kinds: Vec<u16> = sent.attributes.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [libc::IFA_ADDRESS, libc::IFA_FLAGS]);
        assert_eq!(sent.attributes[1].1, 0x200u32.to_ne_bytes());
        assert_eq!(address(24, 0, 0, &[10, 0, 0, 1]).show(), "10.0.0.1/24");
        assert_eq!(address(8, 0, 0, &[0; 16]).show(), "::/8");
    }
}
