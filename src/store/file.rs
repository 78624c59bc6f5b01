//! Sealed files: immutable, written once as a stream, read at any place.
//!
//! A file's name in the blob store is random and made here; nothing from outside is ever part of it. Reading decrypts
//! single segments through the block cache; long reads in order go past the cache in stretches of a megabyte.
//!
//! Everything here blocks, and waits for the blob store through the runtime's handle: call it from threads that may
//! block, never from async code.

use std::io::{self, Write};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};

use super::keyring::{KeyRefusal, RepositoryKeys};
use super::seal::{
    FileCipher, FilePlace, HEADER_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES, SealError, TAG_BYTES, random, sealed_len,
};

/// Server-made, random.
pub type FileId = [u8; 16];

/// What a file holds; part of what its key is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FileKind {
    /// The raw entries of a pack, without header and trailer.
    Pack = 1,
    /// A pack's index.
    Index = 2,
    /// A served set.
    Bitmap = 3,
    /// A repository's state at one generation.
    Checkpoint = 4,
}

impl FileKind {
    fn from_u8(number: u8) -> Option<FileKind> {
        [FileKind::Pack, FileKind::Index, FileKind::Bitmap, FileKind::Checkpoint]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// All that is needed to open a file besides its key; it stands in the log entry that publishes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMeta {
    /// The file.
    pub id: FileId,
    /// What it holds.
    pub kind: FileKind,
    /// The epoch of its data key.
    pub epoch: u32,
    /// Bytes of plaintext.
    pub plain_len: u64,
    /// SHA-256 of the sealed bytes.
    pub sealed_sha256: [u8; 32],
}

/// Bytes that are no [`FileMeta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the description of a sealed file is damaged")]
pub struct DamagedMeta;

impl FileMeta {
    /// Bytes of an encoded description.
    pub const LEN: usize = 61;

    /// The description's bytes: id, kind, epoch, length, digest.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FileMeta::LEN);
        out.extend_from_slice(&self.id);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.plain_len.to_be_bytes());
        out.extend_from_slice(&self.sealed_sha256);
        out
    }

    /// Reads a description back.
    pub fn decode(bytes: &[u8]) -> Result<FileMeta, DamagedMeta> {
        let bytes: &[u8; FileMeta::LEN] = bytes.try_into().map_err(|_| DamagedMeta)?;
        Ok(FileMeta {
            id: *bytes[..16].first_chunk().ok_or(DamagedMeta)?,
            kind: FileKind::from_u8(bytes[16]).ok_or(DamagedMeta)?,
            epoch: u32::from_be_bytes(*bytes[17..21].first_chunk().ok_or(DamagedMeta)?),
            plain_len: u64::from_be_bytes(*bytes[21..29].first_chunk().ok_or(DamagedMeta)?),
            sealed_sha256: *bytes[29..].first_chunk().ok_or(DamagedMeta)?,
        })
    }
}

/// Why a sealed file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The blob store failed.
    #[error("the blob store failed at file `{file}`")]
    Blob {
        /// The file's name.
        file: String,
        /// Why.
        source: object_store::Error,
    },
    /// The file does not open: damaged, swapped, or sealed under another key.
    #[error("file `{file}` failed authentication at segment {segment}")]
    Unauthentic {
        /// The file's name.
        file: String,
        /// Which segment.
        segment: u64,
        /// Why.
        source: SealError,
    },
    /// The file has another length than its description says.
    #[error("file `{file}` is not as long as it should be")]
    Length {
        /// The file's name.
        file: String,
    },
    /// The sealed bytes are not those that were published, though each segment opens: the header was changed.
    #[error("file `{file}` does not have the digest that it was published with")]
    Digest {
        /// The file's name.
        file: String,
    },
    /// The epoch's key is not in the keyring.
    #[error("the data key of epoch {epoch} was destroyed")]
    NoSuchEpoch {
        /// The epoch.
        epoch: u32,
    },
    /// The repository's keys may not be used.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> io::Error {
        io::Error::other(error)
    }
}

/// Decrypted segments, up to a budget of bytes.
pub(super) type BlockCache = quick_cache::sync::Cache<(FileId, u64), Arc<[u8]>, SegmentWeight>;

#[derive(Clone)]
pub(super) struct SegmentWeight;

