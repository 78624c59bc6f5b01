//! The catalog: rows in SQL. One SQLite file by default; the text keeps to what PostgreSQL says, too (`$N` placeholders,
//! `ON CONFLICT`), and what differs stands in `SCHEMA`.
//!
//! Ids in the clear are server-made; whatever a user wrote is sealed, with table, row and purpose as additional data, so
//! that whoever can write the disk can neither read nor forge a row, nor move one to another's place.
//!
//! One connection writes, in immediate transactions with `synchronous=FULL`: what is answered "ok" is on disk. A publish
//! is one transaction: the log entry (compare-and-swap on the generation), the files' intents, the decisions.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use super::documents::{self, Write};
use super::faults::Faults;
use super::file::FileId;
use super::seal::{Key, SealError, open_value, seal_value};
use crate::names::AccountId;

/// Why the catalog could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database failed.
    #[error("the catalog failed while {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// A row does not open: it was changed, or belongs to other keys.
    #[error("a row of `{table}` failed authentication")]
    Unauthentic {
        /// Which table.
        table: &'static str,
        /// Why.
        source: SealError,
    },
    /// The name is taken, or was once.
    #[error("the name is taken")]
    NameTaken,
    /// Someone else changed what this change was based on.
    #[error("the records were changed meanwhile")]
    Changed,
    /// A file that is published was not announced for this repository, or too long ago: it may be gone.
    #[error("a new file was not published in time")]
    NotIntended,
    /// The database was written by a newer version.
    #[error("the catalog has schema version {found}, this program knows up to {known}")]
    TooNew {
        /// What the database says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
}

/// A sealed record: accounts, users, repositories and the like. What its body means is its owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is, such as `user`; in the clear.
    pub kind: String,
    /// Server-made.
    pub id: [u8; 16],
    /// A name that is unique among records of its kind, as text; only its keyed digest is stored.
    pub name: Option<String>,
    /// The body, sealed in the row.
    pub body: Vec<u8>,
}

/// Changes of records that are made together.
#[derive(Debug, Clone, Default)]
pub struct RecordBatch {
    /// Records to write, new or over the old one of the same id.
    pub puts: Vec<Record>,
    /// Records to take away: kind and id.
    pub deletes: Vec<(String, [u8; 16])>,
    /// Repositories whose logs go, and whose files become sweepable.
    pub forget_repositories: Vec<[u8; 16]>,
    /// The change counter that the caller's view has; another one means that someone else was faster.
    pub expect_counter: Option<i64>,
}

/// One publish.
#[derive(Debug, Clone)]
pub struct Append {
    /// The repository.
    pub repository: [u8; 16],
    /// The entry's generation: one more than the last.
    pub generation: i64,
    /// The hash of the entry before; zeros for the first.
    pub previous_hash: [u8; 32],
    /// This entry's hash.
    pub hash: [u8; 32],
    /// The sealed entry.
    pub sealed: Vec<u8>,
    /// Files that are part of the repository from now on.
    pub publish_files: Vec<FileId>,
    /// Files that are so no more.
    pub retire_files: Vec<FileId>,
    /// When retired files may be swept, in milliseconds since the Unix epoch.
    pub retire_after_ms: i64,
    /// Decisions that are recorded with it.
    pub decisions: Vec<NewDecision>,
    /// What decided; anything else meanwhile means deciding again.
    pub decided_under: Option<DecidedUnder>,
    /// Documents that change with it.
    pub documents: Vec<Write>,
}

/// The state of the rules at a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedUnder {
    /// The active policy generation.
    pub generation: i64,
    /// The counter of the records: who there is, in which groups, and what is attached to them.
    pub directory: i64,
}

/// A decision to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDecision {
    /// Its id.
    pub id: [u8; 16],
    /// What is its own, sealed in its row.
    pub body: Vec<u8>,
    /// What other decisions may share with it to the byte: stored once.
    pub facts: Option<Vec<u8>>,
}

/// A recorded decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDecision {
    /// Its id.
    pub id: [u8; 16],
    /// What is its own.
    pub body: Vec<u8>,
    /// What it shares with others.
    pub facts: Option<Vec<u8>>,
}

/// Where a decision stands in the order of time: when, in milliseconds since the Unix epoch, and its id.
pub type DecisionPlace = (i64, [u8; 16]);

/// What came of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is on disk.
    Published,
    /// Another one was first; this is the generation now.
    Lost {
        /// The generation of the last entry.
        generation: i64,
    },
    /// The policies or the directory were changed since the decision.
    PolicyChanged,
    /// The repository was deleted.
    RepositoryGone,
    /// A document was changed since it was read.
    DocumentChanged,
}

/// A stored log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place.
    pub generation: i64,
    /// The hash of the entry before.
    pub previous_hash: [u8; 32],
    /// Its own.
    pub hash: [u8; 32],
    /// The sealed entry.
    pub sealed: Vec<u8>,
}

