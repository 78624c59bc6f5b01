use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://issuer.example/tenant";
const NOW: i64 = 1_800_000_000;

/// A provider in memory.
#[derive(Clone, Default)]
struct Memory {
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
    n_asked: Arc<AtomicUsize>,
}

impl Fetch for Memory {
    fn get<'a>(&'a self, url: &'a str, _: usize) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        let found = self.documents.lock().get(url).map(|document| document.to_string().into_bytes());
        Box::pin(async move { found.ok_or_else(|| format!("`{url}` answers 404")) })
    }
}

impl Memory {
    fn with(keys: &[&Value]) -> Memory {
        let memory = Memory::default();
        memory.set(
            &format!("{ISSUER}/.well-known/openid-configuration"),
            json!({"issuer": ISSUER, "jwks_uri": "https://issuer.example/keys"}),
        );
        memory.set("https://issuer.example/keys", json!({ "keys": keys }));
        memory
    }

    fn set(&self, url: &str, document: Value) {
        self.documents.lock().insert(url.to_owned(), document);
    }

    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::SeqCst)
    }
}

struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    fn new(id: &'static str, algorithm: Algorithm) -> Signer {
        use base64::Engine;
        let pair = |kind| rcgen::KeyPair::generate_for(kind).unwrap();
        let of_key = |key: &EncodingKey| serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
        let (key, mut public) = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => {
                let is_short = algorithm == Algorithm::ES256;
                let kind = if is_short { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_ECDSA_P384_SHA384 };
                let key = EncodingKey::from_ec_der(&pair(kind).serialize_der());
                let public = of_key(&key);
                (key, public)
            }
            Algorithm::EdDSA => {
                let pair = pair(&rcgen::PKCS_ED25519);
                let x = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(pair.public_key_raw());
                let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig"});
                (EncodingKey::from_ed_der(&pair.serialize_der()), public)
            }
            _ => {
                // The key alone, without the 26 bytes that say of which algorithm it is (PKCS #8 around PKCS #1).
                let key = EncodingKey::from_rsa_der(&pair(&rcgen::PKCS_RSA_SHA256).serialize_der()[26..]);
                let public = of_key(&key);
                (key, public)
            }
        };
        public["kid"] = json!(id);
        Signer { id, algorithm, key, public }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.algorithm, claims)
    }

    fn sign_as(&self, algorithm: Algorithm, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

/// Making keys of RSA takes long.
static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::new("rsa", Algorithm::RS256));
static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new("ec", Algorithm::ES256));

fn provider() -> Provider {
    Provider { issuer_url: ISSUER.to_owned(), client_ids: ["sts.amazonaws.com".to_owned()].into() }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "repo:acme/shop:ref:refs/heads/main", "aud": "sts.amazonaws.com",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300, "actor": "alice", "run": 7, "protected": true, "list": [1],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn verify(memory: &Memory, token: &str) -> Result<WebIdentityClaims, WebIdentityError> {
    ProviderKeys::new(memory.clone()).verify(&provider(), token, NOW).await
}

#[tokio::test]
async fn right_tokens_of_each_algorithm() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let signer = Signer::new("k", algorithm);
        let found = verify(&Memory::with(&[&signer.public]), &signer.sign(&claims())).await;
        assert!(found.is_ok(), "{algorithm:?} {found:?}");
    }
    let memory = Memory::with(&[&EC.public, &RSA.public, &json!({"kty": "new"})]);
    for algorithm in [Algorithm::RS256, Algorithm::RS512, Algorithm::PS256] {
        let mut plain = RSA.public.clone();
        plain.as_object_mut().unwrap().remove("alg");
        let found = verify(&Memory::with(&[&plain]), &RSA.sign_as(algorithm, &claims())).await;
        assert!(found.is_ok(), "{algorithm:?} {found:?}");
    }
    let found = verify(&memory, &RSA.sign(&claims())).await.unwrap();
    assert_eq!(found.subject, "repo:acme/shop:ref:refs/heads/main");
    assert_eq!(found.audience, "sts.amazonaws.com");
    let others: Vec<(&str, &str)> = found.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(others, [("actor", "alice"), ("protected", "true"), ("run", "7")]);
}

#[tokio::test]
async fn tags_and_the_source_identity() {
    let mut tagged = claims();
    tagged["https://aws.amazon.com/tags"] =
        json!({"principal_tags": {"team": ["red"], "step": "1"}, "transitive_tag_keys": ["team"]});
    tagged["https://aws.amazon.com/source_identity"] = json!("alice");
    let memory = Memory::with(&[&EC.public]);
    let found = verify(&memory, &EC.sign(&tagged)).await.unwrap();
    assert_eq!(
        found.tags,
        BTreeMap::from([("team".to_owned(), "red".to_owned()), ("step".to_owned(), "1".to_owned())])
    );
    assert_eq!(found.transitive_tags, ["team".to_owned()].into());
    assert_eq!(found.source_identity.as_deref(), Some("alice"));
    for odd in [
        json!({"principal_tags": {"team": ["a", "b"]}}),
        json!({"principal_tags": {"team": 1}}),
        json!({"transitive_tag_keys": "x"}),
    ] {
        let refused = verify(&memory, &EC.sign(&with("https://aws.amazon.com/tags", odd))).await;
        assert!(matches!(refused, Err(WebIdentityError::Rejected(_))), "{refused:?}");
    }
}

