//! What `--watch` changes in a run: what comes first, what is left out, and who hears of the
//! results.

use std::cell::RefCell;
use std::rc::Rc;

use super::shard::Share;
use crate::daemon::message::{Options, Order};
use crate::event::RunEvent;
use crate::plan::Plan;
use crate::report::{ReportError, Reporter};
use crate::test_list::TestList;
use crate::watch::{Focus, Turn};

/// Which tests have a result, and whether they failed; shared with the reporter that hears of them.
#[derive(Clone, Default)]
pub(super) struct Results(Rc<RefCell<Vec<(u32, bool)>>>);

impl Reporter for Results {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        if let RunEvent::Finished { result, .. } = event {
            let failed = result.reports.iter().any(|report| report.is_failure);
            self.0.borrow_mut().push((result.test, failed));
        }
        Ok(())
    }
}

impl Results {
    /// Tells the watcher what has happened.
    pub fn tell(&self, turn: &mut Turn, test_list: &TestList) {
        let results = self.0.take();
        let id = |test| test_list.id(test).to_owned();
        turn.results
            .extend(results.into_iter().map(|(test, failed)| (id(test), failed)));
    }
}

/// Puts what failed and what is affected first, where the order is ours to choose.
pub(super) fn prefer(
    plan: &mut Plan,
    focus: &Focus,
    options: &Options,
    test_list: &TestList,
) -> bool {
    let is_ours = options.order == Order::Lpt && options.replay.is_none() && options.copies == 0;
    if !is_ours || focus.is_empty() {
        return false;
    }
    plan.prefer(|test| focus.rank(test_list.id(test), &options.rootdir));
    true
}

/// The tests that failed, of `tests` or of all, as if they were a shard: others count as
/// deselected.
pub(super) fn only_failed(focus: &Focus, test_list: &TestList, share: Option<Share>) -> Share {
    let mut share = share.unwrap_or_else(|| Share {
        tests: (0..).take(test_list.len()).collect(),
        notice: String::new(),
        properties: Vec::new(),
    });
    let of = share.tests.len();
    share
        .tests
        .retain(|&test| focus.failed.contains(test_list.id(test)));
    if !share.notice.is_empty() {
        share.notice.push('\n');
    }
    let tests = if of == 1 { "test" } else { "tests" };
    let line = format!("failed last time: {} of {of} {tests}", share.tests.len());
    share.notice.push_str(&line);
    share
}

/// Tests that failed and are no longer there.
pub(super) fn gone(focus: &Focus, test_list: &TestList) -> Vec<String> {
    if focus.failed.is_empty() {
        return Vec::new();
    }
    let there: std::collections::HashSet<&str> = test_list.ids.iter().map(String::as_str).collect();
    let is_gone = |id: &&String| !there.contains(id.as_str());
    focus.failed.iter().filter(is_gone).cloned().collect()
}
