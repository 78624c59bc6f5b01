//! What waits: events that were written with the change that caused them, and deliveries that are to be made of them.
//!
//! `outbox` holds events in the order of their commits, until they are routed. Routing takes them out, and puts in deliveries and
//! archived events, in one transaction. A delivery stands in a lane, where they are made one after another in order; a lane has a time
//! before which nothing of it is tried. What a body means is its owner's. All bodies are sealed with the catalog's key, to their id.
//!
//! Of two servers on one database both may deliver the same: once at least, never less.

use std::collections::BTreeSet;

use sqlx::{Connection, Row, SqliteConnection};
use uuid::Uuid;

use super::catalog::{Catalog, CatalogError};
use super::documents::{self, Write};
use super::{Store, StoreError};
use crate::names::AccountId;

/// The tables. SQLite gives the numbers under its one writer, so that they are in the order of commits.
pub(super) const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS archived_event (
        archive BLOB NOT NULL, seq BIGINT NOT NULL, at_ms BIGINT NOT NULL, id BLOB NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (archive, seq))",
    "CREATE TABLE IF NOT EXISTS delivery (
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, account BLOB NOT NULL, lane BLOB NOT NULL,
        state BIGINT NOT NULL, at_ms BIGINT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS delivery_of_lane ON delivery (lane, state, n)",
    "CREATE INDEX IF NOT EXISTS delivery_of_account ON delivery (account, n)",
    "CREATE INDEX IF NOT EXISTS delivery_by_time ON delivery (at_ms)",
    "CREATE INDEX IF NOT EXISTS archived_event_by_time ON archived_event (archive, at_ms)",
    "CREATE TABLE IF NOT EXISTS lane (lane BLOB PRIMARY KEY, next_ms BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS lane_by_time ON lane (next_ms)",
];

/// Where deliveries keep their order: a digest of whom they go to and of what they are about.
pub type LaneId = [u8; 16];

/// An archive of events.
pub type ArchiveId = [u8; 16];

/// Most rows that one statement inserts.
const ROWS_AT_ONCE: usize = 100;
/// Most rows that are forgotten in one transaction: whoever writes meanwhile does not wait for all of them.
const FORGOTTEN_AT_ONCE: i64 = 500;

/// An event that waits to be routed, or was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Its place in the order of commits.
    pub seq: i64,
    /// Its id.
    pub id: Uuid,
    /// What it says.
    pub body: Vec<u8>,
}

/// An event to be written with what causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    id: Uuid,
    sealed: Vec<u8>,
}

/// A delivery to be written with what causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    id: Uuid,
    account: [u8; 16],
    lane: LaneId,
    at_ms: i64,
    sealed: Vec<u8>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be made.
    Waiting,
    /// It was made.
    Made,
    /// It was given up.
    GivenUp,
}

impl DeliveryState {
    fn number(self) -> i64 {
        match self {
            DeliveryState::Waiting => 0,
            DeliveryState::Made => 1,
            DeliveryState::GivenUp => 2,
        }
    }

    fn of_number(number: i64) -> DeliveryState {
        match number {
            0 => DeliveryState::Waiting,
            1 => DeliveryState::Made,
            _ => DeliveryState::GivenUp,
        }
    }
}

/// A delivery as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    /// Its place among all of them.
    pub n: i64,
    /// Its id.
    pub id: Uuid,
    /// Its lane.
    pub lane: LaneId,
    /// What became of it.
    pub state: DeliveryState,
    /// When it was put there, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What is to be delivered, and how it went.
    pub body: Vec<u8>,
}

/// What routing makes of events.
#[derive(Debug, Default)]
pub struct Routed {
    /// Events that are taken out of the outbox, by their places.
    pub taken: Vec<i64>,
    /// Events for archives: the archive, the event, when it happened in milliseconds since the Unix epoch.
    pub archived: Vec<(ArchiveId, QueuedEvent, i64)>,
    /// Deliveries and events to be put in, and documents that change with it.
    pub writes: Vec<Write>,
}

