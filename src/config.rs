//! The checked configuration: a TOML file, overridden by environment and flags, turned once into types that hold only
//! what is valid. Nothing else in the program reads the environment.
//!
//! Lengths are bytes, times are seconds, as the names say.

mod events;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::names::{AccountId, InvalidName};
use events::FileEvents;
pub use events::{EventCommand, EventSettings, NatsSettings, QueueSettings};

/// What the server and the command line run by.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sealed data, the catalog, `serve.json` and the admin socket.
    pub data: PathBuf,
    /// The root key, host keys, certificates and what people and scripts need to get in.
    pub keys: PathBuf,
    /// Cedar policies.
    pub policies: PathBuf,
    /// Where HTTPS listens; port 0 picks a free one.
    pub https: SocketAddr,
    /// Where SSH listens; port 0 picks a free one.
    pub ssh: SocketAddr,
    /// The first account.
    pub account_id: AccountId,
    /// The host name that URLs, the certificate and `known_hosts` carry; without one, the listening address.
    pub host_name: Option<String>,
    /// The region in ARNs.
    pub region: String,
    /// Bounds on what the outside may ask for.
    pub limits: Limits,
    /// What the server may connect to.
    pub outbound: Outbound,
    /// Whom triggers may tell by a name (`[[webhooks]]`).
    pub webhooks: Vec<Webhook>,
    /// Where events may go.
    pub events: EventSettings,
    /// Who keeps the root key.
    pub root_key: RootKeySettings,
    /// Whether a changed policies folder is applied by itself (`policy.watch`).
    pub policy_watch: bool,
    /// How far back a change of policies is tried before it is applied, in milliseconds (`policy.gate_days`); not at all without.
    pub policy_gate_ms: Option<i64>,
    /// How long decision records are kept, in milliseconds (`policy.keep_decisions_days`).
    pub keep_decisions_ms: i64,
}

