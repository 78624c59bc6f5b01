//! Zip: each entry stored or deflated, with its time as Unix seconds and its mode, and a directory at the end; 64-bit records
//! where numbers do not fit. Format: PKWARE's APPNOTE 6.3, sections 4.3 to 4.5.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::{ArchiveRequest, Entry, EntryWriter};
use crate::names::ObjectId;
use crate::repository::object::EntryKind;

/// Writes one zip.
pub(super) struct ZipWriter<W> {
    out: W,
    offset: u64,
    directory: Vec<u8>,
    n_entries: u64,
    mtime: u64,
    commit: Option<ObjectId>,
}

/// Flag: the name is UTF-8.
const UTF8: u16 = 1 << 11;
/// Made by version 2.3 on Unix, so that modes count.
const UNIX: u16 = 0x0317;
const VERSION_DEFLATE: u16 = 20;
const VERSION_64: u16 = 45;

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W, request: &ArchiveRequest) -> ZipWriter<W> {
        ZipWriter { out, offset: 0, directory: Vec::new(), n_entries: 0, mtime: request.mtime, commit: request.commit }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        self.offset += data.len() as u64;
        Ok(())
    }
}

impl<W: Write> EntryWriter for ZipWriter<W> {
    type Out = W;

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let data = entry.data;
        let size = data.len() as u64;
        let mut deflated = Vec::new();
        if entry.kind == EntryKind::File && !data.is_empty() {
            let mut encoder = DeflateEncoder::new(deflated, Compression::default());
            encoder.write_all(data)?;
            deflated = encoder.finish()?;
        }
        let (method, packed): (u16, &[u8]) =
            if !deflated.is_empty() && deflated.len() < data.len() { (8, &deflated) } else { (0, data) };
        let packed_size = packed.len() as u64;
        let mut crc = Crc::new();
        crc.update(data);
        let flags = if !entry.path.is_ascii() && std::str::from_utf8(entry.path).is_ok() { UTF8 } else { 0 };
        let (unix_mode, dos_attributes) = match entry.kind {
            EntryKind::Tree | EntryKind::Submodule => (0o040775u32, 16),
            EntryKind::Link => (0o120777, 0),
            EntryKind::File if entry.is_executable => (0o100775, 0),
            EntryKind::File => (0o100664, 0),
        };
        let (dos_time, dos_date) = dos_time(self.mtime);
        let time_extra = time_extra(self.mtime);
        let offset = self.offset;
        let is_64 = size > MAX_32 || packed_size > MAX_32;
        let version = if is_64 || offset > MAX_32 { VERSION_64 } else { VERSION_DEFLATE };
        // INVARIANT: the walk gives no path beyond 65535 bytes.
        let path_len = entry.path.len() as u16;

        let mut local = Vec::with_capacity(64 + entry.path.len());
        put32(&mut local, 0x0403_4b50);
        for field in [version, flags, method, dos_time, dos_date] {
            put16(&mut local, field);
        }
        put32(&mut local, crc.sum());
        let (shown_packed, shown_size) = if is_64 { (u32::MAX, u32::MAX) } else { (packed_size as u32, size as u32) };
        put32(&mut local, shown_packed);
        put32(&mut local, shown_size);
        put16(&mut local, path_len);
        put16(&mut local, time_extra.len() as u16 + if is_64 { 20 } else { 0 });
        local.extend(entry.path);
        local.extend(time_extra);
        if is_64 {
            put16(&mut local, 1);
            put16(&mut local, 16);
            put64(&mut local, size);
            put64(&mut local, packed_size);
        }
        self.write(&local)?;
        self.write(packed)?;

        let mut extra_64 = Vec::new();
        if is_64 {
            put64(&mut extra_64, size);
            put64(&mut extra_64, packed_size);
        }
        if offset >= MAX_32 {
            put64(&mut extra_64, offset);
        }
        let extra_64_len = if extra_64.is_empty() { 0 } else { extra_64.len() as u16 + 4 };
        let directory = &mut self.directory;
        put32(directory, 0x0201_4b50);
        for field in [UNIX, version, flags, method, dos_time, dos_date] {
            put16(directory, field);
        }
        put32(directory, crc.sum());
        put32(directory, shown_packed);
        put32(directory, shown_size);
        put16(directory, path_len);
        put16(directory, time_extra.len() as u16 + extra_64_len);
        // Comment, disk, inner attributes.
        directory.extend([0; 6]);
        put32(directory, unix_mode << 16 | dos_attributes);
        put32(directory, offset.min(MAX_32) as u32);
        directory.extend(entry.path);
        directory.extend(time_extra);
        if !extra_64.is_empty() {
            put16(directory, 1);
            put16(directory, extra_64.len() as u16);
            directory.extend(&extra_64);
        }
        self.n_entries += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        let directory = std::mem::take(&mut self.directory);
        let (at, size, n) = (self.offset, directory.len() as u64, self.n_entries);
        self.write(&directory)?;
        let mut end = Vec::new();
        if at >= MAX_32 || size >= MAX_32 || n >= 0xffff {
            let end_64_at = self.offset;
            put32(&mut end, 0x0606_4b50);
            put64(&mut end, 44);
            put16(&mut end, UNIX);
            put16(&mut end, VERSION_64);
            end.extend([0; 8]);
            for field in [n, n, size, at] {
                put64(&mut end, field);
            }
            put32(&mut end, 0x0706_4b50);
            put32(&mut end, 0);
            put64(&mut end, end_64_at);
            put32(&mut end, 1);
        }
        put32(&mut end, 0x0605_4b50);
        end.extend([0; 4]);
        let shown_n = n.min(0xffff) as u16;
        put16(&mut end, shown_n);
        put16(&mut end, shown_n);
        put32(&mut end, size.min(MAX_32) as u32);
        put32(&mut end, at.min(MAX_32) as u32);
        let comment = self.commit.map(|id| id.to_string()).unwrap_or_default();
        put16(&mut end, comment.len() as u16);
        end.extend(comment.bytes());
        self.write(&end)?;
        Ok(self.out)
    }
}

const MAX_32: u64 = u32::MAX as u64;

fn put16(out: &mut Vec<u8>, n: u16) {
    out.extend(n.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, n: u32) {
    out.extend(n.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, n: u64) {
    out.extend(n.to_le_bytes());
}

/// The extended timestamp record, modification time only; beyond 2038 it says the last second it can.
fn time_extra(mtime: u64) -> [u8; 9] {
    let [a, b, c, d] = (mtime.min(i32::MAX as u64) as u32).to_le_bytes();
    [0x55, 0x54, 5, 0, 1, a, b, c, d]
}

/// Time and date as DOS has them, in UTC: two-second steps from 1980 to 2107.
fn dos_time(mtime: u64) -> (u16, u16) {
    const FIRST: u64 = 315_532_800;
    const LAST: u64 = 4_354_819_198;
    let seconds = mtime.clamp(FIRST, LAST);
    // INVARIANT: between 1980 and 2107 is within what a timestamp can say, and all fields below fit their bits.
    let at =
        jiff::Timestamp::from_second(seconds as i64).expect("the time is clamped").to_zoned(jiff::tz::TimeZone::UTC);
    let time = (at.second() as u16 / 2) | ((at.minute() as u16) << 5) | ((at.hour() as u16) << 11);
    let date = at.day() as u16 | ((at.month() as u16) << 5) | (((at.year() - 1980) as u16) << 9);
    (time, date)
}
