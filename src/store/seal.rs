//! Sealing: how plaintext becomes bytes that may reach a disk. `FORMAT.md` specifies each byte of it.
//!
//! Two forms. A *file* is a header and segments of 64 KiB, each under AES-256-GCM with the file's own key, in the STREAM
//! construction: the nonce is the segment's number and whether it is the last, so that segments can be neither moved,
//! nor dropped, nor added. A *value* is one short byte string in a column, with a key of its own and its place as
//! additional data. Every key is used for one file or one value only, so no nonce can ever repeat under it, whatever
//! counter a restored backup would have gone back to.
//!
//! INVARIANT: there is no unauthenticated mode, at any size.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Plaintext bytes in a segment; the last one of a file may have fewer.
pub const SEGMENT_BYTES: usize = 64 << 10;
/// Bytes that sealing adds to a segment.
pub const TAG_BYTES: usize = 16;
/// Bytes of a sealed file before its first segment.
pub const HEADER_BYTES: usize = 76;
/// Bytes of a sealed segment that is not the last.
pub const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;

const MAGIC: &[u8; 4] = b"LGSF";
const FORMAT: u8 = 1;
/// HKDF-SHA256 and AES-256-GCM.
const SUITE: u8 = 1;
const VALUE_FORMAT: u8 = 1;

/// Thirty-two secret bytes, wiped when dropped; they are never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A fresh random key.
    pub fn random() -> Key {
        Key(Zeroizing::new(random()))
    }

    /// A key of given bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Key {
        Key(Zeroizing::new(*bytes))
    }

    /// The secret bytes.
    pub fn dangerous_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose, derived from this one.
    pub fn derive(&self, purpose: &str) -> Key {
        let mut out = Zeroizing::new([0; 32]);
        expand(&self.0, &[], &[b"lockgate v1 derive", purpose.as_bytes()], &mut *out);
        Key(out)
    }
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Why something sealed could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Shorter than the smallest that can be.
    #[error("it is cut off")]
    Truncated,
    /// It does not begin as it should.
    #[error("it is not in a format that this version knows")]
    UnknownFormat,
    /// The key commitment does not match: another key, another place, or a damaged header.
    #[error("it was sealed under another key or for another place")]
    WrongKey,
    /// A tag does not match: the bytes were changed.
    #[error("its authentication tag does not match")]
    Unauthentic,
}

/// Where a sealed file belongs: opened anywhere else, it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    /// The repository.
    pub repository: [u8; 16],
    /// The file.
    pub file: [u8; 16],
    /// What kind of file, as `FileKind`'s number.
    pub kind: u8,
    /// The data key's epoch.
    pub epoch: u32,
}

/// Seals or opens the segments of one file.
pub struct FileCipher {
    cipher: Aes256Gcm,
}

