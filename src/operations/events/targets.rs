//! How each kind of target is told: webhooks, API destinations, queues, brokers, and commands of this machine where the
//! configuration has them. Builds and pipelines will be more arms of [`Lockgate::send`].
//!
//! Where a webhook or an API destination is, is somebody's word: those connections are made through `outbound`, which refuses
//! addresses inside. Queues, brokers and commands are the administrator's, by name, for the accounts that the configuration says.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::aws_client::{AwsClient, AwsClientOptions};
use crate::config::{EventCommand, Webhook};
use crate::events::bus::{ApiConnection, ApiDestination, Authorization, HttpParameters};
use crate::events::delivery::Delivery;
use crate::events::shelf::EventShelf;
use crate::names::{AccountId, escape_for_people};
use crate::operations::lockgate::Lockgate;
use crate::root_keys::aws_credentials;
use crate::telemetry::with_causes;

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Most bytes of what a command says that stand in the delivery's log.
const MAX_SAID_BYTES: usize = 500;
/// How long a queue may take.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that is told to a target.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same at each attempt, so that the target knows what it has.
    pub id: Uuid,
    /// What kind of event.
    pub kind: String,
    /// Whom: an ARN or a URL.
    pub destination: String,
    /// What.
    pub body: String,
    /// Headers and parameters of a request.
    pub http: Option<HttpParameters>,
    /// The message group of a FIFO queue.
    pub group: String,
    /// What a queue is told besides.
    pub attributes: Vec<(String, String)>,
}

impl Message {
    /// What a delivery tells.
    pub fn of(id: Uuid, delivery: &Delivery) -> Message {
        Message {
            id,
            kind: delivery.kind.clone(),
            destination: delivery.destination.clone(),
            body: delivery.body.clone(),
            http: delivery.http.clone(),
            group: delivery.group.clone(),
            attributes: delivery.attributes.clone().into_iter().collect(),
        }
    }

    /// A body for a destination, and nothing else.
    pub fn plain(id: Uuid, kind: &str, destination: &str, body: String) -> Message {
        let (kind, destination) = (kind.to_owned(), destination.to_owned());
        Message { id, kind, destination, body, http: None, group: String::new(), attributes: Vec::new() }
    }
}

/// What an ARN or a URL means as a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A URL, or a webhook of the configuration.
    Webhook,
    /// An API destination of the account: its name and id.
    Api(String, String),
    /// A queue: its name.
    Queue(String),
    /// A broker of the configuration: its name.
    Nats(String),
    /// A command of the configuration: its name.
    Command(String),
    /// A bus: its account and name.
    Bus(AccountId, String),
}

impl Destination {
    /// What a target's ARN, or URL, means in an account of a region; or why it means nothing.
    pub fn parse(text: &str, region: &str, account: &AccountId) -> Result<Destination, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Destination::Webhook);
        }
        let shown = escape_for_people(text.as_bytes(), 200);
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [_, _, service, in_region, of, resource] = parts[..] else {
            return Err(format!("`{shown}` is neither an ARN nor a URL"));
        };
        if !text.starts_with("arn:aws:") || in_region != region {
            return Err(format!("`{shown}` is no target here: targets are of the region {region}"));
        }
        let owner = AccountId::parse(of).map_err(|_| format!("`{shown}` names no account"))?;
        if let ("events", Some(name)) = (service, resource.strip_prefix("event-bus/")) {
            return Ok(Destination::Bus(owner, name.to_owned()));
        }
        if owner != *account {
            return Err(format!("`{shown}` is of another account: of those only buses are targets"));
        }
        match (service, resource.split_once('/')) {
            ("lockgate", Some(("webhook", _))) => Ok(Destination::Webhook),
            ("lockgate", Some(("nats", name))) => Ok(Destination::Nats(name.to_owned())),
            ("lockgate", Some(("command", name))) => Ok(Destination::Command(name.to_owned())),
            ("events", Some(("api-destination", rest))) => match rest.split_once('/') {
                Some((name, id)) => Ok(Destination::Api(name.to_owned(), id.to_owned())),
                None => Err(format!("`{shown}` is no API destination: its ARN ends with its name and its id")),
            },
            ("sqs", None) if !resource.is_empty() => Ok(Destination::Queue(resource.to_owned())),
            _ => Err(format!(
                "`{shown}` is no target here: a webhook, an API destination, a queue, a broker, a command or a bus is one"
            )),
        }
    }
}

