//! The command: from the arguments to the exit status.

mod collect;
mod exchange;
mod planning;
mod shard;
mod table;
mod watching;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cli::{self, Action, InventoryFormat, Invocation};
use crate::config::{self, Settings};
use crate::daemon::message::{
    Collected, Environment, HostRequest, PROTOCOL, RunRequest, SystemText, Tty, build,
};
use crate::daemon::{self, Link, umask};
use crate::error::{Error, Result};
use crate::event::{JunitCounts, JunitOptions, RunEnd, RunEvent, RunStart};
use crate::inventory::Inventory;
use crate::plan::history::History;
use crate::pool::{Received, Signals, TerminalModes};
use crate::report::timings::Forecast;
use crate::report::{Reporter, Reporters, Screen, ScreenOptions, Timings, terminal_width};
use crate::watch::{Focus, Turn, watch};
use crate::{cpus, env, exit, interpreter, run};
use collect::{Answer, collect, print};
use shard::Share;

/// Crashed workers that are replaced, per worker, unless `--max-worker-restart` says otherwise; as pytest-xdist has it.
const RESTARTS_PER_WORKER: u32 = 4;

/// Does what the arguments (without the program's name) ask for; returns the exit status.
///
/// # Errors
/// Whatever keeps it from doing so; nothing has been printed about it yet.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> Result<i32> {
    let clock = Clock::start();
    let invocation = cli::parse(argv)?;
    let action = invocation.action()?;
    let cwd = std::env::current_dir().map_err(|error| Error::BadOption {
        message: format!("the current directory can't be used: {error}"),
        hint: Some("it may have been removed: change to one that is there".into()),
    })?;
    let python = || -> Result<PathBuf> {
        let places = interpreter::Places::of_process(&env::process, &cwd);
        Ok(interpreter::find(&places, interpreter::is_executable)?.python)
    };
    match action {
        Action::Run => {
            // A debugger may die with the terminal as its line editor needs it.
            let modes = TerminalModes::current();
            let status = run_tests(&invocation, &cwd, python()?, &clock, None);
            modes.restore();
            status
        }
        Action::Watch => {
            let python = python()?;
            watch(&cwd, |turn| {
                let modes = TerminalModes::current();
                let clock = Clock::start();
                let status = run_tests(&invocation, &cwd, python.clone(), &clock, Some(turn));
                modes.restore();
                status
            })
        }
        Action::DaemonStatus => {
            print(io::stdout().lock(), &daemon::status(&python()?)?);
            Ok(exit::OK)
        }
        Action::DaemonStop => {
            print(io::stdout().lock(), &daemon::stop(&python()?)?);
            Ok(exit::OK)
        }
        Action::Inventory { format, verbose } => {
            show_inventory(&cwd, format, verbose);
            Ok(exit::OK)
        }
        Action::HistoryExport(out) => exchange::export(&cwd, &out),
        Action::HistoryImport(files) => exchange::import(&cwd, &files),
        Action::HistoryMerge(merge) => exchange::merge_histories(&merge),
        Action::MergeReports(merge) => exchange::merge_reports(&merge),
    }
}

/// When the command was started.
struct Clock {
    began: Instant,
    /// Seconds since the epoch.
    epoch: f64,
}

