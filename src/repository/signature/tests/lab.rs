//! A folder of its own for `git`, `gpg` and `ssh-keygen`: no key, no config and no agent of whoever runs the tests.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::repository::object::ObjectKind;
use crate::repository::signature::SigningKey;

pub(super) struct Lab {
    dir: TempDir,
}

impl Lab {
    pub(super) fn new() -> Lab {
        // Short, for the sockets of `gpg-agent` stand in it.
        let lab = Lab { dir: tempfile::Builder::new().prefix("lab").tempdir_in("/tmp").unwrap() };
        fs::create_dir(lab.path("gnupg")).unwrap();
        fs::set_permissions(lab.path("gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        lab
    }

    /// With an empty repository in it.
    pub(super) fn with_repository() -> Lab {
        let lab = Lab::new();
        lab.git(&["init", "-q", "-b", "main", "."]);
        for (name, value) in [("user.name", "Ann Other"), ("user.email", "ann@example.com")] {
            lab.git(&["config", name, value]);
        }
        lab
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a tool and gives what it printed; it has to succeed.
    pub(super) fn run(&self, tool: &str, args: &[&str], stdin: &[u8]) -> Vec<u8> {
        let mut child = Command::new(tool)
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the tests need `{tool}`, which `./test` installs: {error}"));
        // A tool that needs no input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(super) fn git(&self, args: &[&str]) -> Vec<u8> {
        self.run("git", args, b"")
    }

    pub(super) fn gpg(&self, args: &[&str], stdin: &[u8]) -> Vec<u8> {
        let mut all = vec!["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""];
        all.extend_from_slice(args);
        self.run("gpg", &all, stdin)
    }

    /// From now on `gpg` believes that it is this second since 1970; also where git calls it.
    pub(super) fn set_gpg_time(&self, seconds: i64) {
        fs::write(self.path("gnupg/gpg.conf"), format!("faked-system-time {seconds}!\n")).unwrap();
    }

    /// Makes an SSH key pair `name`, `name.pub`; gives the public key.
    pub(super) fn ssh_key(&self, name: &str, options: &[&str]) -> SigningKey {
        let mut args = vec!["-q", "-N", "", "-C", "ann@example.com", "-f", name];
        args.extend_from_slice(options);
        self.run("ssh-keygen", &args, b"");
        SigningKey::parse(&self.read(&format!("{name}.pub"))).unwrap()
    }

    /// Makes an OpenPGP key that signs and does not end; gives its fingerprint.
    pub(super) fn gpg_key(&self, user_id: &str, algorithm: &str) -> String {
        self.gpg(&["--quick-generate-key", user_id, algorithm, "sign,cert", "never"], b"");
        self.fingerprints(user_id).swap_remove(0)
    }

    /// The fingerprints of a certificate: the primary key's, then its subkeys'.
    pub(super) fn fingerprints(&self, user_id: &str) -> Vec<String> {
        let listing = self.gpg(&["--with-colons", "--list-keys", user_id], b"");
        let listing = String::from_utf8(listing).unwrap();
        listing.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).map(|f| f.replace(':', "")).collect()
    }

    pub(super) fn certificate_text(&self, user_id: &str) -> String {
        String::from_utf8(self.gpg(&["--armor", "--export", user_id], b"")).unwrap()
    }

    pub(super) fn certificate(&self, user_id: &str) -> SigningKey {
        SigningKey::parse(&self.certificate_text(user_id)).unwrap()
    }

    /// A tag over `payload` with a signature that `gpg` makes with these options.
    pub(super) fn gpg_tag(&self, options: &[&str], payload: &[u8]) -> Vec<u8> {
        let mut args = options.to_vec();
        args.extend(["--armor", "--output", "-", "--detach-sign"]);
        [payload, &self.gpg(&args, payload)].concat()
    }

    /// A tag over `payload` with a signature that `ssh-keygen` makes with the key and options.
    pub(super) fn ssh_tag(&self, key: &str, options: &[&str], payload: &[u8]) -> Vec<u8> {
        let mut args = vec!["-Y", "sign", "-q", "-f", key];
        args.extend_from_slice(options);
        [payload, &self.run("ssh-keygen", &args, payload)].concat()
    }

    /// A commit and a tag, both signed by git with its config as it is.
    pub(super) fn signed_objects(&self) -> [(ObjectKind, Vec<u8>); 2] {
        self.git(&["commit", "-q", "--allow-empty", "-S", "-m", "subject\n\nbody"]);
        self.git(&["tag", "-f", "-s", "-m", "a tag\n\nof many words", "v1"]);
        let object = |kind: ObjectKind, name| (kind, self.git(&["cat-file", kind.name(), name]));
        [object(ObjectKind::Commit, "HEAD"), object(ObjectKind::Tag, "v1")]
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Lab {
    /// Ends the agent that `gpg` started for this folder, and no other.
    fn drop(&mut self) {
        let gnupg: &Path = &self.path("gnupg");
        let _ = Command::new("gpgconf").arg("--homedir").arg(gnupg).args(["--kill", "all"]).output();
    }
}