/// What overrides the file; flags have won over the environment already.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// `--config`; `./lockgate.toml` where left out, which may be missing; one that is named must exist.
    pub config: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--keys`
    pub keys: Option<PathBuf>,
    /// `--policies`
    pub policies: Option<PathBuf>,
    /// `--https`
    pub https: Option<String>,
    /// `--ssh`
    pub ssh: Option<String>,
    /// `--account-id`
    pub account_id: Option<String>,
}

impl Config {
    /// Names and addresses under which clients may come, as certificates have them; an unspecified address is none.
    pub fn own_names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
        names.extend(self.host_name.clone());
        for address in [self.https.ip(), self.ssh.ip()] {
            if !address.is_unspecified() {
                names.insert(address.to_string());
            }
        }
        names
    }

    /// Reads the file, applies the overrides and checks everything.
    pub fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
        let (path, required) = match &overrides.config {
            Some(path) => (path.clone(), true),
            None => (PathBuf::from("lockgate.toml"), false),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Config::from_toml(&path, &text, overrides)
    }

    /// The configuration that `text` gives; `path` is for messages.
    pub fn from_toml(path: &Path, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
        let table: toml::Table =
            text.parse().map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        let known = toml::Table::try_from(FileConfig::default()).expect("the defaults are plain values");
        refuse_unknown_keys(path, "", &table, &known)?;
        let file: FileConfig = serde_path_to_error::deserialize(table).map_err(|error| ConfigError::Type {
            path: path.to_owned(),
            key: error.path().to_string(),
            source: Box::new(error.into_inner()),
        })?;

        let text_of = |over: &Option<String>, file: String| over.clone().unwrap_or(file);
        let folder = |over: &Option<PathBuf>, file: PathBuf| over.clone().unwrap_or(file);
        let mut allow_addresses = Vec::new();
        for range in &file.outbound.allow_addresses {
            allow_addresses.push(AddressRange::parse(range)?);
        }
        let host_name = match file.host_name.as_str() {
            "" => None,
            name if is_host_name(name) => Some(name.to_owned()),
            name => return Err(ConfigError::HostName { name: name.to_owned() }),
        };
        if !is_region(&file.region) {
            return Err(ConfigError::Region { region: file.region });
        }
        file.limits.check()?;
        let root_key = file.root_key.check(&file.region)?;
        let webhooks = file.webhooks.into_iter().map(FileWebhook::check).collect::<Result<Vec<_>, _>>()?;
        let account_id = AccountId::parse(&text_of(&overrides.account_id, file.account_id))?;
        let events = file.events.check(&account_id, &file.region)?;
        Ok(Config {
            webhooks,
            events,
            root_key,
            data: folder(&overrides.data, file.data),
            keys: folder(&overrides.keys, file.keys),
            policies: folder(&overrides.policies, file.policies),
            https: address("https", text_of(&overrides.https, file.https))?,
            ssh: address("ssh", text_of(&overrides.ssh, file.ssh))?,
            account_id,
            host_name,
            region: file.region,
            limits: file.limits,
            outbound: Outbound { allow_addresses, allow_http: file.outbound.allow_http },
            policy_watch: file.policy.watch,
            policy_gate_ms: (file.policy.gate_days > 0).then(|| i64::from(file.policy.gate_days) * 24 * 60 * 60 * 1000),
            keep_decisions_ms: i64::from(file.policy.keep_decisions_days) * 24 * 60 * 60 * 1000,
        })
    }
}

/// Bounds on what the outside may ask for (`[limits]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Longest pack that a push may send, and longest inflated request body.
    pub max_pack_bytes: u64,
    /// Most objects in one pushed pack.
    pub max_pack_objects: u64,
    /// Longest single object, inflated.
    pub max_object_bytes: u64,
    /// Longest request body that is not a pack (negotiation, commands), inflated.
    pub max_request_bytes: u64,
    /// Longest a transfer may take in all.
    pub transfer_seconds: u64,
    /// Transfers that run at the same time; more wait for `queue_seconds`, then are told to come back.
    pub transfers: u32,
    /// How long a transfer waits for its turn.
    pub queue_seconds: u64,
    /// Connections from one address that have not authenticated; one more ends the oldest of them.
    pub unauthenticated_per_address: u32,
    /// Connections in all that have not authenticated; one more ends the oldest of them.
    pub unauthenticated: u32,
    /// Connections in all; more are refused.
    pub connections: u32,
    /// From the first byte of a connection to the proof of who is there: key exchange or TLS handshake, and login.
    pub handshake_seconds: u64,
    /// From the first byte of a request to the last of its headers.
    pub header_seconds: u64,
    /// How long a peer may send nothing that was asked of it, take nothing that was sent, or keep a connection idle.
    pub idle_seconds: u64,
    /// How long running transfers may go on after SIGTERM.
    pub drain_seconds: u64,
    /// Decrypted blocks kept in memory.
    pub cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_pack_bytes: 8 << 30,
            max_pack_objects: 20_000_000,
            max_object_bytes: 2 << 30,
            max_request_bytes: 64 << 20,
            transfer_seconds: 7200,
            transfers: 64,
            queue_seconds: 30,
            unauthenticated_per_address: 128,
            unauthenticated: 1024,
            connections: 8192,
            handshake_seconds: 20,
            header_seconds: 20,
            idle_seconds: 120,
            drain_seconds: 30,
            cache_bytes: 256 << 20,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("limits.max_pack_bytes", self.max_pack_bytes),
            ("limits.max_pack_objects", self.max_pack_objects),
            ("limits.max_object_bytes", self.max_object_bytes),
            ("limits.max_request_bytes", self.max_request_bytes),
            ("limits.transfer_seconds", self.transfer_seconds),
            ("limits.transfers", self.transfers.into()),
            ("limits.unauthenticated_per_address", self.unauthenticated_per_address.into()),
            ("limits.unauthenticated", self.unauthenticated.into()),
            ("limits.connections", self.connections.into()),
            ("limits.handshake_seconds", self.handshake_seconds),
            ("limits.header_seconds", self.header_seconds),
            ("limits.idle_seconds", self.idle_seconds),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::Zero { key }),
            None => Ok(()),
        }
    }
}

/// Who keeps the root key (`[root_key]`).
#[derive(Debug, Clone, PartialEq)]
pub struct RootKeySettings {
    /// Who keeps a new one.
    pub keeper: RootKeyKeeper,
    /// Where KMS is, whether it keeps new ones or only the one that is there.
    pub kms: KmsSettings,
}

