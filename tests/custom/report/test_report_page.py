"""The page holds all it shows: every case in its tables, the worst in full, nothing from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.files import write_file
from custom.report.report_case import ReportCase
from custom.report.report_page import write_report
from custom.rules.ledger import Addition, Change, Removal
from tests.folder_entries import entries

AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])
HOSTILE = "<b>&\"x'</script>${title}"


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text of each table's cells."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.text, self.inside, self.cell = "", "", False
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.inside = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            return
        self.text += data
        if self.cell:
            self.tables[-1][-1][-1] += data.strip()

    def of_class(self, name: str) -> list[tuple[str, dict[str, str]]]:
        return [element for element in self.elements if name in element[1].get("class", "").split()]


def damaged() -> np.ndarray:
    labels = np.zeros((23, 29, 31), dtype=np.uint8)
    labels[4:14, 5:17, 6:20] = 3
    labels[18:21, 22:26, 24:28] = 3  # floats
    labels[14:16, 6:8, 6:12] = 9
    labels[14:16, 6:8, 16:22] = 9
    return labels


def repaired() -> np.ndarray:
    labels = damaged()
    labels[18:21] = 0
    labels[14:16, 6:8, 12:16] = 9
    return labels


CHANGES: tuple[Change, ...] = (
    Removal(
        rule="floating", structure="LV", component=2, before_mm3=162.0, after_mm3=0.0, distance_mm=11.5,
        why="one piece is expected", place_mm=(28.5, 35.3, 38.3),
    ),
    Addition(
        rule="bridge", structure="Coronary", component=2, before_mm3=0.0, after_mm3=54.0, distance_mm=float("nan"),
        why="the gap is <12 mm & free", place_mm=(21.8, 9.8, 20.3),
    ),
)  # fmt: skip

MEASURES = {
    "LV": {"dice_before": 0.9, "dice_after": 0.97, "components_before": 2, "components_after": 1, "nothing": None},
    "Coronary": {"dice_before": 0.7, "dice_after": 0.91, "components_before": 2, "components_after": 1},
}


def make_case(
    folder: Path,
    name: str = "heart",
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
    changes: Sequence[Change] = CHANGES,
) -> ReportCase:
    stem = re.sub(r"\W", "_", name)
    paths = folder / f"{stem}_before.nii.gz", folder / f"{stem}_after.nii.gz"
    volumes = damaged() if before is None else before, repaired() if after is None else after
    for path, labels in zip(paths, volumes, strict=True):
        write_label_map(path, labels, AFFINE)
    return ReportCase(name, *paths, changes, MEASURES)


def written_page(folder: Path, cases: Sequence[ReportCase], details: int = 12, **facts: str) -> Page:
    path = folder / "report" / "index.html"
    write_report(path, cases, PUBLIC_CARDIAC_CT, "A repair", facts, details)
    return Page(path)


def test_the_page_asks_for_nothing_outside_of_itself(tmp_path: Path) -> None:
    page = written_page(tmp_path, [make_case(tmp_path)])
    sources = [attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes]
    assert len(sources) == 10  # nine slices, one link to the section
    assert all(source.startswith(("data:image/png;base64,", "#case-")) for source in sources)
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "base", "form")]
    policy = next(one["content"] for _, one in page.elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy and "*" not in policy
    styles = (tmp_path / "report" / "index.html").read_text(encoding="utf-8").partition("</style>")[0]
    assert "url(" not in styles and "@import" not in styles


def test_names_and_words_are_shown_as_they_are(tmp_path: Path) -> None:
    case = make_case(tmp_path, HOSTILE)
    path = tmp_path / "index.html"
    write_report(path, [case], PUBLIC_CARDIAC_CT, f"Title {HOSTILE}", {f"key {HOSTILE}": f"value {HOSTILE}"})
    page = Page(path)
    assert "<b>&" not in path.read_text(encoding="utf-8")
    for words in (f"Title {HOSTILE}", f"key {HOSTILE}", f"value {HOSTILE}", "the gap is <12 mm & free"):
        assert words in page.text
    assert page.tables[1][1][0] == HOSTILE
    # The library, the page's own script, the surfaces: nothing has opened or shut another.
    assert [tag for tag, _ in page.elements].count("script") == 3
    assert sum(f"{HOSTILE}, " in one.get("alt", "") for _, one in page.elements) == 9


def test_tables_say_what_was_measured_and_changed(tmp_path: Path) -> None:
    page = written_page(tmp_path, [make_case(tmp_path)], preset="quick")
    structures, cases, own, ledger = page.tables
    groups, sides = structures[:2]
    assert groups[1:] == ["Dice", "pieces"] and sides[2:] == ["before", "after"] * 2
    rows = {row[0]: row[1:] for row in structures[2:]}
    assert rows["LV"] == ["1", "0.900", "0.970", "0 of 1", "1 of 1"]
    assert rows["Coronary"] == ["2", "0.700", "0.910", "1 of 1", "0 of 1"]
    assert rows["PV"] == ["2", "–", "–", "–", "–"]
    assert rows["mean"] == ["", "0.800", "0.940", "1 of 2", "1 of 2"]
    # 48 voxels of 3.375 mm3 went, 16 came, of 1680 + 48 + 48 labelled.
    assert cases[1][:8] == ["heart", "216", "3.6", "162", "54", "0", "1", "1"]
    assert cases[1][8:] == ["0.800", "0.940", "0.910", "Coronary", "1 of 2"]
    assert [row[0] for row in own[2:]] == list(PUBLIC_CARDIAC_CT.names)
    assert ledger[1] == ["removal", "floating", "LV", "2", "162.0", "162.0", "0.0", "11.5", "one piece is expected"]
    assert ledger[2][:4] == ["addition", "bridge", "Coronary", "2"] and ledger[2][7] == "–"
    assert "preset" in page.text and "quick" in page.text and "1 removal, 1 addition" in page.text


def test_the_stages_of_a_repair_stand_beside_before_and_after(tmp_path: Path) -> None:
    plain = make_case(tmp_path)
    stages = {"LV": (0.97, 0.98), "Coronary": (0.91, 0.88)}
    measures = {
        name: {**values, "dice_fused": stages[name][0], "dice_unified": stages[name][1]}
        for name, values in MEASURES.items()
    }
    page = written_page(tmp_path, [ReportCase(plain.name, plain.before, plain.after, plain.changes, measures)])
    structures, cases, own, _ = page.tables
    assert structures[0][1:] == own[0][1:] == ["Dice", "fused Dice", "unified Dice", "pieces"]
    assert {row[0]: row[2:6] for row in structures[2:]}["Coronary"] == ["0.700", "0.910", "0.910", "0.880"]
    assert cases[0][8:12] == ["mean Dice before", "mean Dice after", "mean fused Dice", "mean unified Dice"]
    assert cases[1][8:13] == ["0.800", "0.940", "0.940", "0.930", "0.910"]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    paths = [tmp_path / "one.html", tmp_path / "two.html"]
    for path in paths:
        write_report(path, [case], PUBLIC_CARDIAC_CT, "A repair")
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("what", ["all empty after", "all empty before", "both empty", "one structure", "no change"])
def test_cases_with_little_to_show_are_shown(tmp_path: Path, what: str) -> None:
    nothing = np.zeros((23, 29, 31), dtype=np.uint8)
    alone = np.where(repaired() == 3, np.uint8(3), np.uint8(0))
    before, after = {
        "all empty after": (damaged(), nothing),
        "all empty before": (nothing, repaired()),
        "both empty": (nothing, nothing),
        "one structure": (np.roll(alone, 3, axis=0), alone),
        "no change": (damaged(), damaged()),
    }[what]
    case = make_case(tmp_path, before=before, after=after, changes=())
    bare = ReportCase(case.name, case.before, case.after)
    page = written_page(tmp_path, [bare])
    assert [len(table) for table in page.tables] == [2]  # the cases alone: nothing measured, no ledger
    changed = {"both empty": "–", "no change": "0.0", "all empty before": "–"}.get(what)
    assert changed is None or page.tables[0][1][2] == changed
    assert "The ledger is empty" in page.text
    chips = {one["data-structure"] for _, one in page.of_class("chip")}
    expected = {"both empty": set(), "one structure": {"LV"}}.get(what, {"LV", "Coronary"})
    assert chips == expected


def test_every_case_is_listed_and_the_worst_have_a_section(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"heart {number}", changes=()) for number in range(5)]
    worse = repaired()
    worse[4:14] = 0
    bare = [ReportCase(case.name, case.before, case.after) for case in cases]
    bare[3] = ReportCase("worst", *make_paths(make_case(tmp_path, "worst", after=worse)))
    page = written_page(tmp_path, bare, details=2)
    assert [row[0] for row in page.tables[0][1:]] == ["worst", "heart 0", "heart 1", "heart 2", "heart 4"]
    assert [one["id"] for _, one in page.of_class("case")] == ["case-0", "case-1"]
    assert [one["href"] for tag, one in page.elements if tag == "a"] == ["#case-0", "#case-1"]
    assert "The worst 2 of 5 cases" in page.text and "no reference" in page.text
    small = written_page(tmp_path, bare, details=0)
    assert small.of_class("case") == []
    assert (tmp_path / "report" / "index.html").stat().st_size < 100_000  # no library without a view


def make_paths(case: ReportCase) -> tuple[Path, Path]:
    return case.before, case.after


def test_six_noisy_cases_of_ten_structures_stay_below_the_limit(tmp_path: Path) -> None:
    noise = np.random.default_rng(3)
    ramp = np.arange(48)[:, None, None] * np.ones((48, 48, 48))
    after = (ramp // 5 + 1).astype(np.uint8)
    after[:3], after[-3:] = 0, 0
    before = np.where(noise.random(after.shape) < 0.1, noise.integers(0, 11, after.shape), after).astype(np.uint8)
    case = make_case(tmp_path, before=before, after=after, changes=CHANGES * 300)
    written_page(tmp_path, [case])
    whole = (tmp_path / "report" / "index.html").stat().st_size
    written_page(tmp_path, [case], details=0)
    bare = (tmp_path / "report" / "index.html").stat().st_size
    library = 2_100_000
    assert whole - bare < library + 2_000_000
    assert library + 6 * (whole - bare - library) < 15_000_000


def test_no_case_two_of_a_name_and_two_grids_are_refused(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    path = tmp_path / "report" / "index.html"
    with pytest.raises(InputError, match="no case"):
        write_report(path, [], PUBLIC_CARDIAC_CT, "A repair")
    with pytest.raises(InputError, match="two cases named 'heart'"):
        write_report(path, [case, case], PUBLIC_CARDIAC_CT, "A repair")
    other = make_case(tmp_path, "other", after=repaired()[:, :, :-1])
    with pytest.raises(InputError, match="other_after.nii.gz: found a grid of"):
        write_report(path, [case, other], PUBLIC_CARDIAC_CT, "A repair")
    assert not path.exists()


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(tmp_path)
    path = tmp_path / "report" / "index.html"
    write_file(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_report(path, [case], PUBLIC_CARDIAC_CT, "A repair")
    assert path.read_text() == "old"
    assert [file.name for file in entries(path.parent.iterdir())] == ["index.html"]
