//! Threads for checking policies: with stacks that parsing up to [`super::bounds`]' limits cannot use up, and as many as there are
//! processors. Nothing outlives the call.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::problem::Problem;

/// Runs on a thread with a stack that parsing and checking up to [`bounds`]' limits cannot use up.
pub(super) fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Problem> {
    let failed = |message: String| Problem::of_file("policies", message, "try again");
    std::thread::scope(|scope| {
        deep_thread(scope, work)
            .map_err(|error| failed(format!("failed to start checking: {error}")))?
            .join()
            .map_err(|_| failed("checking the policies failed unexpectedly".to_owned()))
    })
}

/// Does `work` on each item, on as many threads with deep stacks as there are processors; the results keep the items' order.
/// To be called with a deep stack itself: it takes part, and takes all where no further thread can be had.
pub(super) fn in_parallel<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if n_threads == 1 || items.len() < MIN_ITEMS_IN_PARALLEL {
        return items.iter().map(work).collect();
    }
    // Small pieces, taken in turn: one long file does not keep the other threads waiting.
    let pieces: Vec<&[I]> = items.chunks(items.len().div_ceil(n_threads * 8)).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done: Vec<(usize, Vec<T>)> = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(n) else { return done };
            done.push((n, piece.iter().map(&work).collect()));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..n_threads).filter_map(|_| deep_thread(scope, take).ok()).collect();
        let mut done = take();
        for helper in helpers {
            match helper.join() {
                Ok(mut more) => done.append(&mut more),
                // As if the work had failed on this thread.
                Err(panicked) => std::panic::resume_unwind(panicked),
            }
        }
        done
    });
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

fn deep_thread<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<std::thread::ScopedJoinHandle<'scope, T>> {
    std::thread::Builder::new().name("policy-compile".to_owned()).stack_size(128 << 20).spawn_scoped(scope, work)
}

/// Most threads that check one folder.
const MAX_THREADS: usize = 8;
/// Fewer items than that are not worth a thread.
const MIN_ITEMS_IN_PARALLEL: usize = 8;
