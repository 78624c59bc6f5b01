//! Finding out what the client has already, so that the pack need not hold it.
//!
//! Versions 0 and 1 talk in rounds of `have` lines, each ended by a flush, until the client says `done`; how the server
//! answers in between has three forms (`AckMode`). Version 2 sends all haves of a round in its request. The rules are
//! those of gitprotocol-pack ("Packfile Negotiation") and gitprotocol-v2 ("fetch"), in doubt of Git's `upload-pack.c`.

use std::collections::HashSet;
use std::io::{Read, Write};

use crate::names::ObjectId;
use crate::protocol::errors::{PeerError, ProtocolError};
use crate::protocol::pkt_line::{Packet, PktReader, write_delim, write_flush, write_line};

use super::Limits;
use super::arguments::parse_oid;
use super::v2::FetchRequest;

/// What the negotiation has to know about the repository. It also remembers: after the negotiation the haves that were
/// answered with yes are what the pack may leave out, and lean on if it is thin.
pub trait Negotiation {
    /// Whether the object is here and the reader may see it, so that the pack may lean on it.
    fn have(&mut self, oid: &ObjectId) -> bool;
    /// Whether every want is reachable from an object in common, so that more haves would not make the pack smaller.
    /// Only asked when there is an object in common, and again only when there is another one.
    fn ready(&mut self) -> bool;
}

/// How the server answers haves in versions 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// The first common object, then silence.
    #[default]
    Single,
    /// `multi_ack`: each common object, `continue` behind it.
    Multi,
    /// `multi_ack_detailed`: `common` or `ready` behind it.
    Detailed,
}

/// How a negotiation of version 0 or 1 ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiationOutcome {
    /// What both have is known: send the pack.
    SendPack,
    /// The round of a stateless client has been answered; it will come again with a new request. Send nothing more.
    AwaitNextRequest,
    /// The client went away between two packets, as it does when it has all it wanted. Send nothing more.
    PeerLeft,
}

/// How the negotiation of one `fetch` of version 2 ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckOutcome {
    /// Send the sections with the pack. The acknowledgments, if there were any, are written, their delimiter too.
    SendPack,
    /// The acknowledgments are the whole answer, and are written, the flush too.
    OnlyAcks,
    /// Nothing was wanted, and the answer is nothing at all, as Git's.
    NothingWanted,
}

/// Talks with a client of version 0 or 1 about what it has, from after its request (and the shallow lines, if it
/// deepens) until the pack. `stateless` is HTTP: there is one round per request, and its end is the request's end.
pub fn negotiate_v0(
    reader: &mut PktReader<impl Read>,
    out: &mut impl Write,
    ack_mode: AckMode,
    no_done: bool,
    stateless: bool,
    limits: &Limits,
    negotiation: &mut dyn Negotiation,
) -> Result<NegotiationOutcome, ProtocolError> {
    let mut last_common: Option<ObjectId> = None;
    let mut n_haves = 0;
    let mut sent_ready = false;
    // The answer of `ready` since the last object in common: it may cost a walk, and a have that is not here does not
    // change it, so a client cannot make us walk with each line.
    let mut is_ready: Option<bool> = None;
    // Of this round.
    let (mut got_common, mut got_other) = (false, false);
    loop {
        let Some(packet) = reader.next_or_end()? else {
            return Ok(NegotiationOutcome::PeerLeft);
        };
        let Some(line) = packet.line() else {
            if packet != Packet::Flush {
                return Err(PeerError::unexpected("`have`, `done` or a flush", packet.as_shown()).into());
            }
            if let (Some(id), AckMode::Detailed, true, false) = (last_common, ack_mode, got_common, got_other)
                && *is_ready.get_or_insert_with(|| negotiation.ready())
            {
                sent_ready = true;
                write_line(out, format!("ACK {id} ready").as_bytes())?;
            }
            if last_common.is_none() || ack_mode != AckMode::Single {
                write_line(out, b"NAK")?;
            }
            if let (Some(id), true, true) = (last_common, no_done, sent_ready) {
                write_line(out, format!("ACK {id}").as_bytes())?;
                out.flush()?;
                return Ok(NegotiationOutcome::SendPack);
            }
            out.flush()?;
            if stateless {
                return Ok(NegotiationOutcome::AwaitNextRequest);
            }
            (got_common, got_other) = (false, false);
            continue;
        };
        if line == b"done" {
            match last_common {
                Some(id) if ack_mode != AckMode::Single => write_line(out, format!("ACK {id}").as_bytes())?,
                Some(_) => {}
                None => write_line(out, b"NAK")?,
            }
            out.flush()?;
            return Ok(NegotiationOutcome::SendPack);
        }
        let id = line.strip_prefix(b"have ").and_then(parse_oid);
        let id = id.ok_or_else(|| PeerError::unexpected("`have` and an object id, or `done`", line))?;
        n_haves += 1;
        if n_haves > limits.haves {
            return Err(PeerError::TooMany { what: "haves", max: limits.haves }.into());
        }
        if negotiation.have(&id) {
            got_common = true;
            is_ready = None;
            let is_first = last_common.replace(id).is_none();
            match ack_mode {
                AckMode::Detailed => write_line(out, format!("ACK {id} common").as_bytes())?,
                AckMode::Multi => write_line(out, format!("ACK {id} continue").as_bytes())?,
                AckMode::Single if is_first => write_line(out, format!("ACK {id}").as_bytes())?,
                AckMode::Single => {}
            }
        } else {
            // The client goes down a line of history that is not here. Once nothing can be gained, an ACK for what we
            // do not have makes it stop.
            got_other = true;
            if ack_mode != AckMode::Single
                && last_common.is_some()
                && *is_ready.get_or_insert_with(|| negotiation.ready())
            {
                if ack_mode == AckMode::Detailed {
                    sent_ready = true;
                    write_line(out, format!("ACK {id} ready").as_bytes())?;
                } else {
                    write_line(out, format!("ACK {id} continue").as_bytes())?;
                }
            }
        }
    }
}

