//! AWS Signature Version 4, looked at from the server: who says to have signed, and whether they did.
//!
//! Two steps, so that a door can look a key up in between and need not read a body for a stranger: [`Presented::parse`] takes the
//! head of a request apart, [`Presented::verify`] computes the signature again and compares in constant time. Source: AWS, IAM
//! User Guide, "Create a signed AWS API request"; what is refused beyond it is said at each place.
//!
//! INVARIANT: what counts for a request is signed. `host` and every `x-amz-*` header that is there must be among the signed
//! headers, and a header or parameter that stands twice where one is expected is refused.

mod canonical;
mod git;
mod keys;
pub mod signer;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use git::{FIRST_AGE_SECONDS, GitPassword, LATER_AGE_SECONDS};
pub use keys::SigningKeys;

/// The head of a request, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `POST`
    pub method: &'a str,
    /// The path, not decoded; `/` at least.
    pub path: &'a str,
    /// What follows the `?`, not decoded.
    pub query: Option<&'a str>,
    /// Names in lower case, in the order in which they came.
    pub headers: &'a [(String, Vec<u8>)],
}

/// Credentials that a request presents. Nothing is proven.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// `AKIA...` or `ASIA...`
    pub access_key_id: String,
    /// The session token that came with it.
    pub token: Option<String>,
    /// The region of the credential scope.
    pub region: String,
    /// The service of the credential scope.
    pub service: String,
    /// `yyyymmdd` of the credential scope.
    date: String,
    /// `yyyymmddThhmmssZ`
    timestamp: String,
    seconds: i64,
    signed_headers: Vec<String>,
    signature: [u8; 32],
    /// Seconds for which a presigned request counts; none for one with an `Authorization` header.
    expires: Option<i64>,
}

/// Why a signature is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// What is presented is not written as it has to be.
    #[error("{0}")]
    Incomplete(String),
    /// Another algorithm.
    #[error("the algorithm is not supported: sign with AWS4-HMAC-SHA256")]
    Algorithm,
    /// Something that counts is not signed, or the signature is another one.
    #[error("{0}")]
    Mismatch(String),
    /// It was signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - 15 min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest time that would count.
        earliest: String,
        /// Now.
        now: String,
    },
    /// It was signed in the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + 15 min.)")]
    Early {
        /// When it was signed.
        signed: String,
        /// The latest time that would count.
        latest: String,
        /// Now.
        now: String,
    },
}

/// How far clocks may be apart.
const MAX_SKEW_SECONDS: i64 = 15 * 60;
/// Longest life of a presigned request.
const MAX_EXPIRES_SECONDS: i64 = 604_800;
/// Longest `Authorization` header.
const MAX_AUTHORIZATION_BYTES: usize = 8 << 10;
const MAX_SIGNED_HEADERS: usize = 100;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

impl<'a> Head<'a> {
    /// The only header of that name; an error where there are several.
    fn header(&self, name: &str) -> Result<Option<&'a str>, SignatureError> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(incomplete(&format!("the header `{name}` is given twice")));
        }
        let text = |value: &'a Vec<u8>| {
            std::str::from_utf8(value).map_err(|_| incomplete(&format!("the header `{name}` is not text")))
        };
        first.map(|(_, value)| text(value)).transpose()
    }

    /// The only parameter of that name in the query, decoded; an error where there are several.
    fn parameter(&self, name: &str) -> Result<Option<String>, SignatureError> {
        let pairs = self.query.unwrap_or_default().split('&');
        let mut found = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (canonical::decode(key).as_deref() == Some(name.as_bytes())).then_some(value)
        });
        let first = found.next();
        if found.next().is_some() {
            return Err(incomplete(&format!("the parameter `{name}` is given twice")));
        }
        let Some(value) = first else { return Ok(None) };
        let text = canonical::decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Some).ok_or_else(|| incomplete(&format!("the parameter `{name}` is not percent-encoded text")))
    }
}

/// Says neither token nor signature.
impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presented({} for {} at {})", self.access_key_id, self.service, self.timestamp)
    }
}

