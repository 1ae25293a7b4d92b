"""Why tests of pytest-xdist do not pass, one by one."""

from __future__ import annotations

_GROUP = (
    "expects the group in the node id (`test_1@group`); rpytest keeps node ids as they are, so "
    "that junit files, `--lf` and histories agree with pytest"
)

#: Tests that do not pass.
REASONS: dict[str, str] = {
    ("acceptance_test.py::TestDistribution::test_n1_import_error"): (
        "expects exit status 1 for an error while collecting; here it is pytest's, 2"
    ),
    ("acceptance_test.py::TestDistribution::test_exitfirst_waits_for_workers_to_finish"): (
        "expects exit status 2 when `-x` has ended the run; here it is pytest's, 1"
    ),
    ("acceptance_test.py::test_config_initialization"): (
        "expects lines that begin with the node id under `-v`; ours begin with the worker"
    ),
    "acceptance_test.py::test_collection_crash": (
        "expects an announcement of workers without tests, and exit status 1; here none are "
        "started for a suite that can't be collected, and it is pytest's, 2"
    ),
    "acceptance_test.py::TestDistribution::test_distribution_rsyncdirs_example": (
        "`--rsyncdir` and workers in other directories: a usage error here, workers are local forks"
    ),
    "acceptance_test.py::test_issue_594_random_parametrize": (
        "expects an error since each worker collects other tests; here they are collected "
        "once, and the run is as good as pytest's"
    ),
    "acceptance_test.py::TestNodeFailure::test_max_worker_restart_tests_queued": (
        "expects tests that never ran to be left out of the counts; here each is an error, by name"
    ),
    "acceptance_test.py::TestNodeFailure::test_max_worker_restart_die": (
        "a module that ends the process that imports it: here no worker has crashed, the tests "
        "could not be collected; an error says so (status 3)"
    ),
    "acceptance_test.py::TestGroupScope::test_multiple_group_marks": _GROUP,
    "acceptance_test.py::TestGroupScope::test_multiple_group_order": _GROUP,
    "test_plugin.py::test_dist_incompatibility_messages": (
        "expects `--pdb -n 3` to be a usage error; here the debugger gets its terminal, and "
        "pytest runs in one process"
    ),
}

_QUICKER = (
    "expects two of three modules in different workers; here the third goes to the worker that "
    "is idle first, so it depends"
)

#: Tests whose result differs from run to run.
SOMETIMES: dict[str, str] = {
    "acceptance_test.py::TestFileScope::test_module_single_start": _QUICKER,
    "acceptance_test.py::TestLoadScope::test_module_single_start": _QUICKER,
}

_ABOVE = "what a hook prints at the end stands above pytest's own text when there is nothing to run"
_INTERNAL = "the junit file of a run that ends with an internal error has no element for it"

#: Tests of pytest that pass when the command is pytest.
PYTEST_REASONS: dict[str, str] = {
    (
        "acceptance_test.py::TestDurations::test_calls"
    ): "counts the durations below 5 ms, which depends on the machine",
    (
        "acceptance_test.py::TestInvocationVariants::test_cmdline_python_legacy_namespace_package"
    ): "expects lines that begin with the node id under `-v`; ours begin with the worker",
    ("acceptance_test.py::TestInvocationVariants::test_cmdline_python_package_symlink"): (
        "expects lines that begin with the node id under `-v`; ours begin with the worker"
    ),
    (
        "test_cacheprovider.py::TestLastFailed::test_lastfailed_no_failures_behavior_all_passed"
    ): _ABOVE,
    (
        "test_cacheprovider.py::TestLastFailed::"
        "test_lastfailed_with_known_failures_not_being_selected"
    ): _ABOVE,
    "test_junitxml.py::TestPython::test_internal_error[xunit1]": _INTERNAL,
    "test_junitxml.py::TestPython::test_internal_error[xunit2]": _INTERNAL,
}