impl FileCipher {
    /// For a new file: the cipher and the header that goes first.
    pub fn create(data_key: &Key, place: &FilePlace, salt: [u8; 32]) -> (FileCipher, [u8; HEADER_BYTES]) {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4] = FORMAT;
        header[5] = SUITE;
        header[6] = place.kind;
        header[8..12].copy_from_slice(&place.epoch.to_be_bytes());
        header[12..44].copy_from_slice(&salt);
        let (cipher, commitment) = FileCipher::derive(data_key, place, &header[..44]);
        header[44..].copy_from_slice(&commitment);
        (cipher, header)
    }

    /// For a stored file, from its header.
    pub fn open(data_key: &Key, place: &FilePlace, header: &[u8]) -> Result<FileCipher, SealError> {
        let header: &[u8; HEADER_BYTES] = header.first_chunk().ok_or(SealError::Truncated)?;
        if &header[..4] != MAGIC || header[4] != FORMAT || header[5] != SUITE {
            return Err(SealError::UnknownFormat);
        }
        let (cipher, commitment) = FileCipher::derive(data_key, place, &header[..44]);
        let is_same_place = header[6] == place.kind && header[8..12] == place.epoch.to_be_bytes();
        if !is_same_place || !bool::from(commitment.ct_eq(&header[44..])) {
            return Err(SealError::WrongKey);
        }
        Ok(cipher)
    }

    /// The epoch that a header states, to choose the data key by.
    pub fn stated_epoch(header: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(*header.get(8..12)?.first_chunk()?))
    }

    fn derive(data_key: &Key, place: &FilePlace, header: &[u8]) -> (FileCipher, [u8; 32]) {
        let salt = &header[12..44];
        let mut out = Zeroizing::new([0; 64]);
        let info: [&[u8]; 4] = [b"lockgate v1 file", header, &place.repository, &place.file];
        expand(&data_key.0, salt, &info, &mut *out);
        let (key, commitment) = out.split_at(32);
        let cipher = Aes256Gcm::new_from_slice(key).expect("the key has 32 bytes");
        (FileCipher { cipher }, *commitment.first_chunk().expect("32 bytes are left"))
    }

    /// Seals a segment in place and appends its tag.
    pub fn seal_segment(&self, number: u64, is_last: bool, segment: &mut Vec<u8>) {
        let tag = self
            .cipher
            .encrypt_inout_detached(&segment_nonce(number, is_last), &[], segment.as_mut_slice().into())
            .expect("a segment is far below the cipher's limit");
        segment.extend_from_slice(&tag);
    }

    /// Opens a sealed segment in place; its tag is cut off.
    pub fn open_segment(&self, number: u64, is_last: bool, segment: &mut [u8]) -> Result<usize, SealError> {
        let len = segment.len().checked_sub(TAG_BYTES).ok_or(SealError::Truncated)?;
        let (data, tag) = segment.split_at_mut(len);
        let tag = Tag::try_from(&*tag).map_err(|_| SealError::Truncated)?;
        self.cipher
            .decrypt_inout_detached(&segment_nonce(number, is_last), &[], data.into(), &tag)
            .map_err(|_| SealError::Unauthentic)?;
        Ok(len)
    }
}

/// Three zero bytes, the number, the flag.
fn segment_nonce(number: u64, is_last: bool) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce.into()
}

/// Bytes of a sealed file that holds `plain` bytes; an empty file has one empty segment.
pub fn sealed_len(plain: u64) -> u64 {
    let n_segments = plain.div_ceil(SEGMENT_BYTES as u64).max(1);
    HEADER_BYTES as u64 + plain + n_segments * TAG_BYTES as u64
}

/// Seals a value for one place. `place` names it fully: table, column, row and the like.
pub fn seal_value(key: &Key, place: &[&[u8]], plain: &[u8]) -> Vec<u8> {
    seal_value_with(key, place, plain, random())
}

