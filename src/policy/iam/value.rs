//! Values as IAM writes them: text with `*`, `?`, and `${...}`.

use super::expression::literal;
use super::problem::{Why, shown, why};

/// One piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    /// `*`: any characters, also none.
    Star,
    /// `?`: one character.
    One,
    /// `${...}`: what stands between the brackets.
    Variable(String),
}

/// A value taken apart. With `wildcards`, `*` and `?` are such; else they are themselves. `user_name` stands for
/// `${aws:username}` where it is known.
pub(super) fn tokens(value: &str, wildcards: bool, user_name: Option<&str>) -> Result<Vec<Token>, Why> {
    let mut tokens = Vec::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("${") {
            let Some((name, after)) = after.split_once('}') else {
                return Err(why(
                    format!("`{}` has a `${{` without its `}}`", shown(value)),
                    "write a plain `$` as `${$}`",
                ));
            };
            rest = after;
            match (name, user_name) {
                ("*" | "?" | "$", _) => tokens.extend(name.chars().map(Token::Char)),
                (name, Some(user)) if name.eq_ignore_ascii_case("aws:username") => {
                    tokens.extend(user.chars().map(Token::Char));
                }
                _ => tokens.push(Token::Variable(name.to_owned())),
            }
            continue;
        }
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '*' if wildcards => Token::Star,
            '?' if wildcards => Token::One,
            c => Token::Char(c),
        });
    }
    // Two stars in a row are one.
    tokens.dedup_by(|a, b| *a == Token::Star && *b == Token::Star);
    Ok(tokens)
}

/// The text, if it is nothing but text.
pub(super) fn plain(tokens: &[Token]) -> Option<String> {
    tokens.iter().map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect()
}

/// The text as the right side of `like`.
pub(super) fn like_pattern(tokens: &[Token]) -> Result<String, Why> {
    let mut pattern = String::from("\"");
    let mut run = String::new();
    for token in tokens {
        match token {
            Token::Char(c) => run.push(*c),
            Token::Star => {
                push_escaped(&mut pattern, &mut run);
                pattern.push('*');
            }
            Token::One => return Err(why("Cedar's patterns have no `?` for one character", "write out what is meant")),
            Token::Variable(name) => return Err(variable_inside(name)),
        }
    }
    push_escaped(&mut pattern, &mut run);
    pattern.push('"');
    Ok(pattern)
}

/// What is said of a variable amid other text, or one that is not known.
pub(super) fn variable_inside(name: &str) -> Why {
    why(
        format!("Cedar cannot put `${{{}}}` into a text or pattern", shown(name)),
        "write out the values that are meant, or attach the policy to one user for `${aws:username}`",
    )
}

fn push_escaped(pattern: &mut String, run: &mut String) {
    let quoted = literal(run);
    // Within the quotes a star can only be itself: Cedar's escapes have none.
    pattern.push_str(&quoted[1..quoted.len() - 1].replace('*', "\\*"));
    run.clear();
}

/// `text` against a pattern of `*` and `?`, ignoring ASCII case: for the names of actions.
pub(super) fn name_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                resume = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match &mut resume {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}
