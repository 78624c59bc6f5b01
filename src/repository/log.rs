//! One entry of a repository's log: what a change did to refs and packs, who made it, by which decision.
//!
//! The bytes are `store/FORMAT.md`, "Log entry". They are sealed before they reach SQL; the hash of the sealed entry
//! before it chains the log, so that it can be verified without the keys.

use crate::names::{ObjectId, RefName};
use crate::store::file::FileMeta;

/// A change of one ref; `None` is "does not exist".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChange {
    /// Which ref.
    pub name: RefName,
    /// What it pointed at.
    pub old: Option<ObjectId>,
    /// What it points at now.
    pub new: Option<ObjectId>,
    /// What the annotated tag it points at leads to.
    pub peeled: Option<ObjectId>,
}

/// Where a pack came from, and so how it will be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackSource {
    /// Received in a push or an import. Laid out by another Git; will be joined with others.
    Receive,
    /// Several packs joined without a walk: cheap to make.
    Compact,
}

/// What is served of a pack, as the manifest says it.
#[derive(Debug, Clone, PartialEq)]
pub enum ServedFile {
    /// Every object.
    All,
    /// Those in a sealed bitmap.
    Bitmap {
        /// The bitmap.
        file: FileMeta,
        /// It is exactly what refs reach. If not, some objects that refs reach may be left out until a walk has looked.
        is_exact: bool,
    },
}

/// All that the manifest says of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackManifest {
    /// The sealed entries.
    pub pack: FileMeta,
    /// The sealed index.
    pub index: FileMeta,
    /// Objects in it.
    pub n_objects: u32,
    /// The checksum that ends the pack when it is sent as stored.
    pub trailer: Option<[u8; 20]>,
    /// Where it came from.
    pub source: PackSource,
    /// Every link of its objects ends in itself.
    pub is_closed: bool,
    /// Some object is in it twice.
    pub has_duplicates: bool,
    /// What refs reach of it.
    pub served: ServedFile,
}

/// One change of a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: the principal's ARN.
    pub actor: String,
    /// Ids of the decisions that allowed it.
    pub decisions: Vec<[u8; 16]>,
    /// Refs, in the order of the commands.
    pub refs: Vec<RefChange>,
    /// The branch that HEAD names from now on.
    pub head: Option<RefName>,
    /// Packs that are added.
    pub add_packs: Vec<PackManifest>,
    /// Packs that are dropped, by the id of their file.
    pub drop_packs: Vec<[u8; 16]>,
    /// What is served of packs that stay, by the id of their file.
    pub reserve: Vec<([u8; 16], ServedFile)>,
}