impl Lockgate {
    /// Why a destination cannot be told now, by what is set up and configured; nothing if it can. Buses are asked elsewhere. Blocks.
    pub fn check_destination(&self, account: &AccountId, text: &str) -> Result<Destination, String> {
        let destination = Destination::parse(text, self.identity().region(), account)?;
        let shown = escape_for_people(text.as_bytes(), 200);
        let events = self.event_settings();
        let is_there = match &destination {
            Destination::Webhook => self.webhook_of(text, account).is_some(),
            Destination::Api(name, id) => {
                let shelf = EventShelf::new(self.store(), account);
                let found = shelf.get::<ApiDestination>(&[name]).map_err(|error| with_causes(&error))?;
                found.is_some_and(|found| found.value.id.to_string() == *id)
            }
            Destination::Queue(_) => events.queues.as_ref().is_some_and(|queues| queues.accounts.contains(account)),
            Destination::Nats(name) => {
                events.nats.iter().any(|broker| broker.name == *name && broker.accounts.contains(account))
            }
            Destination::Command(name) => {
                events.commands.iter().any(|command| command.name == *name && command.accounts.contains(account))
            }
            Destination::Bus(..) => true,
        };
        match is_there {
            true => Ok(destination),
            false => Err(format!("`{shown}` is not there, or not for the account {account}")),
        }
    }

    /// Tells a target; says why it did not take it.
    pub async fn send(&self, account: &AccountId, message: &Message) -> Result<(), String> {
        let (host, of, text) = (self.clone(), account.clone(), message.destination.clone());
        let destination = tokio::task::spawn_blocking(move || host.check_destination(&of, &text)).await;
        match destination.map_err(|_| "the server is stopping".to_owned())?? {
            Destination::Webhook => self.send_to_webhook(account, message).await,
            Destination::Api(name, _) => self.send_to_api(account, name, message).await,
            Destination::Queue(name) => self.send_to_queue(account, &name, message).await,
            Destination::Nats(name) => self.send_to_broker(&name, message).await,
            Destination::Command(name) => self.run_command(&name, message).await,
            Destination::Bus(..) => Err("events go to buses when they are routed".to_owned()),
        }
    }

    async fn send_to_webhook(&self, account: &AccountId, message: &Message) -> Result<(), String> {
        let webhook = self.webhook_of(&message.destination, account).ok_or("no webhook is called that")?;
        let Webhook { url, secret, previous_secret, .. } = webhook;
        let secrets: Vec<String> = secret.into_iter().chain(previous_secret).collect();
        let mut headers = self.standard_headers(message, &secrets);
        if let Some(http) = &message.http {
            headers.extend(http.header_parameters.clone());
        }
        self.post("POST", &url, headers, message).await
    }

