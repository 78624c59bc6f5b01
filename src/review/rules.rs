//! Approval rules: how many have to approve, and out of which pool. The content is AWS's JSON document of version 2018-11-08
//! ("Working with approval rules" in CodeCommit's user guide).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{digest, hex_of};

/// Longest content of a rule, in characters.
pub const MAX_CONTENT_CHARS: usize = 3000;
/// Longest name of a rule, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Most members of a pool.
const MAX_POOL: usize = 50;
/// Most branches that a template is for.
const MAX_REFERENCES: usize = 100;

/// A rule of one pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Server-made.
    pub id: Uuid,
    /// The name, unique in its pull request.
    pub name: String,
    /// The document as it came.
    pub content: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
    /// By whom it was last changed: an ARN.
    pub changed_by: String,
    /// The template that it was made from.
    pub template: Option<Origin>,
}

/// The template that a rule was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its id.
    pub id: Uuid,
    /// Its name then.
    pub name: String,
}

impl ApprovalRule {
    /// What the document says.
    pub fn content(&self) -> Result<Content, BadContent> {
        Content::parse(&self.content)
    }
}

/// A template of rules, of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Server-made.
    pub id: Uuid,
    /// The name, unique in its account.
    pub name: String,
    /// A description for people.
    pub description: Option<String>,
    /// The document as it came.
    pub content: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
    /// By whom it was last changed: an ARN.
    pub changed_by: String,
    /// The repositories whose pull requests get the rule.
    #[serde(default)]
    pub repositories: std::collections::BTreeSet<Uuid>,
}

/// The digest by which a change says what it was based on: SHA-256 of the document.
pub fn content_digest(content: &str) -> String {
    use sha2::{Digest, Sha256};
    hex_of(&Sha256::digest(content.as_bytes()))
}

/// A document, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The branches that a template is for; none for all.
    pub references: Option<Vec<String>>,
    /// What has to hold, all of it.
    pub statements: Vec<Statement>,
}

/// One demand of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// How many have to approve.
    pub needed: usize,
    /// Out of whom; anybody if it is not said.
    pub pool: Option<Vec<String>>,
}

/// Why a document is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadContent(pub String);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    version: String,
    destination_references: Option<Vec<String>>,
    statements: Vec<WrittenStatement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenStatement {
    #[serde(rename = "Type")]
    kind: String,
    number_of_approvals_needed: u32,
    approval_pool_members: Option<Vec<String>>,
}

impl Content {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Content, BadContent> {
        let bad = |why: &str| Err(BadContent(why.to_owned()));
        let written: Written = serde_json::from_str(text).map_err(|error| {
            BadContent(format!("it is no approval rule: line {}, column {}", error.line(), error.column()))
        })?;
        if written.version != "2018-11-08" {
            return bad("its Version is not 2018-11-08");
        }
        if written.statements.is_empty() {
            return bad("it has no statement");
        }
        if let Some(references) = &written.destination_references {
            let is_branch = |name: &String| name.strip_prefix("refs/heads/").is_some_and(|rest| !rest.is_empty());
            if references.is_empty() || references.len() > MAX_REFERENCES || !references.iter().all(is_branch) {
                return bad("its DestinationReferences are not 1 to 100 names that begin with refs/heads/");
            }
        }
        let mut statements = Vec::new();
        for statement in written.statements {
            if statement.kind != "Approvers" {
                return bad("a statement's Type is not Approvers");
            }
            if statement.number_of_approvals_needed == 0 {
                return bad("a statement needs no approval");
            }
            if let Some(pool) = &statement.approval_pool_members {
                if pool.is_empty() || pool.len() > MAX_POOL {
                    return bad("a statement's ApprovalPoolMembers are not 1 to 50");
                }
                let is_member = |member: &String| {
                    (member.starts_with("arn:") && member.split(':').count() >= 6)
                        || member.strip_prefix("CodeCommitApprovers:").is_some_and(|rest| rest.contains(':'))
                };
                if let Some(other) = pool.iter().find(|member| !is_member(member)) {
                    let shown = crate::names::escape_for_people(other.as_bytes(), 100);
                    return Err(BadContent(format!(
                        "`{shown}` is no member of a pool: an ARN, or CodeCommitApprovers:ACCOUNT:NAME"
                    )));
                }
            }
            statements.push(Statement {
                needed: statement.number_of_approvals_needed as usize,
                pool: statement.approval_pool_members,
            });
        }
        Ok(Content { references: written.destination_references, statements })
    }

    /// Whether a template's rule is for a branch.
    pub fn is_for(&self, destination: &str) -> bool {
        self.references.as_ref().is_none_or(|all| all.iter().any(|pattern| is_like(pattern, destination)))
    }

