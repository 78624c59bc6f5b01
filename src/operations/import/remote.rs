//! A fetch of everything over a connection, whatever carries it.

use std::io::Read;

use super::progress::Reporter;
use super::selection::{Selection, SourceRefs};
use super::{ImportError, Taken, receive_pack};
use crate::names::ObjectId;
use crate::protocol::fetch_client::{
    Dialect, FetchError, PackStream, read_advertisement, read_ls_refs, write_fetch, write_ls_refs,
};
use crate::protocol::pkt_line::PktReader;
use crate::repository::handle::Repository;
use crate::repository::pack::ingest::IngestLimits;

/// What we call ourselves to the other server. Some servers answer Git only, and take the word for it.
pub(super) const AGENT: &str = concat!("git/lockgate-", env!("CARGO_PKG_VERSION"));

/// A connection to a git-upload-pack that has sent, or is sending, its advertisement. What is read after a request was
/// sent answers that request.
pub(super) trait Connection: Read {
    /// Sends one whole request, in the version that was settled.
    fn send(&mut self, request: Vec<u8>, dialect: Dialect) -> Result<(), ImportError>;
    /// Says that nothing more will be sent.
    fn finish(&mut self) -> Result<(), ImportError>;
}

/// Fetches all refs that are wanted and what they reach.
pub(super) fn take(
    repository: &Repository,
    connection: &mut dyn Connection,
    shown: &str,
    limits: &IngestLimits,
    reporter: &Reporter<'_>,
) -> Result<Taken, ImportError> {
    let failed = |source: FetchError| ImportError::Fetch { source_shown: shown.to_string(), source };
    let advertisement = read_advertisement(&mut PktReader::new(&mut *connection)).map_err(failed)?;
    let dialect = advertisement.dialect;
    let refs = match (advertisement.refs, dialect) {
        (Some(refs), _) => refs,
        (None, dialect) => {
            let mut request = Vec::new();
            let unborn = matches!(dialect, Dialect::V2 { unborn: true });
            write_ls_refs(&mut request, AGENT, unborn).expect("a vector takes every write");
            connection.send(request, dialect)?;
            read_ls_refs(&mut PktReader::new(&mut *connection)).map_err(failed)?
        }
    };
    let selection = Selection::of(SourceRefs::from(refs));
    let mut wants: Vec<ObjectId> = selection.refs.iter().map(|(_, id)| *id).collect();
    wants.sort_unstable();
    wants.dedup();
    let source_shown = shown.to_string();
    if wants.is_empty() {
        return Ok(Taken { source_shown, selection, quarantine: None });
    }
    reporter.say(&format!("Fetching {} refs from {shown}", selection.refs.len()));
    let mut request = Vec::new();
    write_fetch(&mut request, dialect, AGENT, &wants).expect("a vector takes every write");
    connection.send(request, dialect)?;
    connection.finish()?;
    let input = PktReader::new(&mut *connection);
    let mut pack = PackStream::new(input, dialect, |text| reporter.remote(text)).map_err(failed)?;
    let quarantine = receive_pack(repository, &mut pack, limits, reporter)
        .map_err(|source| ImportError::Pack { source_shown: source_shown.clone(), source })?;
    Ok(Taken { source_shown, selection, quarantine })
}