    async fn send_to_api(&self, account: &AccountId, name: String, message: &Message) -> Result<(), String> {
        let (host, account) = (self.clone(), account.clone());
        let read = tokio::task::spawn_blocking(move || {
            let shelf = EventShelf::new(host.store(), &account);
            let destination = shelf.get::<ApiDestination>(&[&name])?;
            let connection = match &destination {
                Some(destination) => shelf.get::<ApiConnection>(&[&destination.value.connection])?,
                None => None,
            };
            Ok::<_, crate::store::kept::ShelfError>((destination, connection))
        });
        let read = read.await.map_err(|_| "the server is stopping".to_owned())?;
        let (destination, connection) = read.map_err(|error| with_causes(&error))?;
        let destination = destination.ok_or("the API destination is gone")?.value;
        let connection = connection.ok_or("the connection of the API destination is gone")?.value;
        let now_ms = self.store().clock().now_ms();
        let mut secrets = Vec::new();
        let mut own = Vec::new();
        match &connection.authorization {
            Some(Authorization::ApiKey { name, value }) if name.eq_ignore_ascii_case(SIGNATURE) => {
                secrets.push(value.clone());
                secrets.extend(connection.previous_secret.clone().filter(|_| now_ms < connection.previous_until_ms));
            }
            Some(Authorization::ApiKey { name, value }) => own.push((name.clone(), value.clone())),
            Some(Authorization::Basic { user, password }) => {
                let both = BASE64.encode(format!("{user}:{password}"));
                own.push(("authorization".to_owned(), format!("Basic {both}")));
            }
            None => return Err("the connection of the API destination has no authorization any more".to_owned()),
        }
        let mut headers = self.standard_headers(message, &secrets);
        let given = message.http.clone().unwrap_or_default();
        headers.extend(given.header_parameters);
        headers.extend(connection.http.header_parameters);
        headers.extend(own);
        let mut url = destination.url.clone();
        for value in &given.path_parameter_values {
            url = url.replacen('*', &percent_encoded(value), 1);
        }
        let query = given.query_string_parameters.iter().chain(&connection.http.query_string_parameters);
        for (i, (name, value)) in query.enumerate() {
            url.push(if i == 0 && !url.contains('?') { '?' } else { '&' });
            url.push_str(&format!("{}={}", percent_encoded(name), percent_encoded(value)));
        }
        self.post(&destination.method, &url, headers, message).await
    }