// C6: wrong times, audiences, issuers.
#[tokio::test]
async fn what_is_signed_and_wrong_is_refused() {
    let memory = Memory::with(&[&EC.public]);
    let outcome = async |claims: Value| verify(&memory, &EC.sign(&claims)).await;
    assert!(outcome(claims()).await.is_ok());
    for wrong in [
        with("exp", json!(NOW - 61)),
        with("exp", json!(0)),
        with("iat", json!(NOW - 24 * 3600 - 1)),
        with("exp", json!(i64::MIN)),
    ] {
        assert_eq!(outcome(wrong.clone()).await, Err(WebIdentityError::Expired), "{wrong}");
    }
    for wrong in [
        without("exp"),
        without("iat"),
        without("sub"),
        without("aud"),
        with("exp", json!("tomorrow")),
        with("exp", Value::Null),
        with("iat", json!(NOW + 61)),
        with("nbf", json!(NOW + 61)),
        with("sub", json!("")),
        with("sub", json!("a\nb")),
        with("sub", json!("x".repeat(600))),
        with("sub", json!(["a"])),
        with("aud", json!([])),
        with("aud", json!([1])),
        with("azp", json!(7)),
    ] {
        let refused = outcome(wrong.clone()).await;
        assert!(matches!(refused, Err(WebIdentityError::Invalid(_))), "{wrong} {refused:?}");
    }
    for wrong in [
        with("iss", json!("https://issuer.example")),
        with("iss", json!("https://issuer.example/tenant/")),
        with("iss", json!("issuer.example/tenant")),
        without("iss"),
        with("aud", json!("other")),
        with("aud", json!("STS.amazonaws.com")),
        with("aud", json!(["sts.amazonaws.com", "other"])),
        with("long", json!("x".repeat(2000))),
        with("https://aws.amazon.com/source_identity", json!(1)),
    ] {
        let refused = outcome(wrong.clone()).await;
        assert!(matches!(refused, Err(WebIdentityError::Rejected(_))), "{wrong} {refused:?}");
    }
    let mut several = with("aud", json!(["other", "sts.amazonaws.com"]));
    several["azp"] = json!("other");
    assert!(matches!(outcome(several.clone()).await, Err(WebIdentityError::Rejected(_))));
    several["azp"] = json!("sts.amazonaws.com");
    assert_eq!(outcome(several).await.unwrap().audience, "sts.amazonaws.com");
    // Clocks may differ by a minute.
    assert!(outcome(with("exp", json!(NOW - 59))).await.is_ok());
    assert!(outcome(with("nbf", json!(NOW + 59))).await.is_ok());
}

