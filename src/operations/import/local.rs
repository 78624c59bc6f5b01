//! A repository on this machine, read as files: HEAD, loose and packed refs, packs, loose objects. One pack stream is made of
//! it: the packs' entries one after another as they lie (offset deltas stay right, since each pack stays in one piece), then
//! the loose objects. Nothing in the folder is run, and symbolic links among refs are not followed.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sha1::Digest;

use super::{ImportError, Source};
use crate::names::ObjectId;
use crate::repository::object::ObjectKind;
use crate::repository::pack::entry::{EntryHeader, EntryKind};

/// Largest loose object that is taken, in bytes.
const MAX_LOOSE_BYTES: u64 = 512 << 20;
const MAX_REF_FILES: usize = 1_000_000;

pub(super) fn open(path: &Path) -> Result<Source<'static>, ImportError> {
    let bad = |reason: &str| ImportError::BadFolder { path: path.to_path_buf(), reason: reason.to_string() };
    let folder = if path.join("objects").is_dir() { path.to_path_buf() } else { path.join(".git") };
    if !folder.join("objects").is_dir() || !folder.join("HEAD").exists() {
        return Err(bad("it is no Git repository"));
    }
    if folder.join("reftable").exists() {
        return Err(bad("its refs are a reftable, which is not read; convert it: git refs migrate --ref-format=files"));
    }
    if folder.join("shallow").exists() {
        return Err(bad("it is a shallow clone; complete it first: git fetch --unshallow"));
    }
    let config = fs::read_to_string(folder.join("config")).unwrap_or_default().to_ascii_lowercase();
    if config.contains("objectformat") && config.contains("sha256") {
        return Err(bad("it uses SHA-256, which is not supported yet"));
    }
    let packs_folder = folder.join("objects/pack");
    let mut packs: Vec<PathBuf> = Vec::new();
    if packs_folder.is_dir() {
        for entry in fs::read_dir(&packs_folder)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("pack") => packs.push(path),
                Some("promisor") => return Err(bad("it is a partial clone; clone it whole first")),
                _ => {}
            }
        }
    }
    packs.sort();
    let refs = read_refs(&folder)?;
    let head = fs::read_to_string(folder.join("HEAD"))?;
    let head = head.trim().strip_prefix("ref: ").map(|name| name.trim().as_bytes().to_vec());
    let pack = LocalPack::new(&folder, packs)?;
    Ok(Source { refs, head, pack: Box::new(pack) })
}

fn read_refs(folder: &Path) -> Result<Vec<(Vec<u8>, ObjectId)>, ImportError> {
    let mut refs: BTreeMap<Vec<u8>, ObjectId> = BTreeMap::new();
    let mut symbolic: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    if let Ok(text) = fs::read(folder.join("packed-refs")) {
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^"))
        {
            if let Some((id, name)) = line.split_at_checked(40)
                && let (Ok(id), Some(name)) = (ObjectId::from_hex(id), name.strip_prefix(b" "))
            {
                refs.insert(name.to_vec(), id);
            }
        }
    }
    let mut stack = vec![folder.join("refs")];
    let mut n_files = 0;
    while let Some(next) = stack.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                stack.push(entry.path());
            } else if kind.is_file() {
                n_files += 1;
                if n_files > MAX_REF_FILES {
                    return Err(io::Error::other("there are more than a million loose refs").into());
                }
                let path = entry.path();
                let relative = path.strip_prefix(folder).map_err(io::Error::other)?;
                let name = std::os::unix::ffi::OsStrExt::as_bytes(relative.as_os_str()).to_vec();
                let mut text = Vec::new();
                File::open(&path)?.take(4096).read_to_end(&mut text)?;
                let text = text.trim_ascii();
                if let Some(target) = text.strip_prefix(b"ref: ") {
                    symbolic.push((name, target.to_vec()));
                } else if let Ok(id) = ObjectId::from_hex(text) {
                    refs.insert(name, id);
                }
            }
        }
    }
    for (name, target) in symbolic {
        if let Some(id) = refs.get(&target).copied() {
            refs.insert(name, id);
        }
    }
    Ok(refs.into_iter().collect())
}

/// All objects of a folder as one pack.
struct LocalPack {
    hasher: sha1::Sha1,
    /// What is to be given out next.
    ready: Vec<u8>,
    at: usize,
    packs: Vec<PathBuf>,
    current: Option<io::Take<BufReader<File>>>,
    loose: Vec<(PathBuf, String)>,
    is_finished: bool,
}

