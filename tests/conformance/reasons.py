"""Why tests of pytest-xdist do not pass, one by one."""

from __future__ import annotations

_GROUP = "expects the group in the node id (`test_1@group`); rpytest keeps node ids as they are, so that junit files, `--lf` and histories agree with pytest"

#: Tests that do not pass.
REASONS: dict[str, str] = {
    "acceptance_test.py::test_collection_crash": "expects an announcement of workers without tests; here none are started for a suite that can't be collected",
    "acceptance_test.py::TestDistribution::test_distribution_rsyncdirs_example": "`--rsyncdir` and workers in other directories: a usage error here, workers are local forks",
    "acceptance_test.py::TestDistribution::test_keyboardinterrupt_hooks_issue79": "looks for the name of pytest-xdist's exception (`Interrupted`); rpytest writes what pytest writes, `KeyboardInterrupt`. What the test is about, the hook in the controller, holds",
    "acceptance_test.py::TestTerminalReporting::test_output_verbosity[-q]": "expects `bringing up nodes...` under `-q`, where rpytest, like pytest, says nothing before the first test",
    "acceptance_test.py::TestTerminalReporting::test_fail_platinfo": "expects a line with the worker's platform above each traceback; it would be the same for all workers, and is in the header",
    "acceptance_test.py::test_crashing_item[teardown]": "a worker that dies in a test's teardown: pytest-xdist counts the test twice, as passed and as failed; here it is one failed test",
    "acceptance_test.py::test_issue_594_random_parametrize": "expects an error since each worker collects other tests; here they are collected once, and the run is as good as pytest's",
    "acceptance_test.py::TestNodeFailure::test_max_worker_restart_tests_queued": "expects tests that never ran to be left out of the counts; here each is an error, by name",
    "acceptance_test.py::TestNodeFailure::test_max_worker_restart_die": "a module that ends the process that imports it: here no worker has crashed, the tests could not be collected; an error says so (status 3)",
    "acceptance_test.py::TestGroupScope::test_multiple_group_marks": _GROUP,
    "acceptance_test.py::TestGroupScope::test_multiple_group_order": _GROUP,
    "test_plugin.py::test_dist_incompatibility_messages": "expects `--pdb -n 3` to be a usage error; here the debugger gets its terminal, and pytest runs in one process",
}

_QUICKER = "expects two of three modules in different workers; here the third goes to the worker that is idle first, so it depends"

#: Tests whose result differs from run to run.
SOMETIMES: dict[str, str] = {
    "acceptance_test.py::TestFileScope::test_module_single_start": _QUICKER,
    "acceptance_test.py::TestLoadScope::test_module_single_start": _QUICKER,
}