impl Store {
    /// A write that puts an event into the outbox.
    pub fn put_event(&self, id: Uuid, body: &[u8]) -> Write {
        Write::Event(EventRow { id, sealed: self.catalog().seal_queued(b"event", &id, body) })
    }

    /// A write that puts a delivery at the end of its lane.
    pub fn put_delivery(&self, account: &AccountId, lane: LaneId, id: Uuid, at_ms: i64, body: &[u8]) -> Write {
        let sealed = self.catalog().seal_queued(b"delivery", &id, body);
        Write::Delivery(DeliveryRow { id, account: self.catalog().scope_of_account(account), lane, at_ms, sealed })
    }

    /// The oldest events that wait to be routed. Blocks.
    pub fn outbox(&self, limit: usize) -> Result<Vec<QueuedEvent>, StoreError> {
        Ok(self.wait(self.catalog().outbox(limit))?)
    }

    /// Takes events out of the outbox and puts in what comes of them, all or nothing; false if a document changed, or an event was
    /// taken by somebody else. Blocks.
    pub fn route(&self, routed: &Routed) -> Result<bool, StoreError> {
        Ok(self.wait(self.catalog().route(routed))?)
    }

    /// Events of an archive behind the place `after`, in order, that happened from `from_ms` on and before `to_ms`. Blocks.
    pub fn archived(
        &self,
        archive: &ArchiveId,
        after: i64,
        (from_ms, to_ms): (i64, i64),
        limit: usize,
    ) -> Result<Vec<QueuedEvent>, StoreError> {
        Ok(self.wait(self.catalog().archived(archive, after, from_ms, to_ms, limit))?)
    }

    /// How many events an archive holds, and their bytes as they are stored. Blocks.
    pub fn count_archived(&self, archive: &ArchiveId) -> Result<(i64, i64), StoreError> {
        Ok(self.wait(self.catalog().count_archived(archive))?)
    }

    /// Takes events out of an archive that happened before a time; all of them if none is said. Gives how many. Blocks.
    pub fn forget_archived(&self, archive: &ArchiveId, before_ms: Option<i64>) -> Result<u64, StoreError> {
        Ok(self.wait(self.catalog().forget_archived(archive, before_ms))?)
    }

    /// Lanes of which something may be tried, those first that waited longest; and when the next one is due. Blocks.
    pub fn due_lanes(&self, now_ms: i64, limit: usize) -> Result<(Vec<LaneId>, Option<i64>), StoreError> {
        Ok(self.wait(self.catalog().due_lanes(now_ms, limit))?)
    }

    /// The first deliveries of a lane that wait. Blocks.
    pub fn head_of_lane(&self, lane: &LaneId, limit: usize) -> Result<Vec<StoredDelivery>, StoreError> {
        Ok(self.wait(self.catalog().head_of_lane(lane, limit))?)
    }

    /// Writes down how deliveries of a lane went, and when the lane is tried again; a lane in which nothing waits is taken away.
    /// `writes` change with it. Blocks.
    pub fn settle_lane(
        &self,
        lane: &LaneId,
        settled: &[StoredDelivery],
        next_ms: i64,
        writes: &[Write],
    ) -> Result<bool, StoreError> {
        Ok(self.wait(self.catalog().settle_lane(lane, settled, next_ms, writes))?)
    }

