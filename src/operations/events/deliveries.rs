//! The log of deliveries: what was told to whom, how that went, and telling it once more.

use uuid::Uuid;

use crate::events::delivery::Delivery;
use crate::names::AccountId;
use crate::operations::lockgate::Lockgate;
use crate::store::kept::ShelfError;
use crate::store::queue::{DeliveryState, StoredDelivery};

/// A delivery as the log shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedDelivery {
    /// Its id, which receivers see as `webhook-id`.
    pub id: Uuid,
    /// Its place in the log.
    pub n: i64,
    /// What became of it.
    pub state: DeliveryState,
    /// When it was put there, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What it is.
    pub delivery: Delivery,
}

fn logged(stored: StoredDelivery) -> Result<LoggedDelivery, ShelfError> {
    let delivery =
        serde_json::from_slice(&stored.body).map_err(|source| ShelfError::Damaged { kind: "delivery", source })?;
    Ok(LoggedDelivery { id: stored.id, n: stored.n, state: stored.state, at_ms: stored.at_ms, delivery })
}

impl Lockgate {
    /// Deliveries of an account, the newest first, before a place in the log. Blocks.
    pub fn logged_deliveries(
        &self,
        account: &AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<LoggedDelivery>, ShelfError> {
        self.store().deliveries(account, before, limit)?.into_iter().map(logged).collect()
    }

    /// One delivery of an account. Blocks.
    pub fn logged_delivery(&self, account: &AccountId, id: Uuid) -> Result<Option<LoggedDelivery>, ShelfError> {
        self.store().delivery(account, id)?.map(logged).transpose()
    }

    /// Makes a delivery once more, under the same id; false if there is none. Blocks.
    pub fn redeliver(&self, account: &AccountId, id: Uuid) -> Result<bool, ShelfError> {
        let Some(stored) = self.store().delivery(account, id)? else { return Ok(false) };
        let now_ms = self.store().clock().now_ms();
        let mut again = logged(stored.clone())?.delivery;
        (again.n_tries, again.since_ms) = (0, now_ms);
        let body = serde_json::to_vec(&again).expect("JSON of strings and numbers");
        let lane = stored.lane;
        let waiting = StoredDelivery { state: DeliveryState::Waiting, body, ..stored };
        self.store().settle_lane(&lane, &[waiting], now_ms, &[])?;
        self.store().announce();
        Ok(true)
    }
}