/// [`seal_value`] with a given salt: for the vectors of `FORMAT.md`.
fn seal_value_with(key: &Key, place: &[&[u8]], plain: &[u8], salt: [u8; 32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(33 + plain.len() + TAG_BYTES);
    out.push(VALUE_FORMAT);
    out.extend_from_slice(&salt);
    out.extend_from_slice(plain);
    let tag = value_cipher(key, &salt)
        .encrypt_inout_detached(&Nonce::default(), &join(place), (&mut out[33..]).into())
        .expect("a value is far below the cipher's limit");
    out.extend_from_slice(&tag);
    out
}

/// Opens a value at its place.
pub fn open_value(key: &Key, place: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    if sealed.len() < 33 + TAG_BYTES {
        return Err(SealError::Truncated);
    }
    if sealed[0] != VALUE_FORMAT {
        return Err(SealError::UnknownFormat);
    }
    let (body, tag) = sealed[33..].split_at(sealed.len() - 33 - TAG_BYTES);
    let tag = Tag::try_from(tag).map_err(|_| SealError::Truncated)?;
    let mut plain = body.to_vec();
    value_cipher(key, &sealed[1..33])
        .decrypt_inout_detached(&Nonce::default(), &join(place), plain.as_mut_slice().into(), &tag)
        .map_err(|_| SealError::Unauthentic)?;
    Ok(plain)
}

fn value_cipher(key: &Key, salt: &[u8]) -> Aes256Gcm {
    let mut out = Zeroizing::new([0; 32]);
    expand(&key.0, salt, &[b"lockgate v1 value"], &mut *out);
    Aes256Gcm::new_from_slice(&*out).expect("the key has 32 bytes")
}

/// HKDF-SHA256; each part of the info goes in with its length before it, so that no two lists of parts are alike.
fn expand(key: &[u8; 32], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let salt = if salt.is_empty() { None } else { Some(salt) };
    Hkdf::<Sha256>::new(salt, key).expand(&join(info), out).expect("HKDF gives up to 8,160 bytes");
}

/// The parts, each with its length as four bytes before it.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> std::collections::HashMap<String, String> {
        include_str!("FORMAT.md")
            .lines()
            .filter_map(|line| line.strip_prefix("vector "))
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| (name.trim().to_string(), value.trim().to_string()))
            .collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const PLACE: FilePlace = FilePlace { repository: [1; 16], file: [2; 16], kind: 1, epoch: 7 };

    #[test]
    fn format_md_has_these_vectors() {
        let key = Key::from_bytes(&[0x42; 32]);
        let (cipher, header) = FileCipher::create(&key, &PLACE, [0x24; 32]);
        let mut segment = b"hello".to_vec();
        cipher.seal_segment(0, true, &mut segment);
        let place: [&[u8]; 2] = [b"table", b"row"];
        let value = seal_value_with(&key, &place, b"hello", [0x24; 32]);
        let derived = key.derive("catalog");
        let ours = [
            ("file-header", hex(&header)),
            ("file-segment", hex(&segment)),
            ("value", hex(&value)),
            ("derive", hex(derived.dangerous_bytes())),
        ];
        let written = vectors();
        for (name, value) in ours {
            assert_eq!(written.get(name), Some(&value), "{name}");
        }
        assert_eq!(open_value(&key, &place, &value).unwrap(), b"hello");
    }

    // J1
    #[test]
    fn what_was_moved_or_changed_does_not_open() {
        let key = Key::random();
        let (cipher, header) = FileCipher::create(&key, &PLACE, random());
        let mut segment = vec![7; 100];
        cipher.seal_segment(3, false, &mut segment);
        let open = |number, is_last, mut bytes: Vec<u8>| cipher.open_segment(number, is_last, &mut bytes);
        assert_eq!(open(3, false, segment.clone()), Ok(100));
        assert_eq!(open(2, false, segment.clone()), Err(SealError::Unauthentic));
        assert_eq!(open(3, true, segment.clone()), Err(SealError::Unauthentic));
        for i in 0..segment.len() {
            let mut changed = segment.clone();
            changed[i] ^= 1;
            assert_eq!(open(3, false, changed), Err(SealError::Unauthentic));
        }
        for i in 0..header.len() {
            let mut changed = header;
            changed[i] ^= 1;
            assert!(FileCipher::open(&key, &PLACE, &changed).is_err(), "byte {i}");
        }
        for place in [
            FilePlace { repository: [9; 16], ..PLACE },
            FilePlace { file: [9; 16], ..PLACE },
            FilePlace { kind: 2, ..PLACE },
            FilePlace { epoch: 8, ..PLACE },
        ] {
            assert_eq!(FileCipher::open(&key, &place, &header).err(), Some(SealError::WrongKey));
        }
        assert_eq!(FileCipher::open(&Key::random(), &PLACE, &header).err(), Some(SealError::WrongKey));
        let value = seal_value(&key, &[b"a", b"bc"], b"x");
        assert!(open_value(&key, &[b"a", b"bc"], &value).is_ok());
        assert!(open_value(&key, &[b"ab", b"c"], &value).is_err());
        assert!(open_value(&key, &[b"a", b"bc"], &value[..20]).is_err());
    }

    // J3
    #[test]
    fn keys_and_nonces_do_not_repeat() {
        let key = Key::random();
        let salts: std::collections::HashSet<[u8; 32]> =
            (0..10_000).map(|_| FileCipher::create(&key, &PLACE, random()).1[12..44].try_into().unwrap()).collect();
        assert_eq!(salts.len(), 10_000);
    }
}
