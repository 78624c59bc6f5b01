//! `lockgate user`, `group`, `role`, `session` and `credential`.

use secrecy::ExposeSecret;
use serde_json::json;

use super::{AdminContext, failed, table, time, wait};
use crate::identity::CredentialKind;
use crate::names::{AccountId, PrincipalName};
use crate::operations::admin::{
    AdminFailure, AdminReply, CredentialCommand, GroupCommand, RoleCommand, SessionCommand, UserCommand,
};
use crate::operations::credential_report;
use crate::operations::renaming::{rename_group, rename_user};
use crate::operations::signing_keys::NewSigningKey;

pub(super) fn user(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &UserCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        UserCommand::Create { name, groups } => {
            wait(ctx, ctx.identity.create_user(account, name, groups))?;
            let text = format!(
                "user {name} made; next: lockgate credential ssh-key add {name} KEY.pub, or lockgate credential git create {name}"
            );
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "account": account.as_str()})))
        }
        UserCommand::List => {
            let directory = ctx.identity.directory();
            let mut rows = Vec::new();
            let mut json = Vec::new();
            for user in directory.users(account) {
                let groups: Vec<String> =
                    directory.groups_of(account, &user.name).iter().map(ToString::to_string).collect();
                json.push(json!({"name": user.name.as_str(), "disabled": user.disabled, "groups": groups}));
                let state = if user.disabled { "disabled" } else { "" };
                rows.push(vec![user.name.to_string(), groups.join(","), state.into()]);
            }
            Ok(AdminReply::ok(table(&["NAME", "GROUPS", "STATE"], &rows), json.into()))
        }
        UserCommand::Disable { name } => {
            wait(ctx, ctx.identity.set_user_disabled(account, name, true))?;
            Ok(AdminReply::ok(format!("user {name} is disabled"), json!({"name": name.as_str(), "disabled": true})))
        }
        UserCommand::RevokeSessions { name, before_ms: asked } => {
            let before_ms = sessions_before(ctx, *asked)?;
            wait(ctx, ctx.identity.revoke_user_sessions(account, name, before_ms))?;
            let text =
                format!("what user {name} had begun with temporary credentials or roles{} is over", since(*asked));
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "beforeMs": before_ms})))
        }
        UserCommand::Address { name, addresses } => {
            wait(ctx, ctx.identity.set_user_addresses(account, name, addresses.clone()))?;
            let text = match addresses.as_slice() {
                [] => format!("user {name} has no registered address any more"),
                all => format!("commits of {name} carry {}", all.join(" or ")),
            };
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "addresses": addresses})))
        }
        UserCommand::Enable { name } => {
            wait(ctx, ctx.identity.set_user_disabled(account, name, false))?;
            Ok(AdminReply::ok(format!("user {name} is enabled"), json!({"name": name.as_str(), "disabled": false})))
        }
        UserCommand::Rename { old, new } => {
            let renamed = wait(ctx, rename_user(ctx.identity, ctx.policies, account, old, new))?;
            let text = format!(
                "user {old} is {} now; sessions from before are over, and {old} is not given again",
                renamed.name
            );
            Ok(AdminReply::ok(text, json!({"name": renamed.name.as_str(), "oldName": old.as_str()})))
        }
        UserCommand::Delete { name } => {
            wait(ctx, ctx.identity.delete_user(account, name))?;
            let named = named_by_policies(ctx, &[("User", format!("{account}/{name}"))]);
            let mut text = format!("user {name} is deleted; the name is not given again");
            if !named.is_empty() {
                text.push_str(&format!("\nstill named by: {}", named.join(", ")));
            }
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "namedBy": named})))
        }
    }
}

pub(super) fn group(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &GroupCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        GroupCommand::Create { name } => {
            wait(ctx, ctx.identity.create_group(account, name))?;
            Ok(AdminReply::ok(format!("group {name} made"), json!({"name": name.as_str()})))
        }
        GroupCommand::AddUser { group, user } => {
            wait(ctx, ctx.identity.add_to_group(account, group, user))?;
            Ok(AdminReply::ok(format!("{user} is in {group}"), json!({"group": group.as_str(), "user": user.as_str()})))
        }
        GroupCommand::RemoveUser { group, user } => {
            wait(ctx, ctx.identity.remove_from_group(account, group, user))?;
            let text = format!("{user} is no more in {group}");
            Ok(AdminReply::ok(text, json!({"group": group.as_str(), "user": user.as_str()})))
        }
        GroupCommand::Rename { old, new } => {
            let renamed = wait(ctx, rename_group(ctx.identity, ctx.policies, account, old, new))?;
            let text = format!("group {old} is {} now; {old} is not given again", renamed.name);
            Ok(AdminReply::ok(text, json!({"name": renamed.name.as_str(), "oldName": old.as_str()})))
        }
        GroupCommand::List => {
            let directory = ctx.identity.directory();
            let mut rows = Vec::new();
            let mut json = Vec::new();
            for group in directory.groups(account) {
                let members: Vec<String> =
                    directory.members(account, &group.name).map(|user| user.name.to_string()).collect();
                json.push(json!({"name": group.name.as_str(), "members": members}));
                rows.push(vec![group.name.to_string(), members.join(",")]);
            }
            Ok(AdminReply::ok(table(&["NAME", "MEMBERS"], &rows), json.into()))
        }
    }
}

