//! A run whose tests are known: from the plan to the exit status.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::history::open_history;
use super::output::print;
use super::shard::{self, Share};
use super::{planning, watching};
use crate::daemon::Link;
use crate::daemon::message::{Collected, HostRequest};
use crate::error::{Error, Result};
use crate::event::{JunitCounts, JunitOptions, RunEnd, RunEvent, RunStart};
use crate::pool::Signals;
use crate::report::timings::Forecast;
use crate::report::{Reporter, Reporters, Screen, ScreenOptions, Timings, terminal_width};
use crate::test_list::TestList;
use crate::watch::{Focus, Turn};
use crate::{exit, run};

/// Crashed workers that are replaced, per worker, unless `--max-worker-restart` says otherwise; as
/// pytest-xdist has it.
const RESTARTS_PER_WORKER: u32 = 4;

/// A run whose tests are known.
pub struct Job<'a> {
    pub link: &'a Link,
    /// The file of `--timings`.
    pub timings: Option<&'a Path>,
    pub collected: &'a Collected,
    pub test_list: &'a TestList,
    /// What shards are balanced by in this project.
    pub shard_history: Option<&'a Path>,
    pub clock: &'a Clock,
    /// With `--watch`: what comes first.
    pub focus: Option<Focus>,
    pub results: watching::Results,
}

impl Job<'_> {
    /// Runs it; returns the exit status.
    pub fn run(&self, signals: &mut Signals, turn: Option<&mut Turn>) -> Result<i32> {
        let options = &self.collected.options;
        let mut history = open_history(&options.rootdir);
        let estimates = planning::Estimates::new(&mut history, self.test_list);
        let mut share = self.share(&estimates.durations)?;
        let failed_only = self.focus.as_ref().filter(|focus| focus.only_failed);
        if let Some(focus) = failed_only {
            share = Some(watching::only_failed(focus, self.test_list, share));
        }
        let only = share.as_ref().map(|share| share.tests.as_slice());
        let mut plan = planning::plan(self.collected, self.test_list, &estimates, only)?;
        let mut scheduling = planning::describe(options, &estimates);
        if let Some(focus) = &self.focus
            && watching::prefer(&mut plan, focus, options, self.test_list)
        {
            scheduling.push_str("; before that what failed or is affected");
        }
        if plan.workers() == 0 {
            return self.run_nothing(share.as_ref());
        }
        let slots = u16::try_from(plan.workers())
            .map_err(|_| Error::bad_option("more than 65535 workers can't be used"))?;
        let max_restarts = options
            .max_worker_restart
            .unwrap_or(RESTARTS_PER_WORKER * u32::from(slots));
        let segment = planning::segment(&plan, self.collected.tests, slots, max_restarts)?;
        let finished = run::execute(run::Setup {
            connection: &self.link.connection,
            segment: Arc::new(segment),
            test_list: self.test_list,
            planned: plan.entries().iter().map(|entry| entry.test).collect(),
            serial: plan.serial().to_vec(),
            options,
            slots,
            max_restarts,
            start: RunStart {
                scheduling: Some(scheduling),
                ..self.start(slots, share.as_ref())
            },
            began: self.clock.began,
            began_epoch: self.clock.epoch,
            signals,
            reporters: &mut self.reporters(|| planning::forecast(&plan, &estimates)),
            timings: self.timings.is_some(),
            log: self.link.log().map(Path::to_owned),
        })?;
        if let Some(turn) = turn {
            turn.interrupts += finished.interrupts;
        }
        for (test, sample) in &finished.samples {
            history.record_numbered(*test, self.test_list.id(*test), *sample);
        }
        if let Err(error) =
            history.save(finished.complete && options.whole && failed_only.is_none())
        {
            let text = format!("warning: the durations could not be saved: {error}\n");
            print(io::stderr().lock(), &text);
        }
        if let Some(error) = finished.error {
            print(io::stderr().lock(), &error.render());
        }
        if let Some(file) = &options.record_plan {
            planning::record(file, &finished.sequences, &plan, self.test_list)?;
        }
        Ok(finished.status)
    }

    /// What of the suite this machine runs; `None`: all of it.
    fn share(&self, durations: &[Option<Duration>]) -> Result<Option<Share>> {
        let options = self.collected.options.shard.as_ref();
        options
            .map(|options| shard::choose(options, self.shard_history, self.test_list, durations))
            .transpose()
    }

    /// A shard without tests is no failure: a matrix of machines need not fit the suite.
    fn run_nothing(&self, share: Option<&Share>) -> Result<i32> {
        let stop = HostRequest::Stop { status: exit::OK };
        // A host that is gone has nothing to end.
        let _ = self.link.connection.send(&stop, &[]);
        let start = self.start(0, share);
        let end = RunEnd {
            duration: self.clock.began.elapsed(),
            started: self.clock.epoch,
            status: exit::OK,
            suite_properties: start.suite_properties.clone(),
            ..RunEnd::default()
        };
        let mut reporters = self.reporters(Forecast::default);
        let written = reporters
            .event(&RunEvent::Started(&start))
            .and(reporters.event(&RunEvent::Ended(&end)))
            .and(reporters.flush());
        match written {
            Err(error) if !error.is_broken_pipe() => Err(Error::Internal(error.to_string())),
            _ => Ok(exit::OK),
        }
    }

    fn reporters(&self, forecast: impl FnOnce() -> Forecast) -> Reporters {
        let options = &self.collected.options;
        let screen = (!options.silent).then(|| {
            Screen::stdout(ScreenOptions {
                color: options.color,
                width: terminal_width(),
                terminal: io::stdout().is_terminal(),
            })
        });
        let mut all = match &screen {
            Some(screen) => Reporters::standard(screen),
            None => Reporters::silent(),
        };
        if let Some(path) = self.timings {
            all.push(Timings::new(path.to_owned(), forecast(), screen));
        }
        if self.focus.is_some() {
            all.push(self.results.clone());
        }
        all
    }

    fn start(&self, slots: u16, share: Option<&Share>) -> RunStart {
        let Collected { options, .. } = self.collected;
        let counted = |name| options.counts.get(name).copied().unwrap_or(0);
        let tests = share.map_or(self.test_list.len(), |share| share.tests.len());
        let elsewhere = self.test_list.len() - tests;
        let mut header = self.collected.header.clone();
        if let Some(share) = share.filter(|_| options.verbose >= 0 || tests == 0) {
            header.push_str(&share.notice);
            header.push('\n');
        }
        RunStart {
            tests,
            workers: slots.into(),
            header,
            verbosity: options.verbose,
            test_verbosity: options.verbose_tests,
            warm: self.collected.warm,
            method: self.collected.method.clone(),
            why: self.collected.why.clone(),
            collection: self.collected.how.clone(),
            scheduling: None,
            deselected: counted("deselected") + elsewhere,
            elsewhere,
            suite_properties: share.map_or_else(Vec::new, |share| share.properties.clone()),
            collection_skips: counted("skipped"),
            junit: options.junit.as_ref().map(|junit| JunitOptions {
                path: junit.path.clone(),
                suite_name: junit.suite_name.clone(),
                collection: junit.collected.clone(),
                collection_counts: junit_counts(&junit.counts),
            }),
            live_output: options.capture == "no",
            no_summary: options.no_summary,
            each: options.copies > 0,
        }
    }
}

fn junit_counts(counts: &[u64]) -> JunitCounts {
    let at = |index: usize| counts.get(index).copied().unwrap_or(0);
    JunitCounts {
        passed: at(0),
        failure: at(1),
        error: at(2),
        skipped: at(3),
        double: at(4),
    }
}
