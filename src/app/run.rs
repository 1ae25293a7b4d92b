//! From the arguments to the exit status.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Clock;
use super::collect::{Answer, collect};
use super::exchange;
use super::history::open_history;
use super::history_status::HistoryStatus;
use super::interrupts::{gives_up, handle_signals, interrupted};
use super::job::Job;
use super::output::print;
use super::watching;
use crate::cli::{self, Action, InventoryFormat, Invocation};
use crate::config::{self, Settings};
use crate::daemon::message::{Environment, PROTOCOL, RunRequest, SystemText, Tty, build};
use crate::daemon::{self, Link, umask};
use crate::error::{Error, Result};
use crate::history::History;
use crate::pool::{Signals, TerminalModes};
use crate::report::terminal_width;
use crate::watch::{Turn, watch};
use crate::{cpus, env, exit, interpreter};

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
            // Before anything that takes time: an interrupt has one meaning, whenever it comes.
            let signals = handle_signals()?;
            let status = run_tests(&invocation, &cwd, python()?, &clock, signals, None);
            modes.restore();
            status
        }
        Action::Watch => {
            let python = python()?;
            watch(&cwd, |turn| {
                let modes = TerminalModes::current();
                let clock = Clock::start();
                let signals = handle_signals()?;
                let python = python.clone();
                let status = run_tests(&invocation, &cwd, python, &clock, signals, Some(turn));
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
            show_history(&cwd, format, verbose);
            Ok(exit::OK)
        }
        Action::HistoryExport(out) => exchange::export(&cwd, &out),
        Action::HistoryImport(files) => exchange::import(&cwd, &files),
        Action::HistoryMerge(merge) => exchange::merge_histories(&merge),
        Action::MergeReports(merge) => exchange::merge_reports(&merge),
    }
}

fn show_history(cwd: &Path, format: InventoryFormat, verbose: bool) {
    let root = History::nearest_root(cwd, &env::process).unwrap_or_else(|| cwd.to_owned());
    let history = open_history(&root);
    let status = HistoryStatus::new(&history);
    let text = match format {
        InventoryFormat::Text => status.text(verbose),
        InventoryFormat::Json => status.json(verbose),
    };
    print(io::stdout().lock(), &text);
}

/// One run; with `--watch` it is a `turn` of many.
fn run_tests(
    invocation: &Invocation,
    cwd: &Path,
    python: PathBuf,
    clock: &Clock,
    mut signals: Signals,
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
    let is_measured = env::is_measured();
    let options = daemon::Options {
        python,
        idle: idle.map_or_else(|| settings.idle_timeout(), Duration::from_secs),
        // In CI no daemon stays, unless one is asked for by `RPYTEST_NO_DAEMON=0`.
        once: is_measured || invocation.options.no_daemon || set_to(env::NO_DAEMON).unwrap_or(ci),
        is_measured,
    };
    let request = request(invocation, &settings, cwd, ci);
    let Some(mut link) = daemon::connect(&options, &mut || gives_up(&signals.pending()))? else {
        if let Some(turn) = turn {
            turn.interrupts += 1;
        }
        return Ok(interrupted());
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

/// What a run was asked for, and how.
struct Asked<'a> {
    options: &'a daemon::Options,
    invocation: &'a Invocation,
    request: &'a RunRequest,
    clock: &'a Clock,
    /// What shards are balanced by in this project.
    shard_history: Option<&'a Path>,
}

/// Everything that is said over the connection, from the request to the run's end; `None`: the user
/// would not wait for it.
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
    let (collected, mut test_list) = loop {
        match collect(link, request, signals, shard_history, turn.as_deref_mut())? {
            Answer::Ready {
                collected,
                test_list,
            } => break (collected, test_list),
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
            Answer::Replace if attempts == 0 => {
                match daemon::replace(options, &mut || gives_up(&signals.pending()))? {
                    Some(another) => *link = another,
                    None => return Ok(Some(interrupted())),
                }
            }
            Answer::Mute if attempts == 0 => {
                let text = "warning: the daemon does not answer; another one takes its place\n";
                print(io::stderr().lock(), text);
                match daemon::supersede(options, &mut || gives_up(&signals.pending()))? {
                    Some(another) => *link = another,
                    None => return Ok(Some(interrupted())),
                }
            }
            Answer::Mute => return Err(link.explain_end()),
            Answer::Replace => {
                return Err(Error::protocol(
                    "daemon",
                    "a new one is of another build, too",
                ));
            }
            // The daemon's idle time was over at this very moment; one that we started ourselves
            // has a reason that we can tell.
            Answer::Gone if attempts == 0 && !link.is_new() => {
                match daemon::connect(options, &mut || gives_up(&signals.pending()))? {
                    Some(another) => *link = another,
                    None => return Ok(Some(interrupted())),
                }
            }
            Answer::Gone => return Err(link.explain_end()),
        }
        attempts += 1;
    };
    test_list.see_from(Path::new(&request.cwd.0), &collected.options.rootdir);
    let job = Job {
        link,
        timings: invocation.options.timings.as_deref(),
        collected: &collected,
        test_list: &test_list,
        shard_history,
        clock,
        focus: turn.as_ref().map(|turn| turn.focus.clone()),
        results: watching::Results::default(),
    };
    let status = job.run(signals, turn.as_deref_mut());
    if let Some(turn) = turn {
        turn.collected = true;
        turn.gone = watching::gone(&turn.focus, &test_list);
        job.results.tell(turn, &test_list);
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
    // The variable is for us alone: under `python -m rpytest` we are expected to have the same
    // import path as `python -m pytest` has.
    let cwd_on_path = environment.remove(env::CWD_ON_PATH).is_some();
    for name in [env::PYTHON_OPTIONS, env::COVERAGE] {
        environment.remove(name);
    }
    let prog = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rpytest"));
    RunRequest {
        op: "run",
        protocol: PROTOCOL,
        build: build(),
        argv: invocation.pytest.iter().map(SystemText::from).collect(),
        cwd: SystemText::from(cwd),
        env_key: environment.key(),
        env: environment,
        // After the three streams.
        env_at: 3,
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