impl Clock {
    fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            began: Instant::now(),
            epoch: epoch.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

fn show_inventory(cwd: &Path, format: InventoryFormat, verbose: bool) {
    use crate::plan::inventory::Inventory;

    let root = History::nearest_root(cwd, &env::process).unwrap_or_else(|| cwd.to_owned());
    let history = open_history(&root);
    let inventory = Inventory::new(&history);
    let text = match format {
        InventoryFormat::Text => inventory.text(verbose),
        InventoryFormat::Json => inventory.json(verbose),
    };
    print(io::stdout().lock(), &text);
}

fn open_history(root: &Path) -> History {
    let (history, warning) = History::open(root, &env::process);
    if let Some(warning) = warning {
        print(io::stderr().lock(), &format!("warning: {warning}\n"));
    }
    history
}

/// One run; with `--watch` it is a `turn` of many.
fn run_tests(
    invocation: &Invocation,
    cwd: &Path,
    python: PathBuf,
    clock: &Clock,
    mut turn: Option<&mut Turn>,
) -> Result<i32> {
    let settings = config::load(cwd)?;
    if let Some(path) = invocation
        .options
        .timings
        .as_ref()
        .filter(|path| path.is_dir())
    {
        // Better now than after the run.
        return Err(Error::BadOption {
            message: format!("`--timings={}` is a folder", path.display()),
            hint: Some("name a file in it".into()),
        });
    }
    let ci = is_set("CI");
    let idle = invocation.options.daemon_idle_timeout.map(u64::from);
    let options = daemon::Options {
        python,
        idle: idle.map_or_else(|| settings.idle_timeout(), Duration::from_secs),
        // In CI nothing lingers, unless it is asked for by saying no to its absence.
        once: invocation.options.no_daemon || set_to(env::NO_DAEMON).unwrap_or(ci),
    };
    let request = request(invocation, &settings, cwd, ci);
    // While the daemon is being started, signals do what they always do: nothing of ours is there to be cleaned up.
    let mut link = daemon::connect(&options)?;
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            link.leave(|| false);
            return Err(Error::os("handle signals", error));
        }
    };
    let shard_history = settings.shard_history();
    let asked = Asked {
        options: &options,
        invocation,
        request: &request,
        clock,
        shard_history: shard_history.as_deref(),
    };
    let status = converse(&mut link, &asked, &mut signals, turn.as_deref_mut());
    // `None`: the user has insisted already.
    let insisted = matches!(status, Ok(None));
    link.leave(|| insisted || gives_up(&signals.pending()));
    if let Some(turn) = turn.filter(|_| insisted) {
        // However often that was.
        turn.interrupts = u32::MAX;
    }
    Ok(status?.unwrap_or(exit::INTERRUPTED))
}

/// Whether one of the signals means that the user does not want to wait: not that the terminal has another size.
fn gives_up(signals: &[Received]) -> bool {
    signals
        .iter()
        .any(|signal| matches!(signal, Received::End(_)))
}

/// What a run was asked for, and how.
struct Asked<'a> {
    options: &'a daemon::Options,
    invocation: &'a Invocation,
    request: &'a RunRequest,
    clock: &'a Clock,
    /// What shards are balanced by in this project.
    shard_history: Option<&'a Path>,
}

/// Everything that is said over the connection, from the request to the run's end; `None`: the user would not wait for it.
fn converse(
    link: &mut Link,
    asked: &Asked<'_>,
    signals: &mut Signals,
    mut turn: Option<&mut Turn>,
) -> Result<Option<i32>> {
    let &Asked {
        options,
        invocation,
        request,
        clock,
        shard_history,
    } = asked;
    let mut attempts = 0;
    let (collected, mut inventory) = loop {
        match collect(link, request, signals, shard_history, turn.as_deref_mut())? {
            Answer::Ready {
                collected,
                inventory,
            } => break (collected, inventory),
            Answer::Ended(status) => {
                let asks_for_help = |token: &OsString| token == "--help" || token == "-h";
                if status == exit::OK && invocation.pytest.iter().any(asks_for_help) {
                    print(io::stdout().lock(), &format!("\n{}", cli::help()));
                } else if let Some(path) = &invocation.options.timings
                    && status != exit::USAGE_ERROR
                {
                    // A usage error has said so itself.
                    let text = format!(
                        "warning: no timings were written to `{}`: no test was run by workers\n",
                        path.display()
                    );
                    print(io::stderr().lock(), &text);
                }
                return Ok(Some(status));
            }
            Answer::GivenUp => return Ok(None),
            Answer::Replace if attempts == 0 => *link = daemon::replace(options)?,
            Answer::Mute if attempts == 0 => {
                let text = "warning: the daemon does not answer; another one takes its place\n";
                print(io::stderr().lock(), text);
                *link = daemon::supersede(options)?;
            }
            Answer::Mute => return Err(link.explain_end()),
            Answer::Replace => {
                return Err(Error::protocol(
                    "daemon",
                    "a new one is of another build, too",
                ));
            }
            // Its idle time was over at this very moment; one that we started ourselves has a reason that we can tell.
            Answer::Gone if attempts == 0 && !link.is_new() => *link = daemon::connect(options)?,
            Answer::Gone => return Err(link.explain_end()),
        }
        attempts += 1;
    };
    inventory.see_from(Path::new(&request.cwd.0), &collected.options.rootdir);
    let job = Job {
        link,
        timings: invocation.options.timings.as_deref(),
        collected: &collected,
        inventory: &inventory,
        shard_history,
        clock,
        focus: turn.as_ref().map(|turn| turn.focus.clone()),
        results: watching::Results::default(),
    };
    let status = job.run(signals, turn.as_deref_mut());
    if let Some(turn) = turn {
        turn.collected = true;
        turn.gone = watching::gone(&turn.focus, &inventory);
        job.results.tell(turn, &inventory);
    }
    status.map(Some)
}

