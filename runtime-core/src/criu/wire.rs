// SPDX-License-Identifier: Apache-2.0
//! The encoding of protocol buffers (protobuf.dev, "Encoding"), as far as CRIU's messages use it:
//! numbers, texts and messages in messages.

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// Adds a number: an int32, a uint32, an enum or a bool.
    pub(crate) fn number(&mut self, field: u32, value: i64) {
        self.varint(u64::from(field) << 3);
        // A negative int32 is written with ten bytes, as an int64.
        self.varint(value as u64);
    }

    /// Adds a bool that is true. One that is false is left out: it is the default of every bool of
    /// CRIU.
    pub(crate) fn flag(&mut self, field: u32, value: bool) {
        if value {
            self.number(field, 1);
        }
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Adds a message.
    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a text that may be another encoding than UTF-8, such as a path.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Returns a number as an int32; 0 for another value.
    pub(crate) fn int(self) -> i32 {
        match self {
            Value::Number(number) => number as i32,
            Value::Bytes(_) => 0,
        }
    }

    /// Returns a text or a message; empty for another value.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Number(_) => &[],
            Value::Bytes(bytes) => bytes,
        }
    }
}

/// Returns the fields of a message with their values, in their order. `None`: the message is torn, or
/// has a value of a type that CRIU does not use.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value)
            }
            _ => return None,
        };
        fields.push((u32::try_from(key >> 3).ok()?, value));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those that protoc writes for `type: RESTORE opts { images_dir_fd: -1 pid: 300
    /// log_file: "a" manage_cgroups: true ext_mnt { key: "/k" val: "v" } }` and rpc.proto.
    #[test]
    fn bytes_are_those_of_protoc() {
        let mut mount = Message::default();
        mount.text(1, "/k");
        mount.text(2, "v");
        let mut options = Message::default();
        options.number(1, -1);
        options.number(2, 300);
        options.text(10, "a");
        options.message(23, &mount);
        options.flag(24, true);
        options.flag(25, false);
        let mut request = Message::default();
        request.number(1, 2);
        request.message(2, &options);
        let want = b"\x08\x02\x12\x1e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\xac\x02\x52\x01a\
                     \xba\x01\x07\x0a\x02/k\x12\x01v\xc0\x01\x01";
        assert_eq!(request.as_bytes(), want);
        let read = fields(want).unwrap();
        assert_eq!(read[0], (1, Value::Number(2)));
        let options = fields(read[1].1.bytes()).unwrap();
        let numbers: Vec<u32> = options.iter().map(|(field, _)| *field).collect();
        assert_eq!(numbers, [1, 2, 10, 23, 24]);
        assert_eq!((options[0].1.int(), options[1].1.int(), options[2].1.bytes()), (-1, 300, &b"a"[..]));
    }

    #[test]
    fn torn_and_unknown_values_are_refused() {
        let whole = b"\x08\x02\x12\x03abc";
        assert!(fields(whole).is_some());
        for end in [1, 3, 4, 5, 6] {
            assert_eq!(fields(&whole[..end]), None, "{end}");
        }
        assert_eq!(fields(b"\x0d\0\0\0\0"), None, "a fixed32");
        assert_eq!(fields(&[0xff; 11]), None, "a number of more than ten bytes");
        assert_eq!(
            fields(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            None,
            "a length beyond all memory"
        );
        assert_eq!(fields(b""), Some(Vec::new()));
    }
}