impl Presented {
    /// Takes the head apart; none where it presents no signature at all.
    pub fn parse(head: &Head<'_>) -> Result<Option<Presented>, SignatureError> {
        let authorization = head.header("authorization")?;
        let algorithm = head.parameter("X-Amz-Algorithm")?;
        match (authorization, algorithm) {
            (None, None) => match head.parameter("AWSAccessKeyId")? {
                // Version 2, which some tools still write into URLs.
                Some(_) => Err(SignatureError::Algorithm),
                None => Ok(None),
            },
            (Some(_), Some(_)) => Err(incomplete("the request is signed by header and by query, and one may be")),
            (Some(text), None) => Presented::from_header(head, text).map(Some),
            (None, Some(algorithm)) => Presented::from_query(head, &algorithm).map(Some),
        }
    }

    fn from_header(head: &Head<'_>, text: &str) -> Result<Presented, SignatureError> {
        if text.len() > MAX_AUTHORIZATION_BYTES {
            return Err(incomplete("the Authorization header is too long"));
        }
        let Some((algorithm, rest)) = text.trim().split_once(' ') else {
            return Err(incomplete("the Authorization header has no parameters"));
        };
        check_algorithm(algorithm)?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(incomplete("the Authorization header has a parameter that is not known")),
            };
            if slot.replace(value).is_some() {
                return Err(incomplete("a parameter of the Authorization header is given twice"));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
            let message = "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.";
            return Err(incomplete(message));
        };
        let timestamp = match head.header("x-amz-date")? {
            Some(timestamp) => timestamp.to_owned(),
            None => match head.header("date")? {
                Some(date) => from_http_date(date).ok_or_else(|| incomplete("the Date header is not a date"))?,
                None => {
                    return Err(incomplete(
                        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
                    ));
                }
            },
        };
        let token = head.header("x-amz-security-token")?.map(str::to_owned);
        Presented::new(head, credential, signed_headers, signature, timestamp, token, None)
    }

    fn from_query(head: &Head<'_>, algorithm: &str) -> Result<Presented, SignatureError> {
        check_algorithm(algorithm)?;
        let needed =
            |name: &str| head.parameter(name)?.ok_or_else(|| incomplete(&format!("the parameter `{name}` is missing")));
        let expires = needed("X-Amz-Expires")?;
        let expires = expires.parse::<i64>().ok().filter(|seconds| (1..=MAX_EXPIRES_SECONDS).contains(seconds));
        let expires = expires.ok_or_else(|| incomplete("X-Amz-Expires lies between 1 and 604800 seconds"))?;
        let token = head.parameter("X-Amz-Security-Token")?;
        if token.is_some() && head.header("x-amz-security-token")?.is_some() {
            return Err(incomplete("the security token is given twice"));
        }
        Presented::new(
            head,
            &needed("X-Amz-Credential")?,
            &needed("X-Amz-SignedHeaders")?,
            &needed("X-Amz-Signature")?,
            needed("X-Amz-Date")?,
            token,
            Some(expires),
        )
    }

    fn new(
        head: &Head<'_>,
        credential: &str,
        signed_headers: &str,
        signature: &str,
        timestamp: String,
        token: Option<String>,
        expires: Option<i64>,
    ) -> Result<Presented, SignatureError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(incomplete("the credential is not KEY/DATE/REGION/SERVICE/aws4_request"));
        };
        let is_name = |text: &str, longest: usize| {
            (1..=longest).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !is_name(access_key_id, 128) || !is_name(region, 64) || !is_name(service, 64) {
            return Err(incomplete("the credential is not KEY/DATE/REGION/SERVICE/aws4_request"));
        }
        let seconds =
            seconds_of(&timestamp).ok_or_else(|| incomplete("the date of the signature is not YYYYMMDDThhmmssZ"))?;
        if timestamp[..8] != **date {
            return Err(SignatureError::Mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}'",
                crate::names::escape_for_people(date.as_bytes(), 20),
                &timestamp[..8]
            )));
        }
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
        let is_sorted = signed_headers.windows(2).all(|pair| pair[0] < pair[1]);
        let is_lower =
            signed_headers.iter().all(|name| !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase()));
        if signed_headers.len() > MAX_SIGNED_HEADERS || !is_sorted || !is_lower {
            return Err(incomplete("the signed headers are not names in lower case, sorted, once each"));
        }
        let unsigned = head.headers.iter().map(|(name, _)| name.as_str()).chain(["host"]).find(|name| {
            let counts = *name == "host" || name.starts_with("x-amz-");
            counts && !signed_headers.iter().any(|signed| signed == name)
        });
        if let Some(name) = unsigned {
            let shown = crate::names::escape_for_people(name.as_bytes(), 60);
            return Err(SignatureError::Mismatch(format!("the header `{shown}` has to be signed")));
        }
        if let Some(absent) = signed_headers.iter().find(|name| !head.headers.iter().any(|(other, _)| other == *name)) {
            let shown = crate::names::escape_for_people(absent.as_bytes(), 60);
            return Err(SignatureError::Mismatch(format!("the signed header `{shown}` is missing")));
        }
        let signature = from_hex(signature).ok_or_else(|| incomplete("the signature is not 64 hexadecimal digits"))?;
        Ok(Presented {
            access_key_id: (*access_key_id).to_owned(),
            token,
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            date: (*date).to_owned(),
            timestamp,
            seconds,
            signed_headers,
            signature,
            expires,
        })
    }

    /// Whether `secret` made the signature, over this head and a body of that SHA-256, and whether its time is now.
    pub fn verify(
        &self,
        head: &Head<'_>,
        secret: &SecretString,
        body_sha256: &[u8; 32],
        keys: &SigningKeys,
        now_seconds: i64,
    ) -> Result<(), SignatureError> {
        self.check_time(now_seconds)?;
        let request = canonical::request(head, &self.signed_headers, self.expires.is_some(), &hex(body_sha256));
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            self.timestamp,
            self.date,
            self.region,
            self.service,
            hex(&Sha256::digest(request.as_bytes()))
        );
        let scope = (self.date.as_str(), self.region.as_str(), self.service.as_str());
        let is_right =
            keys.with_key(&self.access_key_id, secret, scope, |key| is_signature(key, &to_sign, &self.signature));
        if is_right { Ok(()) } else { Err(mismatch()) }
    }

    fn check_time(&self, now: i64) -> Result<(), SignatureError> {
        let life = self.expires.map_or(MAX_SKEW_SECONDS, |expires| expires.max(1));
        if now > self.seconds + life {
            let earliest = timestamp_of(now - life);
            return Err(SignatureError::Expired { signed: self.timestamp.clone(), earliest, now: timestamp_of(now) });
        }
        if now < self.seconds - MAX_SKEW_SECONDS {
            let latest = timestamp_of(now + MAX_SKEW_SECONDS);
            return Err(SignatureError::Early { signed: self.timestamp.clone(), latest, now: timestamp_of(now) });
        }
        Ok(())
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), SignatureError> {
    if algorithm == ALGORITHM { Ok(()) } else { Err(SignatureError::Algorithm) }
}

