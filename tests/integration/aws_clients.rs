//! AWS's own clients against a running server: boto3, the command line's credential helper, `git-remote-codecommit`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{TestHost, run, text};

/// The clients that the test command has installed; none where it could not, which it has said. In CI they have to be there.
pub fn clients() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/aws-clients/bin");
    if folder.join("aws").exists() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "the AWS clients are not installed in {}", folder.display());
    None
}

pub fn admin(host: &TestHost) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(host.path("keys/admin.json")).unwrap()).unwrap()
}

pub fn url(host: &TestHost) -> String {
    let serve: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(host.path("data/serve.json")).unwrap()).unwrap();
    serve["httpsUrl"].as_str().unwrap().to_string()
}

/// Without the machine's own settings.
pub fn plain(program: &Path, host: &TestHost) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", host.path("home-aws"));
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// What stands in for services of AWS, from the registries, on a free port.
pub struct StandIn {
    server: Child,
    /// Where it is.
    pub url: String,
}

impl StandIn {
    pub fn start(bin: &Path) -> StandIn {
        let mut command = Command::new(bin.join("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("Running on http"));
        let line = line.expect("the stand-in starts");
        let url = line.split(' ').find(|word| word.starts_with("http://")).unwrap().trim().to_owned();
        // It goes on logging, and must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        StandIn { server, url }
    }

    pub fn signal(&self, signal: &str) {
        run(Command::new("kill").args([signal, &self.server.id().to_string()]));
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

// C3 D5
#[test]
fn each_operation_of_sts_and_iam_has_its_effect() {
    let Some(bin) = clients() else { return };
    let host = TestHost::start();
    let admin = admin(&host);
    let of = |key: &str| admin[key].as_str().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/aws_clients.py");
    let output = plain(&bin.join("python3"), &host)
        .arg(script)
        .args([&url(&host), host.path("keys/ca.pem").to_str().unwrap()])
        .args([of("account"), of("accessKeyId"), of("secretAccessKey")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}\n{}", text(&output.stdout), text(&output.stderr), host.log());
    let called: BTreeSet<String> = text(&output.stdout).lines().map(str::to_string).collect();
    let all = lockgate::api::operations().unwrap();
    // The others have tests of their own.
    let missing: Vec<String> = all
        .iter()
        .filter(|(service, ..)| ["sts", "iam"].contains(&service.signing_name()))
        .map(|(service, name, _)| format!("{}:{name}", service.signing_name()))
        .filter(|name| !called.contains(name))
        .collect();
    assert!(missing.is_empty(), "not driven: {missing:?}");
}

/// Who finds a leaked session has its access key id, and that is enough to end it on every door; others of the role go on.
// C3 D8
#[test]
fn one_session_is_revoked_by_its_access_key_id() {
    let Some(bin) = clients() else { return };
    let host = TestHost::start();
    host.admin(&["repo", "create", "shop"]);
    let admin = admin(&host);
    for role in ["deployer", "second"] {
        host.admin(&["role", "create", role]);
    }
    let policy = r#"@id("deployer-works") permit (principal in Role::"111111111111/deployer", action in Action::"codecommit:Read", resource);
@id("roles-chain") permit (principal in Account::"111111111111", action == Action::"sts:AssumeRole", resource);"#;
    let trust = r#"@id("trust-ourselves") permit (principal in Account::"111111111111", action == Action::"sts:AssumeRole", resource);"#;
    std::fs::create_dir_all(host.path("policies/111111111111/trust")).unwrap();
    std::fs::write(host.path("policies/111111111111/roles.cedar"), policy).unwrap();
    std::fs::write(host.path("policies/111111111111/trust/roles.cedar"), trust).unwrap();
    host.admin(&["policy", "apply"]);

    let (url, ca) = (url(&host), host.path("keys/ca.pem"));
    let with = |program: &Path, credentials: &serde_json::Value, token: bool| {
        let mut command = plain(program, &host);
        let of = |key: &str, file: &str| credentials[key].as_str().or(credentials[file].as_str()).unwrap().to_string();
        command.env("AWS_ACCESS_KEY_ID", of("AccessKeyId", "accessKeyId"));
        command.env("AWS_SECRET_ACCESS_KEY", of("SecretAccessKey", "secretAccessKey"));
        if token {
            command.env("AWS_SESSION_TOKEN", of("SessionToken", ""));
        }
        command.env("AWS_CA_BUNDLE", &ca).env("AWS_ENDPOINT_URL", &url).env("AWS_DEFAULT_REGION", "us-east-1");
        command
    };
    let assume = |from: &serde_json::Value, token: bool, role: &str, name: &str| -> serde_json::Value {
        let mut command = with(&bin.join("aws"), from, token);
        command.args(["sts", "assume-role", "--role-session-name", name, "--role-arn"]);
        let output = command.arg(format!("arn:aws:iam::111111111111:role/{role}")).output().unwrap();
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), host.log());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["Credentials"].clone()
    };
    let leaked = assume(&admin, false, "deployer", "leaked");
    let other = assume(&admin, false, "deployer", "other");
    let chained = assume(&leaked, true, "second", "chained");
    let own = with(&bin.join("aws"), &admin, false).args(["sts", "get-session-token"]).output().unwrap();
    let own = serde_json::from_slice::<serde_json::Value>(&own.stdout).unwrap()["Credentials"].clone();

    let who = |credentials: &serde_json::Value| {
        let output = with(&bin.join("aws"), credentials, true).args(["sts", "get-caller-identity"]).output().unwrap();
        text(&output.stdout) + &text(&output.stderr)
    };
    let endpoint = url.strip_prefix("https://").unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let reads = |credentials: &serde_json::Value| {
        let mut command = with(Path::new("git"), credentials, true);
        command.env("PATH", &path).env("CODE_COMMIT_ENDPOINT", endpoint).env("GIT_SSL_CAINFO", &ca);
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["ls-remote", "codecommit::us-east-1://shop"]).output().unwrap()
    };
    for credentials in [&leaked, &other] {
        assert!(who(credentials).contains("assumed-role/deployer"), "{}", who(credentials));
        let output = reads(credentials);
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), host.log());
    }
    assert!(who(&chained).contains("assumed-role/second/chained") && who(&own).contains("user/admin"));
    let id = |credentials: &serde_json::Value| credentials["AccessKeyId"].as_str().unwrap().to_string();
    let refused = host.try_admin(&["session", "revoke", admin["accessKeyId"].as_str().unwrap()]);
    assert!(text(&refused.stderr).contains("not the access key id of a session"), "{}", text(&refused.stderr));
    host.admin(&["session", "revoke", &id(&leaked)]);
    for credentials in [&leaked, &chained] {
        assert!(who(credentials).contains("InvalidClientTokenId"), "{}", who(credentials));
    }
    assert!(!reads(&leaked).status.success());
    assert!(who(&other).contains("assumed-role/deployer/other") && reads(&other).status.success());
    host.admin(&["session", "revoke", &id(&own)]);
    assert!(who(&own).contains("InvalidClientTokenId"), "{}", who(&own));
    // The key of long life, with which it was had, goes on.
    assert!(who(&assume(&admin, false, "deployer", "again")).contains("deployer/again"));
}

