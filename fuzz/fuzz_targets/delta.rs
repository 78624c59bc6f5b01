//! Any bytes as a delta on any base.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::repository::pack::delta::apply;

fuzz_target!(|data: (&[u8], &[u8])| {
    let mut out = Vec::new();
    if apply(data.0, data.1, 1 << 20, &mut out).is_ok() {
        assert!(out.len() <= 1 << 20);
    }
});
