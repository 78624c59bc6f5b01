//! AWS IAM policies into Cedar policies: exactly, or not at all.
//!
//! [`import_iam`] reads one JSON document and writes Cedar for this program's schema. What it cannot say exactly it refuses,
//! with every reason at once; one such statement refuses the whole document. It never narrows a `Deny` or widens an `Allow`.
//!
//! Each policy carries the statement it came from as `@iam("...")`, so that an upgrade whose schema has new actions can
//! translate it again. Until then a pattern such as `codecommit:*` stands as the schema's groups, which take new
//! actions in; a pattern that is less than all of a service stands as the actions of today.
//!
//! | IAM | here |
//! |---|---|
//! | `Version` | `2012-10-17` only: without it variables are plain text |
//! | `Action`, `NotAction` | names and patterns, in any case. A name or pattern of a service that is here and matches nothing is refused; one of another service is passed over unless nothing is left |
//! | `Resource`, `NotResource` | `*`, `arn:aws:codecommit:REGION:ACCOUNT:NAME`, `arn:aws:iam::ACCOUNT:role/NAME`, `arn:aws:iam::ACCOUNT:*`; ARNs of other services match nothing. REGION is `*` or [`IamImport::region`]. A pattern of repositories is refused for changes of refs, which know their repository as a whole only; `?` is refused, since Cedar has none |
//! | `Principal` | an account, user, role, session, service; one policy for each. `*` only where the effect is `Deny`. `NotPrincipal` is refused |
//! | Operators | `StringEquals`, `StringLike`, `ArnEquals`, `ArnLike`, `Bool`, `IpAddress`, `Date...`, the negated ones, `Null`, each with `IfExists`, `ForAnyValue:`, `ForAllValues:` (all keys have one value at most) |
//! | `codecommit:References` | the name of the ref of whatever changes one or a path on it; absent for all else |
//! | `aws:username`, `aws:SourceIp`, `aws:CurrentTime` | the user's name, the request's address and time |
//! | `aws:MultiFactorAuthPresent` | `context.request.mfa`. AWS leaves the key out for long-term credentials; so only `Bool` `true` and `BoolIfExists` `false` are taken, which mean the same either way |
//! | `aws:PrincipalTag/KEY` | a user's tag. Refused where sessions may ask: AWS adds the tags of the role to theirs |
//! | `aws:ResourceTag/KEY` | a repository's or role's tag; refused for changes of refs, which do not carry it |
//! | `aws:PrincipalAccount`, `aws:ResourceAccount`, `aws:PrincipalArn` | whole ones, without wildcards |
//! | `aws:PrincipalIsAWSService`, `aws:SourceIdentity`, `aws:SourceArn` | as they are; the last for `sts:AssumeRole` only |
//! | `sts:ExternalId`, `sts:RoleSessionName`, `sts:SourceIdentity`, `iam:PassedToService` | of their own action; absent for all else |
//! | `${*}`, `${?}`, `${$}` | the character |
//! | `${aws:username}` | the name, in a policy attached to one user; else only as a whole value |
//! | `${aws:PrincipalTag/KEY}` | only as a whole value of `StringEquals` |
//!
//! Tag keys are compared with case, as they are everywhere here. What `iam:...` asks for a user, group or role in AWS is decided for their account here,
//! so for those actions less than a whole account is refused. Layers are this program's: an `Allow` for another account's
//! principal needs a permit on both sides, and taking a role always needs its trust policy.
//!
//! Not to be done here: reading files, asking what exists. The CLI does the one, [`super::CompiledPolicies::compile`] the other.

mod actions;
mod conditions;
mod document;
#[cfg(test)]
mod evaluator;
mod expression;
mod problem;
mod resources;
#[cfg(test)]
mod tests;
mod translate;
mod value;

pub use problem::IamProblem;

use crate::names::{AccountId, PrincipalName};
use crate::policy::decide::Layer;
use problem::{Problems, shown, why};

/// Where a document comes from and what it is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamImport {
    /// The account that the policy will lie in.
    pub account: AccountId,
    /// The region that stands in this server's ARNs, such as `us-east-1`.
    pub region: String,
    /// What the policies' ids begin with, such as the file's name: 1 to 48 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What the document is attached to.
    pub principal: ImportFor,
}

/// What a document is attached to: its statements do not all say it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportFor {
    /// A user of the account; the statements have no `Principal`.
    User(PrincipalName),
    /// A group of the account; the statements have no `Principal`.
    Group(PrincipalName),
    /// A role of the account, for what its sessions may do; the statements have no `Principal`.
    Role(PrincipalName),
    /// A role of the account, for who may take it: its trust policy. The statements have a `Principal` and no `Resource`.
    Trust(PrincipalName),
    /// The account's resources; the statements have both `Principal` and `Resource`.
    Resource,
}

/// One policy in Cedar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedPolicy {
    /// Its `@id`, which no other policy of the document has.
    pub id: String,
    /// Its text, annotations and line break at the end included.
    pub text: String,
    /// The folder it belongs in: elsewhere it means something else, or is refused.
    pub layer: Layer,
}

/// Translates a document of IAM's JSON, at most 128 KiB and 500 statements. Fails with everything that has no exact
/// translation. Source: AWS, IAM User Guide, "IAM JSON policy element reference" and "Policy evaluation logic".
pub fn import_iam(json: &str, options: &IamImport) -> Result<Vec<TranslatedPolicy>, Vec<IamProblem>> {
    let mut problems = Problems::default();
    let name_fits = (1..=48).contains(&options.name.len())
        && options.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !name_fits {
        let said = format!("`{}` cannot begin a policy's id", shown(&options.name));
        problems.add("", "", why(said, "take 1 to 48 letters, digits, `.`, `_` and `-`"));
    }
    let statements = document::parse(json, &mut problems);
    let mut policies = Vec::new();
    let mut n_bytes = 0;
    for statement in &statements {
        let n_before = policies.len();
        translate::statement(statement, options, &mut policies, &mut problems);
        n_bytes += policies[n_before..].iter().map(|policy| policy.text.len()).sum::<usize>();
        if n_bytes > MAX_OUTPUT_BYTES {
            let said = format!("the translation is larger than {MAX_OUTPUT_BYTES} bytes");
            problems.add("", "", why(said, "split the document"));
            break;
        }
    }
    if problems.0.is_empty() { Ok(policies) } else { Err(problems.0) }
}

/// Largest translation, in bytes.
const MAX_OUTPUT_BYTES: usize = 4 << 20;