impl LocalPack {
    fn new(folder: &Path, packs: Vec<PathBuf>) -> Result<LocalPack, ImportError> {
        let mut n_objects = 0u64;
        let mut packed = HashSet::new();
        for pack in &packs {
            let mut header = [0; 12];
            File::open(pack)?.read_exact(&mut header)?;
            if &header[..4] != b"PACK" {
                return Err(io::Error::other(format!("{} is not a pack", pack.display())).into());
            }
            n_objects += u64::from(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
            packed_ids(&pack.with_extension("idx"), &mut packed)?;
        }
        let mut loose = Vec::new();
        for entry in fs::read_dir(folder.join("objects"))? {
            let entry = entry?;
            let prefix = entry.file_name().to_string_lossy().into_owned();
            if prefix.len() != 2 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                let hex = format!("{prefix}{}", file.file_name().to_string_lossy());
                if let Ok(id) = ObjectId::from_hex(hex.as_bytes())
                    && !packed.contains(id.as_bytes())
                {
                    loose.push((file.path(), hex));
                }
            }
        }
        n_objects += loose.len() as u64;
        let n_objects =
            u32::try_from(n_objects).map_err(|_| io::Error::other("it has more objects than a pack can hold"))?;
        let mut header = b"PACK\0\0\0\x02".to_vec();
        header.extend_from_slice(&n_objects.to_be_bytes());
        let mut packs = packs;
        packs.reverse();
        let mut out = LocalPack {
            hasher: sha1::Sha1::new(),
            ready: Vec::new(),
            at: 0,
            packs,
            current: None,
            loose,
            is_finished: false,
        };
        out.give(header);
        Ok(out)
    }

    fn give(&mut self, bytes: Vec<u8>) {
        self.hasher.update(&bytes);
        self.ready = bytes;
        self.at = 0;
    }

    /// Makes the next part ready; nothing at the end.
    fn next_part(&mut self) -> io::Result<()> {
        loop {
            if let Some(current) = &mut self.current {
                let mut part = vec![0; 256 << 10];
                let n = current.read(&mut part)?;
                if n == 0 && current.limit() > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if n > 0 {
                    part.truncate(n);
                    self.give(part);
                    return Ok(());
                }
                self.current = None;
            } else if let Some(path) = self.packs.pop() {
                let mut file = BufReader::new(File::open(&path)?);
                let len = file.get_ref().metadata()?.len();
                file.seek(SeekFrom::Start(12))?;
                self.current = Some(file.take(len.saturating_sub(32)));
            } else if let Some((path, hex)) = self.loose.pop() {
                let entry =
                    loose_entry(&path).map_err(|error| io::Error::other(format!("loose object {hex}: {error}")))?;
                self.give(entry);
                return Ok(());
            } else {
                if !self.is_finished {
                    self.is_finished = true;
                    let trailer: [u8; 20] = self.hasher.clone().finalize().into();
                    self.ready = trailer.to_vec();
                    self.at = 0;
                }
                return Ok(());
            }
        }
    }
}

impl Read for LocalPack {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() && !self.is_finished {
            self.next_part()?;
        }
        let n = buffer.len().min(self.ready.len() - self.at);
        buffer[..n].copy_from_slice(&self.ready[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// The ids that an index of version 2 lists; an index that cannot be read only costs duplicates.
fn packed_ids(path: &Path, out: &mut HashSet<Vec<u8>>) -> io::Result<()> {
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    if !bytes.starts_with(b"\xfftOc\0\0\0\x02") {
        return Ok(());
    }
    let Some(n) = bytes.get(8 + 255 * 4..8 + 256 * 4) else { return Ok(()) };
    let n = u32::from_be_bytes([n[0], n[1], n[2], n[3]]) as usize;
    if let Some(ids) = bytes.get(1032..1032 + n * 20) {
        out.extend(ids.chunks_exact(20).map(<[u8]>::to_vec));
    }
    Ok(())
}

/// A loose object as an entry of a pack: its header is another one, and the data is compressed anew without it.
fn loose_entry(path: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    ZlibDecoder::new(File::open(path)?).take(MAX_LOOSE_BYTES + 64).read_to_end(&mut data)?;
    let malformed = || io::Error::other("its header is malformed");
    let end = data.iter().take(64).position(|byte| *byte == 0).ok_or_else(malformed)?;
    let header = std::str::from_utf8(&data[..end]).map_err(|_| malformed())?;
    let (kind, size) = header.split_once(' ').ok_or_else(malformed)?;
    let kind = ObjectKind::from_name(kind.as_bytes()).ok_or_else(malformed)?;
    let body = &data[end + 1..];
    if size.parse() != Ok(body.len()) {
        return Err(malformed());
    }
    let mut out = Vec::new();
    EntryHeader::write(&EntryKind::Whole(kind), body.len() as u64, &mut out);
    let mut encoder = ZlibEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
