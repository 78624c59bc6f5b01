//! CodeCommit's operations, by AWS's own clients.

use std::collections::BTreeSet;
use std::path::Path;

use crate::aws_clients::{admin, clients, plain, url};
use crate::support::{TestHost, text};

// A1 A5 A6 B8 D1 D2 D4 D5 D11 I5
#[test]
fn each_operation_of_codecommit_has_its_effect() {
    let Some(bin) = clients() else { return };
    let mut host = TestHost::start();
    // A port that was free a moment ago is told to the server beforehand; the script listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(host.path("hook.secret"), "s3cret\n").unwrap();
    let secret = host.path("hook.secret");
    let settings = format!(
        "[outbound]\nallow_addresses = [\"127.0.0.0/8\"]\nallow_http = true\n[[webhooks]]\nname = \"signed\"\n\
         url = \"http://127.0.0.1:{port}/\"\nsecret_file = {secret:?}\n"
    );
    host.down();
    std::fs::write(host.path("lockgate.toml"), settings).unwrap();
    host.up(&[]);
    let admin = admin(&host);
    let of = |key: &str| admin[key].as_str().unwrap();
    host.admin(&["user", "create", "eve", "--group", "developers"]);
    host.admin(&["user", "create", "dora", "--group", "developers"]);
    host.admin(&["user", "address", "dora", "dora@example.com"]);
    let policy = r#"@id("api-is-hidden") forbid (principal == User::"111111111111/eve", action, resource)
when { resource is Repository && resource.name == "api" };
@id("guarded-branch") forbid (principal == User::"111111111111/eve", action in [Action::"codecommit:ChangeRef"], resource)
when { resource.name == "refs/heads/main" };
@id("guarded-path") forbid (principal, action == Action::"codecommit:WritePath", resource) when { resource.name like "infra/*" }
unless { principal == User::"111111111111/dora" };
@id("guarded-is-reviewed") forbid (principal, action in [Action::"codecommit:ChangeRef"], resource)
when { resource.name like "refs/heads/guarded*" && context.change != "create" }
unless { context has pullRequest && context.pullRequest.approvalCount >= 2 && context.pullRequest.pathOwnersApproved
    && !context.pullRequest.isAuthor && context.checksPassed.contains("build") };
@id("only-builders-say-build") forbid (principal, action == Action::"codecommit:PutCommitStatus", resource)
when { context.check == "build" } unless { principal == User::"111111111111/admin" };"#;
    std::fs::write(host.path("policies/111111111111/hidden.cedar"), policy).unwrap();
    host.admin(&["policy", "apply"]);
    let third = host.admin(&["--output", "json", "credential", "access-key", "create", "dora"]);
    let third: serde_json::Value = serde_json::from_str(&third).unwrap();
    let other = host.admin(&["--output", "json", "credential", "access-key", "create", "eve"]);
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    let endpoint = url(&host);
    let git_url = endpoint.replace("https://", &format!("https://{}:{}@", of("gitUserName"), of("gitPassword")));
    let folder = host.path("");
    let output = plain(&bin.join("python3"), &host)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/codecommit.py"))
        .args([&endpoint, host.path("keys/ca.pem").to_str().unwrap()])
        .args([of("account"), of("accessKeyId"), of("secretAccessKey")])
        .args([&format!("{git_url}/v1/repos/"), folder.to_str().unwrap()])
        .args([other["accessKeyId"].as_str().unwrap(), other["secretAccessKey"].as_str().unwrap()])
        .args([third["accessKeyId"].as_str().unwrap(), third["secretAccessKey"].as_str().unwrap(), &port.to_string()])
        .envs([("GIT_SSL_CAINFO", host.path("keys/ca.pem").to_str().unwrap()), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.com"), ("GIT_TERMINAL_PROMPT", "0")])
        .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.com")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}\n{}", text(&output.stdout), text(&output.stderr), host.log());
    let called: BTreeSet<String> = text(&output.stdout).lines().map(str::to_string).collect();
    let all = lockgate::api::operations().unwrap();
    let missing: Vec<String> = all
        .iter()
        .filter(|(service, ..)| service.signing_name() == "codecommit")
        .map(|(_, name, _)| format!("codecommit:{name}"))
        .filter(|name| !called.contains(name))
        .collect();
    assert!(missing.is_empty(), "not driven: {missing:?}");

    // As it stands in the README.
    let listed = plain(&bin.join("aws"), &host)
        .envs([("AWS_CONFIG_FILE", host.path("keys/aws/config"))])
        .envs([("AWS_SHARED_CREDENTIALS_FILE", host.path("keys/aws/credentials"))])
        .args(["--profile", "lockgate", "codecommit", "list-repositories", "--query", "repositories[].repositoryName"])
        .output()
        .unwrap();
    let names: Vec<String> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(names, ["api", "attacked", "edits", "merges", "past", "reviews", "tools"], "{}", text(&listed.stderr));
}

/// One request to a port that somebody is told of; gives what came.
fn told(listener: &std::net::TcpListener) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut n_bytes = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            n_bytes = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; n_bytes];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    String::from_utf8(body).unwrap()
}

// F5
#[test]
fn a_trigger_is_told_of_a_change_though_the_server_dies_after_it() {
    let Some(bin) = clients() else { return };
    let mut host = TestHost::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    host.down();
    let settings = "[outbound]\nallow_addresses = [\"127.0.0.0/8\"]\nallow_http = true\n";
    std::fs::write(host.path("lockgate.toml"), settings).unwrap();
    host.up(&[]);
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let triggers = format!(r#"[{{"name": "t", "destinationArn": "http://127.0.0.1:{port}/", "events": ["all"]}}]"#);
    let put = plain(&bin.join("aws"), &host)
        .envs([("AWS_CONFIG_FILE", host.path("keys/aws/config"))])
        .envs([("AWS_SHARED_CREDENTIALS_FILE", host.path("keys/aws/credentials"))])
        .args(["--profile", "lockgate", "codecommit", "put-repository-triggers", "--repository-name", "shop"])
        .args(["--triggers", &triggers])
        .output()
        .unwrap();
    assert!(put.status.success(), "{}", text(&put.stderr));
    host.down();
    host.up(&[("LOCKGATE_CRASH_AT", "publish:after-commit")]);
    let alice = alice.at(&host);
    alice.git_fails(&work, &["push", &alice.https("shop"), "main"]);
    host.await_death();
    host.up(&[]);
    let record: serde_json::Value = serde_json::from_str(&told(&listener)).unwrap();
    let reference = &record["Records"][0]["codecommit"]["references"][0];
    let tip = alice.git(&work, &["rev-parse", "main"]);
    assert_eq!(reference["ref"], "refs/heads/main");
    assert_eq!(reference["commit"].as_str(), Some(tip.trim()));
}
