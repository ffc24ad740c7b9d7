"""Pictures and page of hearts drawn from one slice."""

from __future__ import annotations

import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from custom.errors import InputError
from custom.metrics.slice_evaluation import read_answers
from custom.report.slice_evaluation_page import chosen_rows, write_drawn_report
from custom.report.slice_evaluation_pictures import (
    difference_picture,
    grid_picture,
    overlay_picture,
    places_seen,
    shown_slices,
    upright,
)
from custom.report.slice_pictures import ADDED, REMOVED
from custom.slices.slice_file import Slice
from tests.custom.report.evaluation_helpers import LV, TRUTH, box, case_volume, write_cache, write_evaluation
from tests.folder_entries import entries

COLOR = (0.8, 0.2, 0.25)


def test_a_slice_is_shown_with_the_head_up_and_the_right_on_the_left() -> None:
    picture = np.arange(6).reshape(2, 3)  # rows run to the patient's right, columns to the head
    np.testing.assert_array_equal(upright(picture), [[5, 2], [4, 1], [3, 0]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_pointmap_says_the_very_pixels_of_the_mask(axis: int) -> None:
    one = Slice.of(case_volume("s1"), axis, 6, "s1-sdf.npz")
    mask, _ = one.of_structure(LV)
    assert mask.any()
    np.testing.assert_array_equal(places_seen(one, LV), mask)


def test_a_pointmap_with_its_axes_swapped_says_others() -> None:
    one = Slice.of(case_volume("s1"), 0, 6, "s1-sdf.npz")
    wrong = replace(one, pointmap=one.pointmap[..., [0, 2, 1]].copy())
    assert not places_seen(wrong, LV).any()


def test_slices_are_spread_over_what_is_there_the_seen_one_among_them() -> None:
    assert shown_slices(box(*TRUTH), 1, 5) == [3, 4, 5, 6, 7]
    assert shown_slices(box(*TRUTH), 1, 1) == [1, 2, 3, 4, 5, 6, 7]
    whole = shown_slices(box(slice(0, 16), slice(3, 4), slice(3, 4)), 0, 6)
    assert len(whole) == 9 and 6 in whole and (whole[0], whole[-1]) == (0, 15)
    assert shown_slices(box(slice(0, 0)), 0, 6) == [6]


def test_too_much_and_missing_have_colours_of_their_own() -> None:
    drawn, truth = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    both, more, less, nothing = difference_picture(drawn, truth)[0]
    np.testing.assert_allclose(more, ADDED)
    np.testing.assert_allclose(less, REMOVED)
    assert both.min() > 0.7 and nothing.max() < 0.1


def colors_of(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png), format="png")[..., :3].reshape(-1, 3)


def pixels_like(png: bytes, color: tuple[float, float, float]) -> int:
    return int((np.abs(colors_of(png) - np.asarray(color)).max(axis=1) < 0.02).sum())


def test_the_grid_shows_what_is_missing_and_what_is_too_much() -> None:
    image, truth = case_volume("s1").image_hu, box(*TRUTH)
    moved = grid_picture(image, box(slice(5, 12), *TRUTH[1:]), truth, 1, 5, COLOR)
    assert pixels_like(moved, ADDED) == pytest.approx(pixels_like(moved, REMOVED), rel=0.1)
    assert pixels_like(moved, ADDED) > 500
    same = grid_picture(image, truth, truth, 1, 5, COLOR)
    assert pixels_like(same, ADDED) == pixels_like(same, REMOVED) == 0
    empty = grid_picture(image, box(slice(0, 0)), truth, 1, 5, COLOR)
    assert pixels_like(empty, REMOVED) > 500 and not pixels_like(empty, ADDED)
    assert grid_picture(image, box(slice(0, 0)), box(slice(0, 0)), 1, 5, COLOR)


def test_the_overlay_shows_the_mask_in_its_colour_and_equal_calls_give_equal_bytes() -> None:
    one = Slice.of(case_volume("s1"), 2, 7, "s1-sdf.npz")
    picture = overlay_picture(one, LV, box(*TRUTH), COLOR)
    assert picture == overlay_picture(one, LV, box(*TRUTH), COLOR)
    # A pixel of the left ventricle is at 350 HU, 0.786 of the window.
    tinted = 0.45 * 0.9 * (350 + 200) / 700 + 0.55 * np.asarray(COLOR)
    with_drawn = pixels_like(picture, tuple(tinted))
    without = pixels_like(overlay_picture(one, LV, box(slice(0, 0)), COLOR), tuple(tinted))
    assert 1.5 * without < with_drawn < 2.5 * without


class Tags(HTMLParser):
    """What a browser would find."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_holds_its_pictures_the_worst_first(tmp_path: Path) -> None:
    cache, folder = write_cache(tmp_path / "cache"), write_evaluation(tmp_path / "run", "UNTRAINED: flow")
    page = write_drawn_report(folder, cache)
    text = page.read_text(encoding="utf-8")
    tags = Tags(text)
    assert page == folder / "index.html"
    assert tags.found.count("img") == 4 and tags.found.count("details") == 2
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "UNTRAINED: flow" in text
    assert text.index(f"s1-{LV}-ax2-007") < text.index(f"s1-{LV}-ax0-006")
    assert "truth &lt;b&gt;" in text and "<b>:" not in text.replace("</b>:", "")
    made = sorted(path.name for path in entries((folder / "pictures").iterdir()))
    assert made == [
        f"s1-{LV}-ax0-006-grid.png",
        f"s1-{LV}-ax0-006-overlay.png",
        f"s1-{LV}-ax2-007-grid.png",
        f"s1-{LV}-ax2-007-overlay.png",
    ]


def test_no_picture_is_a_page_of_tables(tmp_path: Path) -> None:
    cache, folder = write_cache(tmp_path / "cache"), write_evaluation(tmp_path / "run")
    tags = Tags(write_drawn_report(folder, cache, pictures=0).read_text(encoding="utf-8"))
    assert tags.found.count("img") == 0 and tags.found.count("table") == 2
    assert not (folder / "pictures").exists()


def test_shown_questions_run_from_the_worst_to_the_best(tmp_path: Path) -> None:
    content = read_answers(write_evaluation(tmp_path) / "metrics.json")
    content["rows"] = [{**content["rows"][0], "dice": dice, "method": "lora"} for dice in (0.5, 0.1, 0.9, 0.7, 0.3)]
    assert [row["dice"] for row in chosen_rows(content, 3)] == [0.1, 0.5, 0.9]
    assert len(chosen_rows(content, 99)) == 5


def test_a_page_needs_an_evaluation_and_its_own_cache(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    with pytest.raises(InputError, match="Evaluate first"):
        write_drawn_report(tmp_path, cache)
    with pytest.raises(InputError, match="found no word of the slices asked about.*--reference"):
        write_drawn_report(write_evaluation(tmp_path / "run"))
    with pytest.raises(InputError, match="no slice"):
        write_drawn_report(write_evaluation(tmp_path / "run"), write_cache(tmp_path / "other", ("s7", "s8")))
