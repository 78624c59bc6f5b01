//! The one parser of SSH command lines. What comes out is a fixed verb and one repository, or an error; no shell has ever
//! seen the text, and the verb that is parsed here is the verb that runs (attack checklist A2, A3).
//!
//! ```text
//! command = verb SP path
//! verb    = "git-upload-pack" / "git-receive-pack" / "git-upload-archive" / "git upload-pack" / ...
//! path    = bare / quoted         ; quoted as Git quotes: '...', with ' as '\'' and ! as '\!'
//! ```

use crate::names::escape_for_people;
use crate::operations::{GitService, RepositoryPath};
use crate::transport::repository_path;

/// A command that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCommand {
    /// Which service.
    pub service: GitService,
    /// On which repository.
    pub repository: RepositoryPath,
}

/// Why a command line was refused; the text is shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// Longer than any real command.
    #[error("the command is too long")]
    TooLong,
    /// Not one of the verbs.
    #[error(
        "`{shown}` is not a command of this server, which runs git-upload-pack, git-receive-pack and git-upload-archive"
    )]
    #[allow(missing_docs)]
    UnknownVerb { shown: String },
    /// The verb is known, and what follows is not one quoted or plain word.
    #[error("the repository in the command `{shown}` is not quoted as Git quotes it")]
    #[allow(missing_docs)]
    Quoting { shown: String },
    /// One word that names no repository.
    #[error("repository not found")]
    NotARepository,
}

/// Longest command line that is looked at, in bytes.
const MAX_BYTES: usize = 512;

/// Parses what an `exec` request carries.
pub fn parse(command: &[u8]) -> Result<ExecCommand, ExecError> {
    if command.len() > MAX_BYTES {
        return Err(ExecError::TooLong);
    }
    let shown = || escape_for_people(command, 80);
    let unknown = || ExecError::UnknownVerb { shown: shown() };
    let (verb, rest) = split_at_space(command).ok_or_else(unknown)?;
    let (service, word) = if verb == b"git" {
        let (verb, word) = split_at_space(rest).ok_or_else(unknown)?;
        (service_of(&[b"git-", verb].concat()).ok_or_else(unknown)?, word)
    } else {
        (service_of(verb).ok_or_else(unknown)?, rest)
    };
    let path = unquote(word).ok_or_else(|| ExecError::Quoting { shown: shown() })?;
    let repository = repository_path::parse_ssh(&path).ok_or(ExecError::NotARepository)?;
    Ok(ExecCommand { service, repository })
}