    /// Whether these approvers, by their ARNs, are enough.
    pub fn is_satisfied(&self, approvers: &[&str]) -> bool {
        self.statements.iter().all(|statement| {
            let counts = |arn: &&&str| {
                statement.pool.as_ref().is_none_or(|pool| pool.iter().any(|member| is_member(member, arn)))
            };
            approvers.iter().filter(counts).count() >= statement.needed
        })
    }
}

/// Whether a pool's member means the one with this ARN.
fn is_member(member: &str, arn: &str) -> bool {
    let Some(rest) = member.strip_prefix("CodeCommitApprovers:") else { return is_like(member, arn) };
    // `CodeCommitApprovers:ACCOUNT:NAME` is a user, a federated user, or the end of `ROLE/SESSION`.
    let Some((account, name)) = rest.split_once(':') else { return false };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, _, _, of, resource] = parts[..] else { return false };
    if of != account {
        return false;
    }
    let names = ["user/", "federated-user/", "assumed-role/"];
    names.iter().filter_map(|kind| resource.strip_prefix(kind)).any(|of| is_like(name, of))
}

/// Whether a text is of a pattern in which `*` stands for anything and `?` for one character.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how far it has been stretched.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(one) if *one == '?' || *one == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, stretched)) => {
                    star = Some((at, stretched + 1));
                    p = at + 1;
                    t = stretched + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|one| *one == '*')
}

/// The digest of what a call asked, to tell a repeated call from another one with the same token.
pub fn request_digest(parts: &[&[u8]]) -> String {
    hex_of(&digest(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(pool: &str, needed: u32) -> Content {
        let pool = if pool.is_empty() { String::new() } else { format!(r#","ApprovalPoolMembers":[{pool}]"#) };
        let statement = format!(r#"{{"Type":"Approvers","NumberOfApprovalsNeeded":{needed}{pool}}}"#);
        Content::parse(&format!(r#"{{"Version":"2018-11-08","Statements":[{statement}]}}"#)).unwrap()
    }

    const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
    const BOB: &str = "arn:aws:iam::111111111111:user/bob";
    const REVIEW: &str = "arn:aws:sts::111111111111:assumed-role/CodeCommitReview/carol";

    #[test]
    fn pools_are_arns_names_and_roles() {
        assert!(content("", 2).is_satisfied(&[ALICE, BOB]));
        assert!(!content("", 2).is_satisfied(&[ALICE]));
        let of_role = content(r#""arn:aws:sts::111111111111:assumed-role/CodeCommitReview/*""#, 1);
        assert!(of_role.is_satisfied(&[REVIEW]) && !of_role.is_satisfied(&[ALICE, BOB]));
        let by_name = content(r#""CodeCommitApprovers:111111111111:alice""#, 1);
        assert!(by_name.is_satisfied(&[ALICE]) && !by_name.is_satisfied(&[BOB]));
        let other_account = content(r#""CodeCommitApprovers:222222222222:alice""#, 1);
        assert!(!other_account.is_satisfied(&[ALICE]));
        // A session's name alone does not make its bearer the user of that name.
        let carol = content(r#""CodeCommitApprovers:111111111111:carol""#, 1);
        assert!(!carol.is_satisfied(&[REVIEW]));
        assert!(content(r#""CodeCommitApprovers:111111111111:*carol""#, 1).is_satisfied(&[REVIEW]));
        assert!(
            !content(r#""CodeCommitApprovers:111111111111:alice","arn:aws:iam::111111111111:user/b?b""#, 2)
                .is_satisfied(&[ALICE])
        );
        assert!(
            content(r#""CodeCommitApprovers:111111111111:alice","arn:aws:iam::111111111111:user/b?b""#, 2)
                .is_satisfied(&[ALICE, BOB])
        );
    }

    #[test]
    fn documents_that_are_none() {
        let bad = [
            "",
            "{}",
            r#"{"Version":"2012-10-17","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1}]}"#,
            r#"{"Version":"2018-11-08","Statements":[]}"#,
            r#"{"Version":"2018-11-08","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":0}]}"#,
            r#"{"Version":"2018-11-08","Statements":[{"Type":"Others","NumberOfApprovalsNeeded":1}]}"#,
            r#"{"Version":"2018-11-08","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1,"ApprovalPoolMembers":["alice"]}]}"#,
            r#"{"Version":"2018-11-08","DestinationReferences":["main"],"Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1}]}"#,
            r#"{"Version":"2018-11-08","Other":1,"Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1}]}"#,
        ];
        for text in bad {
            assert!(Content::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*b*b*", "abab", true),
            ("a?", "a", false),
            ("", "a", false),
            ("ab", "ab", true),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
