//! Pipes between the asynchronous side of a door and a transfer that blocks: bounded, so that whoever is slow slows the
//! other one down, and honest about ends: a peer that is gone is an error to the transfer, never a quiet end of file.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What goes through a pipe: data, or the reason why there is no more. A closed channel is a regular end for
/// [`PipeReader`].
pub type Item = io::Result<Bytes>;

/// Items that may wait between a socket and a transfer.
const DEPTH: usize = 16;
/// Bytes that a [`PipeWriter`] gathers before it sends.
const CHUNK_BYTES: usize = 64 * 1024;

/// A pipe's two ends, for input to a transfer. `deadline` ends it even if data still flows; a read that waits longer
/// than `stall` fails. Must be called inside the runtime.
pub fn input(deadline: Instant, stall: Duration) -> (mpsc::Sender<Item>, PipeReader) {
    let (sender, receiver) = mpsc::channel(DEPTH);
    let runtime = Handle::current();
    (sender, PipeReader { receiver, current: Bytes::new(), deadline, stall, failed: None, runtime })
}

/// A pipe's two ends, for output of a transfer. Must be called inside the runtime.
pub fn output(deadline: Instant, stall: Duration) -> (PipeWriter, mpsc::Receiver<Item>) {
    let (sender, receiver) = mpsc::channel(DEPTH);
    (PipeWriter { sender, buffer: BytesMut::new(), deadline, stall, runtime: Handle::current() }, receiver)
}

/// The blocking end of an input pipe.
#[derive(Debug)]
pub struct PipeReader {
    receiver: mpsc::Receiver<Item>,
    current: Bytes,
    deadline: Instant,
    stall: Duration,
    failed: Option<io::ErrorKind>,
    runtime: Handle,
}

impl PipeReader {
    /// The next item. Time counts only while somebody waits for data: a client that is busy taking a long answer owes
    /// us nothing.
    fn receive(&mut self) -> io::Result<Option<Bytes>> {
        if Instant::now() >= self.deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the transfer took too long"));
        }
        let received = match self.receiver.try_recv() {
            Ok(item) => Ok(Some(item)),
            Err(mpsc::error::TryRecvError::Disconnected) => Ok(None),
            Err(mpsc::error::TryRecvError::Empty) => {
                // The timer must be made inside the runtime.
                self.runtime.block_on(async { tokio::time::timeout(self.stall, self.receiver.recv()).await })
            }
        };
        match received {
            Ok(item) => item.transpose(),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends no data")),
        }
    }
}

impl Read for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        while self.current.is_empty() {
            match self.receive() {
                Ok(Some(bytes)) => self.current = bytes,
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.failed = Some(error.kind());
                    return Err(error);
                }
            }
        }
        let n = buf.len().min(self.current.len());
        buf[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

/// The blocking end of an output pipe: gathers small writes; `flush` sends what is gathered. Writes fail with
/// `BrokenPipe` when the peer is gone and with `TimedOut` when it takes nothing.
#[derive(Debug)]
pub struct PipeWriter {
    sender: mpsc::Sender<Item>,
    buffer: BytesMut,
    deadline: Instant,
    stall: Duration,
    runtime: Handle,
}

impl PipeWriter {
    /// Where a failure can be put, so that the client does not take what it has for the whole.
    pub fn sender(&self) -> mpsc::Sender<Item> {
        self.sender.clone()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.buffer.split().freeze();
        if Instant::now() >= self.deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the transfer took too long"));
        }
        let item = match self.sender.try_send(Ok(bytes)) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(item)) => item,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        match self.runtime.block_on(self.sender.send_timeout(item, self.stall)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no data"))
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&buf[..n]);
        if self.buffer.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        // What a transfer wrote last, such as its error for the client, goes out even if it forgot to flush; where the
        // peer is gone there is nobody to tell.
        let _ = self.send();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test]
    async fn bytes_and_ends_arrive() {
        let (sender, mut reader) = input(far(), Duration::from_secs(60));
        let reading = tokio::task::spawn_blocking(move || {
            let mut first = [0; 2];
            reader.read_exact(&mut first).unwrap();
            let error = reader.read(&mut first).unwrap_err();
            (first, error.kind(), reader.read(&mut first).unwrap_err().kind())
        });
        sender.send(Ok(Bytes::from_static(b"ab"))).await.unwrap();
        sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
        drop(sender);
        // A broken input never turns into an end of file.
        let reset = io::ErrorKind::ConnectionReset;
        assert_eq!(reading.await.unwrap(), (*b"ab", reset, reset));
    }

    // B15
    #[tokio::test]
    async fn a_client_that_sends_nothing_is_left() {
        let (_sender, mut reader) = input(far(), Duration::from_millis(1));
        let error = tokio::task::spawn_blocking(move || reader.read(&mut [0; 1]).unwrap_err().kind());
        assert_eq!(error.await.unwrap(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_left_is_a_broken_pipe_and_one_that_stalls_a_timeout() {
        let (mut writer, receiver) = output(far(), Duration::from_millis(1));
        drop(receiver);
        let error = tokio::task::spawn_blocking(move || {
            writer.write_all(b"x").unwrap();
            writer.flush().unwrap_err().kind()
        });
        assert_eq!(error.await.unwrap(), io::ErrorKind::BrokenPipe);
        let (mut writer, _receiver) = output(far(), Duration::from_millis(1));
        let error =
            tokio::task::spawn_blocking(move || writer.write_all(&vec![0; CHUNK_BYTES * 64]).unwrap_err().kind());
        assert_eq!(error.await.unwrap(), io::ErrorKind::TimedOut);
    }
}
