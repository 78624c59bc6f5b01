//! `git-receive-pack`: a push, from its commands to its report.
//!
//! The pack is taken into quarantine against what this principal may read; what becomes of the commands is `ref_changes`'s.

use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::git_pull::{AGENT, advertisement};
use super::lockgate::Lockgate;
use super::ref_changes::RefChanges;
use super::{GitMode, OpContext};
use crate::identity::RepositoryRecord;
use crate::policy::Action;
use crate::protocol::advertise::{Offer, write_advertisement};
use crate::protocol::pkt_line::PktReader;
use crate::protocol::receive_pack::{Done, PushLimits, PushRequest, RefReport, Report};
use crate::protocol::sideband::SidebandWriter;
use crate::protocol::{PeerError, ProtocolError, Service, Version, write_error};
use crate::repository::handle::Repository;
use crate::repository::object::ObjectKind;
use crate::repository::pack::ingest::{IngestError, Progress, ServedObjects};
use crate::repository::pack::oid_hash::RawId;
use crate::repository::receive::{Quarantine, receive};
use crate::repository::snapshot::Snapshot;

/// How a push ended, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pushed {
    /// Commands that were done.
    pub n_done: usize,
    /// Commands that were refused.
    pub n_refused: usize,
}

/// Why a push ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The client broke the protocol; it has been told.
    #[error("the client was refused")]
    Refused(#[from] PeerError),
    /// The connection or the store failed.
    #[error("the push broke off")]
    Io(#[from] io::Error),
}

impl From<ProtocolError> for PushError {
    fn from(error: ProtocolError) -> PushError {
        match error {
            ProtocolError::Peer(error) => PushError::Refused(error),
            ProtocolError::Io(error) => PushError::Io(error),
        }
    }
}

/// Bytes of a refused pack that are read and thrown away, so that the client gets to read the report.
const DRAIN_BYTES: u64 = 1 << 30;

/// Answers one receive-pack conversation.
pub fn receive_pack(
    host: &Lockgate,
    ctx: &OpContext,
    record: &RepositoryRecord,
    repository: &Repository,
    version: Version,
    mode: GitMode,
    input: impl Read,
    output: impl Write,
) -> Result<Pushed, PushError> {
    let mut out = BufWriter::with_capacity(16 << 10, output);
    let result = converse(host, ctx, record, repository, version, mode, input, &mut out);
    if let Err(PushError::Refused(error)) = &result {
        write_error(&mut out, &error.message())?;
    }
    out.flush()?;
    result
}

fn converse(
    host: &Lockgate,
    ctx: &OpContext,
    record: &RepositoryRecord,
    repository: &Repository,
    version: Version,
    mode: GitMode,
    input: impl Read,
    out: &mut impl Write,
) -> Result<Pushed, PushError> {
    let snapshot = repository.snapshot();
    let stateless = mode != GitMode::Stateful;
    if mode != GitMode::StatelessRpc {
        let offer = Offer { agent: AGENT, stateless, push_options: true, ..Offer::default() };
        write_advertisement(out, Service::ReceivePack, version, stateless, &offer, advertisement(&snapshot, |_| true))?;
        out.flush()?;
    }
    if mode == GitMode::Advertise {
        return Ok(Pushed::default());
    }
    let mut reader = PktReader::new(input);
    let Some(request) = PushRequest::read(&mut reader, &PushLimits::default())? else { return Ok(Pushed::default()) };
    let mut out = SidebandWriter::new(out, request.capabilities.sideband);
    let mut push = Push { host, ctx, record, repository, request: &request, notes: Vec::new() };
    let report = push.run(&snapshot, &mut reader, stateless, &mut out)?;
    for note in &push.notes {
        out.message(&format!("{note}\n"))?;
    }
    let n_done = report.refs.iter().filter(|report| report.result.is_ok()).count();
    let n_refused = report.refs.len() - n_done;
    report.write(request.capabilities.report, &mut out)?;
    out.finish()?;
    Ok(Pushed { n_done, n_refused })
}

struct Push<'a> {
    host: &'a Lockgate,
    ctx: &'a OpContext,
    record: &'a RepositoryRecord,
    repository: &'a Repository,
    request: &'a PushRequest,
    /// Lines for the person who pushes.
    notes: Vec<String>,
}