fn split_at_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().position(|b| *b == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

fn service_of(verb: &[u8]) -> Option<GitService> {
    std::str::from_utf8(verb).ok().and_then(GitService::from_name)
}

/// Undoes Git's `sq_quote_buf`; a word without quotes is taken if it has no character that a shell would look at.
fn unquote(word: &[u8]) -> Option<String> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-~".contains(b);
    let mut path = Vec::new();
    if !word.is_empty() && word.iter().all(plain) {
        path.extend_from_slice(word);
    } else {
        let mut rest = word.strip_prefix(b"'")?;
        loop {
            let end = rest.iter().position(|b| *b == b'\'')?;
            path.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            match rest {
                [] => break,
                [b'\\', escaped @ (b'\'' | b'!'), b'\'', after @ ..] => {
                    path.push(*escaped);
                    rest = after;
                }
                _ => return None,
            }
        }
    }
    String::from_utf8(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::names::{AccountId, RepositoryName};

    fn own(service: GitService, name: &str) -> ExecCommand {
        ExecCommand { service, repository: RepositoryPath::OwnAccount(RepositoryName::parse(name).unwrap()) }
    }

    #[test]
    fn what_git_sends() {
        use GitService::{ReceivePack, UploadArchive, UploadPack};
        for (command, wanted) in [
            ("git-upload-pack '/v1/repos/shop'", own(UploadPack, "shop")),
            ("git-receive-pack '/v1/repos/shop.git'", own(ReceivePack, "shop")),
            ("git-upload-archive 'v1/repos/shop'", own(UploadArchive, "shop")),
            ("git upload-pack '/v1/repos/shop'", own(UploadPack, "shop")),
            ("git-upload-pack /v1/repos/shop", own(UploadPack, "shop")),
        ] {
            assert_eq!(parse(command.as_bytes()), Ok(wanted), "{command}");
        }
        assert_eq!(
            parse(b"git-receive-pack '/222222222222/a.b.git'"),
            Ok(ExecCommand {
                service: ReceivePack,
                repository: RepositoryPath::ByAccount(
                    AccountId::parse("222222222222").unwrap(),
                    RepositoryName::parse("a.b").unwrap()
                ),
            })
        );
    }

    // A2 A3 A4
    #[test]
    fn what_attackers_send() {
        for command in [
            "",
            " ",
            "git",
            "git ",
            "git-upload-pack",
            "git-upload-pack ",
            "git-upload-pack  '/v1/repos/shop'",
            " git-upload-pack '/v1/repos/shop'",
            "git-upload-pack '/v1/repos/shop' ",
            "git-upload-pack '/v1/repos/shop' --help",
            "git-upload-pack --help",
            "git-upload-pack --strict '/v1/repos/shop'",
            "git-upload-pack '/v1/repos/shop';id",
            "git-upload-pack '/v1/repos/shop'\nid",
            "git-upload-pack '/v1/repos/shop",
            "git-upload-pack /v1/repos/shop'",
            "git-upload-pack '/v1/repos/sh'op",
            "git-upload-pack \"/v1/repos/shop\"",
            "git-upload-pack '/v1/repos/`id`'",
            "git-upload-pack '/v1/repos/$(id)'",
            "git-upload-pack '/v1/repos/a\0b'",
            "git-upload-pack '/v1/repos/../x'",
            "git-upload-pack '/v1/repos//shop'",
            "git-upload-pack '/v1/repos/shop/'",
            "git-upload-pack '/v1/repos/-x'",
            "git-upload-pack '/v1/repos/it'\\''s'",
            "git-upload-pack '/v1/repos/a%2fb'",
            "git-upload-pack '/etc/passwd'",
            "git-upload-pack '~/shop'",
            "git-upload-pack '/222222222222/shop'",
            "git-upload-pack '/22222222222/shop.git'",
            "git-upload-pack ''",
            "GIT-UPLOAD-PACK '/v1/repos/shop'",
            "git-upload-packx '/v1/repos/shop'",
            "git-upload-pack\t'/v1/repos/shop'",
            "git  upload-pack '/v1/repos/shop'",
            "git git-upload-pack '/v1/repos/shop'",
            "git -c x=y upload-pack '/v1/repos/shop'",
            "git config '/v1/repos/shop'",
            "git-lfs-authenticate '/v1/repos/shop' uploadx",
            "git-lfs-authenticate '/v1/repos/shop' download upload",
            "sh -c id",
            "scp -t /",
            &format!("git-upload-pack '/v1/repos/{}'", "a".repeat(65536)),
        ] {
            assert!(parse(command.as_bytes()).is_err(), "{command:?}");
        }
        assert!(parse(b"git-upload-pack '/v1/repos/\xff'").is_err());
    }

    proptest! {
        // A2
        #[test]
        fn a_verb_and_a_name_or_an_error(
            text in "(git-|git )?(upload-pack|receive-pack|upload-archive|[a-z-]{0,9}) ?'?/?(v1/repos|[0-9]{12})?/?[!-~ ]{0,16}'?",
        ) {
            if let Ok(command) = parse(text.as_bytes()) {
                let name = command.service.name();
                prop_assert!(text.starts_with(name) || text.starts_with(&name.replacen('-', " ", 1)));
                let (RepositoryPath::OwnAccount(repository) | RepositoryPath::ByAccount(_, repository)) = command.repository else {
                    return Ok(());
                };
                prop_assert!(text.contains(repository.as_str()));
                prop_assert_eq!(RepositoryName::parse(repository.as_str()).unwrap(), repository);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
        }
    }
}
