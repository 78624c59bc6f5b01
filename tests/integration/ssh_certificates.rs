//! SSH with a role: stock `ssh-keygen`, `ssh` and `git` with a certificate, and no line for the server in `known_hosts`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{TestHost, run, text};

const ROLE: &str = "arn:aws:iam::111111111111:role/deployer";

struct Client<'a> {
    host: &'a TestHost,
    folder: PathBuf,
}

impl Client<'_> {
    fn plain(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.folder);
        command.current_dir(&self.folder);
        command
    }

    /// `lockgate ssh-cert` with the administrator's access key.
    fn ssh_cert(&self, arguments: &[&str]) -> Output {
        let admin = std::fs::read_to_string(self.host.path("keys/admin.json")).unwrap();
        let admin: serde_json::Value = serde_json::from_str(&admin).unwrap();
        let mut command = self.plain(env!("CARGO_BIN_EXE_lockgate"));
        command.args(["ssh-cert", "--server", &self.host.https, "--key", "key.pub"]).args(arguments);
        command.arg("--ca").arg(self.host.path("keys/ca.pem"));
        command.env("AWS_ACCESS_KEY_ID", admin["accessKeyId"].as_str().unwrap());
        command.env("AWS_SECRET_ACCESS_KEY", admin["secretAccessKey"].as_str().unwrap());
        command.output().unwrap()
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = self.plain("git");
        command.env("GIT_SSH_COMMAND", self.ssh()).env("GIT_CONFIG_NOSYSTEM", "1").current_dir(folder);
        command.args(["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]);
        command.args(arguments).output().unwrap()
    }

    fn done(&self, folder: &Path, arguments: &[&str]) {
        let output = self.git(folder, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}\n{}", text(&output.stderr), self.host.log());
    }

    fn refused(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.git(folder, arguments);
        assert!(!output.status.success(), "git {arguments:?} succeeded");
        text(&output.stderr)
    }

    fn ssh(&self) -> String {
        let folder = self.folder.display();
        format!(
            "ssh -F none -i {folder}/key -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes \
             -o UserKnownHostsFile={folder}/known_hosts -o GlobalKnownHostsFile=none -o BatchMode=yes"
        )
    }
}

// C1 C3 D8
#[test]
fn a_certificate_lets_a_role_in_until_it_is_revoked() {
    let host = TestHost::start();
    host.admin(&["repo", "create", "shop"]);
    host.admin(&["role", "create", "deployer"]);
    let role = r#"Role::"111111111111/deployer""#;
    let policy = format!(
        r#"@id("admin-takes-deployer") permit (principal == User::"111111111111/admin", action == Action::"sts:AssumeRole", resource == {role});
@id("deployer-works") permit (principal in {role}, action in [Action::"codecommit:Read", Action::"codecommit:GitPush"], resource);
@id("deployer-gets-certificates") permit (principal in {role}, action == Action::"lockgate:SignSshCertificate", resource);"#
    );
    let trust = format!(
        r#"@id("admin-is-trusted") permit (principal == User::"111111111111/admin", action == Action::"sts:AssumeRole", resource == {role});"#
    );
    std::fs::create_dir_all(host.path("policies/111111111111/trust")).unwrap();
    std::fs::write(host.path("policies/111111111111/deployer.cedar"), policy).unwrap();
    std::fs::write(host.path("policies/111111111111/trust/deployer.cedar"), trust).unwrap();
    host.admin(&["policy", "apply"]);

    let folder = host.path("client");
    std::fs::create_dir_all(&folder).unwrap();
    let client = Client { host: &host, folder: folder.clone() };
    run(client.plain("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", "key"]));
    let url = format!("{}/v1/repos/shop", host.ssh);
    // Trusted is the authority, and no server's key.
    let authorities: serde_json::Value =
        serde_json::from_str(&host.admin(&["--output", "json", "ssh-authorities"])).unwrap();
    let line = authorities["knownHosts"].as_str().unwrap();
    assert!(line.starts_with("@cert-authority * ssh-ed25519 "), "{line}");
    std::fs::write(folder.join("known_hosts"), format!("{line}\n")).unwrap();

    // The key alone is nobody's.
    let stranger = client.refused(&folder, &["clone", "-q", &url, "none"]);
    assert!(stranger.contains("Permission denied"), "{stranger}");
    // A key of long life gets no certificate.
    let output = client.ssh_cert(&[]);
    assert!(text(&output.stderr).contains("only sessions"), "{}", text(&output.stderr));
    // A role that may not be taken.
    let output = client.ssh_cert(&["--role", "arn:aws:iam::111111111111:role/other"]);
    assert!(text(&output.stderr).contains("sts:AssumeRole"), "{}", text(&output.stderr));

    let output = client.ssh_cert(&["--role", ROLE, "--session-name", "nightly", "--duration", "900"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), host.log());
    assert!(text(&output.stdout).contains("assumed-role/deployer/nightly"), "{}", text(&output.stdout));
    let shown = run(client.plain("ssh-keygen").args(["-L", "-f", "key-cert.pub"]));
    assert!(shown.contains("user certificate") && shown.contains("session@lockgate"), "{shown}");
    client.done(&folder, &["clone", "-q", &url, "work"]);
    let work = folder.join("work");
    client.done(&work, &["commit", "-q", "--allow-empty", "-m", "first"]);
    client.done(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    let greeting = run(client.plain("sh").arg("-c").arg(format!(
        "{} -p {} git@127.0.0.1",
        client.ssh(),
        host.ssh.rsplit(':').next().unwrap()
    )));
    assert!(greeting.contains("deployer"), "{greeting}");

    // Another key cannot use it.
    run(client.plain("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", "other"]));
    std::fs::copy(folder.join("key-cert.pub"), folder.join("other-cert.pub")).unwrap();
    let output = client
        .plain("sh")
        .arg("-c")
        .arg(format!(
            "{} -p {} git@127.0.0.1",
            client.ssh().replace("/key ", "/other "),
            host.ssh.rsplit(':').next().unwrap()
        ))
        .output()
        .unwrap();
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));

    // A session's own policy holds by SSH.
    let narrow = r#"permit (principal, action in [Action::"codecommit:Read", Action::"lockgate:SignSshCertificate"], resource);"#;
    std::fs::write(folder.join("narrow.cedar"), narrow).unwrap();
    let output = client.ssh_cert(&["--role", ROLE, "--policy", "narrow.cedar"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    client.done(&work, &["fetch", "-q"]);
    client.done(&work, &["commit", "-q", "--allow-empty", "-m", "second"]);
    let refused = client.refused(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    assert!(refused.contains("no policy permits it"), "{refused}");

    // The certificate says by what it is revoked.
    let shown = run(client.plain("ssh-keygen").args(["-L", "-f", "key-cert.pub"]));
    let key_id = shown.lines().find(|line| line.contains("Key ID")).unwrap();
    let access_key_id = key_id.split(' ').find(|word| word.starts_with("ASIA")).unwrap().trim_end_matches('"');
    host.admin(&["session", "revoke", access_key_id]);
    let refused = client.refused(&work, &["fetch", "-q"]);
    assert!(refused.contains("Permission denied"), "{refused}");
    // Another session of the role goes on, until all of them end.
    let output = client.ssh_cert(&["--role", ROLE]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    client.done(&work, &["fetch", "-q"]);
    host.admin(&["role", "revoke-sessions", "deployer"]);
    let refused = client.refused(&work, &["fetch", "-q"]);
    assert!(refused.contains("Permission denied"), "{refused}");
    // A server that another authority has signed, or none, is not talked to.
    std::fs::write(
        folder.join("known_hosts"),
        format!("@cert-authority * {}\n", std::fs::read_to_string(folder.join("other.pub")).unwrap().trim()),
    )
    .unwrap();
    let refused = client.refused(&work, &["fetch", "-q"]);
    assert!(refused.contains("Host key verification failed"), "{refused}");
}
