"""Links between the pages lead somewhere, and what is cut out of a page is not lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def _anchors(page: Path) -> set[str]:
    """The names of a page's headings, as they stand in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    wrong = []
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text()):
        if path.startswith("http"):
            continue
        there = page.parent / path if path else page
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor[1:] not in _anchors(there)
        ):
            wrong.append(path + anchor)
    assert wrong == []
    assert len(PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_block_of_code_has_an_end_and_something_in_it(page: Path) -> None:
    lines = page.read_text().splitlines()
    fences = [at for at, line in enumerate(lines) if line.lstrip().startswith("```")]
    assert len(fences) % 2 == 0
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        assert lines[end].strip() == "```"
        assert any(lines[begin + 1 : end])


def test_each_setting_is_on_the_page_of_options() -> None:
    settings = (ROOT / "src/config/settings.rs").read_text()
    struct = settings.partition("pub struct Settings {")[2].partition("\n}")[0]
    keys = set(re.findall(r"#\[serde\(default.*?\)\]\s+(?:pub )?(\w+):", struct))
    assert len(keys) > 8
    page = (ROOT / "docs/options.md").read_text().partition("## The project's settings")[2]
    assert keys == set(re.findall(r"^(\w+) = ", page, re.M))
