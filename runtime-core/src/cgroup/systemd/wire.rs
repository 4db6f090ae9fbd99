// SPDX-License-Identifier: Apache-2.0
//! D-Bus values and messages as bytes (D-Bus Specification, "Type System" and
//! "Message Protocol"): as much of it as talking to systemd needs. Pure, and
//! compared with another implementation by a test (docs/decisions/dbus.md).

/// A value of any D-Bus type but a file descriptor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    Str(String),
    Path(String),
    Signature(String),
    /// With the signature of its elements, which there may be none of.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    DictEntry(Box<Value>, Box<Value>),
    Variant(Box<Value>),
}

impl Value {
    pub(crate) fn str(text: &str) -> Self {
        Value::Str(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) | Value::Path(text) | Value::Signature(text) => Some(text),
            Value::Variant(inner) => inner.as_str(),
            _ => None,
        }
    }

    /// The type, as the specification writes it.
    pub(crate) fn signature(&self) -> String {
        match self {
            Value::Byte(_) => "y".into(),
            Value::Bool(_) => "b".into(),
            Value::Int16(_) => "n".into(),
            Value::Uint16(_) => "q".into(),
            Value::Int32(_) => "i".into(),
            Value::Uint32(_) => "u".into(),
            Value::Int64(_) => "x".into(),
            Value::Uint64(_) => "t".into(),
            Value::Double(_) => "d".into(),
            Value::Str(_) => "s".into(),
            Value::Path(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(fields) => format!("({})", signature(fields)),
            Value::DictEntry(key, value) => format!("{{{}{}}}", key.signature(), value.signature()),
            Value::Variant(_) => "v".into(),
        }
    }
}

pub(crate) fn signature(values: &[Value]) -> String {
    values.iter().map(Value::signature).collect()
}

/// The alignment of a type by the first character of its signature.
fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        _ => 8,
    }
}

/// Values as bytes, little-endian, from a place that is a multiple of 8 on.
#[derive(Debug, Default)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn align(&mut self, alignment: usize) {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
    }

    fn number<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.number((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(n) => self.0.push(*n),
            Value::Bool(b) => self.number(u32::from(*b).to_le_bytes()),
            Value::Int16(n) => self.number(n.to_le_bytes()),
            Value::Uint16(n) => self.number(n.to_le_bytes()),
            Value::Int32(n) => self.number(n.to_le_bytes()),
            Value::Uint32(n) => self.number(n.to_le_bytes()),
            Value::Int64(n) => self.number(n.to_le_bytes()),
            Value::Uint64(n) => self.number(n.to_le_bytes()),
            Value::Double(n) => self.number(n.to_le_bytes()),
            Value::Str(text) | Value::Path(text) => self.text(text),
            Value::Signature(text) => self.signature(text),
            Value::Array(element, values) => {
                self.number([0; 4]);
                let length_at = self.0.len() - 4;
                self.align(alignment(element.bytes().next().unwrap_or(b'y')));
                let start = self.0.len();
                values.iter().for_each(|value| self.value(value));
                let length = (self.0.len() - start) as u32;
                if let Some(place) = self.0.get_mut(length_at..length_at + 4) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::DictEntry(key, value) => {
                self.align(8);
                self.value(key);
                self.value(value);
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }
}

/// Bytes as values. Everything in them may be wrong.
#[derive(Debug)]
struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
    /// How much deeper types may nest.
    depth: u8,
}

impl<'a> Decoder<'a> {
    fn align(&mut self, alignment: usize) -> Option<()> {
        let next = self.at.next_multiple_of(alignment);
        self.take(next - self.at).map(drop)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        if self.big_endian {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.number()?) as usize)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        let terminated = self.take(1)? == [0] && !text.contains('\0');
        terminated.then(|| text.to_owned())
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(*self.take(1)?.first()?);
        self.text(length)
    }

    fn values(&mut self, mut signature: &str) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = split(signature)?;
            values.push(self.value(first)?);
            signature = rest;
        }
        Some(values)
    }

    /// A value of one complete type.
    fn value(&mut self, kind: &str) -> Option<Value> {
        Some(match *kind.as_bytes().first()? {
            b'y' => Value::Byte(*self.take(1)?.first()?),
            b'b' => match u32::from_le_bytes(self.number()?) {
                n @ (0 | 1) => Value::Bool(n == 1),
                _ => return None,
            },
            b'n' => Value::Int16(i16::from_le_bytes(self.number()?)),
            b'q' => Value::Uint16(u16::from_le_bytes(self.number()?)),
            b'i' => Value::Int32(i32::from_le_bytes(self.number()?)),
            b'u' => Value::Uint32(u32::from_le_bytes(self.number()?)),
            b'x' => Value::Int64(i64::from_le_bytes(self.number()?)),
            b't' => Value::Uint64(u64::from_le_bytes(self.number()?)),
            b'd' => Value::Double(f64::from_le_bytes(self.number()?)),
            b's' => {
                let length = self.length()?;
                Value::Str(self.text(length)?)
            }
            b'o' => {
                let length = self.length()?;
                Value::Path(self.text(length)?)
            }
            b'g' => Value::Signature(self.signature()?),
            _ => return self.container(kind),
        })
    }

    fn container(&mut self, kind: &str) -> Option<Value> {
        self.depth = self.depth.checked_sub(1)?;
        let inside = kind.get(1..kind.len().checked_sub(1)?);
        let value = match *kind.as_bytes().first()? {
            b'v' => {
                let inner = self.signature()?;
                let (first, rest) = split(&inner)?;
                rest.is_empty().then_some(())?;
                Value::Variant(Box::new(self.value(first)?))
            }
            b'a' => {
                let element = kind.get(1..)?;
                let length = self.length()?;
                self.align(alignment(*element.as_bytes().first()?))?;
                let end = self.at.checked_add(length)?;
                let mut values = Vec::new();
                while self.at < end {
                    values.push(self.value(element)?);
                }
                (self.at == end).then_some(())?;
                Value::Array(element.to_owned(), values)
            }
            b'(' => {
                self.align(8)?;
                Value::Struct(self.values(inside?)?)
            }
            b'{' => {
                self.align(8)?;
                let [key, value] = <[Value; 2]>::try_from(self.values(inside?)?).ok()?;
                Value::DictEntry(Box::new(key), Box::new(value))
            }
            _ => return None,
        };
        self.depth += 1;
        Some(value)
    }
}

