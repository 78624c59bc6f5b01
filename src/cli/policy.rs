//! `lockgate policy`

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

use super::absolute;
use crate::operations::admin::{AdminFailure, PolicyCommand};

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
    /// Principals, repositories and what they may do
    Matrix,
}

impl Policy {
    pub(super) fn request(self) -> Result<PolicyCommand, AdminFailure> {
        Ok(match self {
            Policy::Check { folder } => PolicyCommand::Check { folder: folder.map(absolute).transpose()? },
            Policy::Apply { folder, allow_unknown } => {
                PolicyCommand::Apply { folder: folder.map(absolute).transpose()?, allow_unknown }
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
            Policy::Matrix => PolicyCommand::Matrix,
        })
    }
}

fn json_object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err("it is no JSON object".into()),
        Err(error) => Err(error.to_string()),
    }
}
