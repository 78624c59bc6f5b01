//! Keys that sign commits, registered by who holds them: over the API, with a commit that proves it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lockgate::aws_client::{AwsClient, AwsClientOptions, AwsCredentials};
use lockgate::clock::Clock;
use serde_json::{Value, json};

use crate::aws_clients::url;
use crate::support::{Person, TestHost, run};

/// Calls an operation of the service `lockgate`; gives the status and the answer.
fn call(host: &TestHost, key: &AwsCredentials, operation: &str, input: &Value) -> (u16, Value) {
    let pem = std::fs::read(host.path("keys/ca.pem")).unwrap();
    let options = AwsClientOptions {
        region: "us-east-1".into(),
        timeout: Duration::from_secs(60),
        authorities: Some(reqwest::Certificate::from_pem_bundle(&pem).unwrap()),
        allow_plain_loopback: false,
    };
    let target = format!("Lockgate_20261123.{operation}");
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &*target)];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, answer) = runtime.block_on(async {
        let client = AwsClient::new(&url(host).parse().unwrap(), options).unwrap();
        client.call(key, "lockgate", &headers, input.to_string(), Clock::System.now_ms()).await.unwrap()
    });
    (status, serde_json::from_str(&answer).unwrap_or_default())
}

/// An access key of a person's.
fn access_key(host: &TestHost, person: &Person) -> AwsCredentials {
    let made = host.admin(&["--output", "json", "credential", "access-key", "create", &person.name]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let of = |name: &str| made[name].as_str().unwrap().to_owned();
    AwsCredentials { id: of("accessKeyId"), secret: of("secretAccessKey").into(), token: None }
}

/// An SSH key for signing; gives the file of its public half.
fn ssh_key(host: &TestHost, name: &str) -> std::path::PathBuf {
    let key = host.path(name);
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    key.with_extension("pub")
}

/// A commit with that message, signed by the key, as Git prints it.
fn signed(person: &Person, work: &Path, public: &Path, message: &str) -> String {
    let with = format!("user.signingkey={}", public.display());
    person.git(work, &["-c", "gpg.format=ssh", "-c", &with, "commit", "-q", "-S", "--allow-empty", "-m", message]);
    person.git(work, &["cat-file", "commit", "HEAD"])
}

// D5
#[test]
fn a_signing_key_is_registered_by_who_holds_it() {
    let host = TestHost::start();
    let policies = r#"
@id("main-is-signed")
forbid (principal, action in Action::"codecommit:ChangeRef", resource == Ref::"111111111111/shop/refs/heads/main")
unless { context.allCommitsSigned };

@id("own-signing-keys")
permit (principal is User, action in [Action::"lockgate:RegisterSigningKey", Action::"lockgate:ListSigningKeys", Action::"lockgate:DeleteSigningKey"], resource)
when { resource == principal };
"#;
    host.admin(&["repo", "create", "shop"]);
    std::fs::write(host.path("policies/111111111111/commits.cedar"), policies).unwrap();
    host.admin(&["policy", "apply"]);
    let alice = host.person("alice", &["developers"]);
    let bob = host.person("bob", &["developers"]);
    let (hers, his) = (access_key(&host, &alice), access_key(&host, &bob));
    let work = host.path("work");
    std::fs::create_dir_all(&work).unwrap();
    alice.git(&work, &["init", "-q"]);
    let public = ssh_key(&host, "signing");
    let text = std::fs::read_to_string(&public).unwrap();
    let said = "signing key of arn:aws:iam::111111111111:user/alice";
    let proof = signed(&alice, &work, &public, said);
    let register = |key: &AwsCredentials, user: Option<&str>, proof: &str| {
        let mut input = json!({"PublicKey": text, "Proof": BASE64_STANDARD.encode(proof)});
        if let Some(user) = user {
            input["UserName"] = user.into();
        }
        call(&host, key, "RegisterSigningKey", &input)
    };
    let refused = |(status, answer): (u16, Value), expected: u16, what: &str| {
        assert_eq!(status, expected, "{answer}");
        assert!(answer.to_string().contains(what), "{answer}");
    };

    // Bob has what everybody sees: her public key, and even the proof.
    refused(
        register(&his, None, &proof),
        400,
        "its message has to be `signing key of arn:aws:iam::111111111111:user/bob`",
    );
    refused(register(&his, Some("alice"), &proof), 400, "not authorized");
    // A proof by another key, without a signature, with other words in it, and none.
    let other = signed(&alice, &work, &ssh_key(&host, "other"), said);
    refused(register(&hers, None, &other), 400, "no commit that the key has signed");
    alice.git(&work, &["commit", "-q", "--allow-empty", "-m", said]);
    refused(register(&hers, None, &alice.git(&work, &["cat-file", "commit", "HEAD"])), 400, "is not signed");
    refused(
        register(&hers, None, &proof.replace(said, &said.replace("alice", "bob"))),
        400,
        "no commit that the key has signed",
    );
    refused(register(&hers, None, &signed(&alice, &work, &public, "first")), 400, "says something else");
    refused(register(&hers, None, ""), 400, "InvalidPublicKey");
    let listed = |key: &AwsCredentials| call(&host, key, "ListSigningKeys", &json!({}));
    assert_eq!(listed(&hers).1["SigningKeys"], json!([]));

    let (status, made) = register(&hers, None, &proof);
    assert_eq!(status, 200, "{made}");
    let id = made["SigningKey"]["SigningKeyId"].as_str().unwrap();
    assert_eq!(made["SigningKey"]["UserName"], "alice");
    assert!(made["SigningKey"]["Fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    assert_eq!(listed(&hers).1["SigningKeys"].as_array().unwrap().len(), 1);
    refused(register(&hers, None, &proof), 400, "Duplicate");

    // What it signs counts now, and when it is deleted no more.
    alice.git(&work, &["checkout", "-q", "--orphan", "fresh"]);
    signed(&alice, &work, &public, "one");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:main"]);
    refused(
        call(&host, &his, "DeleteSigningKey", &json!({"UserName": "alice", "SigningKeyId": id})),
        400,
        "not authorized",
    );
    let (status, answer) = call(&host, &hers, "DeleteSigningKey", &json!({"SigningKeyId": id}));
    assert_eq!(status, 200, "{answer}");
    signed(&alice, &work, &public, "two");
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:main"]);
    assert!(said.contains("main-is-signed"), "{said}");
    refused(call(&host, &hers, "DeleteSigningKey", &json!({"SigningKeyId": id})), 400, "NoSuchEntity");
}
