//! What a server says first: the refs and capabilities of versions 0 and 1, the capabilities of version 2.
//! (gitprotocol-pack, "Reference Discovery"; gitprotocol-v2, "Capability Advertisement"; gitprotocol-http)
//!
//! The refs given here are those the reader may see; nothing is filtered here.

use std::io::{self, Write};

use crate::names::{ObjectId, RefName};

use super::capabilities::clean_label;
use super::pkt_line::{write_data, write_flush, write_line};
use super::service::{Service, Version};

/// A ref to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedRef {
    /// Its full name.
    pub name: RefName,
    /// The object it points at.
    pub id: ObjectId,
    /// For an annotated tag, the object that it comes down to through all tags in between.
    pub peeled: Option<ObjectId>,
}

/// `HEAD`, which is always symbolic here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The branch that it stands for.
    pub target: RefName,
    /// The branch's object; `None` while the branch is unborn.
    pub id: Option<ObjectId>,
}

/// The refs that one reader may see.
#[derive(Debug)]
pub struct RefAdvertisement<I> {
    /// The refs in the order of their names' bytes, without `HEAD`.
    pub refs: I,
    /// `HEAD`, if the reader may see its target.
    pub head: Option<Head>,
}

/// What is offered besides what is always offered. `Default` offers the least.
#[derive(Debug, Clone, Default)]
pub struct Offer<'a> {
    /// This server's name and version, as in `lockgate/0.1.0`.
    pub agent: &'a str,
    /// An id for this connection that may be seen in the client's traces.
    pub session_id: Option<&'a str>,
    /// The transport is stateless (HTTP). Allows `no-done`.
    pub stateless: bool,
    /// upload-pack: partial clones.
    pub filter: bool,
    /// upload-pack, versions 0 and 1: wants may name any object that is served, not tips alone. Version 2 has no word
    /// for it, its clients just ask.
    pub any_served_want: bool,
    /// receive-pack: `git push --push-option`.
    pub push_options: bool,
}

/// Writes what `service` begins with over `version`, up to and including the flush packet. Over HTTP (`smart_http`)
/// the `# service=` line goes first, except in version 2, as Git's `http-backend` has it.
///
/// For receive-pack, `HEAD` is left out, as Git's does. Fails only if `out` does.
pub fn write_advertisement<I>(
    out: &mut impl Write,
    service: Service,
    version: Version,
    smart_http: bool,
    offer: &Offer<'_>,
    advertisement: RefAdvertisement<I>,
) -> io::Result<()>
where
    I: IntoIterator<Item = AdvertisedRef>,
{
    let version = version.for_service(service);
    if version == Version::V2 {
        return write_v2_capabilities(out, offer);
    }
    if smart_http {
        write_line(out, format!("# service={}", service.as_str()).as_bytes())?;
        write_flush(out)?;
    }
    if version == Version::V1 {
        write_line(out, b"version 1")?;
    }
    write_v0_refs(out, service, offer, advertisement)
}

/// Writes the capabilities of version 2 and a flush packet. It is the same for every repository and reader, so it can
/// be sent before either is known, but for the session id.
pub fn write_v2_capabilities(out: &mut impl Write, offer: &Offer<'_>) -> io::Result<()> {
    write_line(out, b"version 2")?;
    write_line(out, format!("agent={}", clean_label(offer.agent.as_bytes())).as_bytes())?;
    write_line(out, b"ls-refs=unborn")?;
    let filter = if offer.filter { " filter" } else { "" };
    write_line(out, format!("fetch=shallow wait-for-done{filter} ref-in-want").as_bytes())?;
    write_line(out, b"server-option")?;
    write_line(out, b"object-format=sha1")?;
    if let Some(id) = offer.session_id {
        write_line(out, format!("session-id={}", clean_label(id.as_bytes())).as_bytes())?;
    }
    write_line(out, b"object-info=size")?;
    write_flush(out)
}

fn write_v0_refs<I>(
    out: &mut impl Write,
    service: Service,
    offer: &Offer<'_>,
    advertisement: RefAdvertisement<I>,
) -> io::Result<()>
where
    I: IntoIterator<Item = AdvertisedRef>,
{
    // An unborn HEAD has no line to stand in, and Git then does not name its target either.
    let head = match service {
        Service::UploadPack => advertisement.head.and_then(|head| Some((head.target, head.id?))),
        Service::ReceivePack => None,
    };
    let mut capabilities = Some(match service {
        Service::UploadPack => upload_pack_capabilities(offer, head.as_ref().map(|(target, _)| target)),
        Service::ReceivePack => receive_pack_capabilities(offer),
    });
    // The list stands behind the first line, whichever that is.
    let mut line = |out: &mut _, id: &ObjectId, name: &[u8]| {
        let mut line = format!("{id} ").into_bytes();
        line.extend_from_slice(name);
        if let Some(capabilities) = capabilities.take() {
            line.push(0);
            line.extend_from_slice(&capabilities);
        }
        line.push(b'\n');
        write_data(out, &line)
    };

    let mut is_empty = true;
    if let Some((_, id)) = &head {
        line(out, id, b"HEAD")?;
        is_empty = false;
    }
    for item in advertisement.refs {
        line(out, &item.id, item.name.as_bytes())?;
        is_empty = false;
        // Clients of receive-pack have no use for what tags peel to.
        if let (Some(peeled), Service::UploadPack) = (&item.peeled, service) {
            let mut name = item.name.as_bytes().to_vec();
            name.extend_from_slice(b"^{}");
            line(out, peeled, &name)?;
        }
    }
    if is_empty {
        line(out, &ObjectId::null(gix_hash::Kind::Sha1), b"capabilities^{}")?;
    }
    write_flush(out)
}

