"""What tests print past the capture is shown when they print it, into a pipe, too; no death and no
later test takes it away.
"""

from __future__ import annotations

import pytest

from support.harness import Project

DIES = """
    import os, signal, sys, time

    def test_first(): print("first printed")
    def test_second(): print("second printed", file=sys.stderr)
    def test_third():
        print("third printed")
        os.write(2, b"third written\\n")
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "args", [("-s",), ("--capture=no",), ("-s", "--start-method=bare")], ids=" ".join
)
@pytest.mark.parametrize("n", ["1", "2"])
def test_a_worker_that_dies_has_shown_what_it_printed(
    project: Project, n: str, args: tuple[str, ...]
) -> None:
    project.write(test_a=DIES)
    for _ in range(2):
        result = project.rpytest("-n", n, *args)
        for text in ("first printed", "second printed", "third printed", "third written"):
            assert text in result.stdout + result.stderr, result


@pytest.mark.parametrize("fixture", ["capsys", "capfd"])
@pytest.mark.parametrize("args", [(), ("--capture=sys",), ("-s",)], ids=" ".join)
def test_disabled_capture(project: Project, fixture: str, args: tuple[str, ...]) -> None:
    project.write(
        test_a=f"""
            import os, signal

            def test_one({fixture}):
                with {fixture}.disabled():
                    print("shown line")
                    print("shown part", end="")
                print("captured")

            def test_two():
                print("second captured")
                assert True

            def test_three({fixture}):
                with {fixture}.disabled():
                    print("shown at last")
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    for _ in range(2):
        result = project.rpytest("-n", "1", *args)
        for text in ("shown line", "shown part", "shown at last"):
            assert text in result.stdout, result
        if not args:
            assert "captured" not in result.stdout, result


@pytest.mark.parametrize("n", ["0", "1", "2"])
def test_it_is_shown_while_the_test_runs(project: Project, n: str) -> None:
    project.write(
        test_a="""
            import pathlib, time

            def test_waits():
                print("shown")
                print("unfinished", end="")
                while not pathlib.Path("go").exists():
                    time.sleep(0.01)
        """
    )
    running = project.spawn("-n", n, "-s", env={"PYTHONUNBUFFERED": "1"})
    running.wait_for("^shown$|shown\n")
    running.wait_for("unfinished")
    (project.path / "go").touch()
    assert running.wait() == 0


def test_a_stream_that_a_module_has_kept(project: Project) -> None:
    """As a logging handler does that is made at import."""
    project.write(
        test_a="""
            import os, signal, sys
            out = sys.stdout

            def test_prints():
                print("by the module's", file=out)
                out.write("and a part")
                os.kill(os.getpid(), signal.SIGKILL) if False else None
        """
    )
    for _ in range(2):
        result = project.rpytest("-n", "2", "-s")
        assert "by the module's" in result.stdout, result
        assert "and a part" in result.stdout, result
        assert result.status == 0
