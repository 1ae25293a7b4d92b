"""The page of ``--timings`` in a real browser: what it draws, and that mouse and keyboard work.

Skipped where no Chromium is installed (Debian: ``apt-get install chromium``).
``RPYTEST_SCREENSHOTS=folder`` keeps pictures to look at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import browser as browsers
from support import timings
from support.browser import Browser
from support.harness import Project

SUITE = """
    import time
    import pytest

    @pytest.fixture
    def connection():
        time.sleep(0.05)
        yield
        time.sleep(0.05)

    @pytest.mark.parametrize("word", ["</script><b id='injected'>", "ünï 😀", "it's"])
    def test_word(word):
        time.sleep(0.02)

    def test_connection(connection):
        time.sleep(0.2)

    def test_failed():
        time.sleep(0.2)
        assert 0

    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass

    @pytest.mark.xfail
    def test_xfailed():
        time.sleep(0.1)
        assert 0
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = browsers.find()
    if program is None:
        pytest.skip(browsers.INSTALL_HINT)
    with Browser(program) as browser:
        yield browser


@pytest.fixture(scope="module")
def file(shared_project: Project) -> Path:
    """The page of a second run: with predictions."""
    shared_project.write(test_suite=SUITE)
    shared_project.write(
        {
            "pytest.ini": "[pytest]\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"  # noqa: E501
        }
    )
    for _ in range(2):
        # Nothing is stolen: both workers have tests, however late one of them starts.
        shared_project.rpytest("-n", "2", "--order", "collected", "--timings", junit=False)
    return shared_project.path / "rpytest-timings.html"


