"""What is hidden of a heart: by chance, by scheme, by subset; something is always shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from custom.completion.hide_structures import SCHEMES, StructureHider
from custom.errors import InputError

NAMES = PUBLIC_CARDIAC_CT.names
ALL = np.ones(10, dtype=bool)


def shown_by(hiding: StructureHider, valid: np.ndarray = ALL, draws: int = 300) -> list[set[str]]:
    generator = np.random.default_rng(7)
    rows = [hiding.draw(generator, valid) for _ in range(draws)]
    return [{name for name, there in zip(NAMES, row, strict=True) if there} for row in rows]


def test_in_the_first_phase_all_is_shown() -> None:
    assert all(shown == set(NAMES) for shown in shown_by(StructureHider()))


def test_two_to_five_are_hidden_each_as_often_as_any_other() -> None:
    draws = shown_by(StructureHider((2, 5)), draws=2000)
    assert {len(NAMES) - len(shown) for shown in draws} == {2, 3, 4, 5}
    often = [sum(name not in shown for shown in draws) / len(draws) for name in NAMES]
    assert min(often) > 0.3 and max(often) < 0.4


def test_a_scheme_hides_its_structures_and_no_other() -> None:
    for scheme, names in SCHEMES.items():
        assert shown_by(StructureHider(schemes=[scheme], scheme_share=1.0), draws=3) == [set(NAMES) - set(names)] * 3


def test_structures_joined_by_a_plus_are_a_scheme() -> None:
    assert shown_by(StructureHider(schemes=["LA+laa"], scheme_share=1), draws=1) == [set(NAMES) - {"LA", "LAA"}]


def test_either_of_two_subsets_is_shown_alone() -> None:
    halves = ["Myocardium+LA+LV+RA+RV", "Aorta+PA+LAA+Coronary+PV"]
    seen = {frozenset(shown) for shown in shown_by(StructureHider(subsets=halves, subset_share=1.0))}
    assert seen == {frozenset(half.split("+")) for half in halves}


def test_shares_are_shares_of_the_draws() -> None:
    hiding = StructureHider((1, 1), ["no_great_vessels"], 0.3, ["LV+RV"], 0.5)
    sizes = [len(shown) for shown in shown_by(hiding, draws=4000)]
    assert [round(sizes.count(size) / 4000, 1) for size in (7, 2, 9)] == [0.3, 0.5, 0.2]


def test_what_is_not_labelled_is_never_shown_and_one_structure_is_always_left() -> None:
    valid = np.asarray([name in ("LV", "RV", "PV") for name in NAMES])
    draws = shown_by(StructureHider((2, 8)), valid)
    assert {len(shown) for shown in draws} == {1}
    assert set().union(*draws) == {"LV", "RV", "PV"}


def test_a_draw_that_would_show_nothing_falls_back_to_chance() -> None:
    only_vessels = np.asarray([name in ("Aorta", "PA", "PV") for name in NAMES])
    hiding = StructureHider((1, 1), ["no_great_vessels"], 0.5, ["LV+RV"], 0.5)
    assert {len(shown) for shown in shown_by(hiding, only_vessels)} == {2}


def test_a_single_structure_is_shown_and_none_is_none() -> None:
    one = np.asarray([name == "LV" for name in NAMES])
    assert shown_by(StructureHider((2, 5)), one, 5) == [{"LV"}] * 5
    assert shown_by(StructureHider((2, 5)), ~ALL, 2) == [set(), set()]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schemes": ["no_hearts"], "scheme_share": 1.0}, "--hidden_schemes: found 'no_hearts'"),
        ({"subsets": ["LV+Liver"], "subset_share": 1.0}, r"--shown_subsets: found 'LV\+Liver'"),
        ({"counts": (5, 2)}, r"--hidden_counts: found \[5, 2\]"),
        ({"scheme_share": 0.5}, "--scheme_share: found 0.5 of none"),
        (
            {"schemes": ["no_atria"], "scheme_share": 0.6, "subsets": ["LV"], "subset_share": 0.6},
            "shares of 0.6 and 0.6",
        ),
        ({"schemes": ["no_coronaries"], "scheme_share": 1.0, "label_table": TOTALSEGMENTATOR_HEART}, "no_coronaries"),
    ],
)
def test_what_cannot_be_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        StructureHider(**settings)
