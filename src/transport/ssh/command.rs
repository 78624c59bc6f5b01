//! One command on one channel: bytes from the channel to the transfer and back, then exit status, end of file, close.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::Instrument;
use uuid::Uuid;

use super::exec::ExecCommand;
use crate::identity::Principal;
use crate::operations::{GitMode, GitService, GitSession, OpContext, Transport};
use crate::transport::activity::Running;
use crate::transport::pipe::{self, Item};
use crate::transport::{Doors, blocking, run_transfer};

/// What a channel was asked to do, and for whom.
pub(super) struct Command {
    pub(super) doors: Doors,
    pub(super) principal: Principal,
    pub(super) source: IpAddr,
    pub(super) inbound: Arc<Semaphore>,
    pub(super) running: Running,
}

impl Command {
    /// Runs a Git service.
    pub(super) async fn git(self, channel: Channel<Msg>, exec: ExecCommand, protocol_version: u8) {
        let request_id = Uuid::now_v7();
        let span = tracing::info_span!("git", %request_id, service = exec.service.name(), transport = "ssh");
        let (reader, writer) = channel.split();
        let session = GitSession {
            service: exec.service,
            repository: exec.repository,
            protocol_version,
            mode: GitMode::Stateful,
        };
        let ctx = OpContext {
            principal: self.principal.clone(),
            request_id,
            source: Some(self.source),
            transport: Transport::Ssh,
        };
        let (stop_reading, stopped) = oneshot::channel();
        let (sender, input) = pipe::input(self.doors.deadline(), self.doors.idle());
        // From now on the channel is always read, so that its queue never holds up the connection.
        let reading = tokio::spawn(pump_in(reader, sender, stopped));
        let outcome = self.transfer(&writer, ctx, session, input).instrument(span).await;
        let exit_status = match outcome {
            Ok(()) => 0,
            Err(message) => {
                complain(&self.doors, &writer, &message).await;
                128
            }
        };
        finish(&writer, exit_status).await;
        let _ = stop_reading.send(());
        let _ = reading.await;
        drop(self.running);
    }

    /// Tells the client on standard error what is wrong.
    pub(super) async fn refuse(self, channel: Channel<Msg>, message: String) {
        let (_reader, writer) = channel.split();
        complain(&self.doors, &writer, &message).await;
        finish(&writer, 128).await;
        drop(self.running);
    }

    /// Answers a login without a command.
    pub(super) async fn greet(self, channel: Channel<Msg>) {
        let (_reader, writer) = channel.split();
        let (host, principal) = (self.doors.host.clone(), self.principal.clone());
        let mut text = blocking(move || host.greeting(&principal)).await.unwrap_or_default();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let _ = write_in_time(&self.doors, &mut writer.make_writer(), text.as_bytes()).await;
        finish(&writer, 0).await;
        drop(self.running);
    }

    /// The transfer itself. An error is a line that the client has not been told yet; empty where it has.
    async fn transfer(
        &self,
        writer: &ChannelWriteHalf<Msg>,
        ctx: OpContext,
        session: GitSession,
        input: pipe::PipeReader,
    ) -> Result<(), String> {
        // Nothing arrives on this channel before we advertise, so that waiting holds nobody up.
        let _inbound = match session.service {
            GitService::ReceivePack => self.inbound.acquire().await.ok(),
            GitService::UploadPack | GitService::UploadArchive => None,
        };
        let _turn = self.doors.turn().await.ok_or("the server is busy, try again in a minute")?;
        let (host, request_id) = (self.doors.host.clone(), ctx.request_id);
        let opened = blocking(move || host.open(&ctx, &session)).await;
        let opened = opened.ok_or_else(|| format!("the server failed, request {request_id}"))?;
        let transfer = opened.map_err(|refusal| refusal.to_string())?;
        let (pipe, mut chunks) = pipe::output(self.doors.deadline(), self.doors.idle());
        let running = blocking(move || run_transfer(transfer, Box::new(input), Box::new(pipe)));
        let mut stdout = writer.make_writer();
        let writing = async {
            while let Some(Ok(chunk)) = chunks.recv().await {
                if write_in_time(&self.doors, &mut stdout, &chunk).await.is_err() {
                    // Closing the pipe is how the transfer learns that the client is gone.
                    chunks.close();
                    while chunks.recv().await.is_some() {}
                    return;
                }
            }
        };
        match tokio::join!(running, writing).0 {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => {
                tracing::info!(error = &error as &dyn std::error::Error, "transfer ended early");
                Err(String::new())
            }
            None => Err(format!("the server failed, request {request_id}")),
        }
    }
}

/// Hands the channel's data to the transfer, and reads on to the channel's end when the transfer wants no more: what a
/// client still had under way when it was refused must go somewhere.
async fn pump_in(mut reader: ChannelReadHalf, sender: mpsc::Sender<Item>, stopped: oneshot::Receiver<()>) {
    let linger = async {
        let _ = stopped.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::pin!(linger);
    let mut sender = Some(sender);
    loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = &mut linger => return,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                if let Some(to) = &sender
                    && to.send(Ok(data)).await.is_err()
                {
                    sender = None;
                }
            }
            Some(ChannelMsg::Eof) => sender = None,
            Some(ChannelMsg::Close) | None => {
                if let Some(sender) = sender.take() {
                    let gone = io::Error::new(io::ErrorKind::UnexpectedEof, "the client closed the channel");
                    let _ = sender.send(Err(gone)).await;
                }
                return;
            }
            Some(_) => {}
        }
    }
}

/// How long a client may take to close its side after we have closed ours.
const LINGER: Duration = Duration::from_secs(5);

async fn write_in_time(doors: &Doors, writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let write = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    tokio::time::timeout(doors.idle(), write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn complain(doors: &Doors, writer: &ChannelWriteHalf<Msg>, message: &str) {
    if !message.is_empty() {
        let line = format!("lockgate: {message}\n");
        let _ = write_in_time(doors, &mut writer.make_writer_ext(Some(1)), line.as_bytes()).await;
    }
}

async fn finish(writer: &ChannelWriteHalf<Msg>, exit_status: u32) {
    // Each fails only where the connection is gone, and then nobody listens.
    let _ = writer.exit_status(exit_status).await;
    let _ = writer.eof().await;
    let _ = writer.close().await;
}
