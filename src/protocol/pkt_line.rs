//! pkt-lines: four hexadecimal digits of length, counting themselves, then that many bytes less four. Three lengths
//! below four are packets without bytes: `0000` flush, `0001` delimiter, `0002` end of response. (gitprotocol-common)
//!
//! [`decode`] is the whole parser, on a slice; [`PktReader`] feeds it from a stream and, when the packets are over,
//! gives out the rest of the stream untouched, which is where a pushed pack stands.

use std::io::{self, BufRead, Read, Write};

use super::errors::{PeerError, ProtocolError, shown};

/// Most bytes in a packet, its length included.
pub const MAX_PACKET_BYTES: usize = 65520;
/// Most bytes that a packet carries.
pub const MAX_DATA_BYTES: usize = MAX_PACKET_BYTES - 4;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Bytes, possibly none; a line of text usually ends in a line feed here.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section of a message (version 2).
    Delim,
    /// `0002`: the end of a response, for stateless connections that are tunnelled.
    ResponseEnd,
}

impl<'a> Packet<'a> {
    /// The packet's bytes without one line feed at their end; nothing if it is a special packet.
    pub fn line(self) -> Option<&'a [u8]> {
        match self {
            Packet::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Packet::Flush | Packet::Delim | Packet::ResponseEnd => None,
        }
    }

    /// What the packet looks like in an error's text.
    pub(super) fn as_shown(self) -> &'a [u8] {
        match self {
            Packet::Data(data) => data.strip_suffix(b"\n").unwrap_or(data),
            Packet::Flush => b"0000",
            Packet::Delim => b"0001",
            Packet::ResponseEnd => b"0002",
        }
    }
}

/// Parses the packet at the beginning of `input` and says how many bytes it took; `None` if it is not complete yet.
/// Fails as soon as the four length bytes cannot be a length.
pub fn decode(input: &[u8]) -> Result<Option<(Packet<'_>, usize)>, PeerError> {
    let Some((digits, rest)) = input.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let mut length = 0_usize;
    for digit in digits {
        let value = char::from(*digit).to_digit(16).ok_or_else(|| PeerError::BadLength { shown: shown(digits) })?;
        length = length << 4 | value as usize;
    }
    match length {
        0 => Ok(Some((Packet::Flush, 4))),
        1 => Ok(Some((Packet::Delim, 4))),
        2 => Ok(Some((Packet::ResponseEnd, 4))),
        4..=MAX_PACKET_BYTES => Ok(rest.get(..length - 4).map(|data| (Packet::Data(data), length))),
        _ => Err(PeerError::BadLength { shown: shown(digits) }),
    }
}

/// Reads packets from a stream, through a buffer of one packet's size. What the buffer holds beyond the packets read
/// so far is not lost: the reader is itself [`Read`] and [`BufRead`] over the rest of the stream.
///
/// It reads from the stream only when the buffer has no complete packet, so a peer that waits for an answer gets it.
#[derive(Debug)]
pub struct PktReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// The bytes read and not yet given out are `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<R: Read> PktReader<R> {
    /// A reader at the beginning of a stream.
    pub fn new(inner: R) -> PktReader<R> {
        PktReader { inner, buffer: vec![0; MAX_PACKET_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The next packet, or `None` if the stream ends where a packet would begin.
    pub fn next_or_end(&mut self) -> Result<Option<Packet<'_>>, ProtocolError> {
        let taken = loop {
            if let Some((_, taken)) = decode(&self.buffer[self.start..self.end])? {
                break taken;
            }
            if self.fill()? == 0 {
                return if self.start == self.end { Ok(None) } else { Err(PeerError::Truncated.into()) };
            }
        };
        let range = self.start..self.start + taken;
        self.start += taken;
        // The same bytes that parsed above; parsed again because the loop may not hold on to the buffer it refills.
        Ok(decode(&self.buffer[range])?.map(|(packet, _)| packet))
    }

    /// The next packet; that the stream ends is an error.
    pub fn next_packet(&mut self) -> Result<Packet<'_>, ProtocolError> {
        self.next_or_end()?.ok_or_else(|| PeerError::Truncated.into())
    }

    /// Whether the stream is at its end. Waits for a byte if there is none.
    pub fn at_end(&mut self) -> Result<bool, ProtocolError> {
        Ok(self.start == self.end && self.fill()? == 0)
    }

    /// The bytes that were read from the stream ahead of the packets given out, and the stream itself.
    pub fn into_inner(self) -> (Vec<u8>, R) {
        (self.buffer[self.start..self.end].to_vec(), self.inner)
    }

    /// Reads once from the stream into the free part of the buffer, which is never full when this is called: a full
    /// buffer holds a whole packet.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(n_bytes) => {
                    self.end += n_bytes;
                    return Ok(n_bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for PktReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && out.len() >= self.buffer.len() {
            return self.inner.read(out);
        }
        let available = self.fill_buf()?;
        let n_bytes = available.len().min(out.len());
        out[..n_bytes].copy_from_slice(&available[..n_bytes]);
        self.consume(n_bytes);
        Ok(n_bytes)
    }
}

impl<R: Read> BufRead for PktReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, n_bytes: usize) {
        self.start = (self.start + n_bytes).min(self.end);
    }
}