@pytest.fixture
def opened(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    _open(browser, file)
    yield browser
    assert browser.problems() == []
    _keep(browser, request.node.name)


def _open(browser: Browser, file: Path, scheme: str = "light") -> None:
    browser.scheme(scheme)
    browser.open(file)
    browser.wait_for(
        "document.documentElement.dataset.ready || "
        "document.getElementById('broken').textContent || page === null"
    )
    assert browser.run("document.getElementById('broken').textContent") == ""


def _keep(browser: Browser, name: str) -> None:
    folder = os.environ.get("RPYTEST_SCREENSHOTS")
    if folder:
        browser.screenshot(Path(folder) / f"{re.sub(r'[^a-z0-9]+', '-', name)}.png")


def _drawn(browser: Browser) -> None:
    """Wait until what has changed is on the canvas."""
    browser.run(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    )


def _text(browser: Browser, id: str) -> str:
    return str(browser.run(f"document.getElementById('{id}').textContent"))


def _row(browser: Browser, end: str) -> int:
    return int(browser.run(f"page.data.ids.findIndex(id => id.endsWith({json.dumps(end)}))"))


def _pixel(browser: Browser, row: int, phase: str) -> list[int]:
    """Colour in the middle of a phase of a test that fills the window, near the lower edge where no
    text is.
    """
    place = f"""(() => {{
        page.view.zoomTo({row});
        page.timeline.draw();
        const {{ data, timeline }} = page, row = {row}, {{ painter, place, canvas }} = timeline;
        const starts = {{ setup: 0, call: data.setup[row], teardown: data.setup[row] + data.call[row] }};
        const time = data.start[row] + starts.{phase} + data.{phase}[row] / 2;
        const ratio = window.devicePixelRatio;
        const y = AXIS + data.lane[row] * place.step + place.above + place.bar - 6;
        return [...canvas.getContext("2d").getImageData(painter.x(time) * ratio, y * ratio, 1, 1).data].slice(0, 3);
    }})()"""  # noqa: E501
    return list(browser.run(place))


def _colour(browser: Browser, name: str) -> list[int]:
    value = str(
        browser.run(
            f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"
        )
    )
    return [int(value[at : at + 2], 16) for at in (1, 3, 5)]


def test_it_stands_alone(opened: Browser, file: Path) -> None:
    assert list(opened.requested()) == [file.resolve().as_uri()]
    # Nor could it if it wanted to.
    opened.run("fetch('https://localhost:1/').catch(() => 0)")
    assert any("Content Security Policy" in problem for problem in opened.problems())
    opened.events.clear()


def test_the_data_arrives(opened: Browser, file: Path) -> None:
    page = timings.read(file)
    rows = opened.run(
        "Array.from({ length: page.data.count }, (_, row) => [page.data.ids[row], "
        "ENDINGS[page.data.ending[row]].name,"
        " page.data.lane[row], page.data.start[row], page.data.length[row], "
        "page.data.estimate[row]])"
    )
    assert rows == [[t.id, t.outcome, t.worker, t.start, t.length, t.estimate] for t in page.tests]
    assert page.data["run"]["known"] == 7


def test_texts(opened: Browser, file: Path) -> None:
    assert _text(opened, "status") == "✕ 4 passed, 1 failed, 1 skipped, 1 xfailed"
    page = timings.read(file)
    slowest = sorted(page.tests, key=lambda test: -test.length)
    ids = opened.run(
        "[...document.querySelectorAll('#tests tbody tr')].map(row => row.cells[0].textContent)"
    )
    assert ids == [test.id for test in slowest]
    assert "connection" in _text(opened, "fixtures")
    assert not opened.run("document.getElementById('injected')")
    assert opened.run("document.title").startswith("4 passed, 1 failed")
    # Each outcome has a sign beside its colour.
    marks = opened.run(
        "[...document.querySelectorAll('#legend .mark')].map(mark => mark.textContent)"
    )
    assert marks == ["✓", "▲", "–", "○"]
    headings = opened.run(
        "[...document.querySelectorAll('section:not([hidden])')].map(s => "
        "s.getAttribute('aria-labelledby'))"
    )
    assert headings == [
        "h-timeline",
        "h-path",
        "h-plan",
        "h-scatter",
        "h-histogram",
        "h-tests",
        "h-fixtures",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_have_the_colours_of_their_outcomes(browser: Browser, file: Path, scheme: str) -> None:
    _open(browser, file, scheme)
    _drawn(browser)
    for end, name in (
        ("::test_connection", "passed"),
        ("::test_failed", "failed"),
        ("::test_xfailed", "xfailed"),
    ):
        assert _pixel(browser, _row(browser, end), "call") == _colour(browser, name), name
    connection = _row(browser, "::test_connection")
    setup, teardown = (_pixel(browser, connection, phase) for phase in ("setup", "teardown"))
    assert (
        len(
            {
                tuple(setup),
                tuple(teardown),
                tuple(_colour(browser, "passed")),
                tuple(_colour(browser, "idle")),
            }
        )
        == 4
    )
    _keep(browser, f"bars-{scheme}")


def test_a_change_of_scheme_is_followed(browser: Browser, file: Path) -> None:
    _open(browser, file, "light")
    light = _colour(browser, "passed")
    browser.scheme("dark")
    browser.wait_for("matchMedia('(prefers-color-scheme: dark)').matches")
    _drawn(browser)
    dark = _colour(browser, "passed")
    assert dark != light
    assert _pixel(browser, _row(browser, "::test_connection"), "call") == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, file: Path, scheme: str) -> None:
    """Texts at least 4.5:1 (WCAG AA), bars at least 3:1 against what is behind them."""
    _open(browser, file, scheme)
    outcomes = [str(name) for name in browser.run("ENDINGS.map(ending => ending.name)")]
    pairs = [(outcome, "bar-text", 4.5) for outcome in outcomes]
    pairs += [(outcome, "panel", 4.5) for outcome in outcomes]
    pairs += [(outcome, "idle", 3.0) for outcome in [*outcomes, "setup", "teardown"]]
    pairs += [
        ("text", "panel", 4.5),
        ("muted", "panel", 4.5),
        ("muted", "bg", 4.5),
        ("muted", "idle", 4.5),
    ]
    pairs += [("muted", "startup", 4.5), ("accent", "panel", 4.5)]
    poor = {
        (one, two): round(contrast, 2)
        for one, two, least in pairs
        if (contrast := _contrast(_colour(browser, one), _colour(browser, two))) < least
    }
    assert not poor


def _contrast(one: list[int], two: list[int]) -> float:
    def luminance(colour: list[int]) -> float:
        parts = [value / 255 for value in colour]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_keyboard(opened: Browser) -> None:
    opened.run("document.getElementById('timeline').focus()")
    opened.key("ArrowRight")
    assert opened.run("page.view.selected") == 0
    assert opened.run("page.data.ids[0]") in _text(opened, "detail")
    opened.key("ArrowRight")
    assert opened.run("page.view.selected") == 1
    opened.key("ArrowLeft", "ArrowDown")
    assert opened.run("page.data.lane[page.view.selected]") == 1
    opened.key("f")
    assert "test_failed" in _text(opened, "detail")
    assert "▲ failed" in _text(opened, "detail")
    opened.key("Enter")
    assert opened.run("page.view.to - page.view.from < page.view.whole / 1.1")
    opened.key("0")
    assert opened.run("page.view.to - page.view.from === page.view.whole")
    opened.key("+")
    assert opened.run("page.view.to - page.view.from === page.view.whole / 2")
    opened.key("Escape")
    assert _text(opened, "detail") == ""


def test_search_dims_the_others(opened: Browser) -> None:
    _drawn(opened)
    before = _pixel(opened, _row(opened, "::test_connection"), "call")
    opened.key("/")
    assert opened.run("document.activeElement.id") == "search"
    opened.type("FAILED")
    _drawn(opened)
    # `test_failed` and `test_xfailed`.
    assert _text(opened, "matches") == "2 of 7 tests"
    assert _pixel(opened, _row(opened, "::test_connection"), "call") != before
    assert _pixel(opened, _row(opened, "::test_failed"), "call") == _colour(opened, "failed")
    assert opened.run("document.querySelectorAll('#tests tbody tr').length") == 2
    opened.key("Enter")
    first = opened.run("page.data.ids[page.view.selected]")
    opened.key("Enter")
    assert {first, opened.run("page.data.ids[page.view.selected]")} == {
        "test_suite.py::test_failed",
        "test_suite.py::test_xfailed",
    }
    opened.key("Escape")
    assert _text(opened, "matches") == ""


def test_outcomes_can_be_picked(opened: Browser) -> None:
    opened.run("document.querySelector('[data-outcome=skipped]').click()")
    assert _text(opened, "matches") == "1 of 7 tests"
    assert (
        opened.run("document.querySelector('[data-outcome=skipped]').getAttribute('aria-pressed')")
        == "true"
    )
    opened.run("document.querySelector('[data-outcome=skipped]').click()")
    assert _text(opened, "matches") == ""


def test_mouse(opened: Browser) -> None:
    opened.run("scrollTo(0, 0)")
    row = _row(opened, "::test_failed")

    def place(row: int) -> list[float]:
        return list(
            opened.run(
                f"""(() => {{
                    const {{ data, timeline }} = page, {{ painter, place, canvas }} = timeline;
                    const box = canvas.getBoundingClientRect();
                    return [box.left + painter.x((data.start[{row}] + data.end[{row}]) / 2),
                            box.top + AXIS + data.lane[{row}] * place.step + place.above + place.bar / 2];
                }})()"""  # noqa: E501
            )
        )

    x, y = place(row)
    opened.mouse("mouseMoved", x, y)
    opened.wait_for("!document.getElementById('tip').hidden")
    assert "test_suite.py::test_failed" in _text(opened, "tip")
    assert "predicted" in _text(opened, "tip")
    opened.click(x, y)
    opened.wait_for(f"page.view.selected === {row}")
    opened.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100, modifiers=2)
    opened.wait_for("page.view.to - page.view.from < page.view.whole")
    _drawn(opened)
    # The point below the mouse stays where it is.
    assert abs(place(row)[0] - x) < 2
    before = opened.run("page.view.from")
    opened.mouse("mousePressed", x, y, button="left", clickCount=1)
    opened.mouse("mouseMoved", x - 60, y, button="left")
    opened.mouse("mouseReleased", x - 60, y, button="left", clickCount=1)
    opened.wait_for(f"page.view.from > {before}")
    # A wheel without Ctrl is the page's.
    opened.mouse("mouseMoved", x, y)
    opened.mouse("mouseWheel", x, y, deltaX=0, deltaY=200)
    opened.wait_for("scrollY > 0")


