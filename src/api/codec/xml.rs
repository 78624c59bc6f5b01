//! The query protocol's answers.

use serde_json::Value;

use super::{ENTRIES, marked_text};
use crate::api::error::ApiError;
use crate::api::service::Service;

/// Writes an answer.
pub(super) fn write(service: Service, operation: &str, value: &Value, request_id: &str) -> Vec<u8> {
    let namespace = service.xml_namespace();
    let mut out = format!("<{operation}Response xmlns=\"{namespace}\">");
    // Also where there is nothing in it: clients look for it.
    element(&mut out, &format!("{operation}Result"), value);
    out.push_str("<ResponseMetadata>");
    element(&mut out, "RequestId", &Value::String(request_id.to_owned()));
    out.push_str(&format!("</ResponseMetadata></{operation}Response>"));
    out.into_bytes()
}

/// Writes an error.
pub(super) fn write_error(service: Service, error: &ApiError, request_id: &str) -> Vec<u8> {
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let mut out = format!("<ErrorResponse xmlns=\"{}\"><Error>", service.xml_namespace());
    for (name, text) in [("Type", kind), ("Code", error.code.as_str()), ("Message", error.message.as_str())] {
        element(&mut out, name, &Value::String(text.to_owned()));
    }
    out.push_str("</Error>");
    element(&mut out, "RequestId", &Value::String(request_id.to_owned()));
    out.push_str("</ErrorResponse>");
    out.into_bytes()
}

fn element(out: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    out.push_str(&format!("<{name}>"));
    if let Some(text) = marked_text(value) {
        escape(out, &text);
    } else if let Some(entries) = value.get(ENTRIES).and_then(Value::as_object) {
        for (key, value) in entries {
            out.push_str("<entry>");
            element(out, "key", &Value::String(key.clone()));
            element(out, "value", value);
            out.push_str("</entry>");
        }
    } else {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| element(out, name, value)),
            Value::Array(items) => items.iter().for_each(|item| element(out, "member", item)),
            Value::String(text) => escape(out, text),
            plain => out.push_str(&plain.to_string()),
        }
    }
    out.push_str(&format!("</{name}>"));
}

/// Text in XML 1.0. Characters that it cannot carry at all become U+FFFD.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts() {
        // In alphabetical order, whatever order objects keep.
        let value = serde_json::json!({
            "Empty": [],
            "IsTruncated": false,
            "Map": { "$entries": { "a": 1 } },
            "Users": [{ "At": { "$time": 1_700_000_000_000_i64 }, "Name": "a<b>&\"c\"\u{1}" }, { "Name": "d", "None": null }],
        });
        let written = String::from_utf8(write(Service::Iam, "ListUsers", &value, "r-1")).unwrap();
        let expected = "<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListUsersResult><Empty></Empty><IsTruncated>false</IsTruncated><Map><entry><key>a</key><value>1</value></entry></Map><Users><member><At>2023-11-14T22:13:20Z</At><Name>a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}</Name></member><member><Name>d</Name></member></Users></ListUsersResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></ListUsersResponse>";
        assert_eq!(written, expected);
    }
}
