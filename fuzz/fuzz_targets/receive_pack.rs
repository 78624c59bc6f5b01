//! The commands and options of a push: a value or an error, and each name in one command only.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use lockgate::protocol::pkt_line::PktReader;
use lockgate::protocol::receive_pack::{PushLimits, PushRequest};

fuzz_target!(|input: &[u8]| {
    if let Ok(Some(push)) = PushRequest::read(&mut PktReader::new(input), &PushLimits::default()) {
        assert!(!push.commands.is_empty());
        let names: HashSet<_> = push.commands.iter().map(|command| &command.name).collect();
        assert_eq!(names.len(), push.commands.len());
        assert!(push.push_options.len() <= 64 && push.push_options.iter().all(|option| option.len() <= 1024));
    }
});