def test_rows_of_tables_lead_to_the_timeline(opened: Browser) -> None:
    opened.run("document.querySelector('#tests tbody button').click()")
    assert opened.run("page.view.selected") == opened.run("page.data.run.longest")
    assert opened.run("document.activeElement.id") == "timeline"


def test_order(opened: Browser) -> None:
    opened.run("byId('order').value = 'setup'; byId('order').dispatchEvent(new Event('change'))")
    assert "::test_connection" in opened.run(
        "document.querySelector('#tests tbody tr').textContent"
    )


def test_small_windows(browser: Browser, file: Path) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=2,
        mobile=False,
    )
    try:
        _open(browser, file)
        _drawn(browser)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        _keep(browser, "small")
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


def _with_data(file: Path, change: Callable[[dict[str, Any]], None], target: Path) -> Path:
    page = timings.read(file)
    change(page.data)
    raw = json.dumps(page.data).replace("<", "\\u003c")
    head, _, rest = page.text.partition('type="application/json">')
    target.write_text(
        f'{head}type="application/json">{raw}</script>{rest.partition("</script>")[2]}', "utf-8"
    )
    return target


def _many(data: dict[str, Any], count: int, workers: int) -> None:
    """As many tests as that, dealt to workers; every 1,000th failed."""
    each = count // workers
    ids = [f"tests/unit/test_module_{n // 500}.py::test_version_{n % 500}" for n in range(count)]
    data["tests"] = {
        "shared": [0] * count,
        "rest": ids,
        "gap": [200] * count,
        "setup": [50 + n % 90 for n in range(count)],
        "call": [200 + n * 7919 % 3000 + (400_000 if n % 5003 == 0 else 0) for n in range(count)],
        "teardown": [40 + n % 50 for n in range(count)],
        "endings": "".join("F" if n % 1000 == 999 else "p" for n in range(count)),
        "estimate": [300 + n * 104729 % 3000 for n in range(count)],
        "moved": [],
        "attempts": [],
        "reasons": [],
    }
    lane = {"tests": each, "moved": 0, "first": 200}
    lanes = []
    for worker in range(workers):
        rows = range(worker * each, (worker + 1) * each)
        sums = {
            phase: sum(data["tests"][phase][row] for row in rows)
            for phase in ("setup", "call", "teardown")
        }
        busy = sum(sums.values())
        lanes.append(
            {
                **lane,
                **sums,
                "busy": busy,
                "fixtures": 0,
                "last": busy + 200 * each,
                "predicted": busy,
            }
        )
    last = max(lane["last"] for lane in lanes)
    data["lanes"], data["fixtures"], data["setups"], data["crashes"] = lanes, [], [], []
    data["run"].update(
        workers=workers,
        ready=0,
        last=last,
        total=last,
        counts=[["passed", count - count // 1000], ["failed", count // 1000]],
        known=count,
        predicted=last,
        critical=0,
        longest=0,
        bottleneck="balanced",
        bottleneckRow=None,
    )


def test_sixty_thousand_tests(browser: Browser, file: Path, tmp_path: Path) -> None:
    large = _with_data(file, lambda data: _many(data, 60_000, 16), tmp_path / "large.html")
    _open(browser, large)
    _drawn(browser)
    assert browser.run("page.data.count") == 60_000
    assert _text(browser, "status") == "✕ 59\u202f940 passed, 60 failed"
    # Narrower than a pixel, but to be seen: in each lane there is the colour of failures above the
    # bars.
    red = _colour(browser, "failed")
    assert browser.run(
        f"""Array.from({{ length: 16 }}, (_, lane) => {{
            const {{ place, canvas }} = page.timeline, ratio = window.devicePixelRatio;
            const top = (AXIS + lane * place.step + place.above - 6) * ratio;
            const pixels = canvas.getContext("2d").getImageData(0, top, canvas.width, 1).data;
            for (let at = 0; at < pixels.length; at += 4)
                if (pixels[at] === {red[0]} && pixels[at + 1] === {red[1]} && pixels[at + 2] === {red[2]}) return true;
            return false;
        }}).every(found => found)"""  # noqa: E501
    )
    browser.run("document.getElementById('search').focus()")
    browser.type("version_499")
    assert _text(browser, "matches") == "120 of 60\u202f000 tests"
    browser.key("Enter")
    _drawn(browser)
    assert browser.run("page.view.to - page.view.from < page.view.whole / 100")
    assert browser.problems() == []
    _keep(browser, "large")


def test_runs_without_tests(browser: Browser, file: Path, tmp_path: Path) -> None:
    def empty(data: dict[str, Any]) -> None:
        data["tests"] = {name: "" if name == "endings" else [] for name in data["tests"]}
        lane = dict.fromkeys(data["lanes"][0], 0)
        data["lanes"], data["fixtures"], data["setups"] = [lane, lane], [], []
        data["run"].update(
            counts=[],
            notRun=5,
            longest=None,
            bottleneck="nothing",
            bottleneckRow=None,
            known=0,
            last=0,
        )

    _open(browser, _with_data(file, empty, tmp_path / "empty.html"))
    assert _text(browser, "status") == "✕ 5 not run"
    assert "No test has a result" in _text(browser, "tests")
    assert browser.problems() == []


def test_data_of_another_form_are_refused_in_words(
    browser: Browser, file: Path, tmp_path: Path
) -> None:
    def other(data: dict[str, Any]) -> None:
        data["format"] = 99

    browser.open(_with_data(file, other, tmp_path / "other.html"))
    browser.wait_for("!document.getElementById('broken').hidden")
    assert "form 99" in _text(browser, "broken")
