//! The query protocol's parameters: a form whose names are paths, `Tags.member.1.Key=a`. All values are texts; numbers and truth
//! are read from them where an operation expects such.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

use crate::api::error::ApiError;

/// Most parameters of one call.
const MAX_PARAMETERS: usize = 2000;
/// Deepest path.
const MAX_DEPTH: usize = 8;

/// Reads a form, or the query of a URL, into a tree of texts, objects and lists; `Action` and `Version` stand in it as any other.
pub fn read_query(form: &[u8]) -> Result<Value, ApiError> {
    let bad = |why: String| ApiError::client("MalformedQueryString", 400, why);
    let mut tree = Node::default();
    for (n, pair) in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if n >= MAX_PARAMETERS {
            return Err(bad(format!("there are more than {MAX_PARAMETERS} parameters")));
        }
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()));
        let (Some(name), Some(value)) = (name, value) else {
            return Err(bad("a parameter is not percent-encoded UTF-8".to_owned()));
        };
        let shown = || crate::names::escape_for_people(name.as_bytes(), 100);
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() > MAX_DEPTH || parts.iter().any(|part| part.is_empty()) {
            return Err(bad(format!("the parameter `{}` is not named as parameters are", shown())));
        }
        if !tree.put(&parts, value) {
            return Err(bad(format!("the parameter `{}` is given twice, or in two ways", shown())));
        }
    }
    tree.value().map_err(bad)
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                out.push(u8::try_from(high << 4 | low).ok()?);
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).ok()
}

#[derive(Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<String, Node>,
}

impl Node {
    /// Whether there was room: a name is a text or has members, and each once.
    fn put(&mut self, parts: &[&str], text: String) -> bool {
        match parts {
            [] => self.below.is_empty() && self.text.replace(text).is_none(),
            [first, rest @ ..] => {
                self.text.is_none() && self.below.entry((*first).to_owned()).or_default().put(rest, text)
            }
        }
    }

    fn value(self) -> Result<Value, String> {
        if let Some(text) = self.text {
            return Ok(Value::String(text));
        }
        if self.below.len() == 1 && self.below.contains_key("member") {
            let members = self.below.into_values().flat_map(|member| member.below);
            let mut numbered = Vec::new();
            for (number, node) in members {
                let number = number.parse::<u32>().ok().filter(|number| *number > 0);
                numbered.push((number.ok_or("the members of a list are numbered from 1")?, node.value()?));
            }
            numbered.sort_by_key(|(number, _)| *number);
            // Two ways of writing one number would be two members.
            if numbered.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err("a member of a list is given twice".to_owned());
            }
            return Ok(Value::Array(numbered.into_iter().map(|(_, value)| value).collect()));
        }
        let fields = self.below.into_iter().map(|(name, node)| Ok((name, node.value()?)));
        fields.collect::<Result<Map<String, Value>, String>>().map(Value::Object)
    }
}

/// A tree of texts as an operation takes it.
pub(super) fn from_texts<T: DeserializeOwned>(tree: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(Texts(tree)).map_err(|error| match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })
}

/// Deserializes a tree whose leaves are texts.
#[derive(Clone, Copy)]
struct Texts<'a>(&'a Value);

type Failed = serde::de::value::Error;