fn incomplete(message: &str) -> SignatureError {
    SignatureError::Incomplete(message.to_owned())
}

/// Whether a signature is the one that `key` makes of a string, compared in constant time.
fn is_signature(key: &[u8; 32], to_sign: &str, signature: &[u8; 32]) -> bool {
    mac(key, to_sign.as_bytes()).ct_eq(signature).into()
}

fn mismatch() -> SignatureError {
    SignatureError::Mismatch(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".to_owned(),
    )
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        // Lower case only: a signature has one spelling.
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Seconds since the Unix epoch of `yyyymmddThhmmssZ`, which has exactly that form.
fn seconds_of(timestamp: &str) -> Option<i64> {
    let bytes = timestamp.as_bytes();
    let is_form = bytes.len() == 16
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !is_form {
        return None;
    }
    let number = |from: usize, to: usize| timestamp[from..to].parse::<i8>().ok();
    let year = timestamp[..4].parse::<i16>().ok()?;
    let date = jiff::civil::DateTime::new(
        year,
        number(4, 6)?,
        number(6, 8)?,
        number(9, 11)?,
        number(11, 13)?,
        number(13, 15)?,
        0,
    );
    Some(date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn timestamp_of(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// `Mon, 23 Nov 2026 10:00:00 GMT` as `yyyymmddThhmmssZ`.
fn from_http_date(date: &str) -> Option<String> {
    let time = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(timestamp_of(time.as_second()))
}
