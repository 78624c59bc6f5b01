//! Telling archived events once more, page by page: each page's deliveries and the place that the replay has come to are one
//! transaction, so that a replay that was broken off goes on where it was. And dropping what archives need not keep any more.

use std::time::Duration;

use crate::events::bus::{Archive, Replay, ReplayState};
use crate::events::shelf::{EventShelf, Kept, ShelfError};
use crate::names::AccountId;
use crate::operations::lockgate::Lockgate;

/// Events of one page.
const PAGE: usize = 1000;
/// How long is waited if nothing is to be replayed.
const LONG: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Replays what was begun, for as long as it is polled.
pub async fn replay_regularly(host: Lockgate) {
    loop {
        let working = host.clone();
        let done = tokio::task::spawn_blocking(move || {
            for account in working.accounts() {
                working.replay_all(&account)?;
                working.forget_old_events(&account)?;
            }
            let keep_ms = working.event_settings().keep_deliveries_ms;
            working.store().forget_deliveries(working.store().clock().now_ms() - keep_ms)?;
            Ok::<_, ShelfError>(())
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                super::delivering::failed(&error, "archives cannot be looked through");
            }
            Err(_) => return,
        }
        let _ = tokio::time::timeout(LONG, host.events().replay_begun.notified()).await;
    }
}

impl Lockgate {
    /// All accounts, in no particular order.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.identity().directory().accounts().map(|account| account.id.clone()).collect()
    }

    /// Brings all replays of an account to their ends. Blocks.
    pub(super) fn replay_all(&self, account: &AccountId) -> Result<(), ShelfError> {
        let shelf = EventShelf::new(self.store(), account);
        for kept in shelf.list::<Replay>(&[])? {
            if kept.value.state.is_over() {
                continue;
            }
            let name = kept.value.name.clone();
            while let Some(kept) = shelf.get::<Replay>(&[&name])?.filter(|kept| !kept.value.state.is_over()) {
                self.replay_page(account, &shelf, kept)?;
            }
        }
        Ok(())
    }

    fn replay_page(
        &self,
        account: &AccountId,
        shelf: &EventShelf<'_>,
        mut kept: Kept<Replay>,
    ) -> Result<(), ShelfError> {
        let now_ms = self.store().clock().now_ms();
        let replay = &mut kept.value;
        if replay.state == ReplayState::Cancelling {
            (replay.state, replay.ended_ms) = (ReplayState::Cancelled, Some(now_ms));
            // Changed by somebody else: the next look sees it.
            self.store().write_documents(&[shelf.put(&kept)?])?;
            return Ok(());
        }
        let archive = replay.archive_id.into_bytes();
        let times = (replay.from_ms, replay.to_ms);
        let events = self.store().archived(&archive, replay.cursor, times, PAGE)?;
        replay.state = ReplayState::Running;
        match events.last() {
            Some(last) => {
                replay.cursor = last.seq;
                replay.n_told += events.len() as u64;
                replay.last_event_ms =
                    serde_json::from_slice::<crate::events::Queued>(&last.body).ok().map(|queued| queued.at_ms);
            }
            None => (replay.state, replay.ended_ms) = (ReplayState::Completed, Some(now_ms)),
        }
        let (bus, rules, name) = (replay.bus.clone(), replay.rules.clone(), replay.name.clone());
        let write = shelf.put(&kept)?;
        self.route_again(account, &bus, &rules, &events, (&name, write))?;
        Ok(())
    }

    fn forget_old_events(&self, account: &AccountId) -> Result<(), ShelfError> {
        let now_ms = self.store().clock().now_ms();
        for kept in EventShelf::new(self.store(), account).list::<Archive>(&[])? {
            let archive = kept.value;
            if archive.retention_days > 0 {
                let before_ms = now_ms - i64::from(archive.retention_days) * DAY_MS;
                self.store().forget_archived(archive.id.as_bytes(), Some(before_ms))?;
            }
        }
        Ok(())
    }
}