/// Whether a variable is set to something that means yes.
fn is_set(name: &str) -> bool {
    set_to(name) == Some(true)
}

/// What a variable says: yes, no (`0`, `false`), or nothing.
fn set_to(name: &str) -> Option<bool> {
    env::process(name).map(|value| value != "0" && value != "false")
}

fn request(invocation: &Invocation, settings: &Settings, cwd: &Path, ci: bool) -> RunRequest {
    let mut environment = Environment::current();
    // For us alone: from `python -m rpytest`, which is expected to do as `python -m pytest` does.
    let cwd_on_path = environment.remove(env::CWD_ON_PATH).is_some();
    let prog = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rpytest"));
    RunRequest {
        op: "run",
        protocol: PROTOCOL,
        build: build(),
        argv: invocation.pytest.iter().map(SystemText::from).collect(),
        cwd: SystemText::from(cwd),
        env: environment,
        prog: SystemText::from(&prog),
        cwd_on_path,
        umask: umask(),
        affinity: cpus::affinity(),
        cpus: cpus::available(),
        default_workers: settings.default_workers.map(|workers| workers.to_string()),
        tty: Tty {
            stdout: io::stdout().is_terminal(),
            columns: u16::try_from(terminal_width()).unwrap_or(u16::MAX),
        },
        ci,
        start_method: settings
            .start_method
            .map(|method| method.as_str().to_owned()),
        timings: invocation.options.timings.is_some(),
        preload: settings.preload(),
        memory_limit: settings.memory_limit,
        session_fixtures: settings.session_fixtures.as_str(),
        shared_fixtures: settings.shared_fixtures.clone(),
        per_worker_fixtures: settings.per_worker_fixtures.clone(),
        watch: invocation.options.watch,
    }
}

/// A run whose tests are known.
struct Job<'a> {
    link: &'a Link,
    /// The file of `--timings`.
    timings: Option<&'a Path>,
    collected: &'a Collected,
    inventory: &'a Inventory,
    /// What shards are balanced by in this project.
    shard_history: Option<&'a Path>,
    clock: &'a Clock,
    /// With `--watch`: what comes first.
    focus: Option<Focus>,
    results: watching::Results,
}

impl Job<'_> {
    fn run(&self, signals: &mut Signals, turn: Option<&mut Turn>) -> Result<i32> {
        let options = &self.collected.options;
        let mut history = open_history(&options.rootdir);
        let estimates = planning::Estimates::new(&mut history, self.inventory);
        let mut share = self.share(&estimates.durations)?;
        let failed_only = self.focus.as_ref().filter(|focus| focus.only_failed);
        if let Some(focus) = failed_only {
            share = Some(watching::only_failed(focus, self.inventory, share));
        }
        let only = share.as_ref().map(|share| share.tests.as_slice());
        let mut plan = planning::plan(self.collected, self.inventory, &estimates, only)?;
        let mut scheduling = planning::describe(options, &estimates);
        if let Some(focus) = &self.focus
            && watching::prefer(&mut plan, focus, options, self.inventory)
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
            inventory: self.inventory,
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
            history.record_numbered(*test, self.inventory.id(*test), *sample);
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
            planning::record(file, &finished.sequences, &plan, self.inventory)?;
        }
        Ok(finished.status)
    }

    /// What of the suite this machine runs; `None`: all of it.
    fn share(&self, durations: &[Option<Duration>]) -> Result<Option<Share>> {
        let options = self.collected.options.shard.as_ref();
        options
            .map(|options| shard::choose(options, self.shard_history, self.inventory, durations))
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
        let tests = share.map_or(self.inventory.len(), |share| share.tests.len());
        let elsewhere = self.inventory.len() - tests;
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

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn a_resized_terminal_is_no_reason_not_to_wait() {
        assert!(!gives_up(&[]));
        assert!(!gives_up(&[Received::Resize, Received::Suspend]));
        assert!(gives_up(&[Received::Resize, Received::End(Signal::TERM)]));
    }
}
