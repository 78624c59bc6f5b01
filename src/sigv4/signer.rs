//! Signs as clients do: for tests and benchmarks, which hold the check against it. The server signs nothing.

use sha2::{Digest, Sha256};

use super::{ALGORITHM, Head, SecretString, canonical, git, hex, keys, mac};

/// The `Authorization` header of a request whose headers are all signed, at `yyyymmddThhmmssZ`, with the key and for the service
/// given, in `us-east-1`. The head has its `x-amz-date` already.
pub fn authorization(head: &Head<'_>, body: &[u8], (id, secret): (&str, &str), service: &str, at: &str) -> String {
    let mut names: Vec<String> = head.headers.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    let canonical = canonical::request(head, &names, false, &hex(&Sha256::digest(body)));
    let scope = format!("{}/us-east-1/{service}/aws4_request", &at[..8]);
    let to_sign = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = keys::derive(&SecretString::from(secret), &at[..8], "us-east-1", service);
    let (names, signature) = (names.join(";"), hex(&mac(&*key, to_sign.as_bytes())));
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The password that a Git client makes, at `yyyymmddThhmmssZ`.
pub fn git_password(host: &str, path: &str, secret: &str, region: &str, at: &str) -> String {
    let to_sign = git::to_sign(host, path, &at[..15], region);
    let key = keys::derive(&SecretString::from(secret), &at[..8], region, "codecommit");
    format!("{at}{}", hex(&mac(&*key, to_sign.as_bytes())))
}
