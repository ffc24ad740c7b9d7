"""The codes of requirements, such as A1.7, are defined where the documents say."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "requirements.md"
CODE = r"[ABC][1-9](?:\.[1-9])?"
FOLDERS = ("custom", "bundles", "benchmarks", "docs", "tests", "workflow")
READ = {".py", ".md", ".json", ".yaml", ".conf"}


def defined() -> list[str]:
    return re.findall(rf"^- \*\*({CODE}|[ABC])\*\*: ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def cited_in(text: str) -> set[str]:
    """The codes a text names; of a range such as B2-B5 all that lie in it."""
    ranges = re.findall(r"\b([ABC])([1-9])-\1([1-9])\b", text)
    between = {f"{letter}{number}" for letter, low, high in ranges for number in range(int(low), int(high) + 1)}
    return set(re.findall(rf"(?<![\w.]){CODE}(?![\w.]*\w)", text)) | between


def cited() -> dict[str, set[str]]:
    """Every code that a file of the project names, and the files."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in READ and path != PAGE]
    found: dict[str, set[str]] = {}
    for path in [*files, *ROOT.glob("*.md")]:
        if path == Path(__file__).resolve() or "data" in path.relative_to(ROOT).parts:
            continue
        for code in cited_in(path.read_text(encoding="utf-8")):
            found.setdefault(code, set()).add(str(path.relative_to(ROOT)))
    return found


def test_a_range_of_codes_names_all_in_it() -> None:
    assert cited_in("(requirements B2-B5, A1.7)") == {"B2", "B3", "B4", "B5", "A1.7"}


def test_what_only_looks_like_a_code_is_none() -> None:
    assert cited_in("CC1, A1.7.2, 0xB3, A12, xA1.1") == set()


def test_every_code_that_is_cited_is_defined() -> None:
    codes = cited()
    assert len(codes) > 20
    assert {code: files for code, files in codes.items() if code not in defined()} == {}


def test_every_code_is_defined_once() -> None:
    assert sorted(set(defined())) == sorted(defined())
