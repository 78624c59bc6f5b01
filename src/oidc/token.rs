//! One token: its parts, its signature, its claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::{Provider, WebIdentityClaims, WebIdentityError, invalid};
use crate::names::escape_for_people;

/// Longest token that is looked at, in bytes; AWS's own limit.
const MAX_TOKEN_BYTES: usize = 20_000;
/// Seconds that clocks may differ.
const LEEWAY: i64 = 60;
/// Seconds since its making for which a token counts at most.
const MAX_AGE: i64 = 24 * 3600;
/// Most other claims that policies see, and their longest value in bytes.
const MAX_CLAIMS: usize = 50;
const MAX_CLAIM_BYTES: usize = 1024;
const MAX_SUBJECT_BYTES: usize = 512;

/// A token taken apart, not believed yet.
pub(super) struct Token<'a> {
    /// What is signed.
    signed: &'a str,
    signature: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    claims: BTreeMap<String, Value>,
}

/// A JSON object that names no member twice.
struct Unique(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is given twice"));
                    }
                }
                Ok(Unique(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Token<'a>, WebIdentityError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(invalid(format!("it is longer than {MAX_TOKEN_BYTES} bytes")));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| invalid("it has no three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| invalid("it has no three parts"))?;
        if claims.contains('.') {
            return Err(invalid("it has more than three parts"));
        }
        let object = |part: &str, what: &str| -> Result<BTreeMap<String, Value>, WebIdentityError> {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok();
            let parsed = bytes.and_then(|bytes| serde_json::from_slice::<Unique>(&bytes).ok());
            parsed
                .map(|unique| unique.0)
                .ok_or_else(|| invalid(format!("its {what} is no JSON object without repetitions")))
        };
        let header = object(header, "header")?;
        // What a token says about itself: which key, which algorithm. Where to find keys is never the token's to say, and what
        // it holds to be critical is not known here.
        for name in ["crit", "enc", "zip", "b64"] {
            if header.contains_key(name) {
                return Err(invalid(format!("its header has `{name}`")));
            }
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm);
        let algorithm = algorithm.ok_or_else(|| invalid("its algorithm is none that is taken"))?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= 512 => Some(id.clone()),
            Some(_) => return Err(invalid("its `kid` is no text")),
        };
        Ok(Token { signed, signature, algorithm, key_id, claims: object(claims, "payload")? })
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    pub(super) fn check_issuer(&self, provider: &Provider) -> Result<(), WebIdentityError> {
        if self.text("iss") == Some(&provider.issuer_url) {
            return Ok(());
        }
        Err(WebIdentityError::Rejected("it is not of this provider".to_owned()))
    }

    /// Whether the key may have signed: of the right kind for the algorithm, meant for signatures, long enough.
    pub(super) fn fits(&self, key: &Jwk) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let is_for_signatures = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let says_algorithm = |said: &dyn fmt::Display| said.to_string() == format!("{:?}", self.algorithm);
        let of_kind = match (&key.algorithm, self.algorithm) {
            (AlgorithmParameters::RSA(rsa), RS256 | RS384 | RS512 | PS256 | PS384 | PS512) => {
                BASE64_URL_SAFE_NO_PAD.decode(&rsa.n).is_ok_and(|modulus| (256..=1024).contains(&modulus.len()))
            }
            (AlgorithmParameters::EllipticCurve(curve), ES256) => curve.curve == EllipticCurve::P256,
            (AlgorithmParameters::EllipticCurve(curve), ES384) => curve.curve == EllipticCurve::P384,
            (AlgorithmParameters::OctetKeyPair(pair), EdDSA) => pair.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        is_for_signatures && of_kind && key.common.key_algorithm.as_ref().is_none_or(|said| says_algorithm(said))
    }

    pub(super) fn verify(&self, key: &Jwk) -> Result<(), WebIdentityError> {
        let wrong = || invalid("its signature is not the provider's");
        let decoding = DecodingKey::from_jwk(key).map_err(|_| wrong())?;
        let verified = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &decoding, self.algorithm);
        if verified.is_ok_and(|is_right| is_right) { Ok(()) } else { Err(wrong()) }
    }

    /// What a token says whose signature is right.
    pub(super) fn claims(&self, provider: &Provider, now: i64) -> Result<WebIdentityClaims, WebIdentityError> {
        let expires = self.time("exp")?.ok_or_else(|| invalid("it has no `exp`"))?;
        let issued = self.time("iat")?.ok_or_else(|| invalid("it has no `iat`"))?;
        if now >= expires.saturating_add(LEEWAY) {
            return Err(WebIdentityError::Expired);
        }
        let begins = self.time("nbf")?.unwrap_or(issued).max(issued);
        if begins > now.saturating_add(LEEWAY) {
            return Err(invalid("its time has not begun"));
        }
        if now.saturating_sub(issued) > MAX_AGE {
            return Err(WebIdentityError::Expired);
        }
        let subject = self.text("sub").filter(|subject| (1..=MAX_SUBJECT_BYTES).contains(&subject.len()));
        let subject = subject.filter(|subject| !subject.chars().any(char::is_control));
        let subject = subject.ok_or_else(|| invalid("its `sub` is missing, too long or no plain text"))?.to_owned();
        let authorized_party = match self.claims.get("azp") {
            None => None,
            Some(Value::String(party)) if party.len() <= MAX_CLAIM_BYTES => Some(party.clone()),
            Some(_) => return Err(invalid("its `azp` is no text")),
        };
        let audience = self.audience(provider, authorized_party.as_deref())?;
        let (tags, transitive_tags) = self.tags()?;
        let source_identity = match self.claims.get(SOURCE_IDENTITY) {
            None => None,
            Some(Value::String(identity)) => Some(identity.clone()),
            Some(_) => return Err(WebIdentityError::Rejected(format!("its `{SOURCE_IDENTITY}` is no text"))),
        };
        let mut claims = BTreeMap::new();
        let known = ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", TAGS, SOURCE_IDENTITY];
        for (name, value) in self.claims.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(is_so) => is_so.to_string(),
                _ => continue,
            };
            if name.len() > MAX_CLAIM_BYTES || text.len() > MAX_CLAIM_BYTES || claims.len() == MAX_CLAIMS {
                let name = escape_for_people(name.as_bytes(), 40);
                return Err(WebIdentityError::Rejected(format!("its claim `{name}` is too long, or one too many")));
            }
            claims.insert(name.clone(), text);
        }
        Ok(WebIdentityClaims {
            subject,
            audience,
            authorized_party,
            expires,
            claims,
            tags,
            transitive_tags,
            source_identity,
        })
    }

    /// OpenID Connect Core 1.0, 3.1.3.7: where there are several, the authorized party has to be known, too.
    fn audience(&self, provider: &Provider, party: Option<&str>) -> Result<String, WebIdentityError> {
        let given: Vec<&str> = match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) if !several.is_empty() && several.len() <= 20 => several
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or_else(|| invalid("its `aud` is no text"))?,
            _ => return Err(invalid("its `aud` is missing or no text")),
        };
        let is_known = |audience: &str| provider.client_ids.contains(audience);
        let rejected = |why: &str| Err(WebIdentityError::Rejected(why.to_owned()));
        let Some(found) = given.iter().find(|audience| is_known(audience)) else {
            return rejected("its audience is none that the provider is registered with");
        };
        match party {
            Some(party) if !is_known(party) && given.len() > 1 => rejected("its authorized party is not known"),
            None if given.len() > 1 => rejected("it has several audiences and no authorized party"),
            _ => Ok((*found).to_owned()),
        }
    }

    /// `{"principal_tags": {"KEY": ["VALUE"]}, "transitive_tag_keys": ["KEY"]}`; values may stand without brackets.
    fn tags(&self) -> Result<(BTreeMap<String, String>, BTreeSet<String>), WebIdentityError> {
        let bad = || WebIdentityError::Rejected(format!("its `{TAGS}` has not the form that tags have"));
        let Some(given) = self.claims.get(TAGS) else { return Ok(Default::default()) };
        let mut tags = BTreeMap::new();
        for (key, value) in given.get("principal_tags").and_then(Value::as_object).into_iter().flatten() {
            let value = match value {
                Value::String(value) => value,
                Value::Array(values) => match values.as_slice() {
                    [Value::String(value)] => value,
                    _ => return Err(bad()),
                },
                _ => return Err(bad()),
            };
            tags.insert(key.clone(), value.clone());
        }
        let transitive = given.get("transitive_tag_keys").map_or(Some(Vec::new()), |keys| {
            keys.as_array().and_then(|keys| keys.iter().map(|key| key.as_str().map(str::to_owned)).collect())
        });
        Ok((tags, transitive.ok_or_else(bad)?.into_iter().collect()))
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// Seconds since the Unix epoch, fractions cut off.
    fn time(&self, claim: &str) -> Result<Option<i64>, WebIdentityError> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of floats is saturating, and times are compared only"
        )]
        let time = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
        time.map(Some).ok_or_else(|| invalid(format!("its `{claim}` is no time")))
    }
}

/// Signatures with the provider's private key; nothing that is shared, and not `none`.
fn algorithm(name: &str) -> Option<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let taken = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];
    taken.into_iter().find(|algorithm| format!("{algorithm:?}") == name)
}

const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