    /// Deliveries of an account, the newest first, before the place `before`. Blocks.
    pub fn deliveries(
        &self,
        account: &AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredDelivery>, StoreError> {
        let scope = self.catalog().scope_of_account(account);
        Ok(self.wait(self.catalog().deliveries(&scope, before, limit))?)
    }

    /// One delivery of an account. Blocks.
    pub fn delivery(&self, account: &AccountId, id: Uuid) -> Result<Option<StoredDelivery>, StoreError> {
        let scope = self.catalog().scope_of_account(account);
        Ok(self.wait(self.catalog().delivery(&scope, id))?)
    }

    /// Takes deliveries away that are over and were put there before a time. Gives how many. Blocks.
    pub fn forget_deliveries(&self, before_ms: i64) -> Result<u64, StoreError> {
        Ok(self.wait(self.catalog().forget_deliveries(before_ms))?)
    }
}

/// Puts events in, within a transaction.
pub(super) async fn insert_events(tx: &mut SqliteConnection, rows: &[&EventRow]) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "writing events", source };
    for some in rows.chunks(ROWS_AT_ONCE) {
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new("INSERT INTO outbox (id, sealed) ");
        query.push_values(some, |mut row, event| {
            row.push_bind(event.id.as_bytes().to_vec()).push_bind(event.sealed.clone());
        });
        query.build().execute(&mut *tx).await.map_err(doing)?;
    }
    Ok(())
}

/// Puts deliveries in, within a transaction. A lane that waits because something went wrong goes on waiting.
pub(super) async fn insert_deliveries(tx: &mut SqliteConnection, rows: &[&DeliveryRow]) -> Result<(), CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "writing deliveries", source };
    for some in rows.chunks(ROWS_AT_ONCE) {
        let mut query =
            sqlx::QueryBuilder::<sqlx::Sqlite>::new("INSERT INTO delivery (id, account, lane, state, at_ms, sealed) ");
        query.push_values(some, |mut row, delivery| {
            row.push_bind(delivery.id.as_bytes().to_vec())
                .push_bind(delivery.account.to_vec())
                .push_bind(delivery.lane.to_vec())
                .push_bind(DeliveryState::Waiting.number())
                .push_bind(delivery.at_ms)
                .push_bind(delivery.sealed.clone());
        });
        query.build().execute(&mut *tx).await.map_err(doing)?;
    }
    let lanes: BTreeSet<(LaneId, i64)> = rows.iter().map(|row| (row.lane, row.at_ms)).collect();
    for (lane, at_ms) in lanes {
        sqlx::query("INSERT INTO lane (lane, next_ms) VALUES ($1, $2) ON CONFLICT (lane) DO NOTHING")
            .bind(&lane[..])
            .bind(at_ms)
            .execute(&mut *tx)
            .await
            .map_err(doing)?;
    }
    Ok(())
}

impl Catalog {
    fn seal_queued(&self, what: &'static [u8], id: &Uuid, body: &[u8]) -> Vec<u8> {
        self.seal_document(id.as_bytes(), &[b"queue", what], body)
    }

    fn open_queued(
        &self,
        table: &'static str,
        what: &'static [u8],
        id: &Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, CatalogError> {
        self.open_document(id.as_bytes(), &[b"queue", what], sealed)
            .map_err(|source| CatalogError::Unauthentic { table, source })
    }

    fn event_of(&self, table: &'static str, row: &sqlx::sqlite::SqliteRow) -> Result<QueuedEvent, CatalogError> {
        let id = uuid_of(row.get(1));
        Ok(QueuedEvent { seq: row.get(0), id, body: self.open_queued(table, b"event", &id, row.get(2))? })
    }

    fn delivery_of(&self, row: &sqlx::sqlite::SqliteRow) -> Result<StoredDelivery, CatalogError> {
        let id = uuid_of(row.get(1));
        Ok(StoredDelivery {
            n: row.get(0),
            id,
            lane: row.get::<&[u8], _>(2).try_into().unwrap_or_default(),
            state: DeliveryState::of_number(row.get(3)),
            at_ms: row.get(4),
            body: self.open_queued("delivery", b"delivery", &id, row.get(5))?,
        })
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<QueuedEvent>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading the outbox", source };
        let query = sqlx::query("SELECT seq, id, sealed FROM outbox ORDER BY seq LIMIT $1").bind(limit_of(limit));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        // One that does not open is left where it is and said, and keeps the others from nothing.
        let opened = |row| match self.event_of("outbox", row) {
            Ok(event) => Some(event),
            Err(error) => {
                let seq: i64 = row.get(0);
                tracing::error!(error = &error as &dyn std::error::Error, seq, "an event in the outbox cannot be read");
                None
            }
        };
        Ok(rows.iter().filter_map(opened).collect())
    }

    async fn route(&self, routed: &Routed) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "routing events", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        for seq in &routed.taken {
            let done = sqlx::query("DELETE FROM outbox WHERE seq = $1").bind(seq).execute(&mut *tx).await;
            if done.map_err(doing)?.rows_affected() != 1 {
                return Ok(false);
            }
        }
        for some in routed.archived.chunks(ROWS_AT_ONCE) {
            let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(
                "INSERT INTO archived_event (archive, seq, at_ms, id, sealed) ",
            );
            query.push_values(some, |mut row, (archive, event, at_ms)| {
                row.push_bind(archive.to_vec())
                    .push_bind(event.seq)
                    .push_bind(*at_ms)
                    .push_bind(event.id.as_bytes().to_vec())
                    .push_bind(self.seal_queued(b"event", &event.id, &event.body));
            });
            query.build().execute(&mut *tx).await.map_err(doing)?;
        }
        if !documents::apply(&mut tx, &routed.writes).await? {
            return Ok(false);
        }
        self.faults.reach("route:before-commit");
        tx.commit().await.map_err(doing)?;
        self.faults.reach("route:after-commit");
        self.queued.send_modify(|count| *count += 1);
        Ok(true)
    }

