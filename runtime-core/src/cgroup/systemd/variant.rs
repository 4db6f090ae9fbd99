// SPDX-License-Identifier: Apache-2.0
//! Parsing of values as text, from the annotations `org.systemd.property.*`. The format is
//! that of GVariant ("GVariant Text Format"), as far as properties of units need it: without
//! dictionaries and maybe types.

use super::wire::Value;

/// Parses a value. The error names the expected token and its place.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, rest: text, depth: 16 };
    let value = parser.value(None)?;
    parser.skip_space();
    if parser.rest.is_empty() { Ok(value) } else { Err(parser.expected("the end")) }
}

/// The maximum length of a signature: a byte on the wire (D-Bus Specification, "Valid Signatures").
const SIGNATURE_MAX: usize = 255;

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: u8,
}

impl<'a> Parser<'a> {
    fn expected(&self, what: &str) -> String {
        format!("expected {what} at byte {} of {:?}", self.text.len() - self.rest.len(), self.text)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Consumes a character if it is next.
    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn require(&mut self, c: char) -> Result<(), String> {
        if self.eat(c) { Ok(()) } else { Err(self.expected(&format!("{c:?}"))) }
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-._@".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Parses a value, of the type `kind` (a signature) if the type is known already.
    fn value(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.depth = self.depth.checked_sub(1).ok_or("nested too deep")?;
        self.skip_space();
        let begin = self.rest;
        let value = match self.rest.chars().next() {
            None => Err(self.expected("a value")),
            Some('\'' | '"') => self.string(kind),
            Some('[') => self.array(kind),
            Some('(') => self.tuple(kind),
            Some('<') => {
                self.require('<')?;
                let inner = self.value(None)?;
                self.require('>')?;
                Ok(Value::Variant(Box::new(inner)))
            }
            Some('@') => {
                self.require('@')?;
                let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
                let (kind, rest) = self.rest.split_at(end);
                self.rest = rest;
                self.value(Some(kind))
            }
            Some(_) => match self.word() {
                "" => Err(self.expected("a value")),
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                word => match keyword(word) {
                    Some(kind) => self.value(Some(kind)),
                    None => number(word, kind).ok_or_else(|| {
                        self.rest = begin;
                        self.expected(&match kind {
                            Some(kind) => format!("a value of type {kind:?}"),
                            None => "a value".to_owned(),
                        })
                    }),
                },
            },
        }?;
        let signature = value.signature();
        if let Some(kind) = kind
            && signature != kind
        {
            self.rest = begin;
            return Err(self.expected(&format!("a value of type {kind:?}")));
        }
        let is_long = |signature: &str| signature.len() > SIGNATURE_MAX;
        if is_long(&signature) || matches!(&value, Value::Signature(text) if is_long(text)) {
            self.rest = begin;
            return Err(self.expected(&format!("a type of at most {SIGNATURE_MAX} characters")));
        }
        self.depth += 1;
        Ok(value)
    }

    fn string(&mut self, kind: Option<&str>) -> Result<Value, String> {
        let quote = if self.eat('\'') { '\'' } else { '"' };
        if quote == '"' {
            self.require('"')?;
        }
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        let unfinished = format!("a closing {quote:?}");
        loop {
            let Some((at, c)) = chars.next() else { return Err(self.expected(&unfinished)) };
            if c == quote {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                break;
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some((_, escaped)) = chars.next() else { return Err(self.expected(&unfinished)) };
            text.push(match escaped {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                'u' | 'U' => {
                    let digits = if escaped == 'u' { 4 } else { 8 };
                    let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    let c = u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits);
                    c.and_then(char::from_u32).ok_or_else(|| self.expected("a code point"))?
                }
                other => other,
            });
        }
        if text.contains('\0') {
            return Err(self.expected("a string without NUL"));
        }
        Ok(match kind {
            Some("o") => Value::Path(text),
            Some("g") => Value::Signature(text),
            _ => Value::Str(text),
        })
    }

    fn array(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.require('[')?;
        let mut element = kind.and_then(|kind| kind.strip_prefix('a')).map(str::to_owned);
        let mut values = Vec::new();
        while !self.eat(']') {
            if !values.is_empty() {
                self.require(',')?;
            }
            let value = self.value(element.as_deref())?;
            element.get_or_insert_with(|| value.signature());
            values.push(value);
        }
        let element = element.ok_or_else(|| self.expected("the type of an empty array, as in \"@as []\""))?;
        Ok(Value::Array(element, values))
    }

    fn tuple(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.require('(')?;
        if kind.is_some() {
            // `@(ss)` and the like are not supported.
            return Err(self.expected("no type in front of a tuple"));
        }
        let mut fields = vec![self.value(None)?];
        while !self.eat(')') {
            self.require(',')?;
            // A tuple of one field has a comma after the field.
            if self.eat(')') {
                break;
            }
            fields.push(self.value(None)?);
        }
        Ok(Value::Struct(fields))
    }
}

/// Returns the signature for a type keyword, which may stand before a value.
fn keyword(word: &str) -> Option<&'static str> {
    Some(match word {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

/// Parses a number of a type. The default type is int32, or double for a number with a point.
fn number(word: &str, kind: Option<&str>) -> Option<Value> {
    let kind = kind.unwrap_or(if word.contains('.') { "d" } else { "i" });
    if kind == "d" {
        let plain = word.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        return word.parse().ok().filter(|_| plain).map(Value::Double);
    }
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, radix) = match digits {
        "0" => (digits, 10),
        _ => match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
            (Some(hex), _) => (hex, 16),
            (None, Some(octal)) => (octal, 8),
            (None, None) => (digits, 10),
        },
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let n = i128::from_str_radix(digits, radix).ok()?;
    let n = if negative { -n } else { n };
    Some(match kind {
        "y" => Value::Byte(n.try_into().ok()?),
        "n" => Value::Int16(n.try_into().ok()?),
        "q" => Value::Uint16(n.try_into().ok()?),
        "i" => Value::Int32(n.try_into().ok()?),
        "u" => Value::Uint32(n.try_into().ok()?),
        "x" => Value::Int64(n.try_into().ok()?),
        "t" => Value::Uint64(n.try_into().ok()?),
        _ => return None,
    })
}

/// Converts seconds to microseconds, for properties that systemd documents in seconds but
/// takes in microseconds.
pub(super) fn microseconds(value: &Value) -> Option<Value> {
    let whole = |n: i128| u64::try_from(n.checked_mul(1_000_000)?).ok();
    let n = match value {
        Value::Byte(n) => whole(i128::from(*n)),
        Value::Int16(n) => whole(i128::from(*n)),
        Value::Uint16(n) => whole(i128::from(*n)),
        Value::Int32(n) => whole(i128::from(*n)),
        Value::Uint32(n) => whole(i128::from(*n)),
        Value::Int64(n) => whole(i128::from(*n)),
        Value::Uint64(n) => whole(i128::from(*n)),
        // The cast saturates: the largest number is systemd's infinity.
        Value::Double(n) if *n >= 0.0 => Some((n * 1e6) as u64),
        _ => None,
    };
    n.map(Value::Uint64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Value {
        Value::Array("s".into(), list.iter().map(|text| Value::str(text)).collect())
    }

    #[test]
    fn texts_of_variants_are_parsed() {
        for (text, want) in [
            ("true", Value::Bool(true)),
            (" false ", Value::Bool(false)),
            ("'a b'", Value::str("a b")),
            (r#""it's""#, Value::str("it's")),
            (r"'it\'s \\ \n \u00e4'", Value::str("it's \\ \n ä")),
            ("2", Value::Int32(2)),
            ("-2", Value::Int32(-2)),
            ("uint64 10", Value::Uint64(10)),
            ("int64 -10", Value::Int64(-10)),
            ("byte 0xff", Value::Byte(255)),
            ("uint16 010", Value::Uint16(8)),
            ("uint32 0", Value::Uint32(0)),
            ("1.5", Value::Double(1.5)),
            ("double 2", Value::Double(2.0)),
            ("@t 18446744073709551615", Value::Uint64(u64::MAX)),
            ("objectpath '/a'", Value::Path("/a".into())),
            ("['a', \"b\" ]", strings(&["a", "b"])),
            ("@as []", strings(&[])),
            ("[uint64 1, 2]", Value::Array("t".into(), vec![Value::Uint64(1), Value::Uint64(2)])),
            ("('a', true)", Value::Struct(vec![Value::str("a"), Value::Bool(true)])),
            ("('a',)", Value::Struct(vec![Value::str("a")])),
            (
                "[('/dev/null', 'rw')]",
                Value::Array(
                    "(ss)".into(),
                    vec![Value::Struct(vec![Value::str("/dev/null"), Value::str("rw")])],
                ),
            ),
            ("<'x'>", Value::Variant(Box::new(Value::str("x")))),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn invalid_texts_of_variants_are_refused() {
        for text in [
            "",
            "x",
            "'a",
            "'a' b",
            "[1, 'a']",
            "[",
            "[]",
            "[1,,2]",
            "()",
            "byte 256",
            "byte -1",
            "uint64 'a'",
            "0x",
            "08",
            "--1",
            "1e",
            "boolean 1",
            "{'a': 1}",
            "nan",
            "'\\u00'",
            "'\\ud800'",
            "'\\0\\u0000'",
            "@",
            "@t",
            "<1",
            "99999999999",
        ] {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
        assert_eq!(
            parse("[1, 'a']").unwrap_err(),
            "expected a value of type \"i\" at byte 4 of \"[1, 'a']\""
        );
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse(&"byte ".repeat(10_000)).is_err());
        assert!(parse(&format!("({})", "1,".repeat(253))).is_ok());
        assert!(parse(&format!("<({})>", "1,".repeat(254))).is_err());
        assert!(parse(&format!("signature '{}'", "y".repeat(256))).is_err());
    }

    #[test]
    fn seconds_become_microseconds_or_nothing() {
        assert_eq!(microseconds(&Value::Int32(2)), Some(Value::Uint64(2_000_000)));
        assert_eq!(microseconds(&Value::Double(0.5)), Some(Value::Uint64(500_000)));
        assert_eq!(microseconds(&Value::Int32(-2)), None);
        assert_eq!(microseconds(&Value::Uint64(u64::MAX)), None);
        assert_eq!(microseconds(&Value::str("2")), None);
    }
}