impl Push<'_> {
    fn run<W: Write>(
        &mut self,
        snapshot: &Arc<Snapshot>,
        reader: &mut impl Read,
        stateless: bool,
        out: &mut SidebandWriter<W>,
    ) -> io::Result<Report> {
        let mut quarantine = None;
        if self.request.needs_pack() {
            match self.take_pack(snapshot, reader, stateless, out) {
                Ok(taken) => quarantine = taken,
                Err(IngestError::Receive(error)) => return Err(error),
                Err(error) => {
                    let reason = self.pack_refusal(&error);
                    if error.is_peers_fault() {
                        tracing::info!(repository.name = %self.record.name, reason, "refused a pack");
                    } else {
                        tracing::error!(error = &error as &dyn std::error::Error, "taking a pack in failed");
                    }
                    if !matches!(error, IngestError::Truncated { .. }) {
                        io::copy(&mut reader.take(DRAIN_BYTES), &mut io::sink())?;
                    }
                    let refs = self
                        .request
                        .commands
                        .iter()
                        .map(|command| RefReport { name: command.name.clone(), result: Err("unpacker error".into()) });
                    return Ok(Report { unpack: Err(reason), refs: refs.collect() });
                }
            }
        }
        let changes = RefChanges {
            host: self.host,
            ctx: self.ctx,
            record: self.record,
            repository: self.repository,
            action: &Action::git_push(),
            commands: &self.request.commands,
            quarantine: quarantine.as_ref(),
            is_atomic: self.request.capabilities.atomic,
            push_options: &self.request.push_options,
            merging: None,
            checks_of: None,
        };
        let outcome = changes.make();
        if let Some(quarantine) = quarantine
            && !outcome.done.is_empty()
        {
            quarantine.published();
        }
        let mut refs = Vec::with_capacity(self.request.commands.len());
        for (i, command) in self.request.commands.iter().enumerate() {
            let result = outcome.of(i).map(|()| Done::default()).map_err(|refusal| {
                self.notes.extend(refusal.notes(&command.name));
                refusal.to_string()
            });
            refs.push(RefReport { name: command.name.clone(), result });
        }
        Ok(Report { unpack: Ok(()), refs })
    }

    fn take_pack<W: Write>(
        &self,
        snapshot: &Arc<Snapshot>,
        reader: &mut impl Read,
        stateless: bool,
        out: &mut SidebandWriter<W>,
    ) -> Result<Option<Quarantine>, IngestError> {
        let served = Leaning::new(self.repository, snapshot.clone());
        let quiet = self.request.capabilities.quiet;
        let mut shown = 0;
        let mut progress = |progress: Progress| {
            // While the pack is coming the client does not read; afterwards it waits.
            if let Progress::Resolving { done, total } = progress
                && total > 0
            {
                let percent = u64::from(done) * 100 / u64::from(total);
                if percent > shown {
                    shown = percent;
                    let end = if done == total { ", done.\n" } else { "\r" };
                    let text = format!("Resolving deltas: {percent:3}% ({done}/{total}){end}");
                    // A client that is gone is noticed when the report is written.
                    let _ = if quiet { out.keep_alive() } else { out.message(&text) };
                }
            }
        };
        receive(
            self.repository.store(),
            self.repository.keys(),
            &served,
            reader,
            &self.host.ingest_limits(),
            &[],
            stateless,
            &mut progress,
        )
    }

    fn pack_refusal(&self, error: &IngestError) -> String {
        if matches!(error, IngestError::MissingObject { .. }) && !self.request.shallow.is_empty() {
            return "shallow update not allowed: fetch the missing history first (git fetch --unshallow)".into();
        }
        if error.is_peers_fault() {
            crate::telemetry::with_causes(error)
        } else {
            "the server could not store the pack; its log says why".into()
        }
    }
}

/// What a push may lean on: what is served to the pusher. If the served set is not exact, a miss of a stored object makes
/// the walk that makes it so.
pub(super) struct Leaning<'a> {
    repository: &'a Repository,
    snapshot: Mutex<Arc<Snapshot>>,
}

impl<'a> Leaning<'a> {
    pub(super) fn new(repository: &'a Repository, snapshot: Arc<Snapshot>) -> Leaning<'a> {
        Leaning { repository, snapshot: Mutex::new(snapshot) }
    }

    fn snapshot_for(&self, id: &RawId) -> io::Result<Arc<Snapshot>> {
        let mut snapshot = self.snapshot.lock();
        if !snapshot.is_exact && snapshot.objects.find(id).is_none() && snapshot.objects.find_stored(id).is_some() {
            *snapshot = self.repository.settle("lockgate").map_err(io::Error::other)?;
        }
        Ok(snapshot.clone())
    }
}

impl ServedObjects for Leaning<'_> {
    fn kind(&self, id: &RawId) -> io::Result<Option<ObjectKind>> {
        ServedObjects::kind(&self.snapshot_for(id)?.objects, id)
    }

    fn read(&self, id: &RawId) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        self.snapshot_for(id)?.objects.read(id)
    }
}