fn upload_pack_capabilities(offer: &Offer<'_>, head: Option<&RefName>) -> Vec<u8> {
    let mut list =
        b"multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative \
        no-progress include-tag multi_ack_detailed"
            .to_vec();
    if offer.any_served_want {
        list.extend_from_slice(b" allow-tip-sha1-in-want allow-reachable-sha1-in-want");
    }
    if offer.stateless {
        list.extend_from_slice(b" no-done");
    }
    if let Some(target) = head {
        list.extend_from_slice(b" symref=HEAD:");
        list.extend_from_slice(target.as_bytes());
    }
    if offer.filter {
        list.extend_from_slice(b" filter");
    }
    push_common_capabilities(&mut list, offer);
    list
}

fn receive_pack_capabilities(offer: &Offer<'_>) -> Vec<u8> {
    let mut list = b"report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta".to_vec();
    if offer.push_options {
        list.extend_from_slice(b" push-options");
    }
    push_common_capabilities(&mut list, offer);
    list
}

fn push_common_capabilities(list: &mut Vec<u8>, offer: &Offer<'_>) {
    if let Some(id) = offer.session_id {
        list.extend_from_slice(b" session-id=");
        list.extend_from_slice(clean_label(id.as_bytes()).as_bytes());
    }
    list.extend_from_slice(b" object-format=sha1 agent=");
    list.extend_from_slice(clean_label(offer.agent.as_bytes()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn oid(hex: &str) -> ObjectId {
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    fn refs() -> Vec<AdvertisedRef> {
        vec![
            AdvertisedRef { name: RefName::branch("main").unwrap(), id: oid(A), peeled: None },
            AdvertisedRef { name: RefName::parse(b"refs/tags/v1").unwrap(), id: oid(B), peeled: Some(oid(A)) },
        ]
    }

    fn check(
        service: Service,
        version: Version,
        smart_http: bool,
        refs: Vec<AdvertisedRef>,
        id: Option<&str>,
        expected: &str,
    ) {
        let offer = Offer {
            agent: "lockgate/1 x",
            filter: true,
            stateless: smart_http,
            push_options: true,
            ..Offer::default()
        };
        let head = Some(Head { target: RefName::branch("main").unwrap(), id: id.map(oid) });
        let mut out = Vec::new();
        write_advertisement(&mut out, service, version, smart_http, &offer, RefAdvertisement { refs, head }).unwrap();
        // Lengths are checked by `pkt_line`; without them the text can be read.
        let mut reader = crate::protocol::pkt_line::PktReader::new(&out[..]);
        let mut text = String::new();
        while let Some(packet) = reader.next_or_end().unwrap() {
            text.push_str(&String::from_utf8_lossy(packet.as_shown()).replace('\0', "|"));
            text.push('\n');
        }
        assert_eq!(text, expected);
    }

    #[test]
    fn upload_pack_over_http() {
        let expected = format!(
            "# service=git-upload-pack\n0000\n{A} HEAD|multi_ack thin-pack side-band side-band-64k ofs-delta shallow \
             deepen-since deepen-not deepen-relative no-progress include-tag multi_ack_detailed no-done \
             symref=HEAD:refs/heads/main filter object-format=sha1 agent=lockgate/1.x\n\
             {A} refs/heads/main\n{B} refs/tags/v1\n{A} refs/tags/v1^{{}}\n0000\n"
        );
        check(Service::UploadPack, Version::V0, true, refs(), Some(A), &expected);
    }

    #[test]
    fn receive_pack_over_ssh() {
        let expected = format!(
            "version 1\n{A} refs/heads/main|report-status report-status-v2 delete-refs side-band-64k quiet atomic \
             ofs-delta push-options object-format=sha1 agent=lockgate/1.x\n{B} refs/tags/v1\n0000\n"
        );
        check(Service::ReceivePack, Version::V1, false, refs(), Some(A), &expected);
    }

    #[test]
    fn an_empty_repository() {
        let zero = "0".repeat(40);
        let expected = format!(
            "{zero} capabilities^{{}}|multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since \
             deepen-not deepen-relative no-progress include-tag multi_ack_detailed filter object-format=sha1 \
             agent=lockgate/1.x\n0000\n"
        );
        check(Service::UploadPack, Version::V0, false, vec![], None, &expected);
        let expected = format!(
            "# service=git-receive-pack\n0000\n{zero} capabilities^{{}}|report-status report-status-v2 delete-refs \
             side-band-64k quiet atomic ofs-delta push-options object-format=sha1 agent=lockgate/1.x\n0000\n"
        );
        // There is no push in version 2.
        check(Service::ReceivePack, Version::V2, true, vec![], None, &expected);
    }

    #[test]
    fn version_2() {
        let expected = "version 2\nagent=lockgate/1.x\nls-refs=unborn\nfetch=shallow wait-for-done filter ref-in-want\n\
            server-option\nobject-format=sha1\nobject-info=size\n0000\n";
        check(Service::UploadPack, Version::V2, true, refs(), Some(A), expected);
    }
}
