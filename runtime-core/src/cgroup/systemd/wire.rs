// SPDX-License-Identifier: Apache-2.0
//! Encoding and decoding of D-Bus values (D-Bus Specification, "Type System" and
//! "Marshaling"). This module does no I/O. A test compares it with another implementation
//! (docs/decisions/dbus.md).

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
    /// The signature of the elements, and the elements, of which there may be none.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    DictEntry(Box<Value>, Box<Value>),
    Variant(Box<Value>),
}

impl Value {
    pub(crate) fn str(text: &str) -> Self {
        Value::Str(text.to_owned())
    }

    /// Returns the value in words, for people.
    pub(crate) fn words(&self) -> String {
        match self {
            Value::Bool(value) => value.to_string(),
            Value::Uint64(u64::MAX) => "infinity".to_owned(),
            Value::Uint64(number) => number.to_string(),
            Value::Int32(number) => number.to_string(),
            Value::Uint32(number) => number.to_string(),
            Value::Byte(number) => number.to_string(),
            Value::Array(_, all) | Value::Struct(all) => {
                all.iter().map(Value::words).collect::<Vec<_>>().join(" ")
            }
            Value::Variant(inner) => inner.words(),
            other => other.as_str().map_or_else(|| format!("{other:?}"), str::to_owned),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) | Value::Path(text) | Value::Signature(text) => Some(text),
            Value::Variant(inner) => inner.as_str(),
            _ => None,
        }
    }

    /// Returns the signature of the value's type.
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

/// Returns the alignment of a type by the first character of its signature.
fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        _ => 8,
    }
}

/// An encoder of values, little-endian. Its bytes are to begin at a multiple of 8.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn align(&mut self, alignment: usize) {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
    }

    pub(super) fn number<const N: usize>(&mut self, bytes: [u8; N]) {
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

    pub(super) fn value(&mut self, value: &Value) {
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

/// A decoder of values. The bytes are not trusted.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) big_endian: bool,
    /// The number of levels that types may still nest.
    pub(super) depth: u8,
}

impl<'a> Decoder<'a> {
    pub(super) fn align(&mut self, alignment: usize) -> Option<()> {
        let next = self.at.next_multiple_of(alignment);
        self.take(next - self.at).map(drop)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    pub(super) fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        if self.big_endian {
            bytes.reverse();
        }
        Some(bytes)
    }

    pub(super) fn length(&mut self) -> Option<usize> {
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

    pub(super) fn values(&mut self, mut signature: &str) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = split(signature)?;
            values.push(self.value(first)?);
            signature = rest;
        }
        Some(values)
    }

    /// Decodes a value of one complete type.
    pub(super) fn value(&mut self, kind: &str) -> Option<Value> {
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

/// The maximum length of a D-Bus signature.
const SIGNATURE_MAX: usize = 255;

/// Splits a signature after its first complete type.
fn split(signature: &str) -> Option<(&str, &str)> {
    if signature.len() > SIGNATURE_MAX {
        return None;
    }
    let arrays = signature.bytes().take_while(|b| *b == b'a').count();
    let mut open = 0usize;
    for (i, b) in signature.bytes().enumerate().skip(arrays) {
        match b {
            b'(' | b'{' => open += 1,
            // An empty structure is not a type.
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

#[cfg(test)]
mod tests {
    use super::super::message::tests::sample;
    use super::*;

    #[test]
    fn values_have_the_bytes_of_the_specification() {
        // "foo", "+", "bar": D-Bus Specification, "Marshalling Basic Types".
        let mut encoder = Encoder::default();
        ["foo", "+", "bar"].iter().for_each(|text| encoder.text(text));
        assert_eq!(encoder.0, b"\x03\0\0\0foo\0\x01\0\0\0+\0\0\0\x03\0\0\0bar\0");
        // An array that contains the 64-bit integer 5.
        let mut encoder = Encoder::default();
        encoder.value(&Value::Array("x".into(), vec![Value::Int64(5)]));
        assert_eq!(encoder.0, b"\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
    }

    #[test]
    fn the_depth_of_types_is_limited() {
        // The limit keeps the recursion shallow.
        let deep = format!("{}y", "a".repeat(200));
        let mut decoder = Decoder { bytes: &[0; 4096], at: 0, big_endian: false, depth: 32 };
        assert_eq!(decoder.values(&deep), Some(vec![Value::Array("a".repeat(199) + "y", Vec::new())]));
        let variants = [1, b'v', 0].repeat(100);
        let mut decoder = Decoder { bytes: &variants, at: 0, big_endian: false, depth: 32 };
        assert_eq!(decoder.value("v"), None);
    }

    #[test]
    fn a_signature_is_split_behind_its_first_complete_type() {
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

    /// Compares the encoding of values with that of the library `zvariant`.
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
                // zvariant writes a single value as a variant, whose signature is 1 byte of
                // length, the text and a NUL.
                let bytes = zvariant::to_bytes(Context::new_dbus(LE, 0), &theirs(&whole)).unwrap();
                let start = (whole.signature().len() + 2).next_multiple_of(8);
                assert_eq!(&bytes[start..], ours.0, "{whole:?}");
                checked += 1;
            }
        }
        assert!(checked > 500);
    }
}
