//! A look at a policy text before the parser sees it: too deep, too long or too tangled is refused here, since a
//! recursive parser or checker would spend its stack on it.
//!
//! Strings and comments are skipped as Cedar does, so brackets in a string do not count.

/// What was over a limit, and at which byte.
pub(super) struct OverLimit {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// Refuses a text with brackets nested over [`MAX_DEPTH`], a policy (up to its `;`) over [`MAX_POLICY_BYTES`], or one
/// with more than [`MAX_OPERATORS`] operators: a chain such as `a && b && ...` is as deep a tree as nested brackets.
pub(super) fn check(text: &str) -> Result<(), OverLimit> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut n_operators, mut policy_start) = (0, 0usize, 0usize, 0usize);
    let over = |offset, message: String| Err(OverLimit { offset, message });
    while at < bytes.len() {
        let here = at;
        at += 1;
        match bytes[here] {
            b'"' => {
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'/' if bytes.get(at) == Some(&b'/') => {
                // Cedar ends a comment at either; what it does not take for one must not hide from the count.
                while at < bytes.len() && !matches!(bytes[at], b'\n' | b'\r') {
                    at += 1;
                }
            }
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return over(here, format!("brackets are nested more than {MAX_DEPTH} deep"));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => {
                (policy_start, n_operators, depth) = (at, 0, 0);
            }
            b'&' | b'|' if bytes.get(at) == Some(&bytes[here]) => {
                at += 1;
                n_operators += 1;
            }
            b'=' | b'<' | b'>' | b'!' | b'+' | b'-' | b'*' | b'.' => n_operators += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                if matches!(&text[here..at], "if" | "has" | "like" | "in" | "is" | "when" | "unless") {
                    n_operators += 1;
                }
            }
            _ => {}
        }
        if n_operators > MAX_OPERATORS {
            return over(here, format!("one policy has more than {MAX_OPERATORS} operators: split it"));
        }
        if at - policy_start > MAX_POLICY_BYTES {
            return over(here, format!("one policy has more than {MAX_POLICY_BYTES} bytes: split it"));
        }
    }
    Ok(())
}

/// Deepest nesting of brackets.
pub(super) const MAX_DEPTH: usize = 48;
/// Most operators in one policy.
pub(super) const MAX_OPERATORS: usize = 1000;
/// Longest policy, from the end of the one before it, in bytes.
pub(super) const MAX_POLICY_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let refused = |text: &str| check(text).err().map(|over| over.message);
        assert!(refused(&"(".repeat(48)).is_none());
        assert!(refused(&"(".repeat(49)).unwrap().contains("nested"));
        assert!(refused(&"[{(".repeat(100_000)).unwrap().contains("nested"));
        assert!(refused(&format!("\"{}\"", "(".repeat(1000))).is_none());
        assert!(refused(&format!("// {}\n", "(".repeat(1000))).is_none());
        assert!(refused(&format!("\"\\\"{}\"", "(".repeat(1000))).is_none());
        assert!(refused(&format!("// a comment\r{}", "(".repeat(1000))).unwrap().contains("nested"));
        assert!(refused(&"true && ".repeat(1001)).unwrap().contains("operators"));
        assert!(refused(&"if true then true else ".repeat(1001)).unwrap().contains("operators"));
        assert!(refused(&"a.".repeat(1001)).unwrap().contains("operators"));
        assert!(refused(&"a.b;".repeat(10_000)).is_none());
        assert!(refused(&" ".repeat(300 << 10)).unwrap().contains("bytes"));
        assert!(refused("\"unterminated \\").is_none());
    }
}
