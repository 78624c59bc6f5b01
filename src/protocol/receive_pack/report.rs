//! The report at the end of a push: what became of the pack and of each command. (gitprotocol-pack, "Report Status")

use std::io::{self, Write};

use crate::names::{ObjectId, RefName};
use crate::protocol::errors::one_line;
use crate::protocol::pkt_line::{write_flush, write_line};
use crate::protocol::sideband::SidebandWriter;

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportVersion {
    /// `report-status`: ok or not, for each ref.
    V1,
    /// `report-status-v2`: besides, what was done when it is not what was asked for.
    V2,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sideband::Sideband;
    use crate::protocol::upload_pack::parse_oid;

    const B: &str = "2222222222222222222222222222222222222222";

    fn report() -> Report {
        let done = Done { new: parse_oid(B.as_bytes()), forced_update: true, ..Done::default() };
        Report {
            unpack: Ok(()),
            refs: vec![
                RefReport { name: b"refs/heads/a".to_vec(), result: Ok(done) },
                RefReport { name: b"refs/heads/b".to_vec(), result: Err("denied by\npolicy".to_string()) },
            ],
        }
    }

    fn written(report: &Report, version: Option<ReportVersion>, sideband: Sideband) -> String {
        let mut out = SidebandWriter::new(Vec::new(), sideband);
        report.write(version, &mut out).unwrap();
        String::from_utf8(out.finish().unwrap()).unwrap()
    }

    #[test]
    fn reports() {
        let ng = "0026ng refs/heads/b denied by\\npolicy\n";
        let v1 = format!("000eunpack ok\n0014ok refs/heads/a\n{ng}0000");
        let v2 =
            format!("000eunpack ok\n0014ok refs/heads/a\n003coption new-oid {B}\n0019option forced-update\n{ng}0000");
        assert_eq!(written(&report(), Some(ReportVersion::V1), Sideband::None), v1);
        assert_eq!(written(&report(), Some(ReportVersion::V2), Sideband::None), v2);
        let banded = format!("{:04x}\x01{v1}0000", v1.len() + 5);
        assert_eq!(written(&report(), Some(ReportVersion::V1), Sideband::Large), banded);
        assert_eq!(written(&report(), None, Sideband::Large), "0000");
        assert_eq!(written(&report(), None, Sideband::None), "");
        let failed = Report { unpack: Err("index-pack abnormal exit".to_string()), refs: Vec::new() };
        let expected = "0024unpack index-pack abnormal exit\n0000";
        assert_eq!(written(&failed, Some(ReportVersion::V2), Sideband::None), expected);
    }
}
