//! `lockgate credential`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::principal;
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
                CredentialCommand::SshKeyAdd { user, public_key: read_public_key(&public_key_file)? }
            }
            Credential::Git(Create::Create { user }) => CredentialCommand::GitCreate { user },
            Credential::AccessKey(Create::Create { user }) => CredentialCommand::AccessKeyCreate { user },
            Credential::List { user } => CredentialCommand::List { user },
            Credential::Revoke { user, id } => CredentialCommand::Revoke { user, id },
        })
    }
}

const MAX_KEY_BYTES: u64 = 16 * 1024;

fn read_public_key(path: &Path) -> Result<String, AdminFailure> {
    let mut text = String::new();
    let failed = |causes| AdminFailure { message: format!("failed to read `{}`", path.display()), causes };
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_KEY_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| failed(vec![error.to_string()]))?;
    if text.len() as u64 > MAX_KEY_BYTES {
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
        assert!(read_public_key(&path).unwrap_err().message.contains("private key"));
        std::fs::write(&path, "ssh-ed25519 AAAA x\n").unwrap();
        assert_eq!(read_public_key(&path).unwrap(), "ssh-ed25519 AAAA x\n");
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(read_public_key(&path).is_err());
        assert!(read_public_key(&folder.path().join("none")).unwrap_err().message.contains("none"));
    }
}