/// A checkpoint that takes the place of an older one.
#[derive(Debug, Clone)]
pub struct NewCheckpoint {
    /// The repository.
    pub repository: [u8; 16],
    /// The generation whose state it is.
    pub generation: i64,
    /// The sealed description of its file.
    pub sealed: Vec<u8>,
    /// Its file, published with it.
    pub file: FileId,
    /// The one that it replaces: generation and file.
    pub replaces: Option<(i64, FileId)>,
    /// When the replaced file may be swept, in milliseconds since the Unix epoch.
    pub sweep_replaced_after_ms: i64,
}

/// 2: decisions share facts. 3: marks. 4: documents. 5: the outbox and deliveries.
const SCHEMA_VERSION: i64 = 5;

/// SQLite's words. For PostgreSQL `BLOB` is `BYTEA`; nothing else differs.
const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS record (
        kind TEXT NOT NULL, id BLOB NOT NULL, name_digest BLOB, sealed BLOB NOT NULL,
        PRIMARY KEY (kind, id), UNIQUE (kind, name_digest))",
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BIGINT NOT NULL, mac BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS log_entry (
        repository BLOB NOT NULL, generation BIGINT NOT NULL, previous_hash BLOB NOT NULL, hash BLOB NOT NULL,
        sealed BLOB NOT NULL, PRIMARY KEY (repository, generation))",
    "CREATE TABLE IF NOT EXISTS checkpoint (
        repository BLOB PRIMARY KEY, generation BIGINT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS file_intent (
        file BLOB PRIMARY KEY, repository BLOB NOT NULL, expires_ms BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS published_file (file BLOB PRIMARY KEY, repository BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS published_file_of ON published_file (repository)",
    "CREATE TABLE IF NOT EXISTS retired_file (
        file BLOB PRIMARY KEY, repository BLOB NOT NULL, sweep_after_ms BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS decision (
        id BLOB PRIMARY KEY, at_ms BIGINT NOT NULL, facts BLOB, sealed BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS decision_by_time ON decision (at_ms)",
    "CREATE TABLE IF NOT EXISTS decision_facts (
        digest BLOB PRIMARY KEY, used_ms BIGINT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS mark (name_digest BLOB PRIMARY KEY, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS document (
        scope BLOB NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, version BIGINT NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (scope, kind, key))",
];

/// What a new catalog begins with.
const FIRST_SETTINGS: [(&str, i64); 3] = [("schema_version", SCHEMA_VERSION), ("counter", 0), ("active_policy", 0)];

/// The catalog of one server.
#[derive(Clone)]
pub struct Catalog {
    pub(super) writer: Arc<Mutex<SqliteConnection>>,
    /// Absent in memory, where one connection is the whole database.
    pub(super) readers: Option<sqlx::SqlitePool>,
    key: Key,
    digest_key: Key,
    setting_key: Key,
    pub(super) faults: Faults,
    /// Changes when something is written that is to be routed or delivered.
    pub(super) queued: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Catalog {
    /// Opens the database file, and makes it at the first start. `None` is a database in memory.
    pub async fn open(path: Option<&Path>, key: &Key, faults: Faults) -> Result<Catalog, CatalogError> {
        let doing = |doing| move |source| CatalogError::Sql { doing, source };
        let options = match path {
            Some(path) => SqliteConnectOptions::new().filename(path).create_if_missing(true),
            None => SqliteConnectOptions::from_str("sqlite::memory:").map_err(doing("opening"))?,
        };
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("secure_delete", "on")
            .disable_statement_logging();
        if let Some(path) = path {
            make_private(path)
                .map_err(|error| CatalogError::Sql { doing: "opening", source: sqlx::Error::Io(error) })?;
        }
        let mut writer = options.connect().await.map_err(doing("opening"))?;
        for statement in SCHEMA.iter().chain(super::queue::SCHEMA) {
            sqlx::query(*statement).execute(&mut writer).await.map_err(doing("making the schema"))?;
        }
        let setting_key = key.derive("catalog settings");
        make_settings(&mut writer, &setting_key).await?;
        // Not authenticated, so that a newer version's catalog is told from a forged one.
        let (found, _) = setting_row(&mut writer, "schema_version").await?;
        if found > SCHEMA_VERSION {
            return Err(CatalogError::TooNew { found, known: SCHEMA_VERSION });
        }
        if found < SCHEMA_VERSION {
            upgrade(&mut writer, &setting_key).await?;
        }
        let readers = match path {
            Some(_) => Some(
                sqlx::sqlite::SqlitePoolOptions::new()
                    .max_connections(4)
                    .connect_with(options.read_only(true))
                    .await
                    .map_err(doing("opening"))?,
            ),
            None => None,
        };
        Ok(Catalog {
            writer: Arc::new(Mutex::new(writer)),
            readers,
            key: key.derive("catalog rows"),
            digest_key: key.derive("catalog names"),
            setting_key,
            faults,
            queued: Arc::new(tokio::sync::watch::Sender::new(0)),
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.counter().await.map(|_| ())
    }

    /// Counts changes of records; another value means that records changed.
    pub async fn counter(&self) -> Result<i64, CatalogError> {
        let row = self.fetch_one_setting("counter").await?;
        Ok(row)
    }

    /// The generation of the active policies; 0 before the first.
    pub async fn active_policy(&self) -> Result<i64, CatalogError> {
        self.fetch_one_setting("active_policy").await
    }

    async fn fetch_one_setting(&self, name: &'static str) -> Result<i64, CatalogError> {
        let (value, mac) = match &self.readers {
            Some(pool) => setting_row(pool, name).await?,
            None => setting_row(&mut *self.writer.lock().await, name).await?,
        };
        check_setting(&self.setting_key, name, value, &mac)
    }

    /// All records of a kind, by id.
    pub async fn load(&self, kind: &str) -> Result<Vec<Record>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading records", source };
        let query = sqlx::query("SELECT id, sealed FROM record WHERE kind = $1 ORDER BY id").bind(kind);
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        rows.iter()
            .map(|row| {
                let id = id_of(row.get(0));
                let sealed: &[u8] = row.get(1);
                self.open_record(kind, id, sealed)
            })
            .collect()
    }

    fn seal_record(&self, record: &Record) -> Vec<u8> {
        let name = record.name.as_deref().unwrap_or_default();
        let mut plain = (name.len() as u32).to_be_bytes().to_vec();
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(&record.body);
        seal_value(&self.key, &[b"record", record.kind.as_bytes(), &record.id], &plain)
    }

    fn open_record(&self, kind: &str, id: [u8; 16], sealed: &[u8]) -> Result<Record, CatalogError> {
        let damaged = |source| CatalogError::Unauthentic { table: "record", source };
        let plain = open_value(&self.key, &[b"record", kind.as_bytes(), &id], sealed).map_err(damaged)?;
        let parse = || {
            let (len, rest) = plain.split_first_chunk::<4>()?;
            let (name, body) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            let name = std::str::from_utf8(name).ok()?;
            let name = (!name.is_empty()).then(|| name.to_string());
            Some(Record { kind: kind.to_string(), id, name, body: body.to_vec() })
        };
        parse().ok_or(damaged(SealError::Truncated))
    }

    /// Makes changes of records together, and counts them. Gives the new counter.
    pub async fn commit(&self, batch: &RecordBatch) -> Result<i64, CatalogError> {
        self.commit_with(batch, None).await
    }

    /// [`Catalog::commit`] that besides makes `policy` the active generation.
    pub async fn commit_with(&self, batch: &RecordBatch, policy: Option<i64>) -> Result<i64, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "writing records", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        let counter = setting(&mut tx, &self.setting_key, "counter").await?;
        if batch.expect_counter.is_some_and(|expected| expected != counter) {
            return Err(CatalogError::Changed);
        }
        for (kind, id) in &batch.deletes {
            sqlx::query("DELETE FROM record WHERE kind = $1 AND id = $2")
                .bind(kind)
                .bind(&id[..])
                .execute(&mut *tx)
                .await
                .map_err(doing)?;
        }
        for repository in &batch.forget_repositories {
            forget_repository(&mut tx, repository).await?;
        }
        for record in &batch.puts {
            let digest = record.name.as_ref().map(|name| digest_of(&self.digest_key, &record.kind, name.as_bytes()));
            let result = sqlx::query(
                "INSERT INTO record (kind, id, name_digest, sealed) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (kind, id) DO UPDATE SET name_digest = excluded.name_digest, sealed = excluded.sealed",
            )
            .bind(&record.kind)
            .bind(&record.id[..])
            .bind(digest)
            .bind(self.seal_record(record))
            .execute(&mut *tx)
            .await;
            match result {
                Ok(_) => {}
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Err(CatalogError::NameTaken);
                }
                Err(error) => return Err(doing(error)),
            }
        }
        let settings = [("counter", Some(counter + 1)), ("active_policy", policy)];
        for (name, value) in settings {
            let Some(value) = value else { continue };
            sqlx::query("UPDATE setting SET value = $1, mac = $2 WHERE name = $3")
                .bind(value)
                .bind(setting_mac(&self.setting_key, name, value))
                .bind(name)
                .execute(&mut *tx)
                .await
                .map_err(doing)?;
        }
        self.faults.reach("records:before-commit");
        tx.commit().await.map_err(doing)?;
        self.faults.reach("records:after-commit");
        Ok(counter + 1)
    }

    /// Raises the mark of that name to `value` and keeps `note` with it; false, and nothing changed, where it is that high
    /// already. Of several who try the same value, on whatever node, one succeeds. Marks are not counted as changes.
    pub async fn advance_mark(&self, name: &str, value: i64, note: &[u8]) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "raising a mark", source };
        let digest = digest_of(&self.digest_key, "mark", name.as_bytes());
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        let found = sqlx::query("SELECT sealed FROM mark WHERE name_digest = $1")
            .bind(&digest)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing)?;
        if let Some(row) = found
            && self.open_mark(&digest, row.get(0))?.0 >= value
        {
            return Ok(false);
        }
        let mut plain = value.to_be_bytes().to_vec();
        plain.extend_from_slice(note);
        sqlx::query(
            "INSERT INTO mark (name_digest, sealed) VALUES ($1, $2)
             ON CONFLICT (name_digest) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind(&digest)
        .bind(seal_value(&self.key, &[b"mark", &digest], &plain))
        .execute(&mut *tx)
        .await
        .map_err(doing)?;
        tx.commit().await.map_err(doing)?;
        Ok(true)
    }

    /// The mark of that name and its note.
    pub async fn mark(&self, name: &str) -> Result<Option<(i64, Vec<u8>)>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a mark", source };
        let digest = digest_of(&self.digest_key, "mark", name.as_bytes());
        let query = sqlx::query("SELECT sealed FROM mark WHERE name_digest = $1").bind(&digest);
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        row.map(|row| self.open_mark(&digest, row.get(0))).transpose()
    }

    fn open_mark(&self, digest: &[u8], sealed: &[u8]) -> Result<(i64, Vec<u8>), CatalogError> {
        let damaged = |source| CatalogError::Unauthentic { table: "mark", source };
        let plain = open_value(&self.key, &[b"mark", digest], sealed).map_err(damaged)?;
        let (value, note) = plain.split_first_chunk::<8>().ok_or(damaged(SealError::Truncated))?;
        Ok((i64::from_be_bytes(*value), note.to_vec()))
    }

    /// Under which documents of an account lie.
    pub(super) fn scope_of_account(&self, account: &AccountId) -> [u8; 16] {
        let digest = digest_of(&self.digest_key, "documents", account.as_str().as_bytes());
        id_of(&digest[..16])
    }

    /// A keyed digest of parts, each with its length before it.
    pub(super) fn blind(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut joined = Vec::new();
        for part in parts {
            joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
            joined.extend_from_slice(part);
        }
        id_of(&digest_of(&self.digest_key, purpose, &joined)[..16])
    }

    pub(super) fn seal_document(&self, scope: &[u8; 16], place: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        seal_value(&self.key, &[&[&scope[..]], place].concat(), plain)
    }

    pub(super) fn open_document(&self, scope: &[u8; 16], place: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open_value(&self.key, &[&[&scope[..]], place].concat(), sealed)
    }

    /// Announces a file before it is written, so that it is swept if nobody publishes it until `expires_ms`.
    pub async fn intend(&self, file: &FileId, repository: &[u8; 16], expires_ms: i64) -> Result<(), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "announcing a file", source };
        sqlx::query("INSERT INTO file_intent (file, repository, expires_ms) VALUES ($1, $2, $3)")
            .bind(&file[..])
            .bind(&repository[..])
            .bind(expires_ms)
            .execute(&mut *self.writer.lock().await)
            .await
            .map_err(doing)?;
        Ok(())
    }

    /// Publishes: everything in one transaction, or nothing.
    pub async fn append(&self, append: &Append, now_ms: i64) -> Result<AppendOutcome, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "publishing", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        let repository = &append.repository[..];
        let is_there = sqlx::query("SELECT 1 FROM record WHERE kind = 'repository' AND id = $1")
            .bind(repository)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing)?;
        if is_there.is_none() {
            return Ok(AppendOutcome::RepositoryGone);
        }
        if let Some(decided) = append.decided_under
            && (setting(&mut tx, &self.setting_key, "active_policy").await? != decided.generation
                || setting(&mut tx, &self.setting_key, "counter").await? != decided.directory)
        {
            return Ok(AppendOutcome::PolicyChanged);
        }
        let last = sqlx::query(
            "SELECT generation, hash FROM log_entry WHERE repository = $1 ORDER BY generation DESC LIMIT 1",
        )
        .bind(repository)
        .fetch_optional(&mut *tx)
        .await
        .map_err(doing)?;
        let (generation, hash) = match &last {
            Some(row) => (row.get::<i64, _>(0), row.get::<&[u8], _>(1)),
            None => (0, &[0u8; 32][..]),
        };
        if generation + 1 != append.generation || hash != append.previous_hash {
            return Ok(AppendOutcome::Lost { generation });
        }
        sqlx::query(
            "INSERT INTO log_entry (repository, generation, previous_hash, hash, sealed) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(repository)
        .bind(append.generation)
        .bind(&append.previous_hash[..])
        .bind(&append.hash[..])
        .bind(&append.sealed)
        .execute(&mut *tx)
        .await
        .map_err(doing)?;
        for file in &append.publish_files {
            publish_file(&mut tx, file, &append.repository, now_ms).await?;
        }
        for file in &append.retire_files {
            retire_file(&mut tx, file, &append.repository, append.retire_after_ms).await?;
        }
        for decision in &append.decisions {
            self.insert_decision(&mut tx, decision, now_ms).await?;
        }
        if !documents::apply(&mut tx, &append.documents).await? {
            return Ok(AppendOutcome::DocumentChanged);
        }
        self.faults.reach("publish:before-commit");
        tx.commit().await.map_err(doing)?;
        self.faults.reach("publish:after-commit");
        self.announce(&append.documents);
        Ok(AppendOutcome::Published)
    }

    /// Records decisions that no publish carries, such as refusals.
    pub async fn record_decisions(&self, decisions: &[NewDecision], now_ms: i64) -> Result<(), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "recording a decision", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        for decision in decisions {
            self.insert_decision(&mut tx, decision, now_ms).await?;
        }
        tx.commit().await.map_err(doing)
    }

    async fn insert_decision(
        &self,
        tx: &mut SqliteConnection,
        decision: &NewDecision,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "recording a decision", source };
        let digest = decision.facts.as_ref().map(|facts| digest_of(&self.digest_key, "decision facts", facts));
        if let (Some(digest), Some(facts)) = (&digest, &decision.facts) {
            let known = sqlx::query("UPDATE decision_facts SET used_ms = $1 WHERE digest = $2 AND used_ms <= $1")
                .bind(now_ms)
                .bind(digest)
                .execute(&mut *tx)
                .await
                .map_err(doing)?;
            if known.rows_affected() == 0 {
                sqlx::query(
                    "INSERT INTO decision_facts (digest, used_ms, sealed) VALUES ($1, $2, $3)
                     ON CONFLICT (digest) DO NOTHING",
                )
                .bind(digest)
                .bind(now_ms)
                .bind(seal_value(&self.key, &[b"decision_facts", digest], facts))
                .execute(&mut *tx)
                .await
                .map_err(doing)?;
            }
        }
        // The facts are part of the place: a row cannot be given those of another.
        let place = decision_place(&decision.id, digest.as_deref());
        sqlx::query("INSERT INTO decision (id, at_ms, facts, sealed) VALUES ($1, $2, $3, $4)")
            .bind(&decision.id[..])
            .bind(now_ms)
            .bind(&digest)
            .bind(seal_value(&self.key, &place, &decision.body))
            .execute(&mut *tx)
            .await
            .map_err(doing)?;
        Ok(())
    }

    /// Makes the catalog what version 1 of the schema had.
    #[cfg(test)]
    pub(super) async fn downgrade(&self) {
        let mut writer = self.writer.lock().await;
        sqlx::query("ALTER TABLE decision DROP COLUMN facts").execute(&mut *writer).await.unwrap();
        sqlx::query("UPDATE setting SET value = 1, mac = $1 WHERE name = 'schema_version'")
            .bind(setting_mac(&self.setting_key, "schema_version", 1))
            .execute(&mut *writer)
            .await
            .unwrap();
    }

    /// Takes decisions away that were recorded before a time, and facts that no later one uses. Gives how many decisions.
    pub async fn forget_decisions(&self, before_ms: i64) -> Result<u64, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "forgetting decisions", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        let done = sqlx::query("DELETE FROM decision WHERE at_ms < $1")
            .bind(before_ms)
            .execute(&mut *tx)
            .await
            .map_err(doing)?;
        // A decision that uses facts has marked them with its own time.
        sqlx::query("DELETE FROM decision_facts WHERE used_ms < $1")
            .bind(before_ms)
            .execute(&mut *tx)
            .await
            .map_err(doing)?;
        tx.commit().await.map_err(doing)?;
        Ok(done.rows_affected())
    }

    /// How many decisions and how many sets of facts are recorded, and the bytes of both as they are stored.
    pub async fn count_decisions(&self) -> Result<(i64, i64, i64), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "counting decisions", source };
        let query = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM decision), (SELECT COUNT(*) FROM decision_facts),
             (SELECT COALESCE(SUM(LENGTH(sealed)), 0) FROM decision)
             + (SELECT COALESCE(SUM(LENGTH(sealed)), 0) FROM decision_facts)",
        );
        let row = match &self.readers {
            Some(pool) => query.fetch_one(pool).await.map_err(doing)?,
            None => query.fetch_one(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok((row.get(0), row.get(1), row.get(2)))
    }

    /// A recorded decision.
    pub async fn decision(&self, id: &[u8; 16]) -> Result<Option<StoredDecision>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a decision", source };
        let query = sqlx::query(
            "SELECT decision.facts, decision.sealed, decision_facts.sealed FROM decision
             LEFT JOIN decision_facts ON decision_facts.digest = decision.facts WHERE id = $1",
        )
        .bind(&id[..]);
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        let Some(row) = row else { return Ok(None) };
        self.stored_decision(id, row.get(0), row.get(1), row.get(2)).map(Some)
    }

    fn stored_decision(
        &self,
        id: &[u8; 16],
        digest: Option<Vec<u8>>,
        sealed_body: &[u8],
        sealed: Option<Vec<u8>>,
    ) -> Result<StoredDecision, CatalogError> {
        let unauthentic = |source| CatalogError::Unauthentic { table: "decision", source };
        let body = open_value(&self.key, &decision_place(id, digest.as_deref()), sealed_body).map_err(unauthentic)?;
        let facts = match (&digest, sealed) {
            (Some(digest), Some(sealed)) => {
                Some(open_value(&self.key, &[b"decision_facts", digest], &sealed).map_err(unauthentic)?)
            }
            _ => None,
        };
        Ok(StoredDecision { id: *id, body, facts })
    }

    /// Recorded decisions from a time on, in the order of time, behind a place of that order; each with its place.
    pub async fn decisions_since(
        &self,
        since_ms: i64,
        after: Option<DecisionPlace>,
        limit: usize,
    ) -> Result<Vec<(DecisionPlace, StoredDecision)>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading decisions", source };
        let (at_ms, id) = after.unwrap_or((since_ms, [0; 16]));
        let query = sqlx::query(
            "SELECT decision.id, decision.facts, decision.sealed, decision_facts.sealed, decision.at_ms FROM decision
             LEFT JOIN decision_facts ON decision_facts.digest = decision.facts
             WHERE decision.at_ms > $1 OR (decision.at_ms = $1 AND decision.id > $2)
             ORDER BY decision.at_ms, decision.id LIMIT $3",
        )
        .bind(at_ms)
        .bind(&id[..])
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        let stored = |row: &sqlx::sqlite::SqliteRow| {
            let id = id_of(row.get(0));
            let decision = self.stored_decision(&id, row.get(1), row.get(2), row.get(3))?;
            Ok(((row.get(4), id), decision))
        };
        rows.iter().map(stored).collect()
    }

    /// The log of a repository after a generation, in order.
    pub async fn read_log(&self, repository: &[u8; 16], after: i64) -> Result<Vec<StoredEntry>, CatalogError> {
        self.read_log_page(repository, after, usize::MAX).await
    }

    /// At most so many entries of a repository's log after a generation, in order.
    pub async fn read_log_page(
        &self,
        repository: &[u8; 16],
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, CatalogError> {
        const AFTER: &str = "SELECT generation, previous_hash, hash, sealed FROM log_entry
             WHERE repository = $1 AND generation > $2 ORDER BY generation LIMIT $3";
        self.log_entries(AFTER, repository, after, limit).await
    }

    /// At most so many entries of a repository's log before a generation, the newest first.
    pub async fn read_log_before(
        &self,
        repository: &[u8; 16],
        before: i64,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, CatalogError> {
        const BEFORE: &str = "SELECT generation, previous_hash, hash, sealed FROM log_entry
             WHERE repository = $1 AND generation < $2 ORDER BY generation DESC LIMIT $3";
        self.log_entries(BEFORE, repository, before, limit).await
    }

    async fn log_entries(
        &self,
        query: &'static str,
        repository: &[u8; 16],
        generation: i64,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a log", source };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query(query).bind(&repository[..]).bind(generation).bind(limit);
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok(rows.iter().map(stored_entry).collect())
    }

    /// One entry of a repository's log.
    pub async fn log_entry(&self, repository: &[u8; 16], generation: i64) -> Result<Option<StoredEntry>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a log", source };
        let query = sqlx::query(
            "SELECT generation, previous_hash, hash, sealed FROM log_entry WHERE repository = $1 AND generation = $2",
        )
        .bind(&repository[..])
        .bind(generation);
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok(row.as_ref().map(stored_entry))
    }

    /// A repository's checkpoint: its generation and the sealed description of its file.
    pub async fn checkpoint(&self, repository: &[u8; 16]) -> Result<Option<(i64, Vec<u8>)>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a checkpoint", source };
        let query =
            sqlx::query("SELECT generation, sealed FROM checkpoint WHERE repository = $1").bind(&repository[..]);
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// Puts a checkpoint in the place of the one it replaces; says whether it did, which it does not if another one is there
    /// or the repository was deleted.
    pub async fn put_checkpoint(&self, new: &NewCheckpoint, now_ms: i64) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "writing a checkpoint", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        let repository = &new.repository[..];
        let is_there = sqlx::query("SELECT 1 FROM record WHERE kind = 'repository' AND id = $1")
            .bind(repository)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing)?;
        let before = sqlx::query("SELECT generation FROM checkpoint WHERE repository = $1")
            .bind(repository)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing)?
            .map(|row| row.get::<i64, _>(0));
        if is_there.is_none() || before != new.replaces.map(|(generation, _)| generation) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO checkpoint (repository, generation, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (repository) DO UPDATE SET generation = excluded.generation, sealed = excluded.sealed",
        )
        .bind(repository)
        .bind(new.generation)
        .bind(&new.sealed)
        .execute(&mut *tx)
        .await
        .map_err(doing)?;
        publish_file(&mut tx, &new.file, &new.repository, now_ms).await?;
        if let Some((_, file)) = &new.replaces {
            retire_file(&mut tx, file, &new.repository, new.sweep_replaced_after_ms).await?;
        }
        self.faults.reach("checkpoint:before-commit");
        tx.commit().await.map_err(doing)?;
        Ok(true)
    }

    /// Files that may be swept at `now_ms`: announced and never published, or retired long enough. From here on no publish
    /// takes them, even if the clock goes back.
    pub async fn sweepable(&self, now_ms: i64) -> Result<Vec<FileId>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "looking for files to sweep", source };
        let mut writer = self.writer.lock().await;
        sqlx::query("UPDATE file_intent SET expires_ms = $1 WHERE expires_ms <= $2 AND expires_ms > $1")
            .bind(i64::MIN)
            .bind(now_ms)
            .execute(&mut *writer)
            .await
            .map_err(doing)?;
        let rows = sqlx::query(
            "SELECT file FROM file_intent WHERE expires_ms <= $1 UNION SELECT file FROM retired_file WHERE sweep_after_ms <= $1",
        )
        .bind(now_ms)
        .fetch_all(&mut *writer)
        .await
        .map_err(doing)?;
        Ok(rows.iter().map(|row| id_of(row.get(0))).collect())
    }

    /// Takes an announcement back, so that no publish takes the file any more. Says whether there was one: a file without is
    /// published, or was never announced.
    pub async fn withdraw(&self, file: &FileId) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "withdrawing a file", source };
        let mut writer = self.writer.lock().await;
        let done = sqlx::query("UPDATE file_intent SET expires_ms = $1 WHERE file = $2")
            .bind(i64::MIN)
            .bind(&file[..])
            .execute(&mut *writer)
            .await
            .map_err(doing)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes the row of a swept file away.
    pub async fn swept(&self, file: &FileId) -> Result<(), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "sweeping", source };
        let mut writer = self.writer.lock().await;
        for statement in ["DELETE FROM file_intent WHERE file = $1", "DELETE FROM retired_file WHERE file = $1"] {
            sqlx::query(statement).bind(&file[..]).execute(&mut *writer).await.map_err(doing)?;
        }
        Ok(())
    }
}