/// The longest signature that D-Bus knows.
const SIGNATURE_MAX: usize = 255;

/// The first complete type of a signature, and the others.
fn split(signature: &str) -> Option<(&str, &str)> {
    if signature.len() > SIGNATURE_MAX {
        return None;
    }
    let arrays = signature.bytes().take_while(|b| *b == b'a').count();
    let mut open = 0usize;
    for (i, b) in signature.bytes().enumerate().skip(arrays) {
        match b {
            b'(' | b'{' => open += 1,
            // An empty structure is none.
            b')' | b'}' if i > 0 && matches!(signature.as_bytes().get(i - 1), Some(b'(' | b'{')) => {
                return None;
            }
            b')' | b'}' => open = open.checked_sub(1)?,
            b if b.is_ascii_lowercase() => {}
            _ => return None,
        }
        if open == 0 {
            return signature.split_at_checked(i + 1);
        }
    }
    None
}

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) serial: u32,
    /// Which call it answers.
    pub(crate) reply_serial: u32,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) error_name: String,
    pub(crate) destination: String,
    /// Put there by the bus.
    pub(crate) sender: String,
    pub(crate) body: Vec<Value>,
}

impl Message {
    /// A call of a method.
    pub(crate) fn call(
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> Self {
        Message {
            kind: Kind::Call,
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

    /// As bytes.
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
            Kind::Call => 1,
            Kind::Return => 2,
            Kind::Error => 3,
            Kind::Signal => 4,
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

/// How long the first part of any message is, which says how long the rest is.
pub(crate) const PREFIX: usize = 16;

/// No answer of systemd's is nearly that long.
pub(crate) const MESSAGE_MAX: usize = 1 << 20;

/// The length of the message that begins with these [`PREFIX`] bytes. `None` if it is none,
/// or longer than [`MESSAGE_MAX`].
pub(crate) fn message_length(prefix: &[u8]) -> Option<usize> {
    let big_endian = big_endian(prefix)?;
    let mut decoder = Decoder { bytes: prefix, at: 4, big_endian, depth: 0 };
    let body = decoder.length()?;
    let _serial = decoder.length()?;
    let fields = decoder.length()?;
    let length = PREFIX.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= MESSAGE_MAX).then_some(length)
}

fn big_endian(bytes: &[u8]) -> Option<bool> {
    match bytes.first()? {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

/// A whole message; `None` if it is not one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
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

/// For tests and the fuzz target: what is a message survives being written and
/// read again.
pub(crate) fn check(bytes: &[u8]) {
    message_length(bytes);
    if let Some(message) = decode(bytes) {
        let again = message.encode();
        assert_eq!(message_length(&again), Some(again.len()));
        let decoded = decode(&again);
        // A number that is none is not equal to itself.
        assert!(format!("{decoded:?}") == format!("{:?}", Some(&message)), "{message:?} {decoded:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Message {
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
    fn there_and_back() {
        let message = sample();
        let bytes = message.encode();
        assert_eq!(message_length(&bytes), Some(bytes.len()));
        assert_eq!(decode(&bytes), Some(message));
        check(&bytes);
    }

    #[test]
    fn the_bytes_of_the_specification() {
        // "foo", "+", "bar": D-Bus Specification, "Marshalling Basic Types".
        let mut encoder = Encoder::default();
        ["foo", "+", "bar"].iter().for_each(|text| encoder.text(text));
        assert_eq!(encoder.0, b"\x03\0\0\0foo\0\x01\0\0\0+\0\0\0\x03\0\0\0bar\0");
        // An array that contains the 64-bit integer 5, behind a byte.
        let mut encoder = Encoder::default();
        encoder.value(&Value::Array("x".into(), vec![Value::Int64(5)]));
        assert_eq!(encoder.0, b"\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
    }

    #[test]
    fn nothing_is_believed() {
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
        assert_eq!(message_length(b"l\x01\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), None);
        // Deeper than any type: it would be a deep recursion.
        let deep = format!("{}y", "a".repeat(200));
        let mut decoder = Decoder { bytes: &[0; 4096], at: 0, big_endian: false, depth: 32 };
        assert_eq!(decoder.values(&deep), Some(vec![Value::Array("a".repeat(199) + "y", Vec::new())]));
        let variants = [1, b'v', 0].repeat(100);
        let mut decoder = Decoder { bytes: &variants, at: 0, big_endian: false, depth: 32 };
        assert_eq!(decoder.value("v"), None);
    }

    #[test]
    fn complete_types() {
        for (signature, want) in [
            ("sus", Some(("s", "us"))),
            ("a(sv)s", Some(("a(sv)", "s"))),
            ("aaas", Some(("aaas", ""))),
            ("a{sv}y", Some(("a{sv}", "y"))),
            ("(s(uu))y", Some(("(s(uu))", "y"))),
            ("a", None),
            ("(s", None),
            (")", None),
            ("()", None),
            ("", None),
            ("S", None),
        ] {
            assert_eq!(split(signature), want, "{signature}");
        }
    }

    /// The same values, as the library `zvariant` writes them.
    #[test]
    fn another_implementation_writes_the_same() {
        use zvariant::serialized::Context;
        use zvariant::{LE, Value as Theirs};
        fn theirs(value: &Value) -> Theirs<'static> {
            match value {
                Value::Byte(n) => Theirs::from(*n),
                Value::Bool(n) => Theirs::from(*n),
                Value::Int16(n) => Theirs::from(*n),
                Value::Uint16(n) => Theirs::from(*n),
                Value::Int32(n) => Theirs::from(*n),
                Value::Uint32(n) => Theirs::from(*n),
                Value::Int64(n) => Theirs::from(*n),
                Value::Uint64(n) => Theirs::from(*n),
                Value::Double(n) => Theirs::from(*n),
                Value::Str(text) => Theirs::from(text.clone()),
                Value::Path(text) => Theirs::from(zvariant::ObjectPath::try_from(text.clone()).unwrap()),
                Value::Signature(text) => Theirs::from(zvariant::Signature::try_from(text.as_str()).unwrap()),
                Value::Array(element, values) => {
                    let element = zvariant::Signature::try_from(element.as_str()).unwrap();
                    let mut array = zvariant::Array::new(&element);
                    for value in values {
                        array.append(theirs(value)).unwrap();
                    }
                    Theirs::from(array)
                }
                Value::Struct(fields) => {
                    let mut builder = zvariant::StructureBuilder::new();
                    for field in fields {
                        builder.push_value(theirs(field));
                    }
                    Theirs::from(builder.build().unwrap())
                }
                Value::Variant(inner) => Theirs::Value(Box::new(theirs(inner))),
                Value::DictEntry(..) => panic!("they have whole dictionaries only"),
            }
        }
        // All types, at all offsets modulo 8, in arrays and structures.
        let basic = [
            Value::Byte(1),
            Value::Bool(true),
            Value::Int16(-2),
            Value::Uint16(3),
            Value::Int32(-4),
            Value::Uint32(5),
            Value::Int64(-6),
            Value::Uint64(7),
            Value::Double(-8.25),
            Value::str("nine"),
            Value::Path("/ten".into()),
            Value::Signature("a(sv)".into()),
        ];
        let mut values = basic.to_vec();
        for value in &basic {
            values.push(Value::Variant(Box::new(value.clone())));
            for n in 0..3 {
                values.push(Value::Array(value.signature(), vec![value.clone(); n]));
            }
            values.push(Value::Struct(vec![Value::Byte(0), value.clone(), Value::Byte(0), value.clone()]));
        }
        values.extend(sample().body);
        let mut checked = 0;
        for value in &values {
            for pad in 0..8 {
                let whole = Value::Struct([vec![Value::Byte(9); pad], vec![value.clone()]].concat());
                let mut ours = Encoder::default();
                ours.value(&whole);
                // A value by itself is a variant to them; its signature is 1 byte of length,
                // the text and a NUL.
                let bytes = zvariant::to_bytes(Context::new_dbus(LE, 0), &theirs(&whole)).unwrap();
                let start = (whole.signature().len() + 2).next_multiple_of(8);
                assert_eq!(&bytes[start..], ours.0, "{whole:?}");
                checked += 1;
            }
        }
        assert!(checked > 500);
    }
}
