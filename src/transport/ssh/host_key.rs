//! The server's Ed25519 key, made at the first start, and the `known_hosts` file that saves people from asking.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use zeroize::Zeroizing;

use crate::transport::key_file;

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file cannot be read or written.
    #[error("failed to open `{path}`")]
    #[allow(missing_docs)]
    File { path: PathBuf, source: io::Error },
    /// The file holds no key.
    #[error("`{path}` is no private key in OpenSSH form")]
    #[allow(missing_docs)]
    Key { path: PathBuf, source: russh::keys::ssh_key::Error },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

const KEY_FILE: &str = "ssh_host_ed25519_key";
const KNOWN_HOSTS_FILE: &str = "known_hosts";

/// Reads `ssh_host_ed25519_key` from the keys folder, or makes it.
pub fn open(folder: &Path) -> Result<PrivateKey, HostKeyError> {
    let path = folder.join(KEY_FILE);
    let key_error = |source| HostKeyError::Key { path: path.clone(), source };
    let file_error = |source| HostKeyError::File { path: path.clone(), source };
    if let Some(text) = key_file::read(&path).map_err(file_error)? {
        return PrivateKey::from_openssh(Zeroizing::new(text).as_bytes()).map_err(key_error);
    }
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *seed).map_err(HostKeyError::Random)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "lockgate").map_err(key_error)?;
    let text = key.to_openssh(LineEnding::LF).map_err(key_error)?;
    key_file::write(&path, text.as_bytes(), 0o600).map_err(file_error)?;
    Ok(key)
}

/// Writes `known_hosts`: one line for each host under the real port.
pub fn write_known_hosts(
    folder: &Path,
    key: &PrivateKey,
    hosts: &BTreeSet<String>,
    port: u16,
) -> Result<(), HostKeyError> {
    let path = folder.join(KNOWN_HOSTS_FILE);
    let public = key.public_key().to_openssh().map_err(|source| HostKeyError::Key { path: path.clone(), source })?;
    // The comment of the key is nobody's business.
    let public = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    for host in hosts {
        let place = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
        text.push_str(&format!("{place} {public}\n"));
    }
    key_file::write(&path, text.as_bytes(), 0o600).map_err(|source| HostKeyError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once() {
        let folder = tempfile::tempdir().unwrap();
        let key = open(folder.path()).unwrap();
        assert_eq!(open(folder.path()).unwrap().public_key(), key.public_key());
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()].into();
        write_known_hosts(folder.path(), &key, &hosts, 2222).unwrap();
        let text = std::fs::read_to_string(folder.path().join(KNOWN_HOSTS_FILE)).unwrap();
        assert!(text.starts_with("[127.0.0.1]:2222 ssh-ed25519 AAAA"), "{text}");
        assert_eq!(text.lines().count(), 2);
        std::fs::write(folder.path().join(KEY_FILE), "x").unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains(KEY_FILE));
    }
}