    /// The headers of the Standard Webhooks specification, 1.0.0; signed with each of the secrets.
    fn standard_headers(&self, message: &Message, secrets: &[String]) -> Vec<(String, String)> {
        let (id, timestamp) = (message.id.to_string(), self.store().clock().now_seconds().to_string());
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-lockgate-event".to_owned(), message.kind.clone()),
            ("webhook-id".to_owned(), id.clone()),
            ("webhook-timestamp".to_owned(), timestamp.clone()),
        ];
        if !secrets.is_empty() {
            let signed = [id.as_str(), timestamp.as_str(), message.body.as_str()];
            let signatures: Vec<String> = secrets.iter().map(|secret| signature(secret, &signed)).collect();
            headers.push((SIGNATURE.to_owned(), signatures.join(" ")));
        }
        headers
    }

    async fn post(
        &self,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        message: &Message,
    ) -> Result<(), String> {
        let body = message.body.clone().into_bytes();
        let sent = self.outbound().send(method, url, &headers, body, MAX_ANSWER_BYTES).await;
        sent.map_err(|error| with_causes(&error))
    }

    /// Amazon SQS, API of 2012-11-05, as JSON 1.0.
    async fn send_to_queue(&self, account: &AccountId, name: &str, message: &Message) -> Result<(), String> {
        let queues = self.event_settings().queues.clone().ok_or("the configuration has no queues")?;
        let options = AwsClientOptions {
            region: queues.region.clone(),
            timeout: QUEUE_TIMEOUT,
            authorities: None,
            allow_plain_loopback: true,
        };
        let client = AwsClient::new(&queues.endpoint, options).map_err(|error| with_causes(&error))?;
        let file = queues.credentials_file.as_deref();
        let credentials = aws_credentials(file, &queues.profile, "events.sqs_credentials_file")?;
        let url = queues.endpoint.join(&format!("{account}/{name}")).map_err(|error| error.to_string())?;
        let mut body = json!({"QueueUrl": url.as_str(), "MessageBody": message.body});
        if name.ends_with(".fifo") {
            body["MessageGroupId"] = message.group.as_str().into();
            body["MessageDeduplicationId"] = message.id.to_string().into();
        }
        for (name, value) in &message.attributes {
            body["MessageAttributes"][name] = json!({"DataType": "String", "StringValue": value});
        }
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessage")];
        let now_ms = self.store().clock().now_ms();
        let answer = client.call(&credentials, "sqs", &headers, body.to_string(), now_ms).await;
        match answer.map_err(|error| with_causes(&error))? {
            (200, _) => Ok(()),
            (status, text) => {
                Err(format!("the queue answers {status}: {}", escape_for_people(text.as_bytes(), MAX_SAID_BYTES)))
            }
        }
    }

    /// A program of this machine, with nothing of this server's environment, the event on its standard input.
    async fn run_command(&self, name: &str, message: &Message) -> Result<(), String> {
        let commands = &self.event_settings().commands;
        let found = commands.iter().find(|command| command.name == name).ok_or("no command is called that")?;
        let EventCommand { program, arguments, timeout, .. } = found;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LOCKGATE_EVENT", &message.kind)
            .env("LOCKGATE_DELIVERY", message.id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("`{}` does not start: {error}", program.display()))?;
        let (stdin, body) = (child.stdin.take(), message.body.clone());
        let feeding = async move {
            if let Some(mut stdin) = stdin {
                // A program that does not read what it is told is free to.
                let _ = stdin.write_all(body.as_bytes()).await;
            }
        };
        let run = async { tokio::join!(feeding, child.wait_with_output()).1 };
        let output = tokio::time::timeout(*timeout, run)
            .await
            .map_err(|_| format!("`{}` takes longer than {} seconds", program.display(), timeout.as_secs()))?
            .map_err(|error| format!("`{}` cannot be waited for: {error}", program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = escape_for_people(&output.stderr[..output.stderr.len().min(MAX_SAID_BYTES)], MAX_SAID_BYTES);
        Err(format!("`{}` ends with {}: {said}", program.display(), output.status))
    }
}

/// The header that carries signatures. A connection whose key is called so signs with it, and never sends it.
pub const SIGNATURE: &str = "webhook-signature";

/// The signature of a delivery's id, time and body by the Standard Webhooks specification, 1.0.0: HMAC-SHA256 over all of them joined by
/// dots, in base64. A secret `whsec_...` is base64; any other is taken as it is.
fn signature(secret: &str, signed: &[&str; 3]) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|rest| BASE64.decode(rest).ok());
    let key = decoded.as_deref().unwrap_or(secret.as_bytes());
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed.join(".").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// As a part of a URL, RFC 3986, 2.3.
fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks specification's libraries.
    #[test]
    fn deliveries_are_signed() {
        let signed = ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#];
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &signed), expected);
        assert_ne!(signature("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &signed), expected);
    }

    #[test]
    fn targets_are_of_the_region_and_account() {
        let account = AccountId::parse("111111111111").unwrap();
        let parse = |text: &str| Destination::parse(text, "us-east-1", &account);
        assert_eq!(parse("https://example.com/hook"), Ok(Destination::Webhook));
        assert_eq!(parse("arn:aws:sqs:us-east-1:111111111111:jobs"), Ok(Destination::Queue("jobs".into())));
        let api = parse("arn:aws:events:us-east-1:111111111111:api-destination/x/9");
        assert_eq!(api, Ok(Destination::Api("x".into(), "9".into())));
        let bus = parse("arn:aws:events:us-east-1:222222222222:event-bus/shared").unwrap();
        assert_eq!(bus, Destination::Bus(AccountId::parse("222222222222").unwrap(), "shared".into()));
        for bad in [
            "",
            "arn:aws:sqs:us-east-1:222222222222:jobs",
            "arn:aws:sqs:eu-west-1:111111111111:jobs",
            "arn:aws:lambda:us-east-1:111111111111:function:f",
            "arn:aws:lockgate:us-east-1:111111111111:shell/x",
            "file:///etc/passwd",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
