//! `lockgate ssh-cert`: takes a role at a server and has an SSH key signed for the session.
//!
//! A client of the API like any other: it may run on a machine that has neither data nor configuration, with an access key from
//! the environment. The private key is never looked at.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use russh::keys::{Certificate, PublicKey};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::output::Output;
use crate::aws_client::{AwsClient, AwsClientOptions, AwsCredentials};
use crate::clock::Clock;
use crate::names::{PrincipalName, escape_for_people};
use crate::operations::admin::{AdminFailure, AdminReply};

/// Flags of `lockgate ssh-cert`. Credentials come from the environment, where other users of the machine do not see them.
#[derive(Debug, Args)]
pub(super) struct SshCert {
    /// The role to take, `arn:aws:iam::ACCOUNT:role/NAME`; left out where the credentials are a session's already
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// The public key to be signed [default: ~/.ssh/id_ed25519.pub]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the certificate is written [default: beside the key, where ssh finds it: id_ed25519-cert.pub]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The session's name
    #[arg(long, value_name = "NAME", value_parser = super::principal, default_value = "ssh-cert", requires = "role")]
    session_name: PrincipalName,
    /// How long, in seconds [default: an hour, or what the role allows]
    #[arg(long, value_name = "SECONDS", requires = "role")]
    duration: Option<u32>,
    /// A policy that narrows the session, in Cedar or in IAM's JSON
    #[arg(long, value_name = "FILE", requires = "role")]
    policy: Option<PathBuf>,
    /// What the role's owner has agreed on with you
    #[arg(long, value_name = "ID", requires = "role")]
    external_id: Option<String>,
    /// The server, such as https://git.example.com:8443
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    server: Url,
    /// Certificates that vouch for the server, such as its `ca.pem` [default: the system's]
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    ca: Option<PathBuf>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide = true)]
    access_key_id: String,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide = true, hide_env_values = true)]
    secret_access_key: SecretString,
    #[arg(long, env = "AWS_SESSION_TOKEN", hide = true, hide_env_values = true)]
    session_token: Option<SecretString>,
}

/// Longest file that is read.
const MAX_BYTES: usize = 128 << 10;
const TIMEOUT: Duration = Duration::from_secs(60);

impl SshCert {
    pub(super) fn run(self, output: &Output) -> ExitCode {
        match self.try_run() {
            Ok(reply) => {
                output.reply(&reply);
                ExitCode::SUCCESS
            }
            Err(failure) => {
                output.failure(&failure);
                ExitCode::from(1)
            }
        }
    }

