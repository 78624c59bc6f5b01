//! The unique ids of IAM's answers, such as `AIDA...`: made of the ids of records, so that they never change and are never given
//! again.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A user's.
pub fn user_id(id: Uuid) -> String {
    unique_id("AIDA", id)
}

/// A role's.
pub fn role_id(id: Uuid) -> String {
    unique_id("AROA", id)
}

/// A group's.
pub fn group_id(id: Uuid) -> String {
    unique_id("AGPA", id)
}

/// A managed policy's.
pub fn policy_id(id: Uuid) -> String {
    unique_id("ANPA", id)
}

/// `prefix` and 17 letters and digits: 85 bits of the record's id, hashed, so that they do not show when it was made.
fn unique_id(prefix: &str, id: Uuid) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let letters =
        digest.iter().take(17).map(|byte| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)]));
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_their_kind_and_their_record() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(user_id(a), user_id(a));
        assert_ne!(user_id(a), user_id(b));
        assert!(user_id(a).starts_with("AIDA") && role_id(a).starts_with("AROA"));
        assert_eq!(group_id(a).len(), 21);
        assert_eq!(policy_id(a)[4..], role_id(a)[4..]);
    }
}
