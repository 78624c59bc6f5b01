//! Any bytes as an object of each kind, through the parsers and git's rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::repository::fsck::Fsck;
use lockgate::repository::object::{ObjectKind, for_each_link, object_id};

fuzz_target!(|data: &[u8]| {
    for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob, ObjectKind::Tag] {
        let _ = for_each_link(kind, data, |_, _| {});
        let mut fsck = Fsck::new();
        fsck.check_object(&object_id(kind, data), kind, data);
    }
});