/// Who keeps a new root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKeyKeeper {
    /// A file in the keys folder.
    File,
    /// AWS KMS, or a server that speaks its wire.
    AwsKms,
}

/// How AWS KMS is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct KmsSettings {
    /// The key there: its id, ARN or alias.
    pub key_id: String,
    /// Its region.
    pub region: String,
    /// `https://`, or `http://` on this machine.
    pub endpoint: reqwest::Url,
    /// How long a root key may be used after KMS gave it.
    pub lease: std::time::Duration,
    /// A file in the form of `~/.aws/credentials`, read at each call; without one, the environment.
    pub credentials_file: Option<PathBuf>,
    /// The profile in that file.
    pub profile: String,
}

/// The credentials that the environment has for AWS, by the names that AWS's tools know: access key id, secret access key,
/// session token.
pub fn aws_environment() -> Option<(String, secrecy::SecretString, Option<secrecy::SecretString>)> {
    let of = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let token = of("AWS_SESSION_TOKEN").map(Into::into);
    Some((of("AWS_ACCESS_KEY_ID")?, of("AWS_SECRET_ACCESS_KEY")?.into(), token))
}

/// What the server may connect to by itself (`[outbound]`).
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    /// Loopback and private ranges that are allowed all the same.
    pub allow_addresses: Vec<AddressRange>,
    /// Whether `http://` is allowed.
    pub allow_http: bool,
}

/// Somebody who can be told of changes.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// The name in `arn:aws:lockgate:REGION:ACCOUNT:webhook/NAME`.
    pub name: String,
    /// Where to.
    pub url: String,
    /// What bodies are signed with.
    pub secret: Option<String>,
    /// What they are signed with besides, while receivers change from one to the other.
    pub previous_secret: Option<String>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

/// A range of IP addresses, `10.0.0.0/8` or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    prefix_bits: u8,
}

