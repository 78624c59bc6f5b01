//! Whether the names in a policy exist. Cedar's validation knows types, not entities: `Group::"111111111111/senoirs"`
//! passes it, and the forbid's exception then holds for nobody.

use cedar_policy::EntityUid;

use super::entities::encode_for_id;
use super::named::NamedKind;
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};

/// What exists, as far as policies can name it. Names are compared exactly, case included: ids are.
pub trait KnownNames {
    /// Whether there is that account.
    fn has_account(&self, account: &AccountId) -> bool;
    /// Whether the account has that user.
    fn has_user(&self, account: &AccountId, name: &PrincipalName) -> bool;
    /// Whether the account has that group.
    fn has_group(&self, account: &AccountId, name: &PrincipalName) -> bool;
    /// Whether the account has that role.
    fn has_role(&self, account: &AccountId, name: &PrincipalName) -> bool;
    /// Whether the account has that repository.
    fn has_repository(&self, account: &AccountId, name: &RepositoryName) -> bool;
    /// Whether the repository has that ref, or a ref below it: `name` is a full name or a prefix such as `refs/heads/release`.
    fn has_ref_at_or_below(&self, account: &AccountId, repository: &RepositoryName, name: &[u8]) -> bool;
}

/// Takes every well-formed name for known: for checking a folder where no server's data are at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct EveryName;

impl KnownNames for EveryName {
    fn has_account(&self, _: &AccountId) -> bool {
        true
    }
    fn has_user(&self, _: &AccountId, _: &PrincipalName) -> bool {
        true
    }
    fn has_group(&self, _: &AccountId, _: &PrincipalName) -> bool {
        true
    }
    fn has_role(&self, _: &AccountId, _: &PrincipalName) -> bool {
        true
    }
    fn has_repository(&self, _: &AccountId, _: &RepositoryName) -> bool {
        true
    }
    fn has_ref_at_or_below(&self, _: &AccountId, _: &RepositoryName, _: &[u8]) -> bool {
        true
    }
}

/// What is wrong with the id of an entity written in a policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadId {
    /// It can never be the id of anything; holds the shape that was expected.
    Malformed(&'static str),
    /// Well-formed, and there is no such thing; holds what it would be.
    Unknown(String),
    /// A ref that does not exist, which may be meant.
    UnknownRef(String),
}

/// Checks one entity literal of a policy.
pub(super) fn check(uid: &EntityUid, known: &dyn KnownNames) -> Option<BadId> {
    let id = uid.id().unescaped();
    let result = match uid.type_name().basename() {
        "Account" => account(id, known).map(drop),
        "User" => named(id, known, "user", "User::\"111111111111/NAME\"", |a, n| known.has_user(a, n)),
        "Group" => named(id, known, "group", "Group::\"111111111111/NAME\"", |a, n| known.has_group(a, n)),
        "Role" => named(id, known, "role", "Role::\"111111111111/NAME\"", |a, n| known.has_role(a, n)),
        "Session" => session(id, known),
        "Repository" => repository(id, known, "Repository::\"111111111111/NAME\"").map(drop),
        "Ref" => reference(id, known),
        "Path" => path(id, known),
        kind => match NamedKind::of_type(kind) {
            Some(kind) => of_kind(kind, id, known),
            None => Ok(()),
        },
    };
    result.err()
}

fn account(id: &str, known: &dyn KnownNames) -> Result<AccountId, BadId> {
    let account = AccountId::parse(id).map_err(|_| BadId::Malformed("Account::\"111111111111\", twelve digits"))?;
    if !known.has_account(&account) {
        return Err(BadId::Unknown(format!("account `{account}`")));
    }
    Ok(account)
}

fn named(
    id: &str,
    known: &dyn KnownNames,
    what: &str,
    shape: &'static str,
    exists: impl Fn(&AccountId, &PrincipalName) -> bool,
) -> Result<(), BadId> {
    let (owner, name) = id.split_once('/').ok_or(BadId::Malformed(shape))?;
    let owner = account(owner, known).map_err(|bad| reshape(bad, shape))?;
    let name = PrincipalName::parse(name).map_err(|_| BadId::Malformed(shape))?;
    if !exists(&owner, &name) {
        return Err(BadId::Unknown(format!("{what} `{name}` in account `{owner}`")));
    }
    Ok(())
}