pub(super) fn role(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &RoleCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        RoleCommand::Create { name } => {
            let role = wait(ctx, ctx.identity.create_role(account, name))?;
            Ok(AdminReply::ok(format!("role {name} made: {}", role.arn()), json!({"arn": role.arn()})))
        }
        RoleCommand::List => {
            let directory = ctx.identity.directory();
            let rows: Vec<Vec<String>> =
                directory.roles(account).map(|role| vec![role.name.to_string(), role.arn()]).collect();
            let json: Vec<_> = rows.iter().map(|row| json!({"name": row[0], "arn": row[1]})).collect();
            Ok(AdminReply::ok(table(&["NAME", "ARN"], &rows), json.into()))
        }
        RoleCommand::RevokeSessions { name, before_ms: asked } => {
            let before_ms = sessions_before(ctx, *asked)?;
            wait(ctx, ctx.identity.revoke_role_sessions(account, name, before_ms))?;
            let text = format!("the sessions of role {name}{} are over", since(*asked));
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "beforeMs": before_ms})))
        }
        RoleCommand::Delete { name } => {
            wait(ctx, ctx.identity.delete_role(account, name))?;
            let named = named_by_policies(ctx, &[("Role", format!("{account}/{name}"))]);
            let mut text = format!("role {name} is deleted; the name is not given again");
            if !named.is_empty() {
                text.push_str(&format!("\nstill named by: {}", named.join(", ")));
            }
            Ok(AdminReply::ok(text, json!({"name": name.as_str(), "namedBy": named})))
        }
    }
}

pub(super) fn session(ctx: &AdminContext<'_>, command: &SessionCommand) -> Result<AdminReply, AdminFailure> {
    let SessionCommand::Revoke { access_key_id } = command;
    wait(ctx, ctx.identity.revoke_session(access_key_id))?;
    // The administrator's word is no decision of a policy, and would leave no trace otherwise.
    tracing::warn!(session.access_key_id = access_key_id, "the session was revoked");
    let text = format!("session {access_key_id} is over, and so is what began from it");
    Ok(AdminReply::ok(text, json!({"accessKeyId": access_key_id})))
}

/// From when on sessions count: from the time that was asked, which is not to come, or from now on.
fn sessions_before(ctx: &AdminContext<'_>, asked: Option<i64>) -> Result<i64, AdminFailure> {
    let now_ms = ctx.store.clock().now_ms();
    match asked {
        // Those of this very millisecond, too.
        None => Ok(now_ms + 1),
        Some(before_ms) if before_ms <= now_ms => Ok(before_ms),
        Some(_) => Err(AdminFailure::new(
            "the time of --before is still to come; sessions that have not begun cannot be revoked",
        )),
    }
}

fn since(asked: Option<i64>) -> String {
    let time = asked.and_then(|before_ms| jiff::Timestamp::from_millisecond(before_ms).ok());
    time.map(|time| format!(" before {time}")).unwrap_or_default()
}