impl AddressRange {
    /// Takes an address with an optional `/BITS`.
    pub fn parse(text: &str) -> Result<AddressRange, ConfigError> {
        let bad = || ConfigError::AddressRange { text: text.to_owned() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.unwrap_or(longest);
        if prefix_bits > longest {
            return Err(bad());
        }
        Ok(AddressRange { address, prefix_bits })
    }

    /// Whether the address lies in the range; IPv4 and IPv6 never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_prefix = |a: u128, b: u128, width: u32| {
            let shift = width - u32::from(self.prefix_bits);
            // A shift by the whole width is undefined; a prefix of no bits matches all.
            shift >= width || a >> shift == b >> shift
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same_prefix(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there, or was asked for, and cannot be read.
    #[error("failed to read the configuration `{path}`")]
    #[allow(missing_docs)]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not TOML.
    #[error("the configuration `{path}` is not valid TOML")]
    #[allow(missing_docs)]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    /// A key that nothing reads: most likely a slip of the pen.
    #[error("the configuration `{path}` has an unknown key `{key}`, the nearest known one is `{nearest}`")]
    #[allow(missing_docs)]
    UnknownKey { path: PathBuf, key: String, nearest: String },
    /// A value of the wrong type.
    #[error("the configuration `{path}` has a wrong value at `{key}`")]
    #[allow(missing_docs)]
    Type { path: PathBuf, key: String, source: Box<toml::de::Error> },
    /// An address to listen at that is not `IP:PORT`.
    #[error("`{text}` is no address for {what}: it is an IP address and a port, such as `127.0.0.1:8443`")]
    #[allow(missing_docs)]
    Address { what: &'static str, text: String },
    /// A range that is not `IP/BITS`.
    #[error("`{text}` is no range of addresses: it looks like `10.0.0.0/8`")]
    #[allow(missing_docs)]
    AddressRange { text: String },
    /// A host name that cannot stand in a URL.
    #[error("`{name}` is no host name")]
    #[allow(missing_docs)]
    HostName { name: String },
    /// A region that cannot stand in an ARN.
    #[error("`{region}` is no region: it is made of letters, digits and `-`")]
    #[allow(missing_docs)]
    Region { region: String },
    /// A limit of nothing lets nobody in.
    #[error("`{key}` may not be 0")]
    #[allow(missing_docs)]
    Zero { key: &'static str },
    /// KMS cannot be asked like this.
    #[error("`root_key.{key}` {why}")]
    #[allow(missing_docs)]
    RootKey { key: &'static str, why: &'static str },
    /// The first account's number.
    #[error(transparent)]
    Account(#[from] InvalidName),
    /// A webhook that cannot be.
    #[error("[[webhooks]] `{name}`: {why}")]
    Webhook {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Where events go, as it cannot be.
    #[error("[events] {key}: {why}")]
    Events {
        /// What.
        key: String,
        /// What is wrong.
        why: String,
    },
}

/// The file as it stands. The known keys are the keys of its default value, so every field has one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct FileConfig {
    data: PathBuf,
    keys: PathBuf,
    policies: PathBuf,
    https: String,
    ssh: String,
    account_id: String,
    host_name: String,
    region: String,
    limits: Limits,
    outbound: FileOutbound,
    policy: FilePolicy,
    root_key: FileRootKey,
    webhooks: Vec<FileWebhook>,
    events: FileEvents,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWebhook {
    name: String,
    url: String,
    #[serde(default)]
    secret_file: PathBuf,
    #[serde(default)]
    previous_secret_file: PathBuf,
}

impl FileWebhook {
    fn check(self) -> Result<Webhook, ConfigError> {
        let refused = |why| ConfigError::Webhook { name: self.name.clone(), why };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(refused("its name is made of letters, digits, `-`, `_` and `.`".to_owned()));
        }
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return Err(refused("its url begins with https://".to_owned()));
        }
        let secret_of = |key: &str, path: &Path| {
            if path.as_os_str().is_empty() {
                return Ok(None);
            }
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|error| refused(format!("its {key} cannot be read: {error}")))?;
            match text.trim() {
                "" => Err(refused(format!("its {key} is empty"))),
                text if text.strip_prefix("whsec_").is_some_and(|rest| BASE64.decode(rest).is_err()) => {
                    Err(refused(format!("the secret of its {key} begins with whsec_, and what follows is no base64")))
                }
                text => Ok(Some(text.to_owned())),
            }
        };
        let secret = secret_of("secret_file", &self.secret_file)?;
        let previous_secret = secret_of("previous_secret_file", &self.previous_secret_file)?;
        Ok(Webhook { name: self.name, url: self.url, secret, previous_secret })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct FileRootKey {
    keeper: RootKeyKeeper,
    kms_key_id: String,
    kms_region: String,
    kms_endpoint: String,
    kms_credentials_file: PathBuf,
    kms_profile: String,
    lease_seconds: u32,
}

impl Default for FileRootKey {
    fn default() -> FileRootKey {
        FileRootKey {
            keeper: RootKeyKeeper::File,
            kms_key_id: String::new(),
            kms_region: String::new(),
            kms_endpoint: String::new(),
            kms_credentials_file: PathBuf::new(),
            kms_profile: "default".into(),
            lease_seconds: 300,
        }
    }
}

impl FileRootKey {
    /// `region` is the server's, which KMS's is unless it is said.
    fn check(self, region: &str) -> Result<RootKeySettings, ConfigError> {
        let refused = |key, why| ConfigError::RootKey { key, why };
        let region = if self.kms_region.is_empty() { region.to_owned() } else { self.kms_region };
        if !is_region(&region) {
            return Err(refused("kms_region", "is made of letters, digits and `-`"));
        }
        let endpoint = match self.kms_endpoint.as_str() {
            "" => format!("https://kms.{region}.amazonaws.com"),
            text => text.to_owned(),
        };
        let endpoint = endpoint.parse().map_err(|_| refused("kms_endpoint", "is a URL: https://HOST"))?;
        if self.keeper == RootKeyKeeper::AwsKms && self.kms_key_id.is_empty() {
            return Err(refused("kms_key_id", "says which key of KMS is to be used: its id, ARN or alias"));
        }
        // Asked three times within a lease.
        if self.lease_seconds < 3 {
            return Err(refused("lease_seconds", "is 3 at least"));
        }
        let file = Some(self.kms_credentials_file).filter(|path| !path.as_os_str().is_empty());
        Ok(RootKeySettings {
            keeper: self.keeper,
            kms: KmsSettings {
                key_id: self.kms_key_id,
                region,
                endpoint,
                lease: std::time::Duration::from_secs(self.lease_seconds.into()),
                credentials_file: file,
                profile: self.kms_profile,
            },
        })
    }
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct FileOutbound {
    allow_addresses: Vec<String>,
    allow_http: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct FilePolicy {
    watch: bool,
    keep_decisions_days: u32,
    gate_days: u32,
}

impl Default for FilePolicy {
    fn default() -> FilePolicy {
        FilePolicy { watch: false, keep_decisions_days: 400, gate_days: 0 }
    }
}

impl Default for FileConfig {
    fn default() -> FileConfig {
        FileConfig {
            data: "data".into(),
            keys: "keys".into(),
            policies: "policies".into(),
            https: "127.0.0.1:8443".into(),
            ssh: "127.0.0.1:2222".into(),
            account_id: "111111111111".into(),
            host_name: String::new(),
            region: "us-east-1".into(),
            limits: Limits::default(),
            outbound: FileOutbound::default(),
            policy: FilePolicy::default(),
            webhooks: Vec::new(),
            events: FileEvents::default(),
            root_key: FileRootKey::default(),
        }
    }
}

fn refuse_unknown_keys(
    path: &Path,
    section: &str,
    given: &toml::Table,
    known: &toml::Table,
) -> Result<(), ConfigError> {
    for (key, value) in given {
        let full = format!("{section}{key}");
        match (known.get(key), value) {
            (None, _) => {
                let nearest = known
                    .keys()
                    .map(|k| format!("{section}{k}"))
                    .max_by(|a, b| strsim::jaro_winkler(a, &full).total_cmp(&strsim::jaro_winkler(b, &full)))
                    .unwrap_or_default();
                return Err(ConfigError::UnknownKey { path: path.to_owned(), key: full, nearest });
            }
            (Some(toml::Value::Table(known)), toml::Value::Table(given)) => {
                refuse_unknown_keys(path, &format!("{full}."), given, known)?;
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

fn address(what: &'static str, text: String) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Address { what, text })
}

fn is_host_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
        || name.len() <= 253
            && name.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::from_toml(Path::new("x.toml"), text, &Overrides::default())
    }

    #[test]
    fn an_empty_file_gives_the_documented_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config.https.to_string(), "127.0.0.1:8443");
        assert_eq!(config.ssh.to_string(), "127.0.0.1:2222");
        assert_eq!(config.account_id.as_str(), "111111111111");
        assert_eq!(config.region, "us-east-1");
        assert_eq!(config.limits.drain_seconds, 30);
        assert_eq!(config.limits.cache_bytes, 256 << 20);
    }

    #[test]
    fn overrides_win_over_the_file() {
        let overrides = Overrides { https: Some("127.0.0.1:0".into()), ..Overrides::default() };
        let config =
            Config::from_toml(Path::new("x"), "https = '127.0.0.1:9'\nssh = '127.0.0.1:8'", &overrides).unwrap();
        assert_eq!(config.https.port(), 0);
        assert_eq!(config.ssh.port(), 8);
    }

    #[test]
    fn errors_name_the_thing() {
        for (text, wanted) in [
            ("htps = 'x'", "unknown key `htps`, the nearest known one is `https`"),
            ("[limits]\nmax_pack_byte = 3", "the nearest known one is `limits.max_pack_bytes`"),
            ("[limits]\nmax_pack_bytes = 'x'", "wrong value at `limits.max_pack_bytes`"),
            ("https = 'localhost'", "`localhost` is no address for https"),
            ("account_id = '12'", "account id `12` is not valid"),
            ("[outbound]\nallow_addresses = ['10.0.0.0/33']", "`10.0.0.0/33` is no range"),
            ("host_name = 'a b'", "`a b` is no host name"),
            ("[limits]\ntransfers = 0", "`limits.transfers` may not be 0"),
            ("a = ", "not valid TOML"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn ranges() {
        let range = AddressRange::parse("127.0.0.0/8").unwrap();
        assert!(range.contains("127.9.9.9".parse().unwrap()));
        assert!(!range.contains("128.0.0.1".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        assert!(AddressRange::parse("0.0.0.0/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!(AddressRange::parse("::/0").unwrap().contains("::1".parse().unwrap()));
        assert!(AddressRange::parse("::1").unwrap().contains("::1".parse().unwrap()));
    }
}