/// Bytes that are no log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log entry is damaged: {0}")]
pub struct DamagedEntry(&'static str);

impl DamagedEntry {
    pub(super) const UNKNOWN_VERSION: DamagedEntry = DamagedEntry("its version is unknown");
    pub(super) const BAD_FILE: DamagedEntry = DamagedEntry("it has a bad file");
    pub(super) const BAD_REF_NAME: DamagedEntry = DamagedEntry("it has a bad ref name");
    pub(super) const BAD_ID: DamagedEntry = DamagedEntry("an object id has another length");
    pub(super) const BYTES_FOLLOW: DamagedEntry = DamagedEntry("bytes follow its end");
}

const VERSION: u8 = 1;

impl LogEntry {
    /// An entry without changes.
    pub fn new(at_ms: i64, actor: String) -> LogEntry {
        LogEntry {
            at_ms,
            actor,
            decisions: Vec::new(),
            refs: Vec::new(),
            head: None,
            add_packs: Vec::new(),
            drop_packs: Vec::new(),
            reserve: Vec::new(),
        }
    }

    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(vec![VERSION]);
        out.0.extend_from_slice(&self.at_ms.to_be_bytes());
        out.bytes(self.actor.as_bytes());
        out.number(self.decisions.len() as u64);
        for id in &self.decisions {
            out.0.extend_from_slice(id);
        }
        out.number(self.refs.len() as u64);
        for change in &self.refs {
            out.bytes(change.name.as_bytes());
            for id in [&change.old, &change.new, &change.peeled] {
                out.id(id.as_ref());
            }
        }
        out.bytes(self.head.as_ref().map_or(&[][..], RefName::as_bytes));
        out.number(self.add_packs.len() as u64);
        for pack in &self.add_packs {
            out.pack(pack);
        }
        out.number(self.drop_packs.len() as u64);
        for id in &self.drop_packs {
            out.0.extend_from_slice(id);
        }
        out.number(self.reserve.len() as u64);
        for (id, served) in &self.reserve {
            out.0.extend_from_slice(id);
            out.served(served);
        }
        out.0
    }

    /// Reads an entry back.
    pub fn decode(bytes: &[u8]) -> Result<LogEntry, DamagedEntry> {
        let mut from = Decoder(bytes);
        if from.take(1)? != [VERSION] {
            return Err(DamagedEntry::UNKNOWN_VERSION);
        }
        let at_ms = i64::from_be_bytes(*from.take(8)?.first_chunk().expect("eight bytes were taken"));
        let actor = String::from_utf8(from.bytes()?.to_vec()).map_err(|_| DamagedEntry("its actor is not text"))?;
        let mut entry = LogEntry::new(at_ms, actor);
        for _ in 0..from.number()? {
            entry.decisions.push(from.file_id()?);
        }
        for _ in 0..from.number()? {
            let name = RefName::parse(from.bytes()?).map_err(|_| DamagedEntry::BAD_REF_NAME)?;
            let (old, new, peeled) = (from.id()?, from.id()?, from.id()?);
            entry.refs.push(RefChange { name, old, new, peeled });
        }
        let head = from.bytes()?;
        if !head.is_empty() {
            entry.head = Some(RefName::parse(head).map_err(|_| DamagedEntry("it has a bad HEAD"))?);
        }
        for _ in 0..from.number()? {
            entry.add_packs.push(from.pack()?);
        }
        for _ in 0..from.number()? {
            entry.drop_packs.push(from.file_id()?);
        }
        for _ in 0..from.number()? {
            entry.reserve.push((from.file_id()?, from.served()?));
        }
        if from.0.is_empty() { Ok(entry) } else { Err(DamagedEntry::BYTES_FOLLOW) }
    }
}

/// Appends numbers as LEB128, byte strings with their length before them.
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn id(&mut self, id: Option<&ObjectId>) {
        self.bytes(id.map_or(&[][..], |id| id.as_bytes()));
    }

    fn served(&mut self, served: &ServedFile) {
        match served {
            ServedFile::All => self.0.push(0),
            ServedFile::Bitmap { file, is_exact } => {
                self.0.push(if *is_exact { 1 } else { 2 });
                self.bytes(&file.encode());
            }
        }
    }

    pub(super) fn pack(&mut self, pack: &PackManifest) {
        self.bytes(&pack.pack.encode());
        self.bytes(&pack.index.encode());
        self.number(pack.n_objects.into());
        self.bytes(pack.trailer.as_ref().map_or(&[][..], |trailer| &trailer[..]));
        self.0.push(match pack.source {
            PackSource::Receive => 0,
            PackSource::Compact => 1,
        });
        self.0.push(u8::from(pack.is_closed) | u8::from(pack.has_duplicates) << 1);
        self.served(&pack.served);
    }
}

