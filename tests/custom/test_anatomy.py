"""The tables of structures say what the requirements say, and answer by name and by index."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, TABLES, TOTALSEGMENTATOR_HEART, table
from custom.errors import InputError

EVERY_TABLE = pytest.mark.parametrize("labels", TABLES.values(), ids=TABLES.keys())


def test_there_are_two_tables_under_their_own_names():
    assert TABLES == {"public_cardiac_ct": PUBLIC_CARDIAC_CT, "totalsegmentator_heart": TOTALSEGMENTATOR_HEART}
    assert all(labels.name == name for name, labels in TABLES.items())


def test_fusion_goes_from_coronary_to_pulmonary_artery():
    ranked = [structure.name for structure in PUBLIC_CARDIAC_CT.by_rank]
    assert ranked == ["Coronary", "LAA", "PV", "LA", "LV", "Myocardium", "Aorta", "RA", "RV", "PA"]


def test_ten_structures_have_the_indices_of_the_data_set():
    names = ["Myocardium", "LA", "LV", "RA", "RV", "Aorta", "PA", "LAA", "Coronary", "PV"]
    assert {s.index: s.name for s in PUBLIC_CARDIAC_CT} == dict(enumerate(names, start=1))
    assert PUBLIC_CARDIAC_CT.names == tuple(names)
    assert PUBLIC_CARDIAC_CT.indices == tuple(range(1, 11))
    assert len(PUBLIC_CARDIAC_CT) == 10


def test_aorta_coronary_and_veins_keep_two_components_the_others_one():
    assert {s.name for s in PUBLIC_CARDIAC_CT if s.components == 2} == {"Aorta", "Coronary", "PV"}
    assert {s.components for s in PUBLIC_CARDIAC_CT} == {1, 2}


def test_appendage_and_veins_touch_the_atrium_and_coronaries_the_wall_or_the_aorta():
    touches = {s.name: set(s.touches) for s in PUBLIC_CARDIAC_CT if s.touches}
    assert touches == {"LAA": {"LA"}, "PV": {"LA"}, "Coronary": {"Myocardium", "Aorta"}}


def test_appendage_coronaries_and_veins_are_thin():
    assert {s.name for s in PUBLIC_CARDIAC_CT if s.thin} == {"LAA", "Coronary", "PV"}


@EVERY_TABLE
def test_indices_ranks_names_and_colours_are_unique(labels):
    for values in (
        labels.indices,
        [structure.rank for structure in labels],
        [name.lower() for name in labels.names],
        [structure.color for structure in labels],
    ):
        assert len(set(values)) == len(labels) > 0


@EVERY_TABLE
def test_values_lie_in_their_range(labels):
    assert sorted(structure.rank for structure in labels) == list(range(len(labels)))
    assert all(1 <= index <= 255 for index in labels.indices)  # 0 is background, a map holds bytes
    assert all(structure.components >= 1 for structure in labels)
    assert all(0 <= channel <= 255 for structure in labels for channel in structure.color)


@EVERY_TABLE
def test_contacts_name_other_structures_of_the_same_table(labels):
    for structure in labels:
        assert set(structure.touches) <= set(labels.names) - {structure.name}


@EVERY_TABLE
def test_every_structure_answers_to_its_name_in_any_case_and_to_its_index(labels):
    for structure in labels:
        for key in (structure.name, structure.name.upper(), structure.name.lower(), structure.index):
            assert labels[key] is structure


@pytest.mark.parametrize(
    ("key", "hint"),
    [("Coronaries", "'Coronary'"), ("myocardum", "'Myocardium'"), ("LVV", "'LV'"), ("aortic", "'Aorta'")],
)
def test_an_unknown_name_gets_the_nearest(key, hint):
    with pytest.raises(InputError, match=f"table 'public_cardiac_ct': found '{key}'; .*Did you mean {hint}"):
        PUBLIC_CARDIAC_CT[key]


@pytest.mark.parametrize("key", ["xyz", 0, 11, ""])
def test_a_key_near_to_nothing_gets_the_list(key):
    with pytest.raises(InputError, match="wanted one of 1 Myocardium, 2 LA, .* 10 PV. Choose one of them"):
        PUBLIC_CARDIAC_CT[key]


def test_a_table_is_found_by_name_and_passes_as_itself():
    assert table() is PUBLIC_CARDIAC_CT
    assert table("totalsegmentator_heart") is TOTALSEGMENTATOR_HEART
    assert table(TOTALSEGMENTATOR_HEART) is TOTALSEGMENTATOR_HEART
    with pytest.raises(InputError, match="found 'hearts'; wanted one of public_cardiac_ct, totalsegmentator_heart"):
        table("hearts")


def test_a_structure_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PUBLIC_CARDIAC_CT["LV"].rank = 0
