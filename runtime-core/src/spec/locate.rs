// SPDX-License-Identifier: Apache-2.0
//! Where in a document an error is, as a JSON path. The parser says line and
//! column; the way there is looked for only when there is an error, so that it
//! costs nothing when there is none.

/// A container that the position is in, and where in it.
enum Place {
    /// Behind this name; `None`: between entries.
    Object(Option<String>),
    Array(usize),
}

/// The path of the value whose text ends at the position, or that it is in:
/// `linux.resources.memory.limit`, `mounts[3].options`; empty: the whole.
/// `column` counts the bytes of the line up to the position, it included.
pub(super) fn path_at(json: &[u8], line: usize, column: usize) -> String {
    let start: usize =
        json.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = (start + column).min(json.len());
    let mut places: Vec<Place> = Vec::new();
    let mut rest = json.get(..end).unwrap_or_default();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, places.last_mut()) {
            (b'{', _) => places.push(Place::Object(None)),
            (b'[', _) => places.push(Place::Array(0)),
            (b'}' | b']', _) => drop(places.pop()),
            (b',', Some(Place::Object(name))) => *name = None,
            (b',', Some(Place::Array(index))) => *index += 1,
            (b'"', place) => {
                let text = tail.get(..string_len(tail)).unwrap_or_default();
                rest = tail.get(text.len() + 1..).unwrap_or_default();
                // The position is in this name: then it is not a place yet.
                let is_whole = !rest.is_empty();
                if let (Some(Place::Object(name @ None)), true) = (place, is_whole) {
                    *name = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for place in places {
        match place {
            Place::Object(None) => {}
            Place::Object(Some(name)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
            Place::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// The length of a string, from behind its opening quote to its closing one.
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
    fn values_and_what_they_are_in() {
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
    fn lines_are_counted() {
        let json = b"{\n  \"a\": [\n    true,\n    false\n  ]\n}\n";
        assert_eq!(path_at(json, 4, 9), "a[1]");
        assert_eq!(path_at(json, 5, 3), "a");
        assert_eq!(path_at(json, 99, 99), "");
    }
}
