//! Durations and reports that come from or go to other machines.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::history::open_history;
use super::output::print;
use crate::cli::Merge;
use crate::env;
use crate::error::{Error, Result};
use crate::exit;
use crate::history::History;
use crate::history::exchange::Exported;
use crate::report::merge::{self, MergeError, Report};

/// `--history-export`.
pub(super) fn export(cwd: &Path, out: &Path) -> Result<i32> {
    let root = History::nearest_root(cwd, &env::process).unwrap_or_else(|| cwd.to_owned());
    let exported = open_history(&root).export();
    deliver(
        out,
        &exported.text(),
        &format!(
            "exported {} of {} to {}",
            tests(exported.len()),
            root.display(),
            out.display()
        ),
    )
}

/// `--history-import`.
pub(super) fn import(cwd: &Path, files: &[PathBuf]) -> Result<i32> {
    let imported = merged(files)?;
    let root = History::nearest_root(cwd, &env::process).unwrap_or_else(|| project_root(cwd));
    let history = open_history(&root);
    let place = history.file().map(Path::to_owned);
    let known = history.import(imported).map_err(|error| {
        Error::io(
            "write the history",
            place.clone().unwrap_or_default(),
            error,
        )
    })?;
    let Some(known) = known else {
        return Err(Error::BadOption {
            message: "there is no place for a duration history".into(),
            hint: Some(format!("set `{}` to a folder", env::CACHE_DIR)),
        });
    };
    say(&format!(
        "imported {}; {} of {} are known now",
        files_of(files),
        tests(known),
        root.display()
    ));
    Ok(exit::OK)
}

/// `--history-merge`.
pub(super) fn merge_histories(merge: &Merge) -> Result<i32> {
    let all = merged(&merge.from)?;
    deliver(
        &merge.out,
        &all.text(),
        &format!(
            "merged {} into {}: {}",
            files_of(&merge.from),
            merge.out.display(),
            tests(all.len())
        ),
    )
}

fn merged(files: &[PathBuf]) -> Result<Exported> {
    let mut all = Exported::default();
    for file in files {
        let text =
            fs::read_to_string(file).map_err(|error| Error::history(file, error.to_string()))?;
        let one =
            Exported::parse(&text).map_err(|error| Error::history(file, error.to_string()))?;
        all.merge(one);
    }
    Ok(all)
}

/// `--merge-reports`: the exit status tells whether the reports of all shards were there. Exported
/// histories among the files are merged into one beside the report.
pub(super) fn merge_reports(merge: &Merge) -> Result<i32> {
    let (mut reports, mut histories) = (Vec::new(), Vec::new());
    for file in &merge.from {
        let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        if Exported::is_one(&text) {
            let one =
                Exported::parse(&text).map_err(|error| Error::history(file, error.to_string()))?;
            histories.push(one);
            continue;
        }
        let name = file.display().to_string();
        reports.push(Report::parse(name, text).map_err(refused)?);
    }
    if reports.is_empty() {
        return Err(Error::BadOption {
            message: "there are only histories of durations, no reports to merge".into(),
            hint: Some("`--history-merge OUT IN ...` merges histories alone".into()),
        });
    }
    let files = reports.len();
    let merged = merge::merge(reports).map_err(refused)?;
    write(&merge.out, &merged.xml)?;
    let [errors, failures, skipped, count] = merged.counts;
    say(&format!(
        "merged {} into {}: {}, {failures} failures, {errors} errors, {skipped} skipped",
        count_of(files, "file"),
        merge.out.display(),
        tests(usize::try_from(count).unwrap_or(usize::MAX)),
    ));
    if !histories.is_empty() {
        let out = merge.out.with_extension("jsonl");
        let count = histories.len();
        let mut all = Exported::default();
        for history in histories {
            all.merge(history);
        }
        write(&out, &all.text())?;
        say(&format!(
            "merged {} into {}: {}",
            match count {
                1 => "1 history".into(),
                _ => format!("{count} histories"),
            },
            out.display(),
            tests(all.len())
        ));
        if count < files {
            let text = format!(
                "warning: there are {files} reports and only {count} of their histories; the \
                 durations of the others are not in {}\n",
                out.display()
            );
            print(io::stderr().lock(), &text);
        }
    }
    let Some(total) = merged.shards else {
        print(
            io::stderr().lock(),
            "warning: the files are not of shards, so nobody knows whether one is missing\n",
        );
        return Ok(exit::OK);
    };
    if merged.missing.is_empty() {
        return Ok(exit::OK);
    }
    let missing: Vec<String> = merged.missing.iter().map(u32::to_string).collect();
    let text = format!(
        "error: of {total} shards there is no report of {}; their tests are not in the merged \
         file\n\
         hint: see why those machines wrote none, or name their files, too\n",
        missing.join(", ")
    );
    print(io::stderr().lock(), &text);
    Ok(exit::TESTS_FAILED)
}

fn unreadable(file: &Path, error: &io::Error) -> Error {
    Error::BadOption {
        message: format!("cannot read the report `{}`: {error}", file.display()),
        hint: Some("name files that `--junitxml` has written".into()),
    }
}

fn refused(error: MergeError) -> Error {
    let hint = match &error {
        MergeError::NoReport { .. } => "name files that `--junitxml` has written",
        MergeError::NoShard { .. } => "merge the files of one run's shards only",
        MergeError::Duplicate { .. } => "name one file of each shard",
        MergeError::Different { .. } => {
            "run all shards of the same commit with the same arguments, `--total-shards` and \
             `--shard-history`"
        }
    };
    Error::BadOption {
        message: error.to_string(),
        hint: Some(hint.into()),
    }
}

/// The folder that pytest would take for its rootdir without arguments: the nearest one upwards
/// with a configuration of pytest, else with a `setup.py`, else this one.
fn project_root(cwd: &Path) -> PathBuf {
    const FILES: [(&str, &str); 7] = [
        ("pytest.toml", ""),
        (".pytest.toml", ""),
        ("pytest.ini", ""),
        (".pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ];
    let configures = |folder: &&Path| {
        FILES.iter().any(|(name, section)| {
            fs::read_to_string(folder.join(name)).is_ok_and(|text| text.contains(section))
        })
    };
    let with = |name| cwd.ancestors().find(|folder| folder.join(name).is_file());
    cwd.ancestors()
        .find(configures)
        .or_else(|| with("pyproject.toml"))
        .or_else(|| with("setup.py"))
        .unwrap_or(cwd)
        .to_owned()
}

/// Writes a history to its file and says so; `-` is standard output, which then has nothing else.
fn deliver(out: &Path, text: &str, said: &str) -> Result<i32> {
    if out == Path::new("-") {
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Error::io("write", out, error));
            }
            _ => {}
        }
    } else {
        write(out, text)?;
        say(said);
    }
    Ok(exit::OK)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::io("write", path, error))
}

fn say(text: &str) {
    print(io::stdout().lock(), &format!("{text}\n"));
}

fn tests(count: usize) -> String {
    count_of(count, "test")
}

fn files_of(files: &[PathBuf]) -> String {
    count_of(files.len(), "file")
}

fn count_of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