/// Of things of later services only the shape of the id can be wrong, and their account.
fn of_kind(kind: NamedKind, id: &str, known: &dyn KnownNames) -> Result<(), BadId> {
    let shape = match kind.n_parts() {
        1 => "`\"111111111111/NAME\"`",
        2 => "`\"111111111111/NAME/NAME\"`",
        _ => "`\"111111111111/NAME/NAME/NAME\"`",
    };
    let (owner, name) = id.split_once('/').ok_or(BadId::Malformed(shape))?;
    account(owner, known).map_err(|bad| reshape(bad, shape))?;
    if kind.name_of_id(name).is_some() { Ok(()) } else { Err(BadId::Malformed(shape)) }
}

/// The bytes of one part of an id, in which a slash is written `%2f` if another part follows.
pub(super) fn decode_id_part(part: &str) -> Option<Vec<u8>> {
    decode_id(&part.replace("%2f", "/"))
}

fn session(id: &str, known: &dyn KnownNames) -> Result<(), BadId> {
    let shape = "Session::\"111111111111/ROLE/SESSION\"";
    let (role, session) = id.rsplit_once('/').ok_or(BadId::Malformed(shape))?;
    PrincipalName::parse(session).map_err(|_| BadId::Malformed(shape))?;
    named(role, known, "role", shape, |a, n| known.has_role(a, n))
}

fn repository(id: &str, known: &dyn KnownNames, shape: &'static str) -> Result<(AccountId, RepositoryName), BadId> {
    let (owner, name) = id.split_once('/').ok_or(BadId::Malformed(shape))?;
    let owner = account(owner, known).map_err(|bad| reshape(bad, shape))?;
    let name = RepositoryName::parse(name).map_err(|_| BadId::Malformed(shape))?;
    if !known.has_repository(&owner, &name) {
        return Err(BadId::Unknown(format!("repository `{name}` in account `{owner}`")));
    }
    Ok((owner, name))
}

/// Splits `account/repository/rest` and checks the first two.
fn below<'a>(
    id: &'a str,
    known: &dyn KnownNames,
    shape: &'static str,
) -> Result<(AccountId, RepositoryName, &'a str), BadId> {
    let second_slash = id.match_indices('/').nth(1).ok_or(BadId::Malformed(shape))?.0;
    let (owner, name) = repository(&id[..second_slash], known, shape)?;
    Ok((owner, name, &id[second_slash + 1..]))
}

fn reference(id: &str, known: &dyn KnownNames) -> Result<(), BadId> {
    let shape = "Ref::\"111111111111/REPOSITORY/refs/heads/BRANCH\", the full name of a ref or what it begins with, `%` as `%25`";
    let (owner, name, reference) = below(id, known, shape)?;
    let bytes = decode_id(reference).ok_or(BadId::Malformed(shape))?;
    // A prefix such as `refs` or `refs/heads` is no ref, and refs are in it.
    let prefix = matches!(bytes.split(|byte| *byte == b'/').count(), 1 | 2) && bytes.starts_with(b"refs");
    if !prefix && RefName::parse(&bytes).is_err() {
        return Err(BadId::Malformed(shape));
    }
    if !known.has_ref_at_or_below(&owner, &name, &bytes) {
        return Err(BadId::UnknownRef(format!("ref `{reference}` in repository `{name}` of account `{owner}`")));
    }
    Ok(())
}

fn path(id: &str, known: &dyn KnownNames) -> Result<(), BadId> {
    let shape = "Path::\"111111111111/REPOSITORY/FOLDER/FILE\", no slash at the end, `%` as `%25`";
    let (_, _, path) = below(id, known, shape)?;
    let bytes = decode_id(path).ok_or(BadId::Malformed(shape))?;
    if bytes.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
        return Err(BadId::Malformed(shape));
    }
    Ok(())
}

fn reshape(bad: BadId, shape: &'static str) -> BadId {
    match bad {
        BadId::Malformed(_) => BadId::Malformed(shape),
        other => other,
    }
}