    fn try_run(self) -> Result<AdminReply, AdminFailure> {
        let key_file = match &self.key {
            Some(file) => file.clone(),
            None => std::env::home_dir().unwrap_or_default().join(".ssh/id_ed25519.pub"),
        };
        let out = self.out.clone().unwrap_or_else(|| beside(&key_file));
        let public_key = super::credential::read_public_key(&key_file, super::credential::MAX_KEY_BYTES)?;
        let key = PublicKey::from_openssh(public_key.trim()).map_err(|error| AdminFailure {
            message: format!("`{}` holds no public key in OpenSSH's form", key_file.display()),
            causes: vec![error.to_string()],
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| AdminFailure::from_error(&error))?;
        let signed = runtime.block_on(self.ask(&public_key))?;
        let certificate = Certificate::from_openssh(&signed.certificate)
            .ok()
            .filter(|certificate| certificate.public_key() == key.key_data())
            .ok_or_else(|| AdminFailure::new("the server's answer is no certificate of this key"))?;
        write(&out, &signed.certificate).map_err(|error| AdminFailure {
            message: format!("failed to write `{}`", out.display()),
            causes: vec![error.to_string()],
        })?;
        let until = i64::try_from(certificate.valid_before()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let until = until.map(|time| time.to_string()).unwrap_or_default();
        let session = escape_for_people(certificate.key_id().as_bytes(), 300);
        let known_hosts = escape_for_people(signed.known_hosts.as_bytes(), 1000);
        let text = format!(
            "{}: {session} until {until}\nservers are known by this line in known_hosts:\n{known_hosts}",
            out.display()
        );
        let json = json!({
            "certificate": out, "session": certificate.key_id(), "expiresAt": until, "knownHosts": signed.known_hosts,
        });
        Ok(AdminReply::ok(text, json))
    }

    async fn ask(self, public_key: &str) -> Result<Signed, AdminFailure> {
        let server = client(&self.server, self.ca.as_deref())?;
        let own = AwsCredentials { id: self.access_key_id, secret: self.secret_access_key, token: self.session_token };
        let credentials = match &self.role {
            None => own,
            Some(role) => {
                let policy = self.policy.as_deref().map(read).transpose()?;
                // A URL's query is a form.
                let mut url = self.server.clone();
                url.set_query(None);
                let mut form = url.query_pairs_mut();
                form.append_pair("Action", "AssumeRole").append_pair("Version", "2011-06-15");
                form.append_pair("RoleArn", role).append_pair("RoleSessionName", self.session_name.as_str());
                let duration = self.duration.map(|seconds| seconds.to_string());
                let more = [("DurationSeconds", &duration), ("Policy", &policy), ("ExternalId", &self.external_id)];
                for (name, value) in more {
                    if let Some(value) = value {
                        form.append_pair(name, value);
                    }
                }
                drop(form);
                let form = url.query().unwrap_or_default().to_owned();
                let answer = call(&server, &own, "sts", &[("content-type", FORM)], form).await?;
                let of = |name| {
                    element(&answer, name)
                        .ok_or_else(|| AdminFailure::new("the server's answer to AssumeRole has no credentials"))
                };
                AwsCredentials {
                    id: of("AccessKeyId")?,
                    secret: of("SecretAccessKey")?.into(),
                    token: Some(of("SessionToken")?.into()),
                }
            }
        };
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];
        let body = json!({ "PublicKey": public_key }).to_string();
        let answer = call(&server, &credentials, "lockgate", &headers, body).await?;
        serde_json::from_str(&answer).map_err(|error| AdminFailure {
            message: "the server's answer cannot be read".into(),
            causes: vec![error.to_string()],
        })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const TARGET: &str = "Lockgate_20261123.SignSshCertificate";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    certificate: String,
    known_hosts: String,
}

/// A client of this server; `ca` is the file of the only authorities that are trusted.
fn client(url: &Url, ca: Option<&Path>) -> Result<AwsClient, AdminFailure> {
    let authorities = match ca {
        None => None,
        Some(file) => {
            let certificates = reqwest::Certificate::from_pem_bundle(read(file)?.as_bytes());
            Some(certificates.map_err(|error| AdminFailure {
                message: format!("`{}` holds no certificates", file.display()),
                causes: vec![error.to_string()],
            })?)
        }
    };
    // A server takes signatures of any region.
    let region = "us-east-1".to_owned();
    let options = AwsClientOptions { region, timeout: TIMEOUT, authorities, allow_plain_loopback: false };
    AwsClient::new(url, options).map_err(|error| AdminFailure::from_error(&error))
}

/// Gives the answer of a call that succeeded.
async fn call(
    server: &AwsClient,
    credentials: &AwsCredentials,
    service: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<String, AdminFailure> {
    let answered = server.call(credentials, service, headers, body, Clock::System.now_ms()).await;
    match answered.map_err(|error| AdminFailure::from_error(&error))? {
        (200, answer) => Ok(answer),
        (status, answer) => Err(AdminFailure {
            message: format!("`{}` refuses with status {status}", server.url()),
            causes: refusal(&answer).into_iter().collect(),
        }),
    }
}

/// What the server says of a refusal, in JSON or in XML.
fn refusal(answer: &str) -> Option<String> {
    let json: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    let text = match &json {
        Some(json) => ["message", "Message"].iter().find_map(|name| json.get(name)?.as_str()).map(str::to_owned),
        None => element(answer, "Message"),
    };
    text.map(|text| escape_for_people(text.as_bytes(), 2000))
}

/// The text of the first element of that name, which has no attributes and no children.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    Some(plain.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain)))
}

/// `id_ed25519-cert.pub` for `id_ed25519.pub`: where OpenSSH looks.
fn beside(key: &Path) -> PathBuf {
    let name = key.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".pub").unwrap_or(&name);
    key.with_file_name(format!("{name}-cert.pub"))
}

fn read(path: &Path) -> Result<String, AdminFailure> {
    let failed =
        |cause: String| AdminFailure { message: format!("failed to read `{}`", path.display()), causes: vec![cause] };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    match text.len() > MAX_BYTES {
        true => Err(failed("it is too long".into())),
        false => Ok(text),
    }
}

/// Replaces the file whole: an `ssh` that runs meanwhile reads the old certificate or the new one.
fn write(path: &Path, certificate: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", certificate.trim_end())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_lie_where_ssh_looks() {
        for (key, certificate) in [
            ("/h/.ssh/id_ed25519.pub", "/h/.ssh/id_ed25519-cert.pub"),
            ("id", "id-cert.pub"),
            ("a.b/k.pub.pub", "a.b/k.pub-cert.pub"),
        ] {
            assert_eq!(beside(Path::new(key)), Path::new(certificate));
        }
    }

    #[test]
    fn answers_are_read() {
        let xml = "<A><Code>X</Code><Message>a &lt;b&gt; &amp;lt; c</Message></A>";
        assert_eq!(element(xml, "Code").as_deref(), Some("X"));
        assert_eq!(refusal(xml).as_deref(), Some("a <b> &lt; c"));
        assert!(!refusal(r#"{"__type": "X", "message": "no\u001b"}"#).unwrap().contains('\u{1b}'));
        assert_eq!(element("<A>", "A"), None);
        assert_eq!(refusal("gone"), None);
    }
}
