// SPDX-License-Identifier: Apache-2.0
//! Paths of values in a JSON document: the path of an error, and the paths of unknown
//! properties. They are computed in a second pass and only on demand, so that parsing,
//! which every run pays for, need not track them.

/// The maximum depth of a path. Deeper values, which no configuration has, are not named.
const DEPTH: usize = 64;

/// An object or array that contains a position, and the place of the position in it.
enum PathPart {
    /// The value of this name; `None` between entries.
    Object(Option<String>),
    Array(usize),
}

/// Returns the path of the value that ends at the position or contains the position:
/// `linux.resources.memory.limit`, `mounts[3].options`; empty for the whole document.
/// `column` is the number of bytes in the line up to and including the position.
pub(super) fn path_at(json: &[u8], line: usize, column: usize) -> String {
    let lines = json.split_inclusive(|b| *b == b'\n');
    let start: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = (start + column).min(json.len());
    path(&walk(json.get(..end).unwrap_or_default(), |_| {}))
}

/// Returns the paths of the properties in a valid document that `known` does not have. The
/// properties below an unknown one are left out. `at` is the path that the document has in
/// the paths of `known`. `known` is sorted; its paths have `[]` for each index, and `*` where
/// any name may stand.
pub(super) fn unknown(json: &[u8], at: &str, known: &[&str]) -> Vec<String> {
    let mut unknown: Vec<String> = Vec::new();
    walk(json, |parts| {
        let is_known = |parts: &[PathPart]| is_known(parts, at, known);
        if !is_known(parts) && parts.split_last().is_none_or(|(_, outer)| is_known(outer)) {
            unknown.push(path(parts));
        }
    });
    unknown
}

fn is_known(parts: &[PathPart], at: &str, known: &[&str]) -> bool {
    let mut pattern = at.to_owned();
    for part in parts {
        match part {
            PathPart::Object(None) => {}
            PathPart::Object(Some(name)) => {
                let separator = if pattern.is_empty() { "" } else { "." };
                let named = format!("{pattern}{separator}{name}");
                let any = format!("{pattern}{separator}*");
                pattern = if known.binary_search(&any.as_str()).is_ok() { any } else { named };
                if known.binary_search(&pattern.as_str()).is_err() {
                    return false;
                }
            }
            PathPart::Array(_) => pattern.push_str("[]"),
        }
    }
    true
}

/// Walks a document, or the beginning of one, and calls `named` after each name with the
/// parts that lead to it. Returns the parts that lead to the end.
fn walk(json: &[u8], mut named: impl FnMut(&[PathPart])) -> Vec<PathPart> {
    let mut parts: Vec<PathPart> = Vec::new();
    // The number of objects and arrays beyond `DEPTH` that contain the position.
    let mut deeper = 0usize;
    let mut rest = json;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let is_full = parts.len() >= DEPTH;
        match (byte, parts.last_mut()) {
            (b'{' | b'[', _) if is_full => deeper += 1,
            (b'{', _) => parts.push(PathPart::Object(None)),
            (b'[', _) => parts.push(PathPart::Array(0)),
            (b'}' | b']', _) if deeper > 0 => deeper -= 1,
            (b'}' | b']', _) => drop(parts.pop()),
            (b',', _) if deeper > 0 => {}
            (b',', Some(PathPart::Object(name))) => *name = None,
            (b',', Some(PathPart::Array(index))) => *index += 1,
            (b'"', part) => {
                let text = tail.get(..string_len(tail)).unwrap_or_default();
                rest = tail.get(text.len() + 1..).unwrap_or_default();
                // If the text ends here, the position is in the name, which is no part yet.
                let is_whole = !rest.is_empty();
                if let (Some(PathPart::Object(name @ None)), true, 0) = (part, is_whole, deeper) {
                    *name = Some(String::from_utf8_lossy(text).into_owned());
                    named(&parts);
                }
            }
            _ => {}
        }
    }
    parts
}

fn path(parts: &[PathPart]) -> String {
    let mut path = String::new();
    for part in parts {
        match part {
            PathPart::Object(None) => {}
            PathPart::Object(Some(name)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            PathPart::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// Returns the length of a string, from after its opening quote to its closing quote.
fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_position_is_that_of_its_value() {
        let json = r#"{"a":{"b":[1,{"c":"x\"}"}]},"d":7,"e"#;
        let path = |up_to: &str| path_at(json.as_bytes(), 1, json.find(up_to).unwrap() + up_to.len());
        assert_eq!(path(r#"{"a""#), "");
        assert_eq!(path(r#"{"b":"#), "a.b");
        assert_eq!(path("[1"), "a.b[0]");
        assert_eq!(path(r#""x\"}""#), "a.b[1].c");
        assert_eq!(path(r#"\"}"}"#), "a.b[1]");
        assert_eq!(path("]"), "a.b");
        assert_eq!(path("]}"), "a");
        assert_eq!(path("7"), "d");
        assert_eq!(path(r#""e"#), "");
        assert_eq!(path_at(b"", 1, 1), "");
    }

    #[test]
    fn the_depth_of_a_path_is_limited() {
        let deep = "[".repeat(1 << 20) + "7";
        assert_eq!(path_at(deep.as_bytes(), 1, deep.len()), "[0]".repeat(DEPTH));
        let back = format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(path_at(back.as_bytes(), 1, back.len() - 1), "b");
        assert_eq!(unknown(back.as_bytes(), "", &["a"]), ["b"]);
    }

    #[test]
    fn lines_are_counted() {
        let json = b"{\n  \"a\": [\n    true,\n    false\n  ]\n}\n";
        assert_eq!(path_at(json, 4, 9), "a[1]");
        assert_eq!(path_at(json, 5, 3), "a");
        assert_eq!(path_at(json, 99, 99), "");
    }

    #[test]
    fn the_outermost_unknown_names_are_returned() {
        let known = ["a", "a.b", "a.b[].c", "m", "m.*", "m.*.n"];
        assert!(known.is_sorted());
        let json =
            br#"{"a": {"b": [{"c": 1}, {"d": {"c": 2}}]}, "m": {"a.b": {"n": 1, "o": 2}}, "x": {"a": 3}}"#;
        assert_eq!(unknown(json, "", &known), ["a.b[1].d", "m.a.b.o", "x"]);
        assert_eq!(unknown(br#"{"b": [{"c": 1, "d": 2}]}"#, "a", &known), ["b[0].d"]);
        assert!(unknown(b"[1]", "", &known).is_empty());
    }
}
