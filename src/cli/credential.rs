//! `lockgate credential`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{principal, time};
use crate::names::PrincipalName;
use crate::operations::admin::{AdminFailure, CredentialCommand};

#[derive(Debug, Subcommand)]
pub(super) enum Credential {
    /// Public keys for SSH
    #[command(subcommand)]
    SshKey(SshKey),
    /// User name and password for Git over HTTPS
    #[command(subcommand)]
    Git(Create),
    /// Access keys for the API
    #[command(subcommand)]
    AccessKey(Create),
    /// Public keys whose signatures on commits count as the user's
    #[command(subcommand)]
    SigningKey(SigningKey),
    /// Who holds which credentials, their ages and last use, as CSV
    Report,
    /// List a user's credentials
    List {
        #[arg(value_parser = principal)]
        user: PrincipalName,
    },
    /// Take a credential back for good
    Revoke {
        #[arg(value_parser = principal)]
        user: PrincipalName,
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SshKey {
    /// Add a public key
    Add {
        #[arg(value_parser = principal)]
        user: PrincipalName,
        /// Such as `~/.ssh/id_ed25519.pub`
        public_key_file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SigningKey {
    /// Register a public key, SSH or OpenPGP
    Add {
        #[arg(value_parser = principal)]
        user: PrincipalName,
        /// An OpenSSH `.pub` file, or what `gpg --armor --export` writes
        public_key_file: PathBuf,
        /// Commits from before do not count as signed, such as 2026-01-31T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<i64>,
        /// Commits from after do not count as signed
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Create {
    /// Make one; its secret is shown once
    Create {
        #[arg(value_parser = principal)]
        user: PrincipalName,
    },
}

impl Credential {
    pub(super) fn request(self) -> Result<CredentialCommand, AdminFailure> {
        Ok(match self {
            Credential::SshKey(SshKey::Add { user, public_key_file }) => {
                CredentialCommand::SshKeyAdd { user, public_key: read_public_key(&public_key_file, MAX_KEY_BYTES)? }
            }
            Credential::SigningKey(SigningKey::Add { user, public_key_file, from, until }) => {
                CredentialCommand::SigningKeyAdd {
                    user,
                    public_key: read_public_key(&public_key_file, MAX_SIGNING_KEY_BYTES)?,
                    from_ms: from,
                    until_ms: until,
                }
            }
            Credential::Git(Create::Create { user }) => CredentialCommand::GitCreate { user },
            Credential::AccessKey(Create::Create { user }) => CredentialCommand::AccessKeyCreate { user },
            Credential::Report => CredentialCommand::Report,
            Credential::List { user } => CredentialCommand::List { user },
            Credential::Revoke { user, id } => CredentialCommand::Revoke { user, id },
        })
    }
}

pub(super) const MAX_KEY_BYTES: u64 = 16 * 1024;
/// OpenPGP keys carry what others say of them.
const MAX_SIGNING_KEY_BYTES: u64 = 128 * 1024;

pub(super) fn read_public_key(path: &Path, max_bytes: u64) -> Result<String, AdminFailure> {
    let mut text = String::new();
    let failed = |causes| AdminFailure { message: format!("failed to read `{}`", path.display()), causes };
    std::fs::File::open(path)
        .and_then(|file| file.take(max_bytes + 1).read_to_string(&mut text))
        .map_err(|error| failed(vec![error.to_string()]))?;
    if text.len() as u64 > max_bytes {
        return Err(failed(vec!["it is too long for a public key".into()]));
    }
    // People take the wrong one of the two files; a private key must not travel anywhere.
    if text.contains("PRIVATE KEY") {
        return Err(AdminFailure::new(format!("`{}` is a private key; the public one ends in `.pub`", path.display())));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_keys_travel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        assert!(read_public_key(&path, MAX_KEY_BYTES).unwrap_err().message.contains("private key"));
        std::fs::write(&path, "ssh-ed25519 AAAA x\n").unwrap();
        assert_eq!(read_public_key(&path, MAX_KEY_BYTES).unwrap(), "ssh-ed25519 AAAA x\n");
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(read_public_key(&path, MAX_KEY_BYTES).is_err());
        assert!(read_public_key(&folder.path().join("none"), MAX_KEY_BYTES).unwrap_err().message.contains("none"));
    }
}
