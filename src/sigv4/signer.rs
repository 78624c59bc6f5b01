//! Signs as clients do: for the command line, which asks a server, and for tests and benchmarks, which hold the check against it.

use sha2::{Digest, Sha256};

#[cfg(test)]
use super::git;
use super::{ALGORITHM, Head, SecretString, canonical, hex, keys, mac};

/// The `Authorization` header of a request whose headers are all signed, at `yyyymmddThhmmssZ`, with the key given and for the
/// service and region. The head has its `host` and its `x-amz-date` already, and every name in lower case.
pub fn authorization(
    head: &Head<'_>,
    body: &[u8],
    (id, secret): (&str, &str),
    (service, region): (&str, &str),
    at: &str,
) -> String {
    let mut names: Vec<String> = head.headers.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    let canonical = canonical::request(head, &names, false, &hex(&Sha256::digest(body)));
    let scope = format!("{}/{region}/{service}/aws4_request", &at[..8]);
    let to_sign = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = keys::derive(&SecretString::from(secret), &at[..8], region, service);
    let (names, signature) = (names.join(";"), hex(&mac(&*key, to_sign.as_bytes())));
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The password that a Git client makes, at `yyyymmddThhmmssZ`.
#[cfg(test)]
pub(crate) fn git_password(host: &str, path: &str, secret: &str, region: &str, at: &str) -> String {
    let to_sign = git::to_sign(host, path, &at[..15], region);
    let key = keys::derive(&SecretString::from(secret), &at[..8], region, "codecommit");
    format!("{at}{}", hex(&mac(&*key, to_sign.as_bytes())))
}
