//! Sidebands: one stream that carries data, messages for a person and a last word, told apart by the first byte of each
//! packet. (gitprotocol-pack, "Packfile Data")

use std::io::{self, Write};

use super::pkt_line;

/// How the peer wants data and messages carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sideband {
    /// Not at all: data goes as it is, messages cannot be sent.
    #[default]
    None,
    /// `side-band`: packets of at most 1000 bytes.
    Small,
    /// `side-band-64k`: packets of at most 65520 bytes. The only one in version 2.
    Large,
}

impl Sideband {
    /// Most bytes of data in one packet: its length takes four more, the band's number one.
    fn max_data_bytes(self) -> usize {
        match self {
            Sideband::None => 0,
            Sideband::Small => 995,
            Sideband::Large => 65515,
        }
    }
}

/// Writes data on band 1 in packets as full as can be, and messages on bands 2 and 3.
///
/// What is written last stays in the buffer until [`flush`](Write::flush), a message, or [`finish`](Self::finish).
#[derive(Debug)]
pub struct SidebandWriter<W: Write> {
    out: W,
    sideband: Sideband,
    /// Data not yet sent; empty without a sideband.
    pending: Vec<u8>,
}

impl<W: Write> SidebandWriter<W> {
    /// A writer whose packets go to `out`.
    pub fn new(out: W, sideband: Sideband) -> SidebandWriter<W> {
        SidebandWriter { out, sideband, pending: Vec::with_capacity(sideband.max_data_bytes()) }
    }

    /// Shows `text` to the person at the other end, with `remote: ` before each line: progress, or what a hook says.
    /// The caller ends lines in a line feed (or a carriage return, to have it overwritten) and has escaped what is
    /// not its own. Sends the pending data first. Without a sideband the text is dropped.
    pub fn message(&mut self, text: &str) -> io::Result<()> {
        self.send_on(2, text.as_bytes())
    }

    /// Ends the transfer at the client with `text` as the reason; nothing may be written after it.
    /// Without a sideband the text is dropped, and the peer sees a stream that stops early.
    pub fn fatal(&mut self, text: &str) -> io::Result<()> {
        self.send_on(3, text.as_bytes())
    }

    /// An empty packet on band 1, which keeps a connection alive that has nothing to say yet; nothing without a sideband.
    pub fn keep_alive(&mut self) -> io::Result<()> {
        if self.sideband != Sideband::None {
            self.out.write_all(b"0005\x01")?;
        }
        self.out.flush()
    }

    /// Sends what is pending and the flush packet that ends the stream of bands, and gives back the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.send_pending()?;
        if self.sideband != Sideband::None {
            pkt_line::write_flush(&mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn send_on(&mut self, band: u8, text: &[u8]) -> io::Result<()> {
        self.send_pending()?;
        if self.sideband != Sideband::None {
            for part in text.chunks(self.sideband.max_data_bytes()) {
                write_band(&mut self.out, band, part)?;
            }
        }
        self.out.flush()
    }

    fn send_pending(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            write_band(&mut self.out, 1, &self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for SidebandWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let max = self.sideband.max_data_bytes();
        if max == 0 {
            return self.out.write(data);
        }
        if self.pending.is_empty() && data.len() >= max {
            write_band(&mut self.out, 1, &data[..max])?;
            return Ok(max);
        }
        // `pending` is shorter than `max` here: it is sent as soon as it is full.
        let n_bytes = data.len().min(max - self.pending.len());
        self.pending.extend_from_slice(&data[..n_bytes]);
        if self.pending.len() == max {
            self.send_pending()?;
        }
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        self.out.flush()
    }
}

/// Writes one packet of a band; `data` has at most 65515 bytes.
fn write_band(out: &mut impl Write, band: u8, data: &[u8]) -> io::Result<()> {
    write!(out, "{:04x}", data.len() + 5)?;
    out.write_all(&[band])?;
    out.write_all(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::pkt_line::{Packet, PktReader};

    fn check(sideband: Sideband, n_bytes: usize, expected_sizes: &[usize]) {
        let data: Vec<u8> = (0..n_bytes).map(|n| n as u8).collect();
        for step in [1000, 7919, n_bytes.max(1)] {
            let mut writer = SidebandWriter::new(Vec::new(), sideband);
            for part in data.chunks(step) {
                writer.write_all(part).unwrap();
            }
            let wire = writer.finish().unwrap();
            let mut reader = PktReader::new(&wire[..]);
            let (mut sizes, mut got) = (Vec::new(), Vec::new());
            while let Packet::Data(packet) = reader.next_packet().unwrap() {
                assert_eq!(packet[0], 1);
                sizes.push(packet.len() - 1);
                got.extend_from_slice(&packet[1..]);
            }
            assert_eq!(sizes, expected_sizes, "steps of {step}");
            assert!(got == data);
            assert!(reader.at_end().unwrap());
        }
    }

    #[test]
    fn data_fills_packets() {
        check(Sideband::Large, 0, &[]);
        check(Sideband::Large, 65515, &[65515]);
        check(Sideband::Large, 65516 + 65515, &[65515, 65515, 1]);
        check(Sideband::Small, 2000, &[995, 995, 10]);
    }

    #[test]
    fn messages_come_after_the_data_before_them() {
        let mut writer = SidebandWriter::new(Vec::new(), Sideband::Large);
        writer.write_all(b"PACK").unwrap();
        writer.message("hi\n").unwrap();
        writer.keep_alive().unwrap();
        writer.fatal("no").unwrap();
        assert_eq!(writer.finish().unwrap(), b"0009\x01PACK0008\x02hi\n0005\x010007\x03no0000");
    }

    #[test]
    fn without_a_sideband_data_is_bare() {
        let mut writer = SidebandWriter::new(Vec::new(), Sideband::None);
        writer.message("hi\n").unwrap();
        writer.write_all(b"PACK").unwrap();
        writer.fatal("no").unwrap();
        assert_eq!(writer.finish().unwrap(), b"PACK");
    }
}
