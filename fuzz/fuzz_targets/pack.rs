//! Any bytes as a pushed pack: refused or taken, never a panic, never memory beyond the limits.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use lockgate::repository::object::ObjectKind;
use lockgate::repository::pack::index::{PackIndex, build};
use lockgate::repository::pack::ingest::{IngestLimits, ServedObjects, ingest};
use lockgate::repository::pack::read::PackBytes;

struct Nothing;

impl ServedObjects for Nothing {
    fn kind(&self, _: &[u8; 20]) -> io::Result<Option<ObjectKind>> {
        Ok(None)
    }
    fn read(&self, _: &[u8; 20]) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        Ok(None)
    }
}

fuzz_target!(|data: &[u8]| {
    let limits = IngestLimits { max_object_bytes: 1 << 20, max_inflated_bytes: 16 << 20, ..IngestLimits::default() };
    let finish = |sink: Vec<u8>| Ok(PackBytes::Memory(sink.into()));
    let taken = ingest(&mut &data[..], Vec::new(), finish, &Nothing, &limits, &[], true, 1, &mut |_| {});
    if let Ok(taken) = taken {
        let connected = taken.inspection.connect(&taken.entries, &Nothing);
        let roots = connected.map(|connected| connected.roots).unwrap_or_default();
        if !taken.entries.is_empty() {
            PackIndex::parse(build(&taken.entries, taken.end, &roots, &taken.commits)).expect("what was built is read");
        }
    }
});