// C6: `none`, shared secrets, one kind of key taken for another, keys that come along.
#[tokio::test]
async fn the_algorithm_is_the_keys() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL;
    let memory = Memory::with(&[&EC.public, &RSA.public]);
    let token = |header: Value, signature: &str| {
        format!("{}.{}.{signature}", URL.encode(header.to_string()), URL.encode(claims().to_string()))
    };
    let mut wrong = vec![
        token(json!({"alg": "none"}), ""),
        token(json!({"alg": "None", "kid": "ec"}), ""),
        token(json!({"alg": "none", "kid": "ec"}), "AAAA"),
        token(json!({"kid": "ec"}), "AAAA"),
        token(json!({"alg": "ES256", "kid": "ec"}), ""),
        token(json!({"alg": "ES256", "kid": "ec"}), &"A".repeat(86)),
        token(json!({"alg": "ES256", "kid": 7}), "AAAA"),
        token(json!({"alg": ["ES256"], "kid": "ec"}), "AAAA"),
        "a.b".to_owned(),
        String::new(),
        "...".to_owned(),
        format!("{}.e30", EC.sign(&claims())),
        "x".repeat(20_001),
    ];
    // The public key of RSA as a shared secret.
    for secret in [RSA.public["n"].as_str().unwrap().to_owned(), RSA.public.to_string()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { kid: Some("rsa".to_owned()), ..Header::new(algorithm) };
            wrong.push(encode(&header, &claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap());
        }
    }
    // Somebody else's key under a name that is known, brought along as well.
    let other = Signer::new("ec", Algorithm::ES256);
    wrong.push(other.sign(&claims()));
    let brought = Header {
        kid: Some("ec".to_owned()),
        jwk: Some(serde_json::from_value(other.public.clone()).unwrap()),
        jku: Some("https://evil.example/keys".to_owned()),
        x5u: Some("https://evil.example/key".to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    wrong.push(encode(&brought, &claims(), &other.key).unwrap());
    // A key that is for another algorithm, or for something else.
    wrong.push(RSA.sign_as(Algorithm::RS512, &claims()));
    // What the token holds to be critical.
    let right = EC.sign(&claims());
    let signed = right.split('.').collect::<Vec<_>>();
    wrong.push(format!(
        "{}.{}.{}",
        URL.encode(json!({"alg": "ES256", "kid": "ec", "crit": ["x"]}).to_string()),
        signed[1],
        signed[2]
    ));
    wrong.push(format!(
        "{}.{}.{}",
        URL.encode("{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"ec\"}"),
        signed[1],
        signed[2]
    ));
    // A claim twice, signed as it is.
    let payload = claims().to_string().replacen('{', "{\"sub\":\"repo:acme/other\",", 1);
    let twice = format!("{}.{}", signed[0], URL.encode(payload));
    let signature = jsonwebtoken::crypto::sign(twice.as_bytes(), &EC.key, Algorithm::ES256).unwrap();
    wrong.push(format!("{twice}.{signature}"));
    for token in wrong {
        let refused = verify(&memory, &token).await;
        assert!(
            matches!(refused, Err(WebIdentityError::Invalid(_) | WebIdentityError::Rejected(_))),
            "{} {refused:?}",
            &token[..token.len().min(300)]
        );
    }
    let for_encryption = |mut key: Value| {
        key["use"] = json!("enc");
        key
    };
    assert!(verify(&Memory::with(&[&for_encryption(EC.public.clone())]), &right).await.is_err());
    // Which key it was has to be sure.
    let mut twin = Signer::new("other", Algorithm::ES256).public;
    twin["kid"] = json!("ec");
    assert!(verify(&Memory::with(&[&EC.public, &twin]), &right).await.is_err());
}

#[tokio::test]
async fn keys_are_kept_and_change() {
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::ES256));
    let memory = Memory::with(&[&old.public]);
    let keys = ProviderKeys::new(memory.clone());
    let fresh = |at: i64| {
        let mut claims = claims();
        (claims["iat"], claims["nbf"], claims["exp"]) = (json!(at), json!(at), json!(at + 300));
        claims
    };
    let verify = async |signer: &Signer, at: i64| keys.verify(&provider(), &signer.sign(&fresh(at)), at).await;
    assert!(verify(&old, NOW).await.is_ok());
    for _ in 0..10 {
        assert!(verify(&old, NOW + 3599).await.is_ok());
    }
    assert_eq!(memory.n_asked(), 2);
    // A key that is new is asked for, once a minute at most, whoever asks.
    memory.set("https://issuer.example/keys", json!({"keys": [new.public, old.public]}));
    assert!(verify(&new, NOW + 3599).await.is_ok());
    assert_eq!(memory.n_asked(), 4);
    let stranger = Signer::new("stranger", Algorithm::ES256);
    for _ in 0..100 {
        assert!(matches!(verify(&stranger, NOW + 3600).await, Err(WebIdentityError::Invalid(_))));
    }
    assert_eq!(memory.n_asked(), 4);
    // A key that was taken back does not count once the provider has been asked again.
    memory.set("https://issuer.example/keys", json!({"keys": [new.public]}));
    assert!(verify(&old, NOW + 3600 + 3600).await.is_err());
    assert!(verify(&new, NOW + 3600 + 3600).await.is_ok());
    // The provider is away: for a day its keys go on counting.
    memory.documents.lock().clear();
    assert!(verify(&new, NOW + 7200 + 80_000).await.is_ok());
    assert!(matches!(verify(&new, NOW + 7200 + 86_401).await, Err(WebIdentityError::Communication(_))));
}

#[tokio::test]
async fn a_provider_speaks_for_itself() {
    let right = EC.sign(&claims());
    let discovery = format!("{ISSUER}/.well-known/openid-configuration");
    for document in [
        json!({"issuer": "https://other.example", "jwks_uri": "https://issuer.example/keys"}),
        json!({"jwks_uri": "https://issuer.example/keys"}),
        json!({"issuer": ISSUER}),
        json!({"issuer": ISSUER, "jwks_uri": "https://issuer.example/none"}),
        json!([]),
    ] {
        let memory = Memory::with(&[&EC.public]);
        memory.set(&discovery, document.clone());
        let refused = verify(&memory, &right).await;
        assert!(matches!(refused, Err(WebIdentityError::Communication(_))), "{document} {refused:?}");
    }
    // A token of another issuer makes the server ask nobody.
    let memory = Memory::with(&[&EC.public]);
    assert!(verify(&memory, &EC.sign(&with("iss", json!("https://other.example")))).await.is_err());
    assert_eq!(memory.n_asked(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // C6: any character of a token.
    #[test]
    fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let right = EC.sign(&claims());
        let at = at.index(right.len());
        let mut wrong = right.clone();
        wrong.replace_range(at..=at, &to);
        prop_assume!(wrong != right);
        let memory = Memory::with(&[&EC.public]);
        prop_assert!(runtime.block_on(verify(&memory, &right)).is_ok());
        prop_assert!(runtime.block_on(verify(&memory, &wrong)).is_err());
    }

    #[test]
    fn no_text_crashes(text in ".{0,300}") {
        prop_assert!(super::token::Token::parse(&text).is_err());
    }
}