/// Answers the haves of one `fetch` of version 2. Every have is put to `negotiation`, also when the client is `done`
/// and hears nothing of it. Reading the request has checked that their number is bounded.
pub fn negotiate_v2(
    request: &FetchRequest,
    negotiation: &mut dyn Negotiation,
    out: &mut impl Write,
) -> Result<AckOutcome, ProtocolError> {
    let mut seen = HashSet::new();
    let mut common = Vec::new();
    for id in &request.haves {
        if seen.insert(id) && negotiation.have(id) {
            common.push(id);
        }
    }
    if request.pack.wants.is_empty() && request.pack.want_refs.is_empty() && !request.wait_for_done {
        return Ok(AckOutcome::NothingWanted);
    }
    if request.done || request.haves.is_empty() {
        return Ok(AckOutcome::SendPack);
    }
    write_line(out, b"acknowledgments")?;
    if common.is_empty() {
        write_line(out, b"NAK")?;
    }
    for id in &common {
        write_line(out, format!("ACK {id}").as_bytes())?;
    }
    if !request.wait_for_done && !common.is_empty() && negotiation.ready() {
        write_line(out, b"ready")?;
        write_delim(out)?;
        Ok(AckOutcome::SendPack)
    } else {
        write_flush(out)?;
        out.flush()?;
        Ok(AckOutcome::OnlyAcks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::upload_pack::PackRequest;

    /// Has the ids that begin with a digit; is ready when it was asked for so many of them.
    struct Digits {
        n_common: usize,
        ready_at: usize,
    }

    impl Negotiation for Digits {
        fn have(&mut self, oid: &ObjectId) -> bool {
            let has = oid.to_string().as_bytes()[0].is_ascii_digit();
            self.n_common += usize::from(has);
            has
        }
        fn ready(&mut self) -> bool {
            assert!(self.n_common > 0);
            self.n_common >= self.ready_at
        }
    }

    fn hex(c: char) -> String {
        c.to_string().repeat(40)
    }

    /// `script`: a letter or digit is a have, `,` a flush, `.` is done. Answers are shortened the same way.
    fn talk(
        mode: AckMode,
        no_done: bool,
        stateless: bool,
        ready_at: usize,
        script: &str,
    ) -> (String, NegotiationOutcome) {
        let mut wire = Vec::new();
        for c in script.chars() {
            match c {
                ',' => write_flush(&mut wire).unwrap(),
                '.' => write_line(&mut wire, b"done").unwrap(),
                c => write_line(&mut wire, format!("have {}", hex(c)).as_bytes()).unwrap(),
            }
        }
        let mut reader = PktReader::new(&wire[..]);
        let mut out = Vec::new();
        let mut digits = Digits { n_common: 0, ready_at };
        let outcome =
            negotiate_v0(&mut reader, &mut out, mode, no_done, stateless, &Limits::default(), &mut digits).unwrap();
        let mut answers = Vec::new();
        let mut reader = PktReader::new(&out[..]);
        while let Some(packet) = reader.next_or_end().unwrap() {
            let mut line = String::from_utf8(packet.line().unwrap().to_vec()).unwrap();
            for c in "123456789abcdef".chars() {
                line = line.replace(&hex(c), &c.to_string());
            }
            answers.push(line);
        }
        (answers.join(", "), outcome)
    }

    #[test]
    fn rounds_of_haves() {
        use AckMode::*;
        use NegotiationOutcome::*;
        for (mode, no_done, stateless, ready_at, script, expected, outcome) in [
            // A clone has nothing.
            (Detailed, false, false, 9, ".", "NAK", SendPack),
            (Single, false, false, 9, ".", "NAK", SendPack),
            (Single, false, false, 9, "a,b,.", "NAK, NAK, NAK", SendPack),
            (Single, false, false, 9, "a1,2b,.", "ACK 1", SendPack),
            (Single, false, true, 9, "a1,2b,.", "ACK 1", AwaitNextRequest),
            (Multi, false, false, 9, "1a2,b,.", "ACK 1 continue, ACK 2 continue, NAK, NAK, ACK 2", SendPack),
            (Multi, false, false, 1, "1a,.", "ACK 1 continue, ACK a continue, NAK, ACK 1", SendPack),
            (Detailed, false, false, 9, "1a,2,.", "ACK 1 common, NAK, ACK 2 common, NAK, ACK 2", SendPack),
            (Detailed, false, false, 1, "a1b,.", "ACK 1 common, ACK b ready, NAK, ACK 1", SendPack),
            (Detailed, false, false, 2, "1,2,.", "ACK 1 common, NAK, ACK 2 common, ACK 2 ready, NAK, ACK 2", SendPack),
            (Detailed, true, true, 2, "12,", "ACK 1 common, ACK 2 common, ACK 2 ready, NAK, ACK 2", SendPack),
            (Detailed, true, true, 3, "12,", "ACK 1 common, ACK 2 common, NAK", AwaitNextRequest),
            (Detailed, false, true, 2, "12,", "ACK 1 common, ACK 2 common, ACK 2 ready, NAK", AwaitNextRequest),
            (Detailed, false, true, 2, "ab,", "NAK", AwaitNextRequest),
            (Detailed, false, false, 2, "ab,", "NAK", PeerLeft),
            (Detailed, false, true, 2, "", "", PeerLeft),
        ] {
            let got = talk(mode, no_done, stateless, ready_at, script);
            assert_eq!(got, (expected.to_string(), outcome), "{mode:?} {no_done} {stateless} {ready_at} {script}");
        }
    }

    // B5
    #[test]
    fn lines_that_are_not_haves() {
        let limits = Limits { haves: 1, ..Limits::default() };
        let id = hex('a');
        for wire in [
            "0009want\n".to_string(),
            "000ahave \n".to_string(),
            "0001".to_string(),
            format!("0032have {id}\n0032have {id}\n"),
            format!("0033have {id}a\n"),
            format!("0032have {id}"),
        ] {
            let mut digits = Digits { n_common: 0, ready_at: 9 };
            let mut reader = PktReader::new(wire.as_bytes());
            let mut out = Vec::new();
            let result = negotiate_v0(&mut reader, &mut out, AckMode::Detailed, false, false, &limits, &mut digits);
            assert!(matches!(result, Err(ProtocolError::Peer(_))), "{wire}");
        }
    }

    // B5
    #[test]
    fn haves_that_are_not_here_cost_no_walk() {
        struct Counts(usize);
        impl Negotiation for Counts {
            fn have(&mut self, oid: &ObjectId) -> bool {
                oid.to_string().starts_with('1')
            }
            fn ready(&mut self) -> bool {
                self.0 += 1;
                false
            }
        }
        let mut wire = Vec::new();
        for c in "1aaaabbbb1cccc".chars() {
            write_line(&mut wire, format!("have {}", hex(c)).as_bytes()).unwrap();
        }
        let mut counts = Counts(0);
        let mut reader = PktReader::new(&wire[..]);
        let limits = Limits::default();
        negotiate_v0(&mut reader, &mut Vec::new(), AckMode::Multi, false, false, &limits, &mut counts).unwrap();
        assert_eq!(counts.0, 2);
    }

    #[test]
    fn one_fetch_of_version_2() {
        let id = |c| ObjectId::from_hex(hex(c).as_bytes()).unwrap();
        let check = |wants: &str, haves: &str, done, wait_for_done, ready_at, expected: &str, outcome| {
            let request = FetchRequest {
                pack: PackRequest { wants: wants.chars().map(id).collect(), ..PackRequest::default() },
                haves: haves.chars().map(id).collect(),
                done,
                wait_for_done,
            };
            let mut out = Vec::new();
            let mut digits = Digits { n_common: 0, ready_at };
            let got = negotiate_v2(&request, &mut digits, &mut out).unwrap();
            assert_eq!(digits.n_common, usize::from(haves.contains('1')) + usize::from(haves.contains('2')));
            let text = String::from_utf8(out).unwrap().replace(&hex('1'), "1").replace(&hex('2'), "2");
            assert_eq!((text.as_str(), got), (expected, outcome), "{wants} {haves} {done}");
        };
        use AckOutcome::*;
        check("", "", true, false, 1, "", NothingWanted);
        check("9", "", false, false, 1, "", SendPack);
        check("9", "12a", true, false, 1, "", SendPack);
        check("9", "ab", false, false, 1, "0014acknowledgments\n0008NAK\n0000", OnlyAcks);
        check("9", "a11", false, false, 5, "0014acknowledgments\n0031ACK 1\n0000", OnlyAcks);
        check("9", "12", false, false, 2, "0014acknowledgments\n0031ACK 1\n0031ACK 2\n000aready\n0001", SendPack);
        check("9", "1", false, true, 1, "0014acknowledgments\n0031ACK 1\n0000", OnlyAcks);
        check("", "1", false, true, 1, "0014acknowledgments\n0031ACK 1\n0000", OnlyAcks);
    }
}
