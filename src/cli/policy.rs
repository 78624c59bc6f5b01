//! `lockgate policy`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Subcommand};

use super::{absolute, principal, repository};
use crate::names::{PrincipalName, RepositoryName};
use crate::operations::admin::{AdminFailure, ImportTarget, PolicyCommand};

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Validate a folder and change nothing
    Check { folder: Option<PathBuf> },
    /// Validate a folder and make it the active generation
    Apply {
        folder: Option<PathBuf>,
        /// Take names of principals and repositories that do not exist
        #[arg(long)]
        allow_unknown: bool,
        /// Why, for the list of generations
        #[arg(long)]
        reason: Option<String>,
        /// What `policy replay` calls the approval of what it lists, where the configuration has a gate
        #[arg(long, value_name = "APPROVAL")]
        approve: Option<String>,
    },
    /// Decide again what was decided, under the policies of a folder, and list what would flip
    Replay {
        /// [default: the policies folder]
        folder: Option<PathBuf>,
        /// How far back: 30d, 12h, 45m
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span)]
        since: i64,
    },
    /// Show what the folder would change, or what one generation changed
    Diff {
        /// Generation [default: the active one]
        from: Option<i64>,
        /// Generation [default: the policies folder]
        to: Option<i64>,
    },
    /// Translate a policy document of IAM's JSON, exactly or not at all
    #[command(group = ArgGroup::new("attached").required(true).args(["user", "group", "role", "trust", "resource"]))]
    Import {
        /// The JSON document
        file: PathBuf,
        /// The user it is attached to
        #[arg(long, value_parser = principal)]
        user: Option<PrincipalName>,
        /// The group it is attached to
        #[arg(long, value_parser = principal)]
        group: Option<PrincipalName>,
        /// The role it is attached to
        #[arg(long, value_parser = principal)]
        role: Option<PrincipalName>,
        /// The role whose trust policy it is
        #[arg(long, value_parser = principal)]
        trust: Option<PrincipalName>,
        /// Its statements name principals and resources themselves
        #[arg(long)]
        resource: bool,
        /// What the policies' ids begin with [default: the file's name]
        #[arg(long)]
        name: Option<String>,
        /// Write them into the policies folder
        #[arg(long)]
        write: bool,
    },
    /// List generations
    Generations,
    /// Make the starter policies the active ones; only while the server is stopped
    Recover,
    /// Explain a recorded decision, or a request that is made up
    #[command(group = ArgGroup::new("what").required(true).args(["decision_id", "principal"]))]
    Explain {
        /// As `remote:` lines show it
        decision_id: Option<String>,
        #[arg(long, value_name = "ARN", requires_all = ["action", "resource"])]
        principal: Option<String>,
        #[arg(long, requires = "principal")]
        action: Option<String>,
        #[arg(long, value_name = "ARN", requires = "principal")]
        resource: Option<String>,
        #[arg(long, value_name = "JSON", requires = "principal", value_parser = json_object)]
        context: Option<serde_json::Value>,
    },
    /// List who may do an action on a resource
    WhoCan { action: String, resource: String },
    /// Principals and what they may do in a repository
    Matrix {
        /// The repository [default: the first one]
        #[arg(long, value_parser = repository)]
        repository: Option<RepositoryName>,
    },
}

impl Policy {
    pub(super) fn request(self) -> Result<PolicyCommand, AdminFailure> {
        Ok(match self {
            Policy::Check { folder } => PolicyCommand::Check { folder: folder.map(absolute).transpose()? },
            Policy::Apply { folder, allow_unknown, reason, approve } => PolicyCommand::Apply {
                folder: folder.map(absolute).transpose()?,
                allow_unknown,
                reason,
                approval: approve,
            },
            Policy::Replay { folder, since } => {
                PolicyCommand::Replay { folder: folder.map(absolute).transpose()?, back_ms: since }
            }
            Policy::Diff { from, to } => PolicyCommand::Diff { from, to },
            Policy::Import { file, user, group, role, trust, resource: _, name, write } => {
                let targets = [
                    user.map(ImportTarget::User),
                    group.map(ImportTarget::Group),
                    role.map(ImportTarget::Role),
                    trust.map(ImportTarget::Trust),
                ];
                let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                PolicyCommand::Import {
                    document: read_document(&file)?,
                    name: name.unwrap_or(stem),
                    target: targets.into_iter().flatten().next().unwrap_or(ImportTarget::Resource),
                    write,
                }
            }
            Policy::Generations => PolicyCommand::Generations,
            Policy::Recover => PolicyCommand::Recover,
            Policy::Explain { decision_id: Some(decision_id), .. } => PolicyCommand::ExplainDecision { decision_id },
            Policy::Explain { principal, action, resource, context, .. } => {
                let (Some(principal), Some(action), Some(resource)) = (principal, action, resource) else {
                    return Err(AdminFailure::new("name a decision, or a principal, an action and a resource"));
                };
                let context = context.unwrap_or_else(|| serde_json::json!({}));
                PolicyCommand::ExplainRequest { principal, action, resource, context }
            }
            Policy::WhoCan { action, resource } => PolicyCommand::WhoCan { action, resource },
            Policy::Matrix { repository } => PolicyCommand::Matrix { repository },
        })
    }
}

/// A time in days, hours or minutes, in milliseconds.
fn span(text: &str) -> Result<i64, String> {
    let wrong = || "it is a number and d, h or m: 30d, 12h, 45m".to_owned();
    let minutes = match text.chars().last() {
        Some('d') => 24 * 60,
        Some('h') => 60,
        Some('m') => 1,
        _ => return Err(wrong()),
    };
    let count: i64 =
        text[..text.len() - 1].parse().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(wrong)?;
    Ok(count * minutes * 60_000)
}

/// Longest document that is read, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 128 << 10;

fn read_document(path: &Path) -> Result<String, AdminFailure> {
    let mut text = String::new();
    let failed =
        |why: String| AdminFailure { message: format!("failed to read `{}`", path.display()), causes: vec![why] };
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_DOCUMENT_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(failed(format!("it is larger than {MAX_DOCUMENT_BYTES} bytes")));
    }
    Ok(text)
}

fn json_object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err("it is no JSON object".into()),
        Err(error) => Err(error.to_string()),
    }
}
