//! Who holds which credentials, how old they are and when they were used last: one line a user, as IAM's credential report has it.
//!
//! Columns are IAM's and in their order, so that tools read them by name or place; what IAM's report leaves out follows behind.
//! There are no console passwords and no X.509 certificates here. Nothing secret stands in a report.

use crate::identity::{Credential, CredentialKind, Directory, User};
use crate::names::AccountId;

use super::last_used::LastUse;
use super::lockgate::Lockgate;
use crate::store::catalog::CatalogError;

/// The columns.
pub const COLUMNS: [&str; 28] = [
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
    // From here on ours.
    "disabled",
    "git_passwords_active",
    "git_password_oldest",
    "ssh_keys_active",
    "ssh_key_oldest",
    "git_last_used_date",
];

/// A report: the account's root, which has no credentials, and each user.
pub fn rows(
    directory: &Directory,
    account: &AccountId,
    last_use: &dyn Fn(&str) -> Result<Option<LastUse>, CatalogError>,
) -> Result<Vec<Vec<String>>, CatalogError> {
    let created = directory.account(account).map_or(0, |account| account.created_ms);
    let mut rows = vec![root(account, created)];
    for user in directory.users(account) {
        rows.push(of_user(directory, user, last_use)?);
    }
    Ok(rows)
}

/// A report as RFC 4180 has it, with its columns in the first line.
pub fn csv(rows: &[Vec<String>]) -> String {
    let field = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut out = COLUMNS.join(",");
    for row in rows {
        out.push('\n');
        out.push_str(&row.iter().map(|text| field(text)).collect::<Vec<_>>().join(","));
    }
    out
}

fn root(account: &AccountId, created_ms: i64) -> Vec<String> {
    let mut row = vec!["<root_account>".to_owned(), format!("arn:aws:iam::{account}:root"), date(created_ms)];
    for column in &COLUMNS[row.len()..] {
        row.push(match *column {
            "password_enabled" | "password_last_changed" | "password_next_rotation" => "not_supported".to_owned(),
            name if name.ends_with("_active") && !name.contains("passwords") && !name.contains("keys") => no(),
            "disabled" => no(),
            "git_passwords_active" | "ssh_keys_active" => "0".to_owned(),
            _ => none(),
        });
    }
    row
}

fn of_user(
    directory: &Directory,
    user: &User,
    last_use: &dyn Fn(&str) -> Result<Option<LastUse>, CatalogError>,
) -> Result<Vec<String>, CatalogError> {
    let mut row = vec![user.name.to_string(), user.arn(), date(user.created_ms)];
    row.extend([no(), none(), none(), none()]);
    row.push(directory.has_mfa(user.id).to_string());
    let held: Vec<&Credential> = directory.credentials(user).collect();
    let mut keys: Vec<&Credential> =
        held.iter().filter(|credential| matches!(credential.kind, CredentialKind::AccessKey)).copied().collect();
    keys.sort_by_key(|key| (key.created_ms, key.id.clone()));
    for place in 0..2 {
        let Some(key) = keys.get(place) else {
            row.extend([no(), none(), none(), none(), none()]);
            continue;
        };
        row.extend([key.active.to_string(), date(key.created_ms)]);
        row.extend(match last_use(&key.id)? {
            Some(used) => [date(used.at_ms), used.region, used.service],
            None => [none(), none(), none()],
        });
    }
    row.extend([no(), none(), no(), none()]);
    row.push(user.disabled.to_string());
    let mut git_last_used: Option<i64> = None;
    for is_it in [is_git_password, is_ssh_key] {
        let found: Vec<&Credential> = held.iter().filter(|credential| is_it(credential)).copied().collect();
        for credential in &found {
            let used = last_use(&credential.id)?.map(|used| used.at_ms);
            git_last_used = git_last_used.max(used);
        }
        let oldest = found.iter().filter(|credential| credential.active).map(|credential| credential.created_ms).min();
        row.push(found.iter().filter(|credential| credential.active).count().to_string());
        row.push(oldest.map_or_else(none, date));
    }
    row.push(git_last_used.map_or_else(none, date));
    Ok(row)
}

fn is_git_password(credential: &Credential) -> bool {
    matches!(credential.kind, CredentialKind::Git { .. })
}

fn is_ssh_key(credential: &Credential) -> bool {
    matches!(credential.kind, CredentialKind::SshKey { .. })
}

fn none() -> String {
    "N/A".to_owned()
}

fn no() -> String {
    false.to_string()
}

/// As IAM writes times here: `2026-11-23T09:00:00+00:00`.
fn date(ms: i64) -> String {
    match jiff::Timestamp::from_second(ms.div_euclid(1000)) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        Err(_) => none(),
    }
}

impl Lockgate {
    /// The credential report of an account, as CSV. Blocks.
    pub fn credential_report(&self, account: &AccountId) -> Result<String, CatalogError> {
        let rows = rows(&self.identity().directory(), account, &|id| self.last_use(id))?;
        Ok(csv(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_each_column_and_odd_names_are_quoted() {
        let account = AccountId::parse("111111111111").unwrap();
        let row = root(&account, 0);
        assert_eq!(row.len(), COLUMNS.len());
        assert_eq!(row[2], "1970-01-01T00:00:00+00:00");
        let mut odd = row.clone();
        odd[0] = "a,\"b\"".to_owned();
        let written = csv(&[row, odd]);
        assert!(written.starts_with("user,arn,user_creation_time,password_enabled,"), "{written}");
        assert!(written.lines().nth(2).unwrap().starts_with("\"a,\"\"b\"\"\",arn:aws:iam::111111111111:root,"));
    }
}
