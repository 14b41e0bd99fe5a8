//! A JSON reader for answers of strangers: duplicate members and deep nesting are refused.
//!
//! `serde_json` keeps the last of two equal members. Two parsers that pick differently are how a
//! token is swapped between a proxy and its client, so a doubled member refuses the whole document
//! (requirement 32).

use grantry_core::limits;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads exactly one JSON object, with or without a byte order mark, and nothing after it.
pub(crate) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match value(body)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The same for a list.
pub(crate) fn list(body: &[u8]) -> Option<Vec<Value>> {
    match value(body)? {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn value(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict { depth: 0 }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == limits::JSON_DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":null,"b":[true,-1,2,3.5,"x\u00e9"],"c":{"d":{}},"e":1e18}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(object(text.as_bytes()).map(Value::Object), Some(expected));
    }

    #[test]
    fn skips_a_byte_order_mark() {
        assert!(object(b"\xEF\xBB\xBF{\"a\":1}").is_some());
    }

    #[test]
    fn refuses_what_parsers_disagree_on() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let cases = [
            r#"{"a":1,"a":1}"#.to_owned(),
            r#"{"o":{"a":1,"\u0061":2}}"#.to_owned(),
            r#"[{"a":1}]"#.to_owned(),
            r#"{"a":1} x"#.to_owned(),
            r#"{"a":1}{"b":2}"#.to_owned(),
            r#"{"a":"#.to_owned(),
            "\"text\"".to_owned(),
            String::new(),
            deep(limits::JSON_DEPTH_MAX),
            deep(200_000),
        ];
        for text in cases {
            assert!(object(text.as_bytes()).is_none(), "{:.80}", text);
        }
        assert!(object(deep(limits::JSON_DEPTH_MAX - 1).as_bytes()).is_some());
        assert!(object(b"{\"a\":\"\xFF\"}").is_none(), "not UTF-8");
    }
}