/// Writes `data` as one packet. Fails with `InvalidInput` if it is longer than [`MAX_DATA_BYTES`].
pub fn write_data(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    if data.len() > MAX_DATA_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a packet carries at most 65516 bytes"));
    }
    write!(out, "{:04x}", data.len() + 4)?;
    out.write_all(data)
}

/// Writes `line` and a line feed as one packet. Fails as [`write_data`] does.
pub fn write_line(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    if line.len() >= MAX_DATA_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a packet carries at most 65516 bytes"));
    }
    write!(out, "{:04x}", line.len() + 5)?;
    out.write_all(line)?;
    out.write_all(b"\n")
}

/// Writes a flush packet, `0000`.
pub fn write_flush(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"0000")
}

/// Writes a delimiter packet, `0001`.
pub fn write_delim(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"0001")
}

/// Writes an end-of-response packet, `0002`.
pub fn write_response_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"0002")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives out its bytes one at a time, as a slow peer would.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n_bytes = self.0.len().min(out.len()).min(1);
            out[..n_bytes].copy_from_slice(&self.0[..n_bytes]);
            self.0 = &self.0[n_bytes..];
            Ok(n_bytes)
        }
    }

    #[test]
    fn packets_are_told_apart() {
        for (input, expected) in [
            (&b"0000"[..], Some((Packet::Flush, 4))),
            (b"0001", Some((Packet::Delim, 4))),
            (b"0002", Some((Packet::ResponseEnd, 4))),
            (b"0004", Some((Packet::Data(b""), 4))),
            (b"0006a\nrest", Some((Packet::Data(b"a\n"), 6))),
            (b"000Bhello w", Some((Packet::Data(b"hello w"), 11))),
            (b"", None),
            (b"000", None),
            (b"0006a", None),
            (b"fff0", None),
        ] {
            assert_eq!(decode(input), Ok(expected), "{input:?}");
        }
        assert_eq!(Packet::Data(b"a\n\n").line(), Some(&b"a\n"[..]));
        assert_eq!(Packet::Data(b"a").line(), Some(&b"a"[..]));
        assert_eq!(Packet::Flush.line(), None);
    }

    // B5
    #[test]
    fn lengths_that_cannot_be() {
        for input in
            [b"0003", b"fff1", b"ffff", b"-001", b"+004", b" 004", b"000g", b"0x10", b"GET ", b"\xff\xff\xff\xff"]
        {
            assert!(matches!(decode(input), Err(PeerError::BadLength { .. })), "{input:?}");
            let mut reader = PktReader::new(&input[..]);
            assert!(matches!(reader.next_packet(), Err(ProtocolError::Peer(PeerError::BadLength { .. }))));
        }
    }

    // B5
    #[test]
    fn a_stream_that_stops_early() {
        for input in [&b"0"[..], b"000", b"0005", b"fff0abc"] {
            let mut reader = PktReader::new(input);
            assert!(matches!(reader.next_or_end(), Err(ProtocolError::Peer(PeerError::Truncated))), "{input:?}");
        }
        let mut reader = PktReader::new(&b""[..]);
        assert!(reader.at_end().unwrap());
        assert!(reader.next_or_end().unwrap().is_none());
        assert!(matches!(reader.next_packet(), Err(ProtocolError::Peer(PeerError::Truncated))));
    }

    #[test]
    fn the_pack_after_the_packets_is_untouched() {
        let mut input = b"0006a\n0000".to_vec();
        let pack: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        input.extend_from_slice(&pack);

        let mut reader = PktReader::new(&input[..]);
        assert_eq!(reader.next_packet().unwrap(), Packet::Data(b"a\n"));
        assert_eq!(reader.next_packet().unwrap(), Packet::Flush);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest == pack);

        let mut reader = PktReader::new(&input[..]);
        reader.next_packet().unwrap();
        reader.next_packet().unwrap();
        let (mut rest, inner) = reader.into_inner();
        rest.extend_from_slice(inner);
        assert!(rest == pack);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut out = Vec::new();
        assert!(write_data(&mut out, &vec![0; MAX_DATA_BYTES + 1]).is_err());
        assert!(write_line(&mut out, &vec![0; MAX_DATA_BYTES]).is_err());
        assert!(out.is_empty());
        write_data(&mut out, &vec![7; MAX_DATA_BYTES]).unwrap();
        assert!(out.starts_with(b"fff0\x07"));
        out.clear();
        write_line(&mut out, b"hi").unwrap();
        write_delim(&mut out).unwrap();
        write_response_end(&mut out).unwrap();
        write_flush(&mut out).unwrap();
        assert_eq!(out, b"0007hi\n000100020000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut wire = Vec::new();
            for data in &packets {
                write_data(&mut wire, data).unwrap();
            }
            write_flush(&mut wire).unwrap();
            let mut reader = PktReader::new(Drip(&wire));
            for data in &packets {
                prop_assert_eq!(reader.next_packet().unwrap(), Packet::Data(data));
            }
            prop_assert_eq!(reader.next_packet().unwrap(), Packet::Flush);
            prop_assert!(reader.at_end().unwrap());
        }

        #[test]
        fn any_bytes_are_packets_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(Some((_, taken))) = decode(&bytes) {
                prop_assert!((4..=bytes.len()).contains(&taken));
            }
            let mut reader = PktReader::new(&bytes[..]);
            while let Ok(Some(_)) = reader.next_or_end() {}
        }
    }
}
