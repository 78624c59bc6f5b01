//! The two forms of a repository's place in a URL, for SSH and HTTPS alike (contract, "Git URLs"). Decoding is done
//! before; here a `%` is a character that no name has.

use crate::names::{AccountId, RepositoryName};
use crate::operations::RepositoryPath;

/// The repository of an SSH path: as [`parse`], and the slash at its beginning may be missing (`HOST:v1/repos/NAME`).
pub fn parse_ssh(path: &str) -> Option<RepositoryPath> {
    parse(path.strip_prefix('/').unwrap_or(path))
}

/// The repository of a path without the slash at its beginning: `v1/repos/NAME`, with or without `.git`, or
/// `ACCOUNT/NAME.git`; behind the name `@TIME` may stand.
pub fn parse(path: &str) -> Option<RepositoryPath> {
    if let Some(name) = path.strip_prefix("v1/repos/") {
        let (name, at_ms) = name_at(name.strip_suffix(".git").unwrap_or(name))?;
        return Some(at(RepositoryPath::OwnAccount(name), at_ms));
    }
    let (account, name) = path.split_once('/')?;
    let (name, at_ms) = name_at(name.strip_suffix(".git")?)?;
    Some(at(RepositoryPath::ByAccount(AccountId::parse(account).ok()?, name), at_ms))
}

fn at(path: RepositoryPath, at_ms: Option<i64>) -> RepositoryPath {
    match at_ms {
        Some(at_ms) => RepositoryPath::At(Box::new(path), at_ms),
        None => path,
    }
}

/// `NAME`, or `NAME@TIME` with a time as RFC 3339 has it, the seconds left out or not. No name has an `@`.
fn name_at(text: &str) -> Option<(RepositoryName, Option<i64>)> {
    let (name, time) = match text.split_once('@') {
        Some((name, time)) => (name, Some(time)),
        None => (text, None),
    };
    let at = time.map(|time| time.parse::<jiff::Timestamp>()).transpose().ok()?;
    Some((RepositoryName::parse(name).ok()?, at.map(|at| at.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_stand_behind_the_name() {
        let shop = RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap());
        let then = |path| Some(RepositoryPath::At(Box::new(path), 1_793_491_200_000));
        for text in [
            "v1/repos/shop@2026-11-01T00:00Z",
            "v1/repos/shop@2026-11-01T00:00:00Z.git",
            "v1/repos/shop@2026-11-01T01:00+01:00",
        ] {
            assert_eq!(parse(text), then(shop.clone()), "{text}");
        }
        let account = AccountId::parse("111111111111").unwrap();
        let of_account = RepositoryPath::ByAccount(account, RepositoryName::parse("shop").unwrap());
        assert_eq!(parse_ssh("/111111111111/shop@2026-11-01T00:00Z.git"), then(of_account));
        for bad in [
            "v1/repos/shop@",
            "v1/repos/shop@yesterday",
            "v1/repos/shop@2026-11-01",
            "v1/repos/@2026-11-01T00:00Z",
            "v1/repos/shop@2026-11-01T00:00Z@2026-11-01T00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
