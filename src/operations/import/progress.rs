//! Progress of an import as lines for people: real counts, about once a second.

use std::cell::RefCell;

use crate::clock::Clock;
use crate::names::escape_for_people;
use crate::repository::pack::ingest::Progress;

/// Where progress goes. Receiving and the other server's messages alternate within one call, hence the shared access.
pub(super) struct Reporter<'a> {
    clock: Clock,
    inner: RefCell<Inner<'a>>,
}

struct Inner<'a> {
    progress: &'a mut dyn FnMut(&str),
    /// When something that repeats itself was last shown.
    last_ms: Option<i64>,
    /// The other server's line that has not ended yet.
    line: Vec<u8>,
}

const EVERY_MS: i64 = 1000;
const MAX_LINE_BYTES: usize = 1000;

impl<'a> Reporter<'a> {
    pub(super) fn new(clock: Clock, progress: &'a mut dyn FnMut(&str)) -> Reporter<'a> {
        Reporter { clock, inner: RefCell::new(Inner { progress, last_ms: None, line: Vec::new() }) }
    }

    /// Shows a line.
    pub(super) fn say(&self, line: &str) {
        (self.inner.borrow_mut().progress)(line);
    }

    /// Shows how far the pack is; the last count always.
    pub(super) fn pack(&self, progress: Progress) {
        let (what, done, total) = match progress {
            Progress::Receiving { done, total } => ("Receiving objects", done, total),
            Progress::Resolving { done, total } => ("Resolving deltas", done, total),
        };
        if total == 0 || !(done >= total || self.is_due()) {
            return;
        }
        let percent = u64::from(done) * 100 / u64::from(total);
        let end = if done >= total { ", done" } else { "" };
        self.say(&format!("{what}: {percent}% ({done}/{total}){end}"));
    }

    /// Shows what the other server says: whole lines, and of those that overwrite themselves one a second. Escaped, so
    /// that it cannot reach for the terminal (attack checklist F4).
    pub(super) fn remote(&self, text: &[u8]) {
        for byte in text {
            let mut inner = self.inner.borrow_mut();
            match byte {
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut inner.line);
                    drop(inner);
                    if !line.is_empty() && (*byte == b'\n' || self.is_due()) {
                        self.say(&format!("remote: {}", escape_for_people(line.trim_ascii_end(), 200)));
                    }
                }
                byte if inner.line.len() < MAX_LINE_BYTES => inner.line.push(*byte),
                _ => {}
            }
        }
    }

    fn is_due(&self) -> bool {
        let now_ms = self.clock.now_ms();
        let mut inner = self.inner.borrow_mut();
        let due = inner.last_ms.is_none_or(|last_ms| now_ms - last_ms >= EVERY_MS);
        if due {
            inner.last_ms = Some(now_ms);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // F4
    #[test]
    fn one_line_a_second_and_no_escapes() {
        let clock = Clock::manual(0);
        let mut lines = Vec::new();
        let mut take = |line: &str| lines.push(line.to_string());
        let reporter = Reporter::new(clock.clone(), &mut take);
        for done in 0..=4 {
            reporter.pack(Progress::Receiving { done, total: 4 });
        }
        clock.advance_ms(1000);
        reporter.remote(b"Counting: 1%\rCount");
        reporter.remote(b"ing: 2%\rdone\x1b[2J\n");
        drop(reporter);
        assert_eq!(
            lines,
            [
                "Receiving objects: 0% (0/4)",
                "Receiving objects: 100% (4/4), done",
                "remote: Counting: 1%",
                "remote: done\\u{1b}[2J",
            ]
        );
    }
}
