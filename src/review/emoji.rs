//! Reactions that comments take: CodeCommit's, by emoji, by short code and by code point ("Emoji reaction values" in its user guide).

/// A reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emoji {
    /// The character.
    pub emoji: &'static str,
    /// The name between colons.
    pub short_code: &'static str,
    /// The code point, `U+1F44D`.
    pub unicode: &'static str,
}

const fn of(emoji: &'static str, short_code: &'static str, unicode: &'static str) -> Emoji {
    Emoji { emoji, short_code, unicode }
}

/// All of them.
pub const ALL: [Emoji; 12] = [
    of("\u{1F44D}", ":thumbsup:", "U+1F44D"),
    of("\u{1F44E}", ":thumbsdown:", "U+1F44E"),
    of("\u{1F604}", ":smile:", "U+1F604"),
    of("\u{2764}\u{FE0F}", ":heart:", "U+2764"),
    of("\u{1F620}", ":angry:", "U+1F620"),
    of("\u{1F615}", ":confused:", "U+1F615"),
    of("\u{1F631}", ":scream:", "U+1F631"),
    of("\u{1F62D}", ":sob:", "U+1F62D"),
    of("\u{1F44F}", ":clap:", "U+1F44F"),
    of("\u{1F38A}", ":confetti_ball:", "U+1F38A"),
    of("\u{1F6A2}", ":ship:", "U+1F6A2"),
    of("\u{1F440}", ":eyes:", "U+1F440"),
];

/// The reaction that a text means, in any of its three spellings; the variation selector that some keyboards add is passed over.
pub fn parse(text: &str) -> Option<Emoji> {
    let plain = |text: &str| text.trim_end_matches('\u{FE0F}').to_owned();
    ALL.into_iter().find(|one| {
        plain(one.emoji) == plain(text)
            || one.short_code.eq_ignore_ascii_case(text)
            || one.unicode.eq_ignore_ascii_case(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reaction_in_three_spellings() {
        for one in ALL {
            for text in [one.emoji, one.short_code, one.unicode] {
                assert_eq!(parse(text), Some(one));
            }
            let point = u32::from_str_radix(&one.unicode[2..], 16).unwrap();
            assert_eq!(one.emoji.chars().next(), char::from_u32(point));
        }
        assert_eq!(parse("\u{2764}").unwrap().short_code, ":heart:");
        assert_eq!(parse(":nope:"), None);
        assert_eq!(parse(""), None);
    }
}
