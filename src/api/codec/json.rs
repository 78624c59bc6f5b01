//! awsJson 1.0 and 1.1: one JSON object in, one out.

use serde_json::{Map, Value};

use super::{BYTES, ENTRIES, TIME};
use crate::api::error::ApiError;
use crate::json::Once;

/// Reads a body. An empty one is an object without members.
pub fn read_json(body: &[u8]) -> Result<Value, ApiError> {
    let bad = |why: String| ApiError::client("SerializationException", 400, why);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    // serde_json refuses what is nested deeper than 128 levels.
    match serde_json::from_slice(body) {
        Ok(Once(value @ Value::Object(_))) => Ok(value),
        Ok(_) => Err(bad("the body is not a JSON object".to_owned())),
        Err(error) if error.is_data() => Err(bad("the body gives a member twice".to_owned())),
        Err(error) => Err(bad(format!("the body is not JSON: line {}, column {}", error.line(), error.column()))),
    }
}

/// Writes an answer.
pub(super) fn write(value: &Value) -> Vec<u8> {
    serde_json::to_vec(&unmarked(value)).unwrap_or_default()
}

/// The value with times as seconds and bytes as base64. Members that are null are left out.
fn unmarked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            if fields.len() == 1 {
                if let Some(bytes) = fields.get(BYTES) {
                    return bytes.clone();
                }
                if let Some(entries) = fields.get(ENTRIES) {
                    return unmarked(entries);
                }
                if let Some(ms) = fields.get(TIME).and_then(Value::as_i64) {
                    // Whole seconds as whole numbers: some clients take nothing else.
                    return match ms % 1000 {
                        0 => (ms / 1000).into(),
                        _ => (ms as f64 / 1000.0).into(),
                    };
                }
            }
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), unmarked(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(unmarked).collect()),
        plain => plain.clone(),
    }
}

/// Writes an error.
pub(super) fn write_error(error: &ApiError) -> Vec<u8> {
    let value = serde_json::json!({ "__type": error.code, "message": error.message });
    serde_json::to_vec(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::codec::{Blob, Output, Timestamp};

    #[test]
    fn times_and_bytes_are_written_as_clients_read_them() {
        #[derive(serde::Serialize)]
        struct Answer {
            at: Timestamp,
            later: Timestamp,
            bytes: Blob,
            none: Option<u32>,
            list: Vec<Timestamp>,
        }
        let answer = Answer {
            at: Timestamp(1_700_000_000_000),
            later: Timestamp(1_700_000_000_250),
            bytes: Blob(b"x".to_vec()),
            none: None,
            list: vec![Timestamp(1000)],
        };
        let written = write(&Output::of(&answer).unwrap().0);
        let read: Value = serde_json::from_slice(&written).unwrap();
        let expected =
            serde_json::json!({ "at": 1_700_000_000, "later": 1_700_000_000.25, "bytes": "eA==", "list": [1] });
        assert_eq!(read, expected);
    }

    // I1
    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "[]",
            "1",
            "{",
            "nul",
            "{\"a\": 1} x",
            &"[".repeat(1000),
            &format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)),
        ] {
            assert_eq!(read_json(body.as_bytes()).unwrap_err().code, "SerializationException", "{body}");
        }
        // I2
        for body in [r#"{"a": 1, "a": 1}"#, r#"{"x": [{"a": {}, "a": {}}]}"#] {
            assert_eq!(read_json(body.as_bytes()).unwrap_err().message, "the body gives a member twice", "{body}");
        }
        let all = r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "\u00e9"], "b": {"a": {}}}"#;
        assert_eq!(read_json(all.as_bytes()).unwrap(), serde_json::from_str::<Value>(all).unwrap());
        for body in ["", " \n", "{}"] {
            assert_eq!(read_json(body.as_bytes()).unwrap(), serde_json::json!({}));
        }
    }
}