    async fn archived(
        &self,
        archive: &ArchiveId,
        after: i64,
        from_ms: i64,
        to_ms: i64,
        limit: usize,
    ) -> Result<Vec<QueuedEvent>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading an archive", source };
        let query = sqlx::query(
            "SELECT seq, id, sealed FROM archived_event
             WHERE archive = $1 AND seq > $2 AND at_ms >= $3 AND at_ms < $4 ORDER BY seq LIMIT $5",
        )
        .bind(&archive[..])
        .bind(after)
        .bind(from_ms)
        .bind(to_ms)
        .bind(limit_of(limit));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        rows.iter().map(|row| self.event_of("archived_event", row)).collect()
    }

    async fn count_archived(&self, archive: &ArchiveId) -> Result<(i64, i64), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "counting an archive", source };
        let query =
            sqlx::query("SELECT COUNT(*), COALESCE(SUM(LENGTH(sealed)), 0) FROM archived_event WHERE archive = $1")
                .bind(&archive[..]);
        let row = match &self.readers {
            Some(pool) => query.fetch_one(pool).await.map_err(doing)?,
            None => query.fetch_one(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok((row.get(0), row.get(1)))
    }

    async fn forget_archived(&self, archive: &ArchiveId, before_ms: Option<i64>) -> Result<u64, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "forgetting archived events", source };
        let mut n_forgotten = 0;
        loop {
            let done = sqlx::query(
                "DELETE FROM archived_event WHERE archive = $1 AND seq IN
                 (SELECT seq FROM archived_event WHERE archive = $1 AND at_ms < $2 ORDER BY at_ms LIMIT $3)",
            )
            .bind(&archive[..])
            .bind(before_ms.unwrap_or(i64::MAX))
            .bind(FORGOTTEN_AT_ONCE)
            .execute(&mut *self.writer.lock().await)
            .await
            .map_err(doing)?;
            match done.rows_affected() {
                0 => return Ok(n_forgotten),
                n => n_forgotten += n,
            }
        }
    }

    async fn due_lanes(&self, now_ms: i64, limit: usize) -> Result<(Vec<LaneId>, Option<i64>), CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading what is to be delivered", source };
        let query = sqlx::query("SELECT lane, next_ms FROM lane ORDER BY next_ms LIMIT $1").bind(limit_of(limit + 1));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        let mut due = Vec::new();
        let mut next = None;
        for row in &rows {
            let next_ms: i64 = row.get(1);
            match next_ms <= now_ms && due.len() < limit {
                true => due.push(row.get::<&[u8], _>(0).try_into().unwrap_or_default()),
                false => {
                    next = Some(next_ms);
                    break;
                }
            }
        }
        Ok((due, next))
    }

    async fn head_of_lane(&self, lane: &LaneId, limit: usize) -> Result<Vec<StoredDelivery>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading what is to be delivered", source };
        let query = sqlx::query(
            "SELECT n, id, lane, state, at_ms, sealed FROM delivery WHERE lane = $1 AND state = $2 ORDER BY n LIMIT $3",
        )
        .bind(&lane[..])
        .bind(DeliveryState::Waiting.number())
        .bind(limit_of(limit));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        rows.iter().map(|row| self.delivery_of(row)).collect()
    }

    async fn settle_lane(
        &self,
        lane: &LaneId,
        settled: &[StoredDelivery],
        next_ms: i64,
        writes: &[Write],
    ) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "noting what was delivered", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        for delivery in settled {
            sqlx::query("UPDATE delivery SET state = $1, sealed = $2 WHERE n = $3")
                .bind(delivery.state.number())
                .bind(self.seal_queued(b"delivery", &delivery.id, &delivery.body))
                .bind(delivery.n)
                .execute(&mut *tx)
                .await
                .map_err(doing)?;
        }
        if !documents::apply(&mut tx, writes).await? {
            return Ok(false);
        }
        let waits = sqlx::query("SELECT 1 FROM delivery WHERE lane = $1 AND state = $2 LIMIT 1")
            .bind(&lane[..])
            .bind(DeliveryState::Waiting.number())
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing)?;
        let query = match waits {
            Some(_) => sqlx::query(
                "INSERT INTO lane (lane, next_ms) VALUES ($1, $2) ON CONFLICT (lane) DO UPDATE SET next_ms = excluded.next_ms",
            )
            .bind(&lane[..])
            .bind(next_ms),
            None => sqlx::query("DELETE FROM lane WHERE lane = $1").bind(&lane[..]),
        };
        query.execute(&mut *tx).await.map_err(doing)?;
        self.faults.reach("settle:before-commit");
        tx.commit().await.map_err(doing)?;
        self.faults.reach("settle:after-commit");
        if !writes.is_empty() {
            self.queued.send_modify(|count| *count += 1);
        }
        Ok(true)
    }

    async fn deliveries(
        &self,
        account: &[u8; 16],
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredDelivery>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading deliveries", source };
        let query = sqlx::query(
            "SELECT n, id, lane, state, at_ms, sealed FROM delivery WHERE account = $1 AND n < $2 ORDER BY n DESC LIMIT $3",
        )
        .bind(&account[..])
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit_of(limit));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        rows.iter().map(|row| self.delivery_of(row)).collect()
    }

    async fn delivery(&self, account: &[u8; 16], id: Uuid) -> Result<Option<StoredDelivery>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a delivery", source };
        let query =
            sqlx::query("SELECT n, id, lane, state, at_ms, sealed FROM delivery WHERE account = $1 AND id = $2")
                .bind(&account[..])
                .bind(id.as_bytes().to_vec());
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        row.map(|row| self.delivery_of(&row)).transpose()
    }

    async fn forget_deliveries(&self, before_ms: i64) -> Result<u64, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "forgetting deliveries", source };
        let mut n_forgotten = 0;
        loop {
            let done = sqlx::query(
                "DELETE FROM delivery WHERE n IN
                 (SELECT n FROM delivery WHERE at_ms < $1 AND state <> $2 ORDER BY at_ms LIMIT $3)",
            )
            .bind(before_ms)
            .bind(DeliveryState::Waiting.number())
            .bind(FORGOTTEN_AT_ONCE)
            .execute(&mut *self.writer.lock().await)
            .await
            .map_err(doing)?;
            match done.rows_affected() {
                0 => return Ok(n_forgotten),
                n => n_forgotten += n,
            }
        }
    }
}