impl<'a> Texts<'a> {
    fn text(self) -> Result<&'a str, Failed> {
        self.0.as_str().ok_or_else(|| Failed::custom("it is not one value"))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            let text = self.text()?;
            match text.parse::<$kind>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => {
                    let shown = crate::names::escape_for_people(text.as_bytes(), 40);
                    Err(Failed::custom(format!("`{shown}` is no number that fits")))
                }
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Texts<'de> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Texts))),
            Value::Object(fields) => {
                let pairs = fields.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Texts(value)));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
            other => visitor.visit_str(other.as_str().unwrap_or_default()),
        }
    }

    numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.text()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Failed::custom("it is neither `true` nor `false`")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_some(self)
    }

    /// An empty list is written as the name with nothing.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.0 {
            Value::Array(_) => self.deserialize_any(visitor),
            Value::String(text) if text.is_empty() => {
                visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Texts<'_>>()))
            }
            _ => Err(Failed::custom("it is not a list: write `NAME.member.1`")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Failed> for Texts<'de> {
    type Deserializer = Texts<'de>;

    fn into_deserializer(self) -> Texts<'de> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        role_arn: String,
        duration_seconds: Option<u32>,
        #[serde(default)]
        policy_arns: Vec<Arn>,
        #[serde(default)]
        keys: Vec<String>,
        set: Option<bool>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Arn {
        arn: String,
    }

    fn read(form: &str) -> Result<Input, String> {
        from_texts(&read_query(form.as_bytes()).map_err(|error| error.message)?)
    }

    #[test]
    fn what_clients_send() {
        let form = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FR&PolicyArns.member.2.arn=b&PolicyArns.member.1.arn=a+c&DurationSeconds=900&Keys.member.1=x&Keys.member.10=z&Keys.member.2=y&Set=true";
        let arns = ["a c", "b"].map(|arn| Arn { arn: arn.to_owned() }).into();
        let expected = Input {
            role_arn: "arn:aws:iam::123456789012:role/R".to_owned(),
            duration_seconds: Some(900),
            policy_arns: arns,
            keys: ["x", "y", "z"].map(str::to_owned).into(),
            set: Some(true),
        };
        assert_eq!(read(form).unwrap(), expected);
        let least = read("RoleArn=&Keys=").unwrap();
        assert!(least.role_arn.is_empty() && least.keys.is_empty() && least.set.is_none());
    }

    // I1
    #[test]
    fn what_they_do_not_is_refused_with_the_name() {
        for (form, said) in [
            ("RoleArn=a&RoleArn=b", "`RoleArn` is given twice"),
            ("RoleArn=a&RoleArn.b=c", "`RoleArn.b` is given twice"),
            ("RoleArn.b=c&RoleArn=a", "`RoleArn` is given twice"),
            ("RoleArn=a&DurationSeconds=x", "DurationSeconds: `x` is no number"),
            ("RoleArn=a&DurationSeconds=-1", "DurationSeconds: `-1` is no number"),
            ("RoleArn=a&DurationSeconds=4294967296", "is no number that fits"),
            ("RoleArn=a&Set=yes", "Set: it is neither"),
            ("RoleArn=a&Keys=x", "Keys: it is not a list"),
            ("RoleArn=a&Keys.member.0=x", "numbered from 1"),
            ("RoleArn=a&Keys.member.x=x", "numbered from 1"),
            ("RoleArn=a&Keys.member.1=x&Keys.member.01=y", "given twice"),
            ("RoleArn.member.1=a", "RoleArn"),
            ("DurationSeconds=1", "missing field `RoleArn`"),
            ("a.b.c.d.e.f.g.h.i=1", "not named as"),
            ("a..b=1", "not named as"),
            ("=1", "not named as"),
            ("RoleArn=%zz", "percent-encoded"),
            ("RoleArn=%ff", "percent-encoded"),
        ] {
            let refused = read(form).unwrap_err();
            assert!(refused.contains(said), "{form}: {refused}");
        }
        let many: String = (0..=MAX_PARAMETERS).map(|n| format!("a{n}=&")).collect();
        assert!(read(&many).unwrap_err().contains("more than"));
    }

    proptest! {
        #[test]
        fn nothing_panics(form in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(tree) = read_query(&form) {
                let _ = from_texts::<Input>(&tree);
            }
        }

        #[test]
        fn texts_come_through(text in ".*", key in ".*") {
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let form = format!("RoleArn={}&Keys.member.1={}", encode(&text), encode(&key));
            let input = read(&form).unwrap();
            prop_assert_eq!((input.role_arn, input.keys), (text, vec![key]));
        }
    }
}
