//! Any bytes are packets, not yet complete, or an error; and the reader agrees with the slice parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::protocol::pkt_line::{PktReader, decode};

fuzz_target!(|input: &[u8]| {
    let mut reader = PktReader::new(input);
    let mut rest = input;
    loop {
        match (decode(rest), reader.next_or_end()) {
            (Ok(Some((packet, taken))), Ok(Some(read))) => {
                assert_eq!(packet, read);
                rest = &rest[taken..];
            }
            (Ok(None), Ok(None)) => return assert!(rest.is_empty()),
            (Ok(None) | Err(_), Err(_)) => return,
            (decoded, read) => panic!("{decoded:?} {read:?}"),
        }
    }
});
