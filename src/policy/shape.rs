//! What Cedar's validation sees of a policy: its text without names.
//!
//! Validation costs a millisecond for a policy that leaves its action open, since each kind of request is checked by
//! itself. It asks for types, never for who a name means, and a large folder holds few policies that differ in more than
//! names. So one policy of each shape is validated and the verdict holds for all of that shape. Two policies share a shape
//! only if their texts are the same token by token, but for
//!
//! - annotations, which validation does not look at, and
//! - ids of entities. An id is replaced by its number in order of first appearance, so two ids that were equal stay equal:
//!   `User::"a" == User::"a"` is always true and says so in its type. The ids of actions stay, validation knows them.
//!
//! Whatever is unusual has no shape and is validated for itself: characters beyond ASCII (validation looks at scripts),
//! escapes (two texts of one id), and everything, if the schema should come to have enumerated entity types.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use super::action::SCHEMA;

/// The shape of one policy that parses; none if it is to be validated for itself.
pub(super) fn of(text: &str) -> Option<String> {
    static SCHEMA_LISTS_IDS: LazyLock<bool> = LazyLock::new(|| lists_ids(SCHEMA));
    if *SCHEMA_LISTS_IDS {
        return None;
    }
    let text = &text[after_annotations(text.as_bytes())?..];
    let bytes = text.as_bytes();
    let mut shape = String::with_capacity(bytes.len());
    let mut ids: HashMap<&str, usize> = HashMap::new();
    // The name last seen, and whether `::` is all that came since.
    let (mut name, mut n_colons) = ("", 0);
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_blank(bytes, at);
        if end > at {
            shape.push(' ');
            at = end;
            continue;
        }
        let here = at;
        match bytes[here] {
            b'"' => {
                let length = bytes[here + 1..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
                let end = here + 1 + length;
                if bytes[end] == b'\\' || !bytes[here..end].is_ascii() {
                    return None;
                }
                at = end + 1;
                if n_colons == 2 && name != "Action" {
                    let next = ids.len();
                    let number = ids.entry(&text[here + 1..end]).or_insert(next);
                    write!(shape, "\"{number}\"").ok()?;
                } else {
                    shape.push_str(&text[here..at]);
                }
                n_colons = 0;
            }
            byte if is_of_name(byte) => {
                while at < bytes.len() && is_of_name(bytes[at]) {
                    at += 1;
                }
                name = &text[here..at];
                shape.push_str(name);
                n_colons = 0;
            }
            b':' => {
                at += 1;
                n_colons += 1;
                shape.push(':');
            }
            // What is no token of Cedar's, or could be read in two ways.
            b'\\' => return None,
            byte if !byte.is_ascii_graphic() => return None,
            byte => {
                at += 1;
                shape.push(char::from(byte));
                (name, n_colons) = ("", 0);
            }
        }
    }
    (!shape.is_empty()).then_some(shape)
}

/// Where the policy begins behind its annotations.
fn after_annotations(bytes: &[u8]) -> Option<usize> {
    let mut at = skip_blank(bytes, 0);
    while bytes.get(at) == Some(&b'@') {
        at = skip_blank(bytes, at + 1);
        while bytes.get(at).is_some_and(|byte| is_of_name(*byte)) {
            at += 1;
        }
        at = skip_blank(bytes, at);
        if bytes.get(at) == Some(&b'(') {
            at = skip_blank(bytes, at + 1);
            if bytes.get(at) != Some(&b'"') {
                return None;
            }
            at += 1;
            while *bytes.get(at)? != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at = skip_blank(bytes, at + 1);
            if bytes.get(at) != Some(&b')') {
                return None;
            }
            at = skip_blank(bytes, at + 1);
        }
    }
    Some(at)
}

/// Where the blanks and comments end that begin at `at`.
fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => at += 1,
            Some(b'/') if bytes.get(at + 1) == Some(&b'/') => {
                while bytes.get(at).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
                    at += 1;
                }
            }
            _ => return at,
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a schema says of an entity type which ids it has.
fn lists_ids(schema: &str) -> bool {
    schema
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .any(|word| word == "enum")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_shape() {
        let base = r#"@id("a") permit (principal == User::"1/a", action == Action::"x", resource) when { resource.n == "s" };"#;
        let same = |text: &str| of(text) == of(base);
        assert!(same(base) && of(base).is_some());
        assert!(same(
            &base.replace("1/a", "2/b").replace("@id(\"a\")", "@id ( \"\u{e4}\\\"b\" )\n// a comment\n@mark")
        ));
        assert!(same(&base.replace(" action ==", "\n // \"a\n\taction ==")));
        for (part, other) in [
            ("User::", "Group::"),
            ("Action::\"x\"", "Action::\"y\""),
            ("\"s\"", "\"t\""),
            ("permit", "forbid"),
            ("principal ==", "principal in"),
            ("resource)", "resource is Ref)"),
        ] {
            assert!(!same(&base.replace(part, other)), "{part}");
            assert!(of(&base.replace(part, other)).is_some(), "{part}");
        }
    }

    #[test]
    fn equal_ids_stay_equal() {
        let condition = |a: &str, b: &str| of(&format!("permit (principal, action, resource) when {{ {a} == {b} }};"));
        assert_eq!(
            condition("User::\"a\"", "User::\"b\""),
            condition("User::\"c\"", "User :: \"d\"").map(|s| s.replace(" :: ", "::"))
        );
        assert_ne!(condition("User::\"a\"", "User::\"a\""), condition("User::\"a\"", "User::\"b\""));
        // A string of the same text is another thing, and the numbers are not taken for ids.
        assert_ne!(condition("User::\"a\"", "\"0\""), condition("User::\"a\"", "User::\"0\""));
        assert_ne!(condition("Action::\"a\"", "Action::\"a\""), condition("Action::\"a\"", "Action::\"b\""));
        assert_ne!(condition("N::Action::\"a\"", "x"), condition("N::Action::\"b\"", "x"));
        assert_ne!(condition("Action // ::\n :: \"a\"", "x"), condition("Action // ::\n :: \"b\"", "x"));
    }

    #[test]
    fn what_has_no_shape() {
        let of_condition =
            |condition: &str| of(&format!("permit (principal, action, resource) when {{ {condition} }};"));
        assert!(of_condition("principal == User::\"a\"").is_some());
        assert_eq!(of_condition("principal == User::\"\\u{61}\""), None);
        assert_eq!(of_condition("principal == User::\"\u{430}\""), None);
        assert_eq!(of_condition("resource.name like \"a\\*\""), None);
        assert_eq!(of_condition("resource.name like \"\u{430}bc\""), None);
        assert_eq!(of_condition("\"open"), None);
    }

    #[test]
    fn schemas_that_list_ids() {
        assert!(lists_ids("entity Colour enum [\"red\"];"));
        assert!(!lists_ids("entity Enumeration; // enum\n"));
        assert!(!lists_ids(SCHEMA));
    }
}
