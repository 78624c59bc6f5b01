//! git-receive-pack: the commands of a push, its options, and the report at the end. (gitprotocol-pack, "Pushing Data
//! To a Server"; in doubt Git's `builtin/receive-pack.c`)
//!
//! [`PushRequest::read`] reads up to where the pack begins; if [`PushRequest::needs_pack`], the pack is the rest of the
//! stream. A name that is no ref name, or not one that may be pushed, fails its own command and not the push: a client
//! gets one answer per command (attack checklist B8).
//!
//! INVARIANT: push options and agents are values of their own and never part of a line with a meaning (B10).

mod report;

pub use report::{Done, RefReport, Report, ReportVersion};

use std::collections::HashSet;
use std::io::Read;

use crate::names::{InvalidName, ObjectId, RefName};

use super::capabilities::CapabilityList;
use super::errors::{PeerError, ProtocolError, shown};
use super::pkt_line::{Packet, PktReader};
use super::sideband::Sideband;
use super::upload_pack::parse_oid;

/// Most bytes in a ref name as sent: what is longer cannot be answered about.
const MAX_NAME_BYTES: usize = 4096;
/// Most push options (attack checklist B10).
const MAX_PUSH_OPTIONS: usize = 64;
/// Most bytes in a push option (attack checklist B10).
const MAX_PUSH_OPTION_BYTES: usize = 1024;

/// How much one push may ask for.
#[derive(Debug, Clone)]
pub struct PushLimits {
    /// Ref commands.
    pub commands: usize,
    /// `shallow` lines.
    pub shallow: usize,
}

impl Default for PushLimits {
    fn default() -> PushLimits {
        PushLimits { commands: 100_000, shallow: 1 << 16 }
    }
}

/// What a push asks for, without its pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The commands, at least one, in the client's order, each for another ref.
    pub commands: Vec<RefCommand>,
    /// Commits that the client has without their parents.
    pub shallow: Vec<ObjectId>,
    /// What the client can do and wants done.
    pub capabilities: Capabilities,
    /// What the user gave with `--push-option`: up to 64, each up to 1024 bytes of printable text.
    pub push_options: Vec<String>,
}

/// One command of a push. `None` is the zero id: no such ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefCommand {
    /// The name as sent, for the report.
    pub name: Vec<u8>,
    /// The name, or why it is none.
    pub parsed: Result<RefName, InvalidName>,
    /// What the client believes the ref points at.
    pub old: Option<ObjectId>,
    /// What it shall point at; `None` deletes it.
    pub new: Option<ObjectId>,
}

/// What a client of receive-pack can do and wants done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The report that it wants, the newest that it knows.
    pub report: Option<ReportVersion>,
    /// `Large` or `None`; there is no small one for a push.
    pub sideband: Sideband,
    /// No messages but errors.
    pub quiet: bool,
    /// All commands or none.
    pub atomic: bool,
    /// It knows that refs can be deleted.
    pub delete_refs: bool,
    /// Push options follow the commands.
    pub push_options: bool,
    /// The client's name and version, cleaned.
    pub agent: Option<String>,
    /// The client's session id, cleaned.
    pub session_id: Option<String>,
}

