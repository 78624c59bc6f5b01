//! Documents whose bodies are JSON: read with the version that they had, and written over it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::documents::Document;

/// Why a document is not given.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not what it should be.
    #[error("a document of kind `{kind}` cannot be read")]
    Damaged {
        /// Its kind.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// Something as it was read, with the version that it had; 0 if it is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// What was read.
    pub value: T,
    /// Its version.
    pub version: i64,
}

impl<T> Kept<T> {
    /// Something that is not kept yet.
    pub fn new(value: T) -> Kept<T> {
        Kept { value, version: 0 }
    }
}

/// What a document says.
pub fn read<T: DeserializeOwned>(kind: &'static str, document: Document) -> Result<Kept<T>, ShelfError> {
    let value = serde_json::from_slice(&document.body).map_err(|source| ShelfError::Damaged { kind, source })?;
    Ok(Kept { value, version: document.version })
}

/// The body of a document that says `value`.
pub fn body<T: Serialize>(kind: &'static str, value: &T) -> Result<Vec<u8>, ShelfError> {
    serde_json::to_vec(value).map_err(|source| ShelfError::Damaged { kind, source })
}