/// Reads what an [`Encoder`] wrote.
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], DamagedEntry> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(DamagedEntry("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DamagedEntry> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, DamagedEntry> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DamagedEntry("a number is too long"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DamagedEntry> {
        let n = usize::try_from(self.number()?).map_err(|_| DamagedEntry("a length is too large"))?;
        self.take(n)
    }

    pub(super) fn id(&mut self) -> Result<Option<ObjectId>, DamagedEntry> {
        let bytes = self.bytes()?;
        match <[u8; 20]>::try_from(bytes) {
            Ok(id) => Ok(Some(ObjectId::from(id))),
            Err(_) if bytes.is_empty() => Ok(None),
            Err(_) => Err(DamagedEntry::BAD_ID),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn file_id(&mut self) -> Result<[u8; 16], DamagedEntry> {
        Ok(*self.take(16)?.first_chunk().expect("sixteen bytes were taken"))
    }

    fn file(&mut self) -> Result<FileMeta, DamagedEntry> {
        FileMeta::decode(self.bytes()?).map_err(|_| DamagedEntry::BAD_FILE)
    }

    fn served(&mut self) -> Result<ServedFile, DamagedEntry> {
        match self.byte()? {
            0 => Ok(ServedFile::All),
            1 => Ok(ServedFile::Bitmap { file: self.file()?, is_exact: true }),
            2 => Ok(ServedFile::Bitmap { file: self.file()?, is_exact: false }),
            _ => Err(DamagedEntry("it has an unknown served set")),
        }
    }

    pub(super) fn pack(&mut self) -> Result<PackManifest, DamagedEntry> {
        let (pack, index) = (self.file()?, self.file()?);
        let n_objects = u32::try_from(self.number()?).map_err(|_| DamagedEntry("a count is too large"))?;
        let trailer = self.id()?.map(|id| *id.as_bytes().first_chunk().expect("ids have twenty bytes"));
        let source = match self.byte()? {
            0 => PackSource::Receive,
            1 => PackSource::Compact,
            _ => return Err(DamagedEntry("it has a pack of unknown source")),
        };
        let flags = self.byte()?;
        let served = self.served()?;
        let (is_closed, has_duplicates) = (flags & 1 != 0, flags & 2 != 0);
        Ok(PackManifest { pack, index, n_objects, trailer, source, is_closed, has_duplicates, served })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::file::FileKind;
    use proptest::prelude::*;

    fn sample() -> LogEntry {
        let mut entry = LogEntry::new(1_700_000_000_123, "arn:aws:iam::111111111111:user/alice".into());
        entry.decisions.push([7; 16]);
        entry.refs.push(RefChange {
            name: RefName::parse(b"refs/heads/main").unwrap(),
            old: None,
            new: Some(ObjectId::from([1; 20])),
            peeled: None,
        });
        entry.head = Some(RefName::parse(b"refs/heads/main").unwrap());
        entry.drop_packs.push([3; 16]);
        entry.reserve.push(([4; 16], ServedFile::All));
        entry
    }

    /// The value of `vector NAME = HEX` in `FORMAT.md`.
    fn vector(name: &str) -> Vec<u8> {
        let start = format!("vector {name} = ");
        let hex = include_str!("../store/FORMAT.md").lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    /// The entry that `FORMAT.md` describes beside its vector.
    fn described() -> LogEntry {
        let pack = FileMeta::decode(&vector("file-meta")).unwrap();
        let mut entry = sample();
        entry.add_packs.push(PackManifest {
            pack,
            index: FileMeta { kind: FileKind::Index, ..pack },
            n_objects: 300,
            trailer: Some([5; 20]),
            source: PackSource::Receive,
            is_closed: true,
            has_duplicates: false,
            served: ServedFile::Bitmap { file: FileMeta { kind: FileKind::Bitmap, ..pack }, is_exact: false },
        });
        entry
    }

    #[test]
    fn entries_survive_a_round_trip() {
        for entry in [sample(), described(), LogEntry::new(-1, String::new())] {
            assert_eq!(LogEntry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn format_md_has_this_entry() {
        assert_eq!(described().encode(), vector("log-entry"));
        assert_eq!(LogEntry::decode(&vector("log-entry")), Ok(described()));
        let hash = crate::repository::handle::entry_hash(&[1; 16], 1, &[0; 32], &vector("value"));
        assert_eq!(hash[..], vector("log-hash"));
    }

    proptest! {
        #[test]
        fn damaged_entries_are_refused_without_panic(cut in 0usize..500, at in 0usize..500, to: u8) {
            let mut bytes = described().encode();
            let n = bytes.len();
            prop_assert!(LogEntry::decode(&bytes[..cut % n]).is_err());
            bytes[at % n] = to;
            let _ = LogEntry::decode(&bytes);
        }
    }
}