/// A person of one account takes a role of another and works there, with unmodified clients: nobody shares a key.
// C3
#[test]
fn a_role_of_another_account_opens_its_repositories_to_git() {
    let Some(bin) = clients() else { return };
    let host = TestHost::start();
    host.admin(&["account", "create", "partner", "--id", "222222222222"]);
    host.admin(&["--account", "222222222222", "user", "create", "anna"]);
    let json =
        host.admin(&["--account", "222222222222", "--output", "json", "credential", "access-key", "create", "anna"]);
    let key: serde_json::Value = serde_json::from_str(&json).unwrap();
    host.admin(&["--account", "111111111111", "repo", "create", "shop"]);
    host.admin(&["--account", "111111111111", "role", "create", "deployer"]);
    let policies = host.path("policies");
    let write = |file: &str, text: &str| {
        let path = policies.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let role = r#"Role::"111111111111/deployer""#;
    write(
        "222222222222/anna.cedar",
        &format!(
            r#"@id("anna-takes-deployer") permit (principal == User::"222222222222/anna", action == Action::"sts:AssumeRole", resource == {role});"#
        ),
    );
    write(
        "111111111111/trust/partner.cedar",
        &format!(
            r#"@id("partner-takes-deployer") permit (principal in Account::"222222222222", action == Action::"sts:AssumeRole", resource == {role}) when {{ context has externalId && context.externalId == "contract-7" }};"#
        ),
    );
    write(
        "111111111111/deployer.cedar",
        &format!(
            r#"@id("deployer-works") permit (principal in {role}, action in [Action::"codecommit:Read", Action::"codecommit:GitPush"], resource);
@id("deployer-leaves-main") forbid (principal in {role}, action in Action::"codecommit:ChangeRef", resource) when {{ resource.name == "refs/heads/main" }};"#
        ),
    );
    host.admin(&["policy", "apply"]);

    let home = host.path("home-aws");
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    let (url, ca) = (url(&host), host.path("keys/ca.pem"));
    let common = format!("region = us-east-1\nendpoint_url = {url}\nca_bundle = {}\n", ca.display());
    let config = format!(
        "[profile anna]\n{common}[profile deployer]\n{common}source_profile = anna\nrole_arn = arn:aws:iam::111111111111:role/deployer\nrole_session_name = anna\nexternal_id = contract-7\n[profile stranger]\n{common}source_profile = anna\nrole_arn = arn:aws:iam::111111111111:role/deployer\n"
    );
    std::fs::write(home.join(".aws/config"), config).unwrap();
    let (id, secret) = (key["accessKeyId"].as_str().unwrap(), key["secretAccessKey"].as_str().unwrap());
    let credentials = format!("[anna]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(home.join(".aws/credentials"), credentials).unwrap();
    let aws = |arguments: &[&str]| plain(&bin.join("aws"), &host).args(arguments).output().unwrap();
    let who = aws(&["--profile", "deployer", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"]);
    assert_eq!(
        text(&who.stdout).trim(),
        "arn:aws:sts::111111111111:assumed-role/deployer/anna",
        "{}",
        text(&who.stderr)
    );
    // Without what was agreed on, the role is not to be had.
    let refused = aws(&["--profile", "stranger", "sts", "get-caller-identity"]);
    assert!(text(&refused.stderr).contains("AccessDenied"), "{}", text(&refused.stderr));

    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let endpoint = url.strip_prefix("https://").unwrap().to_string();
    let work = host.path("work");
    std::fs::create_dir_all(&work).unwrap();
    let git = |folder: &Path, arguments: &[&str]| {
        let mut command = plain(Path::new("git"), &host);
        command.env("PATH", &path).env("CODE_COMMIT_ENDPOINT", &endpoint).env("GIT_SSL_CAINFO", &ca);
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["-c", "user.name=Anna", "-c", "user.email=anna@example.com", "-c", "init.defaultBranch=main"]);
        command.args(arguments).current_dir(folder).output().unwrap()
    };
    let done = |folder: &Path, arguments: &[&str]| {
        let output = git(folder, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}\n{}", text(&output.stderr), host.log());
    };
    done(&work, &["clone", "-q", "codecommit://deployer@shop", "first"]);
    let first = work.join("first");
    done(&first, &["commit", "-q", "--allow-empty", "-m", "by anna"]);
    done(&first, &["push", "-q", "origin", "HEAD:refs/heads/topic"]);
    let refused = git(&first, &["push", "origin", "HEAD:refs/heads/main"]);
    assert!(text(&refused.stderr).contains("denied by policy deployer-leaves-main"), "{}", text(&refused.stderr));

    // The command line's credential helper signs without the port.
    let helper = "credential.helper=!aws --profile deployer codecommit credential-helper --ignore-host-check $@";
    let repository = format!("{url}/v1/repos/shop");
    let arguments =
        ["-c", helper, "-c", "credential.UseHttpPath=true", "clone", "-q", "-b", "topic", &repository, "second"];
    done(&work, &arguments);
    let tip = |folder: &Path| run(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(folder));
    assert_eq!(tip(&work.join("second")), tip(&first));

    // Sessions that are revoked are over; those that begin afterwards are not.
    let json = aws(&[
        "--profile",
        "anna",
        "sts",
        "assume-role",
        "--role-arn",
        "arn:aws:iam::111111111111:role/deployer",
        "--role-session-name",
        "kept",
        "--external-id",
        "contract-7",
    ]);
    let kept: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let as_kept = || {
        let of = |key: &str| kept["Credentials"][key].as_str().unwrap().to_string();
        let mut command = plain(&bin.join("aws"), &host);
        command.env("AWS_ACCESS_KEY_ID", of("AccessKeyId")).env("AWS_SECRET_ACCESS_KEY", of("SecretAccessKey"));
        command.env("AWS_SESSION_TOKEN", of("SessionToken")).env("AWS_CA_BUNDLE", &ca);
        command.args(["--endpoint-url", &url, "--region", "us-east-1", "sts", "get-caller-identity"]).output().unwrap()
    };
    assert!(text(&as_kept().stdout).contains("deployer/kept"), "{}", text(&as_kept().stderr));
    // A time before it began ends nothing, one that is to come is refused.
    let long_ago = "2026-01-31T00:00:00Z";
    host.admin(&["--account", "111111111111", "role", "revoke-sessions", "deployer", "--before", long_ago]);
    assert!(text(&as_kept().stdout).contains("deployer/kept"), "{}", text(&as_kept().stderr));
    let mut early = vec!["--account", "111111111111", "role", "revoke-sessions", "deployer", "--before"];
    early.push("2999-01-01T00:00:00Z");
    assert!(text(&host.try_admin(&early).stderr).contains("still to come"));
    host.admin(&["--account", "111111111111", "role", "revoke-sessions", "deployer"]);
    assert!(text(&as_kept().stderr).contains("InvalidClientTokenId"), "{}", text(&as_kept().stderr));
    // Git's door knows it, too; the client goes on showing the old session until its cache is gone.
    assert!(!git(&first, &["fetch", "-q"]).status.success());
    std::fs::remove_dir_all(home.join(".aws/boto/cache")).unwrap();
    done(&first, &["fetch", "-q"]);

    // A revoked key ends at once what it began, and anna herself never had a right here.
    let refused = git(&work, &["clone", "-q", "codecommit://anna@shop", "third"]);
    assert!(text(&refused.stderr).contains("not found"), "{}", text(&refused.stderr));
    host.admin(&["--account", "222222222222", "user", "disable", "anna"]);
    let ended = git(&work, &["clone", "-q", "codecommit://deployer@shop", "fourth"]);
    assert!(!ended.status.success());
}