impl quick_cache::Weighter<(FileId, u64), Arc<[u8]>> for SegmentWeight {
    fn weight(&self, _: &(FileId, u64), segment: &Arc<[u8]>) -> u64 {
        segment.len() as u64 + 64
    }
}

/// What files are read and written through.
#[derive(Clone)]
pub(super) struct FileAccess {
    pub(super) blobs: Arc<dyn ObjectStore>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) cache: Arc<BlockCache>,
}

/// Where a file lies in the blob store.
pub(super) fn blob_path(id: &FileId) -> Path {
    let hex = uuid::Uuid::from_bytes(*id).simple().to_string();
    Path::from(format!("{}/{}", &hex[..2], &hex[2..]))
}

fn shown(id: &FileId) -> String {
    uuid::Uuid::from_bytes(*id).simple().to_string()
}

/// Bytes handed to the blob store at once.
const PART_BYTES: usize = 8 << 20;

/// Writes a sealed file as a stream. Dropped before [`SealedWriter::finish`], it leaves nothing.
pub struct SealedWriter {
    access: FileAccess,
    id: FileId,
    kind: FileKind,
    epoch: u32,
    cipher: FileCipher,
    segment: Vec<u8>,
    n_segments: u64,
    plain_len: u64,
    /// Sealed bytes that have not been handed on.
    sealed: Vec<u8>,
    hasher: Sha256,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl SealedWriter {
    pub(super) fn new(
        access: FileAccess,
        keys: &RepositoryKeys,
        id: FileId,
        kind: FileKind,
    ) -> Result<SealedWriter, FileError> {
        let (epoch, key) = keys.current()?;
        let place = FilePlace { repository: *keys.repository(), file: id, kind: kind as u8, epoch };
        let (cipher, header) = FileCipher::create(&key, &place, random());
        Ok(SealedWriter {
            access,
            id,
            kind,
            epoch,
            cipher,
            segment: Vec::with_capacity(SEALED_SEGMENT_BYTES),
            n_segments: 0,
            plain_len: 0,
            sealed: header.to_vec(),
            hasher: Sha256::new(),
            upload: None,
        })
    }

    /// The file's id.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// Bytes written so far.
    pub fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// Seals what is left and waits until the file is safe on disk.
    pub fn finish(mut self) -> Result<FileMeta, FileError> {
        self.seal(true);
        self.hasher.update(&self.sealed);
        let sealed = std::mem::take(&mut self.sealed);
        let path = blob_path(&self.id);
        let runtime = self.access.runtime.clone();
        let result = match self.upload.take() {
            None => runtime.block_on(self.access.blobs.put(&path, PutPayload::from(sealed))).map(|_| ()),
            Some(mut upload) => runtime.block_on(async {
                upload.put_part(PutPayload::from(sealed)).await?;
                upload.complete().await.map(|_| ())
            }),
        };
        result.map_err(|source| FileError::Blob { file: shown(&self.id), source })?;
        Ok(FileMeta {
            id: self.id,
            kind: self.kind,
            epoch: self.epoch,
            plain_len: self.plain_len,
            sealed_sha256: std::mem::take(&mut self.hasher).finalize().into(),
        })
    }

    fn seal(&mut self, is_last: bool) {
        self.cipher.seal_segment(self.n_segments, is_last, &mut self.segment);
        self.n_segments += 1;
        self.sealed.extend_from_slice(&self.segment);
        self.segment.clear();
    }

    fn hand_on(&mut self) -> Result<(), FileError> {
        self.hasher.update(&self.sealed);
        let part = PutPayload::from(std::mem::replace(
            &mut self.sealed,
            Vec::with_capacity(PART_BYTES + SEALED_SEGMENT_BYTES),
        ));
        let failed = |source| FileError::Blob { file: shown(&self.id), source };
        let runtime = self.access.runtime.clone();
        if self.upload.is_none() {
            let path = blob_path(&self.id);
            self.upload = Some(runtime.block_on(self.access.blobs.put_multipart(&path)).map_err(failed)?);
        }
        match &mut self.upload {
            Some(upload) => runtime.block_on(upload.put_part(part)).map_err(failed),
            None => Ok(()),
        }
    }
}

impl Write for SealedWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut rest = data;
        while !rest.is_empty() {
            // A full segment is sealed when more comes: only then is it known not to be the last.
            if self.segment.len() == SEGMENT_BYTES {
                self.seal(false);
                if self.sealed.len() >= PART_BYTES {
                    self.hand_on()?;
                }
            }
            let n = rest.len().min(SEGMENT_BYTES - self.segment.len());
            self.segment.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
        }
        self.plain_len += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            self.access.runtime.spawn(async move { upload.abort().await });
        }
    }
}

