//! Bytes into parameters and answers into bytes, for each of AWS's wire protocols.
//!
//! In between lies one shape for all: [`Parameters`] and [`Output`] hold JSON values, with times and bytes marked so that each
//! protocol can write them its own way. Everything from outside is bounded: depth, number of members, lengths.

mod json;
mod query;
mod xml;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::ApiError;
use super::service::Service;

pub use json::read_json;
pub use query::read_query;

/// How a call and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `application/x-amz-json-1.0`
    Json10,
    /// `application/x-amz-json-1.1`
    Json11,
    /// Forms in, XML out.
    Query,
}

/// The parameters of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    pub(super) value: Value,
    pub(super) protocol: Protocol,
}

/// What a call answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Output(Value);

/// An answer as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The HTTP status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// `x-amzn-ErrorType`, for errors.
    pub error_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Parameters {
    /// The parameters as an operation takes them. What it does not know is passed over, as AWS does.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let read = match self.protocol {
            Protocol::Query => query::from_texts(&self.value),
            Protocol::Json10 | Protocol::Json11 => {
                serde_path_to_error::deserialize(&self.value).map_err(|error| without_value(&error))
            }
        };
        read.map_err(|why| {
            let why = crate::names::escape_for_people(why.as_bytes(), 300);
            match self.protocol {
                Protocol::Query => ApiError::client("ValidationError", 400, why),
                Protocol::Json10 | Protocol::Json11 => ApiError::client("SerializationException", 400, why),
            }
        })
    }
}

/// Where a value is wrong and not what it is, which may be secret.
fn without_value<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> String {
    let said = error.inner().to_string();
    match said.starts_with("missing field") {
        true => said,
        false => format!("{}: a value of another type is expected", error.path()),
    }
}

impl Output {
    /// An operation's answer.
    pub fn of(answer: &impl Serialize) -> Result<Output, ApiError> {
        serde_json::to_value(answer).map(Output).map_err(|error| ApiError::internal(&error))
    }
}

impl Protocol {
    /// A call's answer as bytes.
    pub fn write(self, service: Service, operation: &str, output: &Output, request_id: &str) -> Written {
        let (content_type, body) = match self {
            Protocol::Json10 | Protocol::Json11 => (self.content_type(), json::write(&output.0)),
            Protocol::Query => (self.content_type(), xml::write(service, operation, &output.0, request_id)),
        };
        Written { status: 200, content_type, error_type: None, body }
    }

    /// A failed call's answer as bytes.
    pub fn write_error(self, service: Service, error: &ApiError, request_id: &str) -> Written {
        let body = match self {
            Protocol::Json10 | Protocol::Json11 => json::write_error(error),
            Protocol::Query => xml::write_error(service, error, request_id),
        };
        let status = match self {
            // JSON services say 400 for whatever a client can mend.
            Protocol::Json10 | Protocol::Json11 if error.status < 500 => 400,
            _ => error.status,
        };
        Written { status, content_type: self.content_type(), error_type: Some(error.code.clone()), body }
    }

    fn content_type(self) -> &'static str {
        match self {
            Protocol::Json10 => "application/x-amz-json-1.0",
            Protocol::Json11 => "application/x-amz-json-1.1",
            Protocol::Query => "text/xml",
        }
    }
}

/// Marks a time in an answer: seconds with fractions in JSON, ISO 8601 in XML.
const TIME: &str = "$time";
/// Marks a map in an answer: an object in JSON, entries in XML.
const ENTRIES: &str = "$entries";
/// Marks bytes in an answer: base64 in both.
const BYTES: &str = "$bytes";

/// A moment, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ TIME: self.0 }).serialize(serializer)
    }
}

/// A map whose keys are data and not names of members.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries<V>(pub std::collections::BTreeMap<String, V>);

impl<V: Serialize> Serialize for Entries<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        serde::ser::SerializeMap::serialize_entry(&mut map, ENTRIES, &self.0)?;
        serde::ser::SerializeMap::end(map)
    }
}

/// Bytes; on the wire they are base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine;
        serde_json::json!({ BYTES: base64::prelude::BASE64_STANDARD.encode(&self.0) }).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        use base64::Engine;
        let text = String::deserialize(deserializer)?;
        let bytes = base64::prelude::BASE64_STANDARD.decode(text);
        bytes.map(Blob).map_err(|_| serde::de::Error::custom("it is not base64"))
    }
}

/// A time or bytes of an answer as text, for XML; none for anything else.
fn marked_text(value: &Value) -> Option<String> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    if let Some(bytes) = fields.get(BYTES) {
        return bytes.as_str().map(str::to_owned);
    }
    let time = jiff::Timestamp::from_millisecond(fields.get(TIME)?.as_i64()?).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
