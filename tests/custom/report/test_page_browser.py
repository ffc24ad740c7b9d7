"""In a real browser the page says nothing in anger, asks for nothing, draws its surfaces and sorts its tables.

Needs Chromium; ``CORFIELD_REQUIRE_CHROMIUM=1`` makes its absence a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.report.report_case import ReportCase
from custom.report.report_page import write_report
from tests.custom.report.chromium import NAMES, Chromium, chromium_path
from tests.custom.report.test_report_page import CHANGES, HOSTILE, make_case, repaired

pytestmark = pytest.mark.slow

DRAWN = "document.querySelectorAll('.case')[{}].querySelector('.viewer.drawn canvas')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine cases, the first by name hostile, in which ever more is lost; the second changes nothing."""
    folder = tmp_path_factory.mktemp("report")
    cases: list[ReportCase] = []
    for number in range(9):
        after = repaired()
        after[4 : 4 + number] = 0
        case = make_case(folder, HOSTILE if number == 8 else f"heart {number}", after=after)
        dice = 0.99 - 0.01 * number
        cases.append(replace(case, changes=CHANGES, measures={"LV": {"dice_before": 0.9, "dice_after": dice}}))
    path = folder / "index.html"
    write_report(path, cases, PUBLIC_CARDIAC_CT, "A repair")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = chromium_path()
    if program is None:
        found = f"none of {', '.join(NAMES)} on the path"
        if os.environ.get("CORFIELD_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"CORFIELD_REQUIRE_CHROMIUM is set, but there is {found}")
        pytest.skip(f"no Chromium: {found}")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Iterator[Chromium]:
    """The page with its first section drawn; whatever the test does, the console stays quiet and the network silent."""
    browser.open(page)
    browser.wait_for(DRAWN.format(0))
    yield browser
    assert browser.errors == []
    assert browser.requests == [page.as_uri()]


def colors_of(picture: np.ndarray) -> int:
    return len(np.unique(np.round(picture.reshape(-1, 3), 2), axis=0))


def looks(browser: Chromium, version: str) -> np.ndarray:
    browser.click(f"#case-0 [data-version={version}]")
    browser.wait_for(f"document.querySelector('#case-0 [data-version={version}]').ariaPressed === 'true'")
    return settled(browser)


def settled(browser: Chromium) -> np.ndarray:
    """The first case's 3-D view once two pictures of it are equal."""
    before = browser.picture("#case-0 .scene")
    for _ in range(50):
        now = browser.picture("#case-0 .scene")
        if np.array_equal(before, now):
            return now
        before = now
    raise TimeoutError("the view does not come to rest")


def test_the_surfaces_are_drawn_and_each_version_looks_different(opened: Chromium) -> None:
    change = settled(opened)
    before, after = looks(opened, "before"), looks(opened, "after")
    # The stage and some letters have fewer; shaded surfaces have many.
    assert min(colors_of(picture) for picture in (change, before, after)) > 60
    for one, other in ((change, before), (before, after), (after, change)):
        assert (np.abs(one - other).max(axis=-1) > 0.1).sum() > 200
    red = (after[..., 0] > 0.5) & (after[..., 1] < 0.4)
    opened.click("#case-0 [data-structure=LV]")
    hidden = settled(opened)
    assert red.sum() > 500
    assert ((hidden[..., 0] > 0.5) & (hidden[..., 1] < 0.4)).sum() < 0.05 * red.sum()


def test_a_click_on_the_ledger_points_at_the_place(opened: Chromium) -> None:
    opened.click("#case-0 .spots")
    unmarked = settled(opened)
    opened.click("#case-0 .ledger tbody tr")
    pointed = settled(opened)
    white = [(picture.min(axis=-1) > 0.95).sum() for picture in (unmarked, pointed)]
    assert white[1] > white[0] + 20


def test_a_click_on_a_heading_sorts_and_a_second_turns_the_order(opened: Chromium) -> None:
    names = opened.column("table.cases", 0)
    assert names[0] == HOSTILE and names[1:] == [f"heart {number}" for number in range(7, -1, -1)]
    opened.click("table.cases thead th:nth-child(2) button")
    most_first = opened.column("table.cases", 1)
    values = [int(value.replace("\u202f", "")) for value in most_first]
    assert values == sorted(values, reverse=True) and len(set(values)) == 9
    opened.click("table.cases thead th:nth-child(2) button")
    assert opened.column("table.cases", 1) == most_first[::-1]
    opened.click("table.cases thead th:nth-child(1) button")
    assert opened.column("table.cases", 0) == [HOSTILE, *(f"heart {number}" for number in range(8))]
    # A value that is missing stays last in both orders.
    for _ in range(2):
        opened.click("#structures thead tr:nth-child(2) th:nth-child(3) button")
        assert opened.column("#structures table", 0)[0] == "LV"


def test_a_section_is_drawn_when_opened_and_its_context_given_back(opened: Chromium) -> None:
    count = "document.querySelectorAll('.viewer.drawn').length"
    assert opened.evaluate(count) == 1
    for row in range(1, 9):
        opened.evaluate(f"document.getElementById('case-{row}').open = true")
        opened.wait_for(DRAWN.format(row))
    assert opened.evaluate(count) == 6
    assert opened.evaluate("document.querySelector('#case-0 .note button').textContent") == "Draw the surfaces again"
    opened.click("#case-0 .note button")
    opened.wait_for(DRAWN.format(0))
    opened.evaluate("document.getElementById('case-8').open = false")
    opened.wait_for(f"{count} === 5")


def test_a_link_of_the_table_opens_its_section(opened: Chromium) -> None:
    opened.click("a[href='#case-2']")
    opened.wait_for(DRAWN.format(2))
    assert opened.evaluate("document.querySelector('#case-2 h3').textContent") == "heart 6"