/// A sealed file open for reading.
#[derive(Clone)]
pub struct SealedFile {
    inner: Arc<Open>,
}

struct Open {
    access: FileAccess,
    meta: FileMeta,
    cipher: FileCipher,
    n_segments: u64,
    /// Asked before each piece: keys that may not be used any more end what was begun with them.
    keys: RepositoryKeys,
}

impl SealedFile {
    pub(super) fn open(access: FileAccess, keys: &RepositoryKeys, meta: &FileMeta) -> Result<SealedFile, FileError> {
        let key = keys.of_epoch(meta.epoch)?;
        let failed = |source| FileError::Blob { file: shown(&meta.id), source };
        let header_only =
            GetOptions { range: Some(GetRange::Bounded(0..HEADER_BYTES as u64)), ..GetOptions::default() };
        let (size, header) = access
            .runtime
            .block_on(async {
                let result = access.blobs.get_opts(&blob_path(&meta.id), header_only).await?;
                Ok((result.meta.size, result.bytes().await?))
            })
            .map_err(failed)?;
        // Segments that were added behind the last one are never read, so nothing but the size shows them.
        if size != sealed_len(meta.plain_len) {
            return Err(FileError::Length { file: shown(&meta.id) });
        }
        let place =
            FilePlace { repository: *keys.repository(), file: meta.id, kind: meta.kind as u8, epoch: meta.epoch };
        let cipher = FileCipher::open(&key, &place, &header).map_err(|source| FileError::Unauthentic {
            file: shown(&meta.id),
            segment: 0,
            source,
        })?;
        let n_segments = meta.plain_len.div_ceil(SEGMENT_BYTES as u64).max(1);
        Ok(SealedFile { inner: Arc::new(Open { access, meta: *meta, cipher, n_segments, keys: keys.clone() }) })
    }

