//! `lockgate policy import`: a document of IAM's JSON becomes Cedar, shown, or written where it belongs.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::json;

use super::{AdminContext, chosen_account, failed};
use crate::names::AccountId;
use crate::operations::admin::{AdminFailure, AdminReply, ImportTarget};
use crate::policy::{IamImport, ImportFor, Layer, import_iam};

/// Translates a document. Nothing takes effect until the folder is applied.
pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: Option<&AccountId>,
    document: &str,
    name: &str,
    target: &ImportTarget,
    write: bool,
) -> Result<AdminReply, AdminFailure> {
    let account = chosen_account(ctx, account)?;
    let directory = ctx.identity.directory();
    let exists = match target {
        ImportTarget::User(name) => directory.user(&account, name).is_some(),
        ImportTarget::Group(name) => directory.group(&account, name).is_some(),
        ImportTarget::Role(name) | ImportTarget::Trust(name) => directory.role(&account, name).is_some(),
        ImportTarget::Resource => true,
    };
    if !exists {
        return Err(AdminFailure::new(format!("what the policy is attached to does not exist in account {account}")));
    }
    let options = IamImport {
        account: account.clone(),
        region: ctx.region.to_owned(),
        name: name.to_owned(),
        principal: match target.clone() {
            ImportTarget::User(name) => ImportFor::User(name),
            ImportTarget::Group(name) => ImportFor::Group(name),
            ImportTarget::Role(name) => ImportFor::Role(name),
            ImportTarget::Trust(name) => ImportFor::Trust(name),
            ImportTarget::Resource => ImportFor::Resource,
        },
    };
    let policies = match import_iam(document, &options) {
        Ok(policies) => policies,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let text = format!("{}\nnothing was translated", lines.join("\n"));
            return Ok(AdminReply::report_of_failure(text, json!({"problems": lines})));
        }
    };
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for policy in policies {
        let folder = match &policy.layer {
            Layer::Trust(account) => format!("{account}/trust"),
            _ => account.to_string(),
        };
        let file = files.entry(format!("{folder}/{name}.cedar")).or_default();
        if !file.is_empty() {
            file.push('\n');
        }
        file.push_str(&policy.text);
    }
    let json: Vec<_> = files.iter().map(|(file, text)| json!({"file": file, "text": text})).collect();
    if !write {
        let shown: Vec<String> = files.iter().map(|(file, text)| format!("// {file}\n{}", text.trim_end())).collect();
        return Ok(AdminReply::ok(shown.join("\n\n"), json.into()));
    }
    for (file, text) in &files {
        let path = ctx.policies_dir.join(file);
        let written = path.parent().map_or(Ok(()), crate::store::keyring::create_private_folder).and_then(|()| {
            // What somebody wrote there stays.
            let mut new = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
            new.write_all(text.as_bytes())
        });
        written.map_err(|error| AdminFailure {
            message: format!("failed to write `{}`", path.display()),
            causes: failed(&error).causes.into_iter().chain([error.to_string()]).collect(),
        })?;
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let text = format!("wrote {}; next: lockgate policy diff, lockgate policy apply", names.join(" and "));
    Ok(AdminReply::ok(text, json.into()))
}