impl PushRequest {
    /// Reads the commands, and the push options if there are any. `None` if the client pushes nothing: a flush at once
    /// or the stream's end, as after a push that was already up to date.
    ///
    /// Signed pushes are refused, they are not offered; so is a push that names a ref twice.
    pub fn read(reader: &mut PktReader<impl Read>, limits: &PushLimits) -> Result<Option<PushRequest>, ProtocolError> {
        if reader.at_end()? {
            return Ok(None);
        }
        let mut commands: Vec<RefCommand> = Vec::new();
        let mut names = HashSet::new();
        let mut shallow = Vec::new();
        let mut capabilities = Capabilities::default();
        loop {
            let packet = reader.next_packet()?;
            let Some(line) = packet.line() else {
                if packet == Packet::Flush {
                    break;
                }
                return Err(PeerError::unexpected("a command or a flush", packet.as_shown()).into());
            };
            if let Some(hex) = line.strip_prefix(b"shallow ") {
                let id = parse_oid(hex).ok_or_else(|| PeerError::unexpected("`shallow` and an object id", line))?;
                if shallow.len() == limits.shallow {
                    return Err(PeerError::TooMany { what: "shallow lines", max: limits.shallow }.into());
                }
                shallow.push(id);
                continue;
            }
            let (line, list) = match line.iter().position(|b| *b == 0) {
                Some(at) => (&line[..at], Some(&line[at + 1..])),
                None => (line, None),
            };
            match list {
                Some(list) if commands.is_empty() => capabilities = Capabilities::parse(list)?,
                Some(_) => return Err(PeerError::unexpected("capabilities behind the first command only", line).into()),
                None => {}
            }
            if line == b"push-cert" {
                return Err(PeerError::NotSupported { what: "a signed push" }.into());
            }
            let command = RefCommand::parse(line)?;
            if commands.len() == limits.commands {
                return Err(PeerError::TooMany { what: "ref commands", max: limits.commands }.into());
            }
            if !names.insert(command.name.clone()) {
                return Err(PeerError::DuplicateCommand { name: shown(&command.name) }.into());
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return Ok(None);
        }
        let push_options = if capabilities.push_options { read_push_options(reader)? } else { Vec::new() };
        Ok(Some(PushRequest { commands, shallow, capabilities, push_options }))
    }

    /// Whether a pack follows: it does unless all commands are deletions. It may be a pack without objects.
    pub fn needs_pack(&self) -> bool {
        self.commands.iter().any(|command| command.new.is_some())
    }
}

impl RefCommand {
    /// Parses `<old> <new> <name>`.
    fn parse(line: &[u8]) -> Result<RefCommand, PeerError> {
        let parts = || {
            let (old, rest) = line.split_at_checked(40)?;
            let (new, name) = rest.strip_prefix(b" ")?.split_at_checked(40)?;
            Some((parse_oid(old)?, parse_oid(new)?, name.strip_prefix(b" ")?))
        };
        let (old, new, name) = parts()
            .filter(|(_, _, name)| !name.is_empty())
            .ok_or_else(|| PeerError::unexpected("old id, new id and ref name", line))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(PeerError::TooLong { what: "a ref name", max: MAX_NAME_BYTES });
        }
        let unless_zero = |id: ObjectId| (!id.is_null()).then_some(id);
        Ok(RefCommand {
            name: name.to_vec(),
            parsed: RefName::parse(name),
            old: unless_zero(old),
            new: unless_zero(new),
        })
    }
}

impl Capabilities {
    fn parse(list: &[u8]) -> Result<Capabilities, PeerError> {
        let list = CapabilityList::parse(list)?;
        list.check_object_format()?;
        let report = if list.has("report-status-v2") {
            Some(ReportVersion::V2)
        } else if list.has("report-status") {
            Some(ReportVersion::V1)
        } else {
            None
        };
        Ok(Capabilities {
            report,
            sideband: if list.has("side-band-64k") { Sideband::Large } else { Sideband::None },
            quiet: list.has("quiet"),
            atomic: list.has("atomic"),
            delete_refs: list.has("delete-refs"),
            push_options: list.has("push-options"),
            agent: list.agent(),
            session_id: list.session_id(),
        })
    }
}

fn read_push_options(reader: &mut PktReader<impl Read>) -> Result<Vec<String>, ProtocolError> {
    let mut options = Vec::new();
    loop {
        let packet = reader.next_packet()?;
        let Some(line) = packet.line() else {
            if packet == Packet::Flush {
                return Ok(options);
            }
            return Err(PeerError::unexpected("a push option or a flush", packet.as_shown()).into());
        };
        if options.len() == MAX_PUSH_OPTIONS {
            return Err(PeerError::TooMany { what: "push options", max: MAX_PUSH_OPTIONS }.into());
        }
        options.push(check_option(line)?.to_string());
    }
}

