//! Any bytes as a ref name, and as log entry and pack index, which hold ref names and counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::names::{RefName, escape_for_people};
use lockgate::repository::log::LogEntry;
use lockgate::repository::pack::index::PackIndex;

fuzz_target!(|data: &[u8]| {
    if let Ok(name) = RefName::parse(data) {
        assert_eq!(name.as_bytes(), data);
        assert!(!name.for_people().chars().any(char::is_control));
    }
    assert!(!escape_for_people(data, 200).chars().any(char::is_control));
    let _ = LogEntry::decode(data);
    let _ = PackIndex::parse(data.to_vec());
});
