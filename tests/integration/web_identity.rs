//! A role taken by a token of an OpenID provider, with AWS's client: no key anywhere.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::aws_clients::{admin, clients, plain, url};
use crate::support::{TestHost, text};

/// A provider with a certificate of its own.
struct Provider {
    issuer: String,
    certificate: String,
}

impl Provider {
    fn start(key: &Value) -> Provider {
        let pair = rcgen::KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("https://127.0.0.1:{}/tenant", listener.local_addr().unwrap().port());
        let documents = [
            (
                "/tenant/.well-known/openid-configuration",
                json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}),
            ),
            ("/tenant/keys", json!({ "keys": [key] })),
        ];
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that does not go through is the client's to report.
                let _ = answer(&config, stream, &documents);
            }
        });
        Provider { issuer, certificate: certificate.pem() }
    }
}

fn answer(config: &Arc<rustls::ServerConfig>, stream: TcpStream, documents: &[(&str, Value)]) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let path = text(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let found = documents.iter().find(|(at, _)| *at == path).map(|(_, document)| document.to_string());
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.unwrap_or_default();
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn key() -> (EncodingKey, Value) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
    public["kid"] = json!("k1");
    (key, public)
}

// C6 F1
#[test]
fn a_role_is_taken_by_a_providers_token() {
    let Some(bin) = clients() else { return };
    let (key, public) = key();
    let provider = Provider::start(&public);
    let mut host = TestHost::start();
    host.down();
    let certificates = host.path("provider.pem");
    std::fs::write(&certificates, &provider.certificate).unwrap();
    let trusted = [("SSL_CERT_FILE", certificates.to_str().unwrap())];
    let now = jiff::Timestamp::now().as_second();
    let sign = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": provider.issuer, "sub": "repo:acme/shop:ref:refs/heads/main", "aud": "sts.amazonaws.com", "iat": now - 5,
            "exp": now + 900, "actor": "alice", "https://aws.amazon.com/source_identity": "alice",
        });
        change(&mut claims);
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &key).unwrap()
    };
    let with = |name: &'static str, value: Value| sign(&move |claims: &mut Value| claims[name] = value.clone());
    let right = sign(&|_| {});
    let (other, _) = self::key();
    let forged = {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        let claims: Value = serde_json::from_slice(&payload(&right)).unwrap();
        encode(&header, &claims, &other).unwrap()
    };
    let none = format!("eyJhbGciOiJub25lIn0.{}.", right.split('.').nth(1).unwrap());
    let tokens = json!({
        "right": right,
        "other subject": with("sub", json!("repo:acme/other:ref:refs/heads/main")),
        "other actor": with("actor", json!("mallory")),
        "other audience": with("aud", json!("other")),
        "expired": with("exp", json!(now - 61)),
        "future": with("nbf", json!(now + 900)),
        "other key": forged,
        "none": none,
        "other issuer": with("iss", json!("https://127.0.0.1:1/tenant")),
        "inside": with("iss", json!("https://169.254.169.254")),
    });

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/web_identity.py");
    let run = |host: &TestHost, code: &str| {
        let admin = admin(host);
        let of = |key: &str| admin[key].as_str().unwrap().to_owned();
        let mut command = plain(&bin.join("python3"), host);
        command.args([script.to_str().unwrap(), &url(host), host.path("keys/ca.pem").to_str().unwrap()]);
        command.args([&of("account"), &of("accessKeyId"), &of("secretAccessKey"), &provider.issuer]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(tokens.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() == code.is_empty() && said.contains(code), "{said}\n{}", host.log());
    };
    // Addresses inside are not asked for keys unless the configuration has them: then nothing opens.
    host.up(&trusted);
    run(&host, "IDPCommunicationError");
    host.down();
    let mut host = TestHost::start();
    host.down();
    std::fs::write(host.path("lockgate.toml"), "[outbound]\nallow_addresses = [\"127.0.0.0/8\"]\n").unwrap();
    host.up(&trusted);
    run(&host, "");
}

fn payload(token: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()
}
