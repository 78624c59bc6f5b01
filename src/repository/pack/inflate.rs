//! Inflating with one reused decoder: setting one up costs more than most entries' data.

use flate2::{Decompress, FlushDecompress, Status};

/// Why data could not be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not a zlib stream, or a damaged one.
    #[error("the compressed data is damaged")]
    Corrupt,
    /// The stream ends before the stated size is reached.
    #[error("the compressed data is cut off")]
    Truncated,
    /// The stream inflates to more than the stated size.
    #[error("the compressed data holds more than the stated size")]
    TooLong,
}

/// A reusable zlib decoder.
pub struct Inflater {
    decoder: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater { decoder: Decompress::new(true) }
    }
}

impl Inflater {
    /// Begins a new stream.
    pub fn reset(&mut self) {
        self.decoder.reset(true);
    }

    /// Inflates what is in `input` into `out[*filled..]`. Says how many bytes of `input` were used and whether the
    /// stream has ended; call again with more input until it has.
    pub fn step(&mut self, input: &[u8], out: &mut [u8], filled: &mut usize) -> Result<(usize, bool), InflateError> {
        let mut used = 0;
        loop {
            let (in_before, out_before) = (self.decoder.total_in(), self.decoder.total_out());
            // A full `out` is offered one spare byte, which tells a stream that ends here from one that goes on.
            let mut spare = [0u8; 1];
            let full = *filled == out.len();
            let target = if full { &mut spare[..] } else { &mut out[*filled..] };
            let status = self
                .decoder
                .decompress(&input[used..], target, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            let n_in = (self.decoder.total_in() - in_before) as usize;
            let n_out = (self.decoder.total_out() - out_before) as usize;
            used += n_in;
            if full && n_out > 0 {
                return Err(InflateError::TooLong);
            }
            *filled += n_out;
            match status {
                Status::StreamEnd => {
                    return if *filled == out.len() { Ok((used, true)) } else { Err(InflateError::Truncated) };
                }
                _ if used == input.len() && (full || n_out == 0) => return Ok((used, false)),
                _ if n_in == 0 && n_out == 0 => return Err(InflateError::Corrupt),
                _ => {}
            }
        }
    }

    /// Like [`Inflater::step`] for an `out` that is smaller than the stated size: a full `out` is not an error.
    pub fn partial(&mut self, input: &[u8], out: &mut [u8], filled: &mut usize) -> Result<(usize, bool), InflateError> {
        let mut used = 0;
        while *filled < out.len() {
            let (in_before, out_before) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self
                .decoder
                .decompress(&input[used..], &mut out[*filled..], FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            let n_in = (self.decoder.total_in() - in_before) as usize;
            let n_out = (self.decoder.total_out() - out_before) as usize;
            used += n_in;
            *filled += n_out;
            match status {
                Status::StreamEnd => return Ok((used, true)),
                _ if used == input.len() && n_out == 0 => break,
                _ if n_in == 0 && n_out == 0 => return Err(InflateError::Corrupt),
                _ => {}
            }
        }
        Ok((used, false))
    }

    /// Inflates a whole stream of stated `size`; `out` is overwritten. `input` may go on beyond the stream.
    pub fn all(&mut self, input: &[u8], size: usize, out: &mut Vec<u8>) -> Result<usize, InflateError> {
        self.reset();
        out.clear();
        out.resize(size, 0);
        let mut filled = 0;
        let (used, ended) = self.step(input, out, &mut filled)?;
        if ended { Ok(used) } else { Err(InflateError::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn whole_and_in_pieces() {
        for size in [0usize, 1, 5, 70_000] {
            let data: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
            let mut packed = deflate(&data);
            let n = packed.len();
            packed.extend_from_slice(b"next");
            let mut inflater = Inflater::default();
            let mut out = Vec::new();
            assert_eq!(inflater.all(&packed, size, &mut out), Ok(n));
            assert_eq!(out, data);
            // One byte at a time.
            inflater.reset();
            let mut out = vec![0; size];
            let (mut filled, mut at, mut ended) = (0, 0, false);
            while !ended {
                let (used, end) = inflater.step(&packed[at..at + 1], &mut out, &mut filled).unwrap();
                at += used;
                ended = end;
            }
            assert_eq!((at, out), (n, data));
        }
    }

    // B5
    #[test]
    fn stated_sizes_bind() {
        let packed = deflate(&[7; 1000]);
        let mut inflater = Inflater::default();
        let mut out = Vec::new();
        assert_eq!(inflater.all(&packed, 999, &mut out), Err(InflateError::TooLong));
        assert_eq!(inflater.all(&packed, 1001, &mut out), Err(InflateError::Truncated));
        assert_eq!(inflater.all(&packed[..packed.len() - 1], 1000, &mut out), Err(InflateError::Truncated));
        assert_eq!(inflater.all(b"not zlib", 10, &mut out), Err(InflateError::Corrupt));
    }
}