/// The bytes that [`encode_for_id`] writes as `id`; none if it writes no bytes so.
fn decode_id(id: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(id.len());
    let mut parts = id.split('%');
    out.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let hex = part.get(..2)?;
        out.push(u8::from_str_radix(hex, 16).ok()?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    (encode_for_id(&out) == id).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneOfEach;
    impl KnownNames for OneOfEach {
        fn has_account(&self, account: &AccountId) -> bool {
            account.as_str() == "111111111111"
        }
        fn has_user(&self, _: &AccountId, name: &PrincipalName) -> bool {
            name.as_str() == "alice"
        }
        fn has_group(&self, _: &AccountId, name: &PrincipalName) -> bool {
            name.as_str() == "developers"
        }
        fn has_role(&self, _: &AccountId, name: &PrincipalName) -> bool {
            name.as_str() == "deployer"
        }
        fn has_repository(&self, _: &AccountId, name: &RepositoryName) -> bool {
            name.as_str() == "shop"
        }
        fn has_ref_at_or_below(&self, _: &AccountId, _: &RepositoryName, name: &[u8]) -> bool {
            b"refs/heads/main".starts_with(name)
        }
    }

    #[test]
    fn ids() {
        let check = |uid: &str| super::check(&uid.parse().unwrap(), &OneOfEach);
        for fine in [
            "Account::\"111111111111\"",
            "User::\"111111111111/alice\"",
            "Group::\"111111111111/developers\"",
            "Role::\"111111111111/deployer\"",
            "Session::\"111111111111/deployer/build-7\"",
            "Repository::\"111111111111/shop\"",
            "Ref::\"111111111111/shop/refs/heads/main\"",
            "Ref::\"111111111111/shop/refs/heads\"",
            "Ref::\"111111111111/shop/refs\"",
            "Path::\"111111111111/shop/infra/50%25\"",
            "Service::\"codebuild.amazonaws.com\"",
            "Key::\"111111111111/b1\"",
            "Stage::\"111111111111/a%2fb/Production\"",
            "LogGroup::\"111111111111//aws/codebuild/shop\"",
            "Object::\"111111111111/artifacts/shop/1.zip\"",
        ] {
            assert_eq!(check(fine), None, "{fine}");
        }
        for malformed in [
            "Account::\"11111111111\"",
            "User::\"alice\"",
            "User::\"111111111111/\"",
            "Group::\"developers/111111111111\"",
            "Session::\"111111111111/deployer\"",
            "Repository::\"111111111111/shop.git\"",
            "Repository::\"shop\"",
            "Ref::\"111111111111/shop/main\"",
            "Ref::\"111111111111/shop/refs/heads/ma%69n\"",
            "Ref::\"111111111111/shop/refs/heads/50%\"",
            "Ref::\"111111111111/shop/refs/heads/x*\"",
            "Path::\"111111111111/shop/infra/\"",
            "Path::\"111111111111/shop//infra\"",
            "Key::\"b1\"",
            "Key::\"111111111111/\"",
            "Key::\"111111111111/50%\"",
            "Stage::\"111111111111/shop\"",
            "Stage::\"111111111111//Production\"",
        ] {
            assert!(matches!(check(malformed), Some(BadId::Malformed(_))), "{malformed}");
        }
        // D7: a misspelled or deleted name.
        for unknown in [
            "Account::\"222222222222\"",
            "Key::\"222222222222/b1\"",
            "User::\"111111111111/Alice\"",
            "User::\"222222222222/alice\"",
            "Group::\"111111111111/devlopers\"",
            "Role::\"111111111111/deploy\"",
            "Session::\"111111111111/deploy/x\"",
            "Repository::\"111111111111/Shop\"",
            "Ref::\"111111111111/shpo/refs/heads/main\"",
        ] {
            assert!(matches!(check(unknown), Some(BadId::Unknown(_))), "{unknown}");
        }
        assert!(matches!(check("Ref::\"111111111111/shop/refs/heads/mian\""), Some(BadId::UnknownRef(_))));
    }
}