fn stored_entry(row: &sqlx::sqlite::SqliteRow) -> StoredEntry {
    StoredEntry {
        generation: row.get(0),
        previous_hash: hash_of(row.get(1)),
        hash: hash_of(row.get(2)),
        sealed: row.get(3),
    }
}

/// Makes an announced file part of a repository.
async fn publish_file(
    tx: &mut SqliteConnection,
    file: &FileId,
    repository: &[u8; 16],
    now_ms: i64,
) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "publishing a file", source };
    let done = sqlx::query("DELETE FROM file_intent WHERE file = $1 AND repository = $2 AND expires_ms > $3")
        .bind(&file[..])
        .bind(&repository[..])
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(doing)?;
    // The intent has expired, and the file was swept or will be: publishing it would lose data.
    if done.rows_affected() != 1 {
        return Err(CatalogError::NotIntended);
    }
    sqlx::query("INSERT INTO published_file (file, repository) VALUES ($1, $2)")
        .bind(&file[..])
        .bind(&repository[..])
        .execute(tx)
        .await
        .map_err(doing)?;
    Ok(())
}

/// Notes that a file is out of use.
async fn retire_file(
    tx: &mut SqliteConnection,
    file: &FileId,
    repository: &[u8; 16],
    sweep_after_ms: i64,
) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "retiring a file", source };
    sqlx::query("DELETE FROM published_file WHERE file = $1").bind(&file[..]).execute(&mut *tx).await.map_err(doing)?;
    sqlx::query("INSERT INTO retired_file (file, repository, sweep_after_ms) VALUES ($1, $2, $3)")
        .bind(&file[..])
        .bind(&repository[..])
        .bind(sweep_after_ms)
        .execute(tx)
        .await
        .map_err(doing)?;
    Ok(())
}

