"""Tests that write where they should not: an end with words, never a hang or a false green."""

from __future__ import annotations

import pytest

from support import junit_files, processes
from support.harness import Project, Result

TESTS = 60

# Finds the run's shared memory, whose name is gone, among this process's mappings.
SEGMENT = """
    import os, random, struct, time
    import pytest

    def segment():
        for line in open("/proc/self/maps"):
            if "/rpytest-" in line and "(deleted)" in line and "memfd" not in line:
                first, _, last = line.split()[0].partition("-")
                return int(first, 16), int(last, 16)
        raise AssertionError("no shared memory of rpytest is mapped")
"""

SCRIBBLER = """
    def scribble(seed, how):
        chance = random.Random(seed)
        start, end = segment()
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            def write(at, data):
                memory.seek(at)
                memory.write(data)
            if how == "everything":
                write(start, chance.randbytes(end - start))
            elif how == "zeros":
                write(start, bytes(end - start))
            elif how == "beginning":
                # Header, claims, plan, events, positions: the rings come last.
                write(start, chance.randbytes(chance.randrange(64, (end - start) // 8)))
            else:
                for _ in range(2000):
                    write(chance.randrange(start, end - 8), chance.randbytes(8))

    @pytest.mark.parametrize("i", range({tests}))
    def test_one(i):
        if i == 7:
            open("scribbled", "w").close()
            scribble({seed}, "{how}")
        # Every worker has something left to do by then.
        late = time.monotonic() + 240
        while i % 20 > 10 and not os.path.exists("scribbled") and time.monotonic() < late:
            time.sleep(0.002)
        print(f"output of {{i}}" * (i % 5) * 200)
        time.sleep(0.002)
"""


def scribbled(project: Project, how: str, seed: int) -> Result:
    project.write(test_scribbles=SEGMENT + SCRIBBLER.format(tests=TESTS, seed=seed, how=how))
    return project.rpytest("-n", "3")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("how", ["everything", "zeros", "beginning", "spots"])
def test_scribbling_over_the_segment(project: Project, how: str, seed: int) -> None:
    result = scribbled(project, how, seed)
    text = result.stdout + result.stderr
    assert "panicked" not in text and "internal error" not in text, result
    missing = {f"test_scribbles::test_one[{i}]" for i in range(TESTS)} - result.outcomes.keys()
    if result.status == 0:
        # It has hit nothing that mattered.
        assert how in ("spots", "beginning"), result
        assert not missing and set(result.outcomes.values()) == {"passed"}, result
        assert result.counts == {"passed": TESTS}, result
    else:
        assert result.status in (1, 3), result
        assert "node down" in text or "error:" in text or "did not run" in text, result
    assert project.rpytest("-n", "2", "--collect-only", "-q").status == 0


# Writes over the conditions on which workers wait for room: as if the waiters held locks that
# nobody will let go of. The offsets are those of `src/shm/segment/layout.rs`; the values mean that
# to glibc, to another C library perhaps nothing.
CONDITIONS = """
    def up(offset):
        return (offset + 127) // 128 * 128

    @pytest.mark.parametrize("i", range(100))
    def test_one(i):
        # Much is left to be written when nobody reads any more.
        while i % 50 > 9 and not os.path.exists("stopped"):
            time.sleep(0.002)
        if i == 7:
            start, _ = segment()
            with open("/proc/self/mem", "r+b", buffering=0) as memory:
                memory.seek(start)
                _, _, slots, tests, entries, _, incarnations = struct.unpack("7Q", memory.read(56))
                events = up(up(up(512 + tests * 4) + entries * 12) + slots * 8)
                for number in range(incarnations):
                    memory.seek(start + events + 128 * number + 40)
                    memory.write(struct.pack("<I", 1) * 12)
            open("written", "w").close()
        print("x" * 6000)
"""


def test_worker_that_waits_in_overwritten_memory(project: Project) -> None:
    """It waits for ever, and aborts itself when it notices."""
    project.write(test_waits=SEGMENT + CONDITIONS)
    junit = project.scratch / "waits.xml"
    running = project.spawn("-n", "2", f"--junitxml={junit}")
    assert processes.wait_until((project.path / "written").exists)
    # Nobody reads, so both rings fill up.
    running.pause()
    (project.path / "stopped").touch()
    assert not processes.wait_until(lambda: not running.is_running(), seconds=2)
    running.go_on()
    status = running.wait()
    assert "panicked" not in running.stdout + running.stderr, running
    assert len(junit_files.read(junit)) == 100
    assert status == (1 if "node down: killed by SIGABRT while running" in running.stdout else 0), (
        running
    )
