use super::*;
use clap::CommandFactory;

fn os(tokens: &[&str]) -> Vec<OsString> {
    tokens.iter().map(OsString::from).collect()
}

fn parsed(tokens: &[&str]) -> Result<Invocation> {
    parse(os(tokens))
}

fn complaint(tokens: &[&str]) -> String {
    let error = parsed(tokens)
        .and_then(|invocation| invocation.action())
        .expect_err("should be refused");
    assert_eq!(error.exit_code(), crate::exit::USAGE_ERROR);
    error.to_string()
}

#[test]
fn the_list_of_flags_is_claps() {
    let mut ours: Vec<(String, bool)> = FLAGS
        .iter()
        .map(|flag| (flag.name.to_owned(), flag.takes_value))
        .collect();
    let mut claps: Vec<(String, bool)> = Options::command()
        .get_arguments()
        .map(|arg| {
            let long = arg.get_long().expect("every flag of ours is long");
            assert_eq!(arg.get_short(), None);
            let takes_value = arg.get_action().takes_values() && !arg.is_require_equals_set();
            (format!("--{long}"), takes_value)
        })
        .collect();
    ours.sort();
    claps.sort();
    assert_eq!(ours, claps);
    Options::command().debug_assert();
}

#[test]
fn pytests_tokens_keep_their_order() {
    let (ours, pytest) = split(os(&[
        "tests/",
        "-n",
        "4",
        "--no-daemon",
        "-h",
        "--help",
        "--version",
        "-vv",
        "--daemon-idle-timeout",
        "60",
        "-k",
        "a or b",
        "--inventory-format=json",
        "",
    ]));
    assert_eq!(
        ours,
        os(&[
            "--no-daemon",
            "--daemon-idle-timeout",
            "60",
            "--inventory-format=json"
        ])
    );
    assert_eq!(
        pytest,
        os(&[
            "tests/",
            "-n",
            "4",
            "-h",
            "--help",
            "--version",
            "-vv",
            "-k",
            "a or b",
            ""
        ])
    );
}

#[test]
fn abbreviations_near_misses_and_what_follows_a_double_dash_are_pytests() {
    let tokens = os(&[
        "--no-daemo",
        "--daemon",
        "--no-daemonize",
        "-no-daemon",
        "no-daemon",
        "--",
        "--no-daemon",
        "--daemon-stop",
    ]);
    let (ours, pytest) = split(tokens.clone());
    assert_eq!(ours, os(&[]));
    assert_eq!(pytest, tokens);
}

#[test]
fn tokens_that_are_not_unicode_pass_through() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(vec![b't', 0xff, b'=', b'x']);
    let (ours, pytest) = split([odd.clone()]);
    assert!(ours.is_empty());
    assert_eq!(pytest, [odd]);
}

#[test]
fn values_are_understood() {
    let invocation = parsed(&["--daemon-idle-timeout=60", "-q"]).unwrap();
    assert_eq!(invocation.options.daemon_idle_timeout, Some(60));
    assert_eq!(invocation.action().unwrap(), Action::Run);
    let action = |tokens: &[&str]| parsed(tokens).unwrap().action().unwrap();
    assert_eq!(action(&["--daemon-status"]), Action::DaemonStatus);
    assert_eq!(action(&["--daemon-stop"]), Action::DaemonStop);
    assert_eq!(
        action(&["--inventory-status", "-vv", "--inventory-format", "json"]),
        Action::Inventory {
            format: InventoryFormat::Json,
            verbose: true
        }
    );
    assert_eq!(
        action(&["--inventory-status"]),
        Action::Inventory {
            format: InventoryFormat::Text,
            verbose: false
        }
    );
}

#[test]
fn what_makes_no_sense_is_refused_in_our_words() {
    assert_eq!(
        complaint(&["--daemon-idle-timeout"]),
        "a value is required for `--daemon-idle-timeout <SECONDS>` but none was supplied"
    );
    assert_eq!(
        complaint(&["--daemon-idle-timeout=0"]),
        "invalid value `0` for `--daemon-idle-timeout <SECONDS>`: 0 is not in 1..=4294967295"
    );
    assert_eq!(
        complaint(&["--no-daemon=yes"]),
        "unexpected value `yes` for `--no-daemon` found; no more were expected"
    );
    assert_eq!(
        complaint(&["--daemon-stop", "--no-daemon"]),
        "the argument `--daemon-stop` cannot be used with `--no-daemon`"
    );
    assert_eq!(
        complaint(&["--inventory-format=json"]),
        "the following required arguments were not provided: --inventory-status"
    );
    assert_eq!(
        complaint(&["--inventory-format=xml", "--inventory-status"]),
        "invalid value `xml` for `--inventory-format <FORMAT>` [possible values: text, json]"
    );
    assert_eq!(
        complaint(&["--daemon-stop", "tests/"]),
        "`--daemon-stop` runs no tests and has no use for `tests/`"
    );
    assert_eq!(
        complaint(&["--inventory-status", "-vx"]),
        "`--inventory-status` runs no tests and has no use for `-vx`"
    );
}

#[test]
fn help_names_every_flag() {
    let help = help();
    for flag in &FLAGS {
        assert!(help.contains(flag.name), "{help}");
    }
}

#[test]
fn merging_names_a_file_and_others() {
    let action = |tokens: &[&str]| parsed(tokens).unwrap().action().unwrap();
    assert_eq!(
        action(&["--merge-reports", "out.xml", "a.xml", "b.xml"]),
        Action::MergeReports(Merge {
            out: "out.xml".into(),
            from: vec!["a.xml".into(), "b.xml".into()]
        })
    );
    assert_eq!(
        action(&["a", "--history-merge=out"]),
        Action::HistoryMerge(Merge {
            out: "out".into(),
            from: vec!["a".into()]
        })
    );
    assert_eq!(
        action(&["--history-import", "a", "b"]),
        Action::HistoryImport(vec!["a".into(), "b".into()])
    );
    assert_eq!(
        action(&["--history-export=a"]),
        Action::HistoryExport("a".into())
    );
    assert_eq!(
        complaint(&["--merge-reports", "out.xml"]),
        "`--merge-reports out.xml` has nothing to merge"
    );
    assert_eq!(
        complaint(&["--merge-reports", "out.xml", "a.xml", "-v"]),
        "`--merge-reports` runs no tests and has no use for `-v`"
    );
    assert_eq!(
        complaint(&["--history-export", "a", "b"]),
        "`--history-export` runs no tests and has no use for `b`"
    );
    assert_eq!(
        complaint(&["--history-export", "a", "--inventory-status"]),
        "the argument `--history-export <FILE>` cannot be used with `--inventory-status`"
    );
}