/// Takes up to 1024 bytes of printable UTF-8: no control characters, no line or paragraph separators, nothing that
/// turns the direction of text around it.
pub(super) fn check_option(option: &[u8]) -> Result<&str, PeerError> {
    if option.len() > MAX_PUSH_OPTION_BYTES {
        return Err(PeerError::PushOption { reason: "it has at most 1024 bytes" });
    }
    let option = str::from_utf8(option).map_err(|_| PeerError::PushOption { reason: "it is UTF-8" })?;
    let is_odd =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if option.contains(is_odd) {
        return Err(PeerError::PushOption { reason: "it is printable text on one line" });
    }
    Ok(option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::pkt_line::{write_data, write_flush};
    use proptest::prelude::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    /// Lines as one section, with its flush.
    fn wire(lines: &[String]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lines {
            write_data(&mut wire, line.as_bytes()).unwrap();
        }
        write_flush(&mut wire).unwrap();
        wire
    }

    fn read(lines: &[String]) -> Result<Option<PushRequest>, ProtocolError> {
        PushRequest::read(&mut PktReader::new(&wire(lines)[..]), &PushLimits { commands: 3, shallow: 1 })
    }

    fn refused(lines: &[String]) -> PeerError {
        match read(lines) {
            Err(ProtocolError::Peer(error)) => error,
            other => panic!("{lines:?}: {other:?}"),
        }
    }

    #[test]
    fn what_git_sends() {
        let mut input = wire(&[
            format!("shallow {B}"),
            // Git's own client ends no command in a line feed; others do.
            format!(
                "{ZERO} {A} refs/heads/new\0 report-status-v2 side-band-64k push-options object-format=sha1 \
                 agent=git/2.47.1-Linux"
            ),
            format!("{A} {B} refs/heads/main\n"),
            format!("{A} {ZERO} refs/tags/old"),
        ]);
        input.extend_from_slice(&wire(&["ci.skip".to_string(), "a=b;c\n".to_string()]));
        input.extend_from_slice(b"PACK\0\0\0\x02");
        let mut reader = PktReader::new(&input[..]);
        let push = PushRequest::read(&mut reader, &PushLimits::default()).unwrap().unwrap();
        let mut pack = Vec::new();
        reader.read_to_end(&mut pack).unwrap();
        assert_eq!(pack, b"PACK\0\0\0\x02");

        assert!(push.needs_pack());
        assert_eq!(push.push_options, ["ci.skip", "a=b;c"]);
        assert_eq!(push.shallow.len(), 1);
        assert_eq!(push.capabilities.report, Some(ReportVersion::V2));
        assert_eq!(push.capabilities.sideband, Sideband::Large);
        assert_eq!(push.capabilities.agent.as_deref(), Some("git/2.47.1-Linux"));
        assert!(!push.capabilities.atomic && !push.capabilities.quiet);
        let id = |hex: &str| parse_oid(hex.as_bytes());
        let expected =
            [("refs/heads/new", None, id(A)), ("refs/heads/main", id(A), id(B)), ("refs/tags/old", id(A), None)];
        for (command, (name, old, new)) in push.commands.iter().zip(expected) {
            assert_eq!(command.parsed, Ok(RefName::parse(name.as_bytes()).unwrap()));
            assert_eq!((command.name.as_slice(), command.old, command.new), (name.as_bytes(), old, new));
        }
    }

    #[test]
    fn a_push_of_nothing_or_of_deletions() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[format!("shallow {A}")]).unwrap().is_none());
        assert!(PushRequest::read(&mut PktReader::new(&b""[..]), &PushLimits::default()).unwrap().is_none());
        let push =
            read(&[format!("{A} {ZERO} refs/heads/x\0report-status delete-refs atomic quiet")]).unwrap().unwrap();
        assert!(!push.needs_pack());
        assert!(push.capabilities.atomic && push.capabilities.quiet && push.capabilities.delete_refs);
        assert_eq!((push.capabilities.report, push.capabilities.sideband), (Some(ReportVersion::V1), Sideband::None));
    }

    // B8
    #[test]
    fn a_bad_name_fails_its_own_command() {
        for name in ["HEAD", "refs/heads/-h", "refs/heads/a..b", "refs/heads/x y", "../x", "refs/heads/\u{1b}"] {
            let push = read(&[format!("{ZERO} {A} {name}"), format!("{ZERO} {A} refs/heads/good")]).unwrap().unwrap();
            assert!(push.commands[0].parsed.is_err(), "{name}");
            assert_eq!(push.commands[0].name, name.as_bytes());
            assert!(push.commands[1].parsed.is_ok());
        }
    }

    // B5 B8
    #[test]
    fn pushes_that_are_refused() {
        let one = format!("{ZERO} {A} refs/heads/x");
        let many: Vec<String> = (0..4).map(|n| format!("{ZERO} {A} refs/heads/{n}")).collect();
        for (lines, message) in [
            (vec![one.clone(), one.clone()], "multiple updates for ref `refs/heads/x` not allowed"),
            (vec!["push-cert\0report-status".to_string()], "a signed push is not supported"),
            (
                vec![format!("{one}\0object-format=sha256")],
                "unsupported object format `sha256`: this repository uses sha1",
            ),
            (many, "too many ref commands: at most 3 are taken"),
            (vec![format!("shallow {A}"), format!("shallow {B}")], "too many shallow lines: at most 1 are taken"),
            (vec![format!("{ZERO} {A} {}", "r".repeat(4097))], "a ref name is too long: at most 4096 bytes are taken"),
        ] {
            assert_eq!(refused(&lines).message(), message);
        }
        for line in [
            "".to_string(),
            "x".to_string(),
            format!("{ZERO} {A}"),
            format!("{ZERO} {A} "),
            format!("{ZERO}{A} refs/heads/x"),
            format!("{ZERO}  {A} refs/heads/x"),
            format!("{} {A} refs/heads/x", &ZERO[1..]),
            format!("{ZERO}{} {A} refs/heads/x", &A[..24]),
            format!("shallow {A}x"),
        ] {
            assert!(matches!(refused(std::slice::from_ref(&line)), PeerError::Unexpected { .. }), "{line:?}");
        }
        let late = [one.clone(), format!("{ZERO} {A} refs/heads/y\0atomic")];
        assert!(matches!(refused(&late), PeerError::Unexpected { .. }));
        let full = wire(std::slice::from_ref(&one));
        for end in 1..full.len() {
            assert!(PushRequest::read(&mut PktReader::new(&full[..end]), &PushLimits::default()).is_err(), "{end}");
        }
        let delim = [&full[..full.len() - 4], b"0001"].concat();
        assert!(PushRequest::read(&mut PktReader::new(&delim[..]), &PushLimits::default()).is_err());
    }

    // B10
    #[test]
    fn push_options_are_bounded_and_printable() {
        let read = |options: &[String]| {
            let mut input = wire(&[format!("{ZERO} {A} refs/heads/x\0push-options")]);
            input.extend_from_slice(&wire(options));
            PushRequest::read(&mut PktReader::new(&input[..]), &PushLimits::default())
        };
        let odd = ["a;b", "x=y", "größe: 1", "", "$(id)", "a\tb"];
        for option in &odd[..5] {
            assert_eq!(read(&[option.to_string()]).unwrap().unwrap().push_options, [*option]);
        }
        for option in [odd[5], "a\nb", "a\0b", "a\u{2028}b", "a\u{202e}b", "a\u{7f}", "a\r", &"x".repeat(1025)] {
            let result = read(&[option.to_string()]);
            assert!(matches!(result, Err(ProtocolError::Peer(PeerError::PushOption { .. }))), "{option:?}");
        }
        assert!(check_option(b"\xff").is_err());
        assert_eq!(read(&vec!["x".repeat(1024); 64]).unwrap().unwrap().push_options.len(), 64);
        assert!(matches!(read(&vec![String::new(); 65]), Err(ProtocolError::Peer(PeerError::TooMany { .. }))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_push_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut wire = Vec::new();
            write_data(&mut wire, &[format!("{ZERO} {A} refs/heads/").as_bytes(), &bytes].concat()).unwrap();
            wire.extend_from_slice(b"0000");
            let _ = PushRequest::read(&mut PktReader::new(&wire[..]), &PushLimits::default());
            let _ = PushRequest::read(&mut PktReader::new(&bytes[..]), &PushLimits::default());
        }
    }
}