/// Takes a deleted repository's rows away, all that the server ever wrote for it becoming sweepable at once.
async fn forget_repository(tx: &mut SqliteConnection, repository: &[u8; 16]) -> Result<(), CatalogError> {
    let statements = [
        "DELETE FROM log_entry WHERE repository = $1",
        "DELETE FROM checkpoint WHERE repository = $1",
        "INSERT INTO retired_file (file, repository, sweep_after_ms)
         SELECT file, repository, 0 FROM published_file WHERE repository = $1",
        "UPDATE retired_file SET sweep_after_ms = 0 WHERE repository = $1",
        "DELETE FROM published_file WHERE repository = $1",
        "DELETE FROM document WHERE scope = $1",
    ];
    for statement in statements {
        sqlx::query(statement)
            .bind(&repository[..])
            .execute(&mut *tx)
            .await
            .map_err(|source| CatalogError::Sql { doing: "forgetting a repository", source })?;
    }
    Ok(())
}

/// Where a sealed decision belongs.
fn decision_place<'a>(id: &'a [u8; 16], digest: Option<&'a [u8]>) -> Vec<&'a [u8]> {
    [&b"decision"[..], id].into_iter().chain(digest).collect()
}

/// Makes a catalog of an older schema version one of [`SCHEMA_VERSION`], whole or not at all. New tables are there already.
async fn upgrade(writer: &mut SqliteConnection, key: &Key) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "upgrading the schema", source };
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
    let found = setting(&mut tx, key, "schema_version").await?;
    if found < 2 {
        sqlx::query("ALTER TABLE decision ADD COLUMN facts BLOB").execute(&mut *tx).await.map_err(doing)?;
    }
    sqlx::query("UPDATE setting SET value = $1, mac = $2 WHERE name = 'schema_version'")
        .bind(SCHEMA_VERSION)
        .bind(setting_mac(key, "schema_version", SCHEMA_VERSION))
        .execute(&mut *tx)
        .await
        .map_err(doing)?;
    tx.commit().await.map_err(doing)
}