fn uuid_of(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn store() -> (tokio::runtime::Runtime, Store, AccountId) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = runtime.block_on(Store::in_memory(Clock::System)).unwrap();
        (runtime, store, AccountId::parse("111111111111").unwrap())
    }

    fn bodies(deliveries: &[StoredDelivery]) -> Vec<&[u8]> {
        deliveries.iter().map(|delivery| &delivery.body[..]).collect()
    }

    #[test]
    fn events_are_routed_once_and_in_order() {
        let (_runtime, store, account) = store();
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
        let writes: Vec<Write> = ids.iter().map(|id| store.put_event(*id, id.as_bytes())).collect();
        assert!(store.write_documents(&writes).unwrap());
        let events = store.outbox(10).unwrap();
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), ids);
        assert!(events.iter().all(|event| event.body == event.id.as_bytes()));
        let archive = [9; 16];
        let routed = Routed {
            taken: events[..2].iter().map(|event| event.seq).collect(),
            archived: events[..2].iter().zip([10, 20]).map(|(event, at_ms)| (archive, event.clone(), at_ms)).collect(),
            writes: vec![store.put_delivery(&account, [1; 16], Uuid::new_v4(), 5, b"one")],
        };
        assert!(store.route(&routed).unwrap());
        // Somebody else has taken them: nothing of it is done again.
        assert!(!store.route(&routed).unwrap());
        assert_eq!(store.outbox(10).unwrap(), events[2..]);
        assert_eq!(store.archived(&archive, 0, (0, 100), 10).unwrap(), events[..2]);
        assert_eq!(store.archived(&archive, 0, (10, 20), 10).unwrap(), events[..1]);
        assert_eq!(store.archived(&archive, events[0].seq, (0, 100), 10).unwrap(), events[1..2]);
        assert_eq!(store.count_archived(&archive).unwrap().0, 2);
        assert_eq!(store.forget_archived(&archive, Some(15)).unwrap(), 1);
        assert_eq!(bodies(&store.head_of_lane(&[1; 16], 10).unwrap()), [b"one"]);
        assert_eq!(store.deliveries(&account, None, 10).unwrap().len(), 1);
    }

    #[test]
    fn a_lane_keeps_its_order_and_waits() {
        let (_runtime, store, account) = store();
        let put = |lane: u8, body: &str| store.put_delivery(&account, [lane; 16], Uuid::new_v4(), 5, body.as_bytes());
        assert!(store.write_documents(&[put(1, "a"), put(2, "x"), put(1, "b")]).unwrap());
        assert_eq!(store.due_lanes(4, 10).unwrap(), (vec![], Some(5)));
        assert_eq!(store.due_lanes(5, 10).unwrap(), (vec![[1; 16], [2; 16]], None));
        let mut first = store.head_of_lane(&[1; 16], 10).unwrap();
        assert_eq!(bodies(&first), [b"a", b"b"]);
        first[0].body = b"a failed".to_vec();
        assert!(store.settle_lane(&[1; 16], &first[..1], 50, &[]).unwrap());
        assert_eq!(store.due_lanes(49, 10).unwrap(), (vec![[2; 16]], Some(50)));
        // Something new does not shorten the wait.
        assert!(store.write_documents(&[put(1, "c")]).unwrap());
        assert_eq!(store.due_lanes(49, 10).unwrap().0, [[2; 16]]);
        let mut all = store.head_of_lane(&[1; 16], 10).unwrap();
        assert_eq!(bodies(&all), [&b"a failed"[..], b"b", b"c"]);
        all.iter_mut().for_each(|delivery| delivery.state = DeliveryState::Made);
        assert!(store.settle_lane(&[1; 16], &all, 50, &[]).unwrap());
        assert_eq!(store.due_lanes(100, 10).unwrap(), (vec![[2; 16]], None));
        assert_eq!(store.forget_deliveries(6).unwrap(), 3);
        assert_eq!(bodies(&store.deliveries(&account, None, 10).unwrap()), [b"x"]);
    }
}
