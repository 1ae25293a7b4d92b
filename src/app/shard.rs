//! `--shard`: which of the collected tests this machine runs, and what is said about it.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use super::history::open_history;
use crate::daemon::Link;
use crate::daemon::message::{HostRequest, Shard as ShardOptions, ShardAnswer, ShardQuestion};
use crate::daemon::wire::{WireError, memfd_with};
use crate::error::{Error, Result};
use crate::history::exchange::Shared;
use crate::plan::shard::{Balance, Shard, assign, digest};
use crate::test_list::TestList;

/// The tests of a shard.
#[derive(Debug)]
pub(super) struct Share {
    pub tests: Vec<u32>,
    /// A line for the user.
    pub notice: String,
    /// For the junit file: what the merge of the shards' reports needs to see that they fit
    /// together.
    pub properties: Vec<(String, String)>,
}

/// Chooses the shard's tests. `default_history` is the project's, unless the command line names
/// one; `known` are the estimates of this machine, which only the prediction is made from.
///
/// # Errors
/// A history that was named can't be read.
pub(super) fn choose(
    options: &ShardOptions,
    default_history: Option<&Path>,
    test_list: &TestList,
    known: &[Option<Duration>],
) -> Result<Share> {
    let shard = Shard {
        index: options.index,
        total: options.total,
    };
    let shared = options
        .history
        .as_deref()
        .or(default_history)
        .map(read)
        .transpose()?;
    let ids = &test_list.ids;
    let durations = shared
        .as_ref()
        .map(|shared| shared.estimates(ids.iter().map(String::as_str)));
    let balance = durations
        .as_deref()
        .map_or(Balance::Hash, Balance::Durations);
    let tests = shard.tests(&assign(ids, &test_list.groups, balance, shard.total));
    let by = match &shared {
        Some(shared) => format!("by history {}", shared.digest()),
        None => "by hash".to_owned(),
    };
    let predicted = predicted(durations.as_deref().unwrap_or(known), &tests);
    let of = if tests.len() == 1 { "test" } else { "tests" };
    let notice = format!(
        "shard {} of {}: {} of {} {of}{predicted}, {by}",
        shard.index,
        shard.total,
        tests.len(),
        ids.len(),
    );
    let property = |name: &str, value: String| (format!("rpytest.{name}"), value);
    Ok(Share {
        properties: vec![
            property("shard", format!("{}/{}", shard.index, shard.total)),
            property("shard.by", by),
            property("shard.collection", digest(ids)),
        ],
        notice,
        tests,
    })
}

fn read(path: &Path) -> Result<Shared> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::history(path, error.to_string()))?;
    Shared::parse(&text).map_err(|error| Error::history(path, error.to_string()))
}

/// ` (predicted 1.2 s of 4.8 s)`, or nothing when no duration is known.
fn predicted(durations: &[Option<Duration>], tests: &[u32]) -> String {
    let known: Vec<Duration> = durations.iter().flatten().copied().collect();
    if known.is_empty() {
        return String::new();
    }
    let mean = known.iter().sum::<Duration>() / known.len() as u32;
    let of = |test: u32| {
        durations
            .get(test as usize)
            .copied()
            .flatten()
            .unwrap_or(mean)
    };
    let all: Duration = (0..durations.len() as u32).map(of).sum();
    let share: Duration = tests.iter().copied().map(of).sum();
    format!(
        ", predicted {:.2}s of {:.2}s",
        share.as_secs_f64(),
        all.as_secs_f64()
    )
}

/// Answers pytest itself, which runs the shard in the plain role.
pub(super) fn answer(
    link: &Link,
    question: &ShardQuestion,
    default_history: Option<&Path>,
    test_list: &TestList,
) -> Result<(), WireError> {
    let known = open_history(&question.rootdir).estimates(test_list.ids.iter().map(String::as_str));
    let share = choose(&question.shard, default_history, test_list, &known);
    let answer = match &share {
        Ok(share) => ShardAnswer::Share {
            tests: &share.tests,
            notice: &share.notice,
            properties: &share.properties,
        },
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; hint: {hint}"));
            ShardAnswer::Error(format!("{error}{}", hint.unwrap_or_default()))
        }
    };
    let json =
        serde_json::to_vec(&answer).map_err(|error| WireError::Malformed(error.to_string()))?;
    let memfd = memfd_with("rpytest-shard", &[&json])?;
    let request = HostRequest::Shard {
        len: json.len() as u64,
    };
    link.connection.send(&request, &[memfd.as_fd()])
}