/// Writes the first settings of a new catalog. One that has records and no settings was tampered with, and gets none:
/// reading them fails then.
async fn make_settings(writer: &mut SqliteConnection, key: &Key) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "making the schema", source };
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
    let used = sqlx::query("SELECT 1 FROM setting UNION ALL SELECT 1 FROM record LIMIT 1")
        .fetch_optional(&mut *tx)
        .await
        .map_err(doing)?;
    if used.is_some() {
        return Ok(());
    }
    for (name, value) in FIRST_SETTINGS {
        sqlx::query("INSERT INTO setting (name, value, mac) VALUES ($1, $2, $3)")
            .bind(name)
            .bind(value)
            .bind(setting_mac(key, name, value))
            .execute(&mut *tx)
            .await
            .map_err(doing)?;
    }
    tx.commit().await.map_err(doing)
}

/// A setting that was written by who has the key.
async fn setting(connection: &mut SqliteConnection, key: &Key, name: &'static str) -> Result<i64, CatalogError> {
    let (value, mac) = setting_row(connection, name).await?;
    check_setting(key, name, value, &mac)
}

/// A setting's value and MAC as they stand there.
async fn setting_row(
    connection: impl sqlx::SqliteExecutor<'_>,
    name: &'static str,
) -> Result<(i64, Vec<u8>), CatalogError> {
    let row = sqlx::query("SELECT value, mac FROM setting WHERE name = $1")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(|source| CatalogError::Sql { doing: "reading a setting", source })?;
    Ok((row.get(0), row.get(1)))
}

fn check_setting(key: &Key, name: &str, value: i64, mac: &[u8]) -> Result<i64, CatalogError> {
    if !bool::from(setting_mac(key, name, value).ct_eq(mac)) {
        return Err(CatalogError::Unauthentic { table: "setting", source: SealError::Unauthentic });
    }
    Ok(value)
}

fn setting_mac(key: &Key, name: &str, value: i64) -> Vec<u8> {
    digest_of(key, name, &value.to_be_bytes())
}

/// HMAC-SHA256 over a text with its length before it, and what follows.
fn digest_of(key: &Key, first: &str, rest: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.dangerous_bytes()).expect("HMAC takes keys of any length");
    mac.update(&(first.len() as u32).to_be_bytes());
    mac.update(first.as_bytes());
    mac.update(rest);
    mac.finalize().into_bytes().to_vec()
}

fn id_of(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().unwrap_or_default()
}

fn hash_of(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or_default()
}

/// The database and the files that SQLite lays beside it take their mode from the database.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_md_has_this_mac() {
        let mac = setting_mac(&Key::from_bytes(&[0x42; 32]), "active_policy", 3);
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(include_str!("FORMAT.md").lines().any(|line| line == format!("vector setting-mac = {hex}")));
    }
}
