// SPDX-License-Identifier: Apache-2.0
//! Encoding and decoding of D-Bus messages (D-Bus Specification, "Message Protocol"), as far
//! as systemd needs them. This module does no I/O.

use super::wire::{Decoder, Encoder, Value, signature};

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Call,
    Return,
    Error,
    Signal,
}

/// A D-Bus message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: MessageKind,
    pub(crate) serial: u32,
    /// The serial of the call that the message answers.
    pub(crate) reply_serial: u32,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) error_name: String,
    pub(crate) destination: String,
    /// The sender, set by the bus.
    pub(crate) sender: String,
    pub(crate) body: Vec<Value>,
}

impl Message {
    /// Returns a call of a method.
    pub(crate) fn call(
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> Self {
        Message {
            kind: MessageKind::Call,
            serial: 0,
            reply_serial: 0,
            path: path.to_owned(),
            interface: interface.to_owned(),
            member: member.to_owned(),
            error_name: String::new(),
            destination: destination.to_owned(),
            sender: String::new(),
            body,
        }
    }

    /// Encodes the message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Encoder::default();
        self.body.iter().for_each(|value| body.value(value));
        let mut fields = Vec::new();
        let mut field = |code: u8, value: Value| {
            fields.push(Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
        };
        for (code, value) in [
            (2, &self.interface),
            (3, &self.member),
            (4, &self.error_name),
            (6, &self.destination),
            (7, &self.sender),
        ] {
            if !value.is_empty() {
                field(code, Value::Str(value.clone()));
            }
        }
        if !self.path.is_empty() {
            field(1, Value::Path(self.path.clone()));
        }
        if self.reply_serial != 0 {
            field(5, Value::Uint32(self.reply_serial));
        }
        if !self.body.is_empty() {
            field(8, Value::Signature(signature(&self.body)));
        }
        let kind = match self.kind {
            MessageKind::Call => 1,
            MessageKind::Return => 2,
            MessageKind::Error => 3,
            MessageKind::Signal => 4,
        };
        let mut head = Encoder::default();
        head.0.extend([b'l', kind, 0, 1]);
        head.number((body.0.len() as u32).to_le_bytes());
        head.number(self.serial.to_le_bytes());
        head.value(&Value::Array("(yv)".to_owned(), fields));
        head.align(8);
        head.0.extend(body.0);
        head.0
    }
}

/// The length of a message's first part, which contains the lengths of the other parts.
pub(crate) const PREFIX: usize = 16;

/// The maximum length of a D-Bus message.
pub(crate) const MESSAGE_MAX: usize = 1 << 27;

/// Returns the length of the message that begins with these [`PREFIX`] bytes; `None` if they
/// are not the beginning of a message.
pub(crate) fn length(prefix: &[u8]) -> Option<usize> {
    let big_endian = big_endian(prefix)?;
    let mut decoder = Decoder { bytes: prefix, at: 4, big_endian, depth: 0 };
    let body = decoder.length()?;
    let _serial = decoder.length()?;
    let fields = decoder.length()?;
    let length = PREFIX.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= MESSAGE_MAX).then_some(length)
}

/// Returns whether the message that begins with these bytes is a signal.
pub(crate) fn is_signal(prefix: &[u8]) -> bool {
    prefix.get(1) == Some(&4)
}

fn big_endian(bytes: &[u8]) -> Option<bool> {
    match bytes.first()? {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

/// Decodes a whole message; `None` if the bytes are not one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        1 => MessageKind::Call,
        2 => MessageKind::Return,
        3 => MessageKind::Error,
        4 => MessageKind::Signal,
        _ => return None,
    };
    let mut decoder = Decoder { bytes, at: 4, big_endian: big_endian(bytes)?, depth: 32 };
    let body_length = decoder.length()?;
    let serial = decoder.length()? as u32;
    let Value::Array(_, fields) = decoder.value("a(yv)")? else { return None };
    let mut message = Message { kind, serial, ..Message::call("", "", "", "", Vec::new()) };
    let mut signature = String::new();
    for field in fields {
        let Value::Struct(pair) = field else { return None };
        let [Value::Byte(code), Value::Variant(value)] = pair.as_slice() else { return None };
        let text = || value.as_str().map(str::to_owned);
        match code {
            1 => message.path = text()?,
            2 => message.interface = text()?,
            3 => message.member = text()?,
            4 => message.error_name = text()?,
            5 => match **value {
                Value::Uint32(serial) => message.reply_serial = serial,
                _ => return None,
            },
            6 => message.destination = text()?,
            7 => message.sender = text()?,
            8 => signature = text()?,
            // Unknown fields are ignored.
            _ => {}
        }
    }
    decoder.align(8)?;
    (decoder.at.checked_add(body_length)? == bytes.len()).then_some(())?;
    message.body = decoder.values(&signature)?;
    (decoder.at == bytes.len()).then_some(message)
}

/// Checks that a message is the same after encoding and decoding. For tests and the fuzz
/// target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check(bytes: &[u8]) {
    length(bytes);
    if let Some(message) = decode(bytes) {
        let again = message.encode();
        assert_eq!(length(&again), Some(again.len()));
        let decoded = decode(&again);
        // NaN is not equal to itself, so the debug texts are compared.
        assert!(format!("{decoded:?}") == format!("{:?}", Some(&message)), "{message:?} {decoded:?}");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample() -> Message {
        let property =
            |name: &str, value| Value::Struct(vec![Value::str(name), Value::Variant(Box::new(value))]);
        let properties = vec![
            property("Delegate", Value::Bool(true)),
            property("PIDs", Value::Array("u".into(), vec![Value::Uint32(7), Value::Uint32(8)])),
            property("MemoryMax", Value::Uint64(u64::MAX)),
            property("AllowedCPUs", Value::Array("y".into(), vec![Value::Byte(3)])),
            property(
                "IOReadBandwidthMax",
                Value::Array(
                    "(st)".into(),
                    vec![Value::Struct(vec![Value::str("/dev/block/8:0"), Value::Uint64(1)])],
                ),
            ),
            property("X", Value::Double(1.5)),
        ];
        let mut message = Message::call(
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "StartTransientUnit",
            vec![
                Value::str("x.scope"),
                Value::str("replace"),
                Value::Array("(sv)".into(), properties),
                Value::Array("(sa(sv))".into(), Vec::new()),
            ],
        );
        message.serial = 3;
        message
    }

    #[test]
    fn an_encoded_message_is_decoded_to_the_same() {
        let message = sample();
        let bytes = message.encode();
        assert_eq!(length(&bytes), Some(bytes.len()));
        assert_eq!(decode(&bytes), Some(message));
        check(&bytes);
    }

    #[test]
    fn invalid_messages_are_refused() {
        let bytes = sample().encode();
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
        let mut changed = bytes.clone();
        for i in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                changed[i] = value;
                check(&changed);
            }
            changed[i] = bytes[i];
        }
        assert_eq!(length(b"l\x01\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), None);
    }
}
