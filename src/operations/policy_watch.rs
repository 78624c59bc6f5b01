//! Applying the policy folder when it changes, where the configuration asks for it (`policy.watch`).
//!
//! A folder is never applied while it is being written: it has to look the same twice in a row. What it held when the server
//! started is not applied either, only what it is changed to: after `policy recover` the folder that locked everybody out
//! still lies there.

use std::time::Duration;

use super::lockgate::Lockgate;
use super::policies::{Applied, ApplyOptions};
use crate::policy::PolicyFiles;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What was seen of a folder.
#[derive(Debug, Default)]
struct Watch {
    /// What needs nothing to be done: as it was at the start, applied, or refused.
    dealt_with: Option<[u8; 32]>,
    /// As it was when it was looked at last.
    last: Option<[u8; 32]>,
}

impl Watch {
    /// Takes in how the folder looks now; says whether it is to be applied. A folder that cannot be read is being changed.
    fn look(&mut self, now: Option<[u8; 32]>) -> bool {
        let is_settled = now.is_some() && now == self.last;
        self.last = now;
        let is_new = is_settled && now != self.dealt_with;
        if is_new {
            self.dealt_with = now;
        }
        is_new
    }
}

/// Begins to watch: what the folder holds now is not applied. Reads the folder.
pub fn begin(host: Lockgate) {
    let watch = Watch { dealt_with: hash(&host), last: None };
    tokio::spawn(go_on(host, watch));
}

fn hash(host: &Lockgate) -> Option<[u8; 32]> {
    PolicyFiles::read_folder(host.policies_dir()).ok().map(|files| files.content_hash())
}

async fn go_on(host: Lockgate, mut watch: Watch) {
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = host.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let is_new = watch.look(hash(&looking));
            if is_new {
                apply(&looking);
            }
            watch
        });
        match looked.await {
            Ok(seen) => watch = seen,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "watching the policies folder broke off");
                return;
            }
        }
    }
}

fn apply(host: &Lockgate) {
    let applied = PolicyFiles::read_folder(host.policies_dir()).map_err(Into::into).and_then(|files| {
        let options = ApplyOptions { gate: host.policy_gate(None), ..ApplyOptions::by("watched folder", false) };
        host.policies().apply(host.store(), host.identity(), &files, &options)
    });
    match applied {
        Ok(Applied::Active { generation, warnings }) => {
            tracing::info!(generation, "applied the changed policies folder");
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        Ok(Applied::Unchanged { .. }) => {}
        Ok(Applied::Held(why)) => tracing::error!(why, "the changed policies folder was not applied"),
        Ok(Applied::Refused(problems)) => {
            tracing::error!("the changed policies folder is not valid and was not applied");
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        Err(error) => tracing::error!(error = &*error, "the changed policies folder could not be applied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_settled_is_applied_once() {
        let [a, b, c] = [1, 2, 3].map(|n| Some([n; 32]));
        let mut watch = Watch { dealt_with: a, last: None };
        // (how the folder looks, whether it is applied)
        let steps = [
            (a, false),
            (a, false),
            (b, false), // being written
            (c, false),
            (None, false),
            (c, false),
            (c, true),
            (c, false),
            (a, false), // put back as it was at the start: that is a change, too
            (a, true),
        ];
        for (i, (now, expected)) in steps.into_iter().enumerate() {
            assert_eq!(watch.look(now), expected, "step {i}");
        }
    }
}