pub(super) fn credential(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &CredentialCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        CredentialCommand::SshKeyAdd { user, public_key } => {
            let made = wait(ctx, ctx.identity.add_ssh_key(account, user, public_key))?;
            Ok(AdminReply::ok(format!("SSH key {} of {user} is registered", made.id), json!({"id": made.id})))
        }
        CredentialCommand::SigningKeyAdd { user, public_key, from_ms, until_ms } => {
            let new = NewSigningKey { public_key, from_ms: *from_ms, until_ms: *until_ms };
            let made = wait(ctx, new.register(ctx.identity, account, user))?;
            let CredentialKind::SigningKey(info) = &made.kind else {
                return Err(AdminFailure::new("what was registered is no signing key"));
            };
            let fingerprint = &info.fingerprint;
            let text = format!("signing key {fingerprint} of {user} is registered as {}", made.id);
            Ok(AdminReply::ok(text, json!({"id": made.id, "fingerprint": fingerprint})))
        }
        CredentialCommand::GitCreate { user } => {
            let made = wait(ctx, ctx.identity.create_git_credential(account, user))?;
            let password = made.password.expose_secret();
            let text =
                format!("user name  {}\npassword   {password}\nThe password is not shown again.", made.user_name);
            Ok(AdminReply::ok(text, json!({"userName": made.user_name, "password": password})))
        }
        CredentialCommand::AccessKeyCreate { user } => {
            let made = wait(ctx, ctx.identity.create_access_key(account, user))?;
            let secret = made.secret.expose_secret();
            let text =
                format!("access key id      {}\nsecret access key  {secret}\nThe secret is not shown again.", made.id);
            Ok(AdminReply::ok(text, json!({"accessKeyId": made.id, "secretAccessKey": secret})))
        }
        CredentialCommand::List { user } => {
            let held = ctx.identity.list_credentials(account, user).map_err(|error| failed(&error))?;
            let rows: Vec<Vec<String>> = held
                .iter()
                .map(|credential| {
                    let what = match &credential.kind {
                        CredentialKind::SshKey { fingerprint, .. } => fingerprint.clone(),
                        CredentialKind::Git { user_name } => user_name.clone(),
                        CredentialKind::AccessKey => String::new(),
                        CredentialKind::SigningKey(info) => info.fingerprint.clone(),
                    };
                    vec![credential.id.clone(), credential.kind.as_str().into(), what, time(credential.created_ms)]
                })
                .collect();
            let json: Vec<_> = rows
                .iter()
                .map(|row| json!({"id": row[0], "kind": row[1], "name": row[2], "created": row[3]}))
                .collect();
            Ok(AdminReply::ok(table(&["ID", "KIND", "NAME", "MADE"], &rows), json.into()))
        }
        CredentialCommand::Report => {
            let rows = credential_report::rows(&ctx.identity.directory(), account, ctx.last_use);
            let rows = rows.map_err(|error| failed(&error))?;
            let line = |row: &Vec<String>| -> serde_json::Map<String, serde_json::Value> {
                let named = credential_report::COLUMNS.iter().zip(row);
                named.map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
            };
            let json: Vec<_> = rows.iter().map(line).collect();
            Ok(AdminReply::ok(credential_report::csv(&rows), json!(json)))
        }
        CredentialCommand::Revoke { user, id } => {
            wait(ctx, ctx.identity.revoke_credential(account, user, id))?;
            Ok(AdminReply::ok(format!("{id} of {user} is revoked"), json!({"id": id})))
        }
    }
}

/// The way back in: `admin` of the account exists, is enabled, is an administrator, and gets a new Git credential. Offline, and
/// in the log.
pub(super) fn recover(ctx: &AdminContext<'_>, account: &AccountId) -> Result<AdminReply, AdminFailure> {
    let parse = |name: &str| PrincipalName::parse(name).map_err(|error| failed(&error));
    let (admin, administrators) = (parse("admin")?, parse("administrators")?);
    let directory = ctx.identity.directory();
    if directory.account(account).is_none() {
        return Err(AdminFailure::new(format!("there is no account `{account}`")));
    }
    if directory.group(account, &administrators).is_none() {
        wait(ctx, ctx.identity.create_group(account, &administrators))?;
    }
    let user = if directory.user(account, &admin).is_some() {
        admin
    } else {
        // `admin` may have been deleted, and names are not given twice.
        let mut n = 0;
        loop {
            let name = if n == 0 { admin.clone() } else { parse(&format!("admin-{n}"))? };
            match ctx.store.wait(ctx.identity.create_user(account, &name, &[])) {
                Ok(_) => break name,
                Err(_) if n < 1000 => n += 1,
                Err(error) => return Err(failed(&error)),
            }
        }
    };
    wait(ctx, ctx.identity.set_user_disabled(account, &user, false))?;
    wait(ctx, ctx.identity.add_to_group(account, &administrators, &user))?;
    let made = wait(ctx, ctx.identity.create_git_credential(account, &user))?;
    tracing::warn!(account.id = %account, user.name = %user, "the account was recovered offline");
    let password = made.password.expose_secret();
    let text = format!(
        "user {user} is enabled and an administrator\nuser name  {}\npassword   {password}\nThe password is not shown again.",
        made.user_name
    );
    Ok(AdminReply::ok(text, json!({"user": user.as_str(), "userName": made.user_name, "password": password})))
}

/// The active policies that name one of these entities, given by type and id, or what lies below it.
pub(super) fn named_by_policies(ctx: &AdminContext<'_>, entities: &[(&str, String)]) -> Vec<String> {
    ctx.policies.with(&ctx.identity.directory(), ctx.region).naming(&|kind, id| {
        entities.iter().any(|(named_kind, named)| {
            let is_below = || id.strip_prefix(named.as_str()).is_some_and(|rest| rest.starts_with('/'));
            match (*named_kind, kind) {
                (a, b) if a == b => id == named,
                ("Role", "Session") => is_below(),
                _ => false,
            }
        })
    })
}
