//! git-receive-pack: the commands of a push, its options, and the report at the end. (gitprotocol-pack, "Pushing Data
//! To a Server"; in doubt Git's `builtin/receive-pack.c`)
//!
//! [`PushRequest::read`] reads up to where the pack begins; if [`PushRequest::needs_pack`], the pack is the rest of the
//! stream. A name that is no ref name, or not one that may be pushed, fails its own command and not the push: a client
//! gets one answer per command (attack checklist B8).
//!
//! INVARIANT: push options and agents are values of their own and never part of a line with a meaning (B10).

use std::collections::HashSet;
use std::io::{self, Read, Write};

use crate::names::{InvalidName, ObjectId, RefName};

use super::capabilities::CapabilityList;
use super::errors::{PeerError, ProtocolError, one_line, shown};
use super::pkt_line::{Packet, PktReader, write_flush, write_line};
use super::sideband::{Sideband, SidebandWriter};
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

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportVersion {
    /// `report-status`: ok or not, for each ref.
    V1,
    /// `report-status-v2`: besides, what was done when it is not what was asked for.
    V2,
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

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether the pack was taken in, or why not.
    pub unpack: Result<(), String>,
    /// One for each command, in their order.
    pub refs: Vec<RefReport>,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefReport {
    /// The name as sent.
    pub name: Vec<u8>,
    /// Whether it was done, or why not, in a few words: the client shows them in parentheses behind the ref.
    pub result: Result<Done, String>,
}

/// In which way what was done differs from what was asked for; `Default` is not at all. Only told to a client that
/// knows [`ReportVersion::V2`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Another ref was updated.
    pub ref_name: Option<RefName>,
    /// It pointed at something else before.
    pub old: Option<ObjectId>,
    /// It points at something else now.
    pub new: Option<ObjectId>,
    /// It was not a fast-forward.
    pub forced_update: bool,
}

impl Report {
    /// Writes the report in the form that the client asked for, nothing if it asked for none. With a sideband it is a
    /// stream of packets within band 1, with its own flush packet; messages may follow before
    /// [`SidebandWriter::finish`].
    pub fn write<W: Write>(&self, version: Option<ReportVersion>, out: &mut SidebandWriter<W>) -> io::Result<()> {
        let Some(version) = version else {
            return Ok(());
        };
        let mut body = Vec::new();
        match &self.unpack {
            Ok(()) => write_line(&mut body, b"unpack ok")?,
            Err(reason) => write_line(&mut body, format!("unpack {}", one_line(reason)).as_bytes())?,
        }
        for item in &self.refs {
            match &item.result {
                Ok(done) => {
                    write_line(&mut body, &[b"ok ", &item.name[..]].concat())?;
                    if version == ReportVersion::V2 {
                        done.write(&mut body)?;
                    }
                }
                Err(reason) => {
                    let reason = format!(" {}", one_line(reason));
                    write_line(&mut body, &[b"ng ", &item.name[..], reason.as_bytes()].concat())?;
                }
            }
        }
        write_flush(&mut body)?;
        out.write_all(&body)?;
        out.flush()
    }
}

impl Done {
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(name) = &self.ref_name {
            write_line(out, &[b"option refname ", name.as_bytes()].concat())?;
        }
        if let Some(id) = &self.old {
            write_line(out, format!("option old-oid {id}").as_bytes())?;
        }
        if let Some(id) = &self.new {
            write_line(out, format!("option new-oid {id}").as_bytes())?;
        }
        if self.forced_update {
            write_line(out, b"option forced-update")?;
        }
        Ok(())
    }
}
