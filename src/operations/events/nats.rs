//! Telling NATS JetStream: one connection a broker, held as long as it lasts; a message is told once the stream has it.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use tokio::sync::Mutex;

use super::targets::Message;
use crate::config::NatsSettings;
use crate::operations::lockgate::Lockgate;
use crate::telemetry::with_causes;

/// How long connecting, and how long the stream's answer, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connections, by the name of the broker.
#[derive(Default)]
pub struct Brokers(Mutex<HashMap<String, Context>>);

impl Brokers {
    async fn get(&self, settings: &NatsSettings) -> Result<Context, String> {
        let mut held = self.0.lock().await;
        if let Some(context) = held.get(&settings.name) {
            return Ok(context.clone());
        }
        // One provider for the whole process; that it is installed already is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut options = ConnectOptions::new().connection_timeout(TIMEOUT).request_timeout(Some(TIMEOUT));
        options = match settings.secret.as_deref().map(|secret| (secret, secret.split_once(':'))) {
            Some((_, Some((user, password)))) => options.user_and_password(user.to_owned(), password.to_owned()),
            Some((token, None)) => options.token(token.to_owned()),
            None => options,
        };
        let client = options.connect(&settings.url).await.map_err(|error| with_causes(&error))?;
        let context = jetstream::new(client);
        held.insert(settings.name.clone(), context.clone());
        Ok(context)
    }

    async fn forget(&self, name: &str) {
        self.0.lock().await.remove(name);
    }
}

impl Lockgate {
    /// Publishes to the subject of a broker, and waits until the stream has it. The delivery's id lets the stream drop what it has
    /// already ("Message deduplication", NATS documentation).
    pub(super) async fn send_to_broker(&self, name: &str, message: &Message) -> Result<(), String> {
        let settings = self.event_settings().nats.iter().find(|broker| broker.name == name);
        let settings = settings.ok_or("no broker is called that")?;
        let context = self.events().brokers.get(settings).await?;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", message.id.to_string());
        headers.insert("Lockgate-Event", message.kind.replace(['\r', '\n'], " "));
        for (name, value) in &message.attributes {
            headers.insert(name.as_str(), value.replace(['\r', '\n'], " "));
        }
        let publish = async {
            let subject = settings.subject.clone();
            let sent = context.publish_with_headers(subject, headers, message.body.clone().into()).await;
            let acknowledged = sent.map_err(|error| with_causes(&error))?.await;
            acknowledged.map(|_| ()).map_err(|error| with_causes(&error))
        };
        let told = match tokio::time::timeout(TIMEOUT, publish).await {
            Ok(told) => told,
            Err(_) => Err(format!("the stream does not answer within {} seconds", TIMEOUT.as_secs())),
        };
        if told.is_err() {
            // What is wrong may be the connection: the next attempt makes another one.
            self.events().brokers.forget(name).await;
        }
        told
    }
}
