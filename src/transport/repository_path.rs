//! The two forms of a repository's place in a URL, for SSH and HTTPS alike (contract, "Git URLs"). Decoding is done
//! before; here a `%` is a character that no name has.

use crate::names::{AccountId, RepositoryName};
use crate::operations::RepositoryPath;

/// The repository of an SSH path: as [`parse`], and the slash at its beginning may be missing (`HOST:v1/repos/NAME`).
pub fn parse_ssh(path: &str) -> Option<RepositoryPath> {
    parse(path.strip_prefix('/').unwrap_or(path))
}

/// The repository of a path without the slash at its beginning: `v1/repos/NAME`, with or without `.git`, or
/// `ACCOUNT/NAME.git`.
pub fn parse(path: &str) -> Option<RepositoryPath> {
    if let Some(name) = path.strip_prefix("v1/repos/") {
        let name = name.strip_suffix(".git").unwrap_or(name);
        return Some(RepositoryPath::OwnAccount(RepositoryName::parse(name).ok()?));
    }
    let (account, name) = path.split_once('/')?;
    let name = RepositoryName::parse(name.strip_suffix(".git")?).ok()?;
    Some(RepositoryPath::ByAccount(AccountId::parse(account).ok()?, name))
}