    /// Bytes of plaintext.
    pub fn len(&self) -> u64 {
        self.inner.meta.plain_len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A segment's plaintext: 64 KiB, or what is left at the end.
    pub fn segment(&self, number: u64) -> Result<Arc<[u8]>, FileError> {
        self.inner.keys.check()?;
        let key = (self.inner.meta.id, number);
        self.inner.access.cache.get_or_insert_with(&key, || {
            let mut out = Vec::new();
            self.read_segments(number, 1, &mut |segment| {
                out.extend_from_slice(segment);
                Ok(())
            })
            .map_err(|error| match error {
                ReadError::File(error) => error,
                ReadError::Receiver(_) => FileError::Length { file: shown(&self.inner.meta.id) },
            })?;
            Ok(Arc::from(out))
        })
    }

    /// Fills `buffer` from `offset`.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FileError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len()) {
            return Err(FileError::Length { file: shown(&self.inner.meta.id) });
        }
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let segment = self.segment(at / SEGMENT_BYTES as u64)?;
            let within = (at % SEGMENT_BYTES as u64) as usize;
            let n = rest.len().min(segment.len() - within);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&segment[within..within + n]);
            rest = later;
            at += n as u64;
        }
        Ok(())
    }

    /// The whole plaintext, past the cache.
    pub fn read_all(&self) -> Result<Vec<u8>, FileError> {
        let mut out = Vec::with_capacity(self.len() as usize);
        self.read_segments(0, self.inner.n_segments, &mut |segment| {
            out.extend_from_slice(segment);
            Ok(())
        })
        .map_err(|error| match error {
            ReadError::File(error) => error,
            ReadError::Receiver(_) => FileError::Length { file: shown(&self.inner.meta.id) },
        })?;
        Ok(out)
    }

    /// Gives the bytes of `range` in order, past the cache.
    pub fn stream(&self, range: std::ops::Range<u64>, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if range.end > self.len() || range.start > range.end {
            return Err(FileError::Length { file: shown(&self.inner.meta.id) }.into());
        }
        let mut at = range.start / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
        let first = at / SEGMENT_BYTES as u64;
        let n = range.end.div_ceil(SEGMENT_BYTES as u64).saturating_sub(first);
        if range.is_empty() {
            return Ok(());
        }
        self.read_segments(first, n, &mut |segment| {
            let from = range.start.saturating_sub(at).min(segment.len() as u64) as usize;
            let to = (range.end - at).min(segment.len() as u64) as usize;
            at += segment.len() as u64;
            give(&segment[from..to])
        })
        .map_err(|error| match error {
            ReadError::File(error) => error.into(),
            ReadError::Receiver(error) => error,
        })
    }

    /// Checks the length, the sealed bytes against the digest, and every segment's tag. Reads the file twice.
    pub fn verify(&self) -> Result<(), FileError> {
        let Open { access, meta, n_segments, .. } = &*self.inner;
        let path = blob_path(&meta.id);
        let failed = |source| FileError::Blob { file: shown(&meta.id), source };
        let (size, digest) = access
            .runtime
            .block_on(async {
                let result = access.blobs.get(&path).await?;
                let size = result.meta.size;
                let mut hasher = Sha256::new();
                let mut bytes = result.into_stream();
                while let Some(part) = bytes.try_next().await? {
                    hasher.update(&part);
                }
                Ok((size, <[u8; 32]>::from(hasher.finalize())))
            })
            .map_err(failed)?;
        if size != sealed_len(meta.plain_len) {
            return Err(FileError::Length { file: shown(&meta.id) });
        }
        // The tags come first: they say where the damage is.
        self.read_segments(0, *n_segments, &mut |_| Ok(())).map_err(|error| match error {
            ReadError::File(error) => error,
            ReadError::Receiver(_) => FileError::Length { file: shown(&meta.id) },
        })?;
        if digest == meta.sealed_sha256 { Ok(()) } else { Err(FileError::Digest { file: shown(&meta.id) }) }
    }

    /// Reads and opens `n` segments from `first` on, sixteen at a time.
    fn read_segments(
        &self,
        first: u64,
        n: u64,
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let Open { access, meta, cipher, n_segments, keys } = &*self.inner;
        let end = (first + n).min(*n_segments);
        let total = sealed_len(meta.plain_len);
        let mut number = first;
        while number < end {
            keys.check().map_err(FileError::from)?;
            let upto = (number + 16).min(end);
            let from = HEADER_BYTES as u64 + number * SEALED_SEGMENT_BYTES as u64;
            let to = (HEADER_BYTES as u64 + upto * SEALED_SEGMENT_BYTES as u64).min(total);
            let bytes = access
                .runtime
                .block_on(access.blobs.get_range(&blob_path(&meta.id), from..to))
                .map_err(|source| FileError::Blob { file: shown(&meta.id), source })?;
            if bytes.len() as u64 != to - from {
                return Err(FileError::Length { file: shown(&meta.id) }.into());
            }
            let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| bytes::BytesMut::from(&shared[..]));
            for sealed in bytes.chunks_mut(SEALED_SEGMENT_BYTES) {
                let is_last = number + 1 == *n_segments;
                let len = cipher.open_segment(number, is_last, sealed).map_err(|source| FileError::Unauthentic {
                    file: shown(&meta.id),
                    segment: number,
                    source,
                })?;
                debug_assert_eq!(len, sealed.len() - TAG_BYTES);
                give(&sealed[..len]).map_err(ReadError::Receiver)?;
                number += 1;
            }
        }
        Ok(())
    }
}

/// Reading failed, or whoever took the bytes did.
enum ReadError {
    File(FileError),
    Receiver(io::Error),
}

impl From<FileError> for ReadError {
    fn from(error: FileError) -> ReadError {
        ReadError::File(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_md_has_this_description() {
        let vector = |name: &str| -> Vec<u8> {
            let start = format!("vector {name} = ");
            let hex = include_str!("FORMAT.md").lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
        };
        let sealed = [vector("file-header"), vector("file-segment")].concat();
        assert_eq!(sealed.len() as u64, sealed_len(5));
        let meta = FileMeta {
            id: [2; 16],
            kind: FileKind::Pack,
            epoch: 7,
            plain_len: 5,
            sealed_sha256: Sha256::digest(&sealed).into(),
        };
        assert_eq!(meta.encode(), vector("file-meta"));
        assert_eq!(FileMeta::decode(&vector("file-meta")), Ok(meta));
        assert_eq!(FileMeta::decode(&vector("file-meta")[1..]), Err(DamagedMeta));
        let mut unknown = vector("file-meta");
        unknown[16] = 9;
        assert_eq!(FileMeta::decode(&unknown), Err(DamagedMeta));
    }
}
