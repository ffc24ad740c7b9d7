"""Ten probabilities become one label, by thresholds and priority."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.rules.priority_decision import Calibration, PriorityDecision

TABLE = PUBLIC_CARDIAC_CT
CHANNEL = {name: channel for channel, name in enumerate(TABLE.names)}


def asked(decision: PriorityDecision, **probability: float) -> int:
    """The label of one voxel."""
    image = torch.zeros(1, len(TABLE), 1, 1, 1)
    for name, value in probability.items():
        image[0, CHANNEL[name]] = value
    return int(decision(image))


def test_the_highest_priority_that_reaches_its_threshold_wins() -> None:
    decision = PriorityDecision()
    assert asked(decision, LV=0.9, Myocardium=0.8) == TABLE["LV"].index
    assert asked(decision, LV=0.99, Coronary=0.5) == TABLE["Coronary"].index
    assert asked(decision, LV=0.99, Coronary=0.49) == TABLE["LV"].index
    assert asked(decision, LV=0.49) == 0


@pytest.mark.parametrize("one", range(10))
def test_every_pair_is_decided_by_rank(one: int) -> None:
    ranked = [structure.name for structure in TABLE.by_rank]
    for other in range(one + 1, 10):
        assert asked(PriorityDecision(), **{ranked[one]: 0.6, ranked[other]: 0.9}) == TABLE[ranked[one]].index


def test_each_structure_has_its_own_threshold() -> None:
    decision = PriorityDecision(thresholds={"coronary": 0.3, "LV": 0.7})
    assert asked(decision, Coronary=0.3, LV=0.9) == TABLE["Coronary"].index
    assert asked(decision, LV=0.6, PA=0.5) == TABLE["PA"].index


def test_the_fallback_takes_the_best_that_is_likelier_than_not() -> None:
    high = {"LV": 0.8, "RA": 0.8}
    assert asked(PriorityDecision(thresholds=high), LV=0.6, RA=0.7) == 0
    assert asked(PriorityDecision(thresholds=high, fallback="best"), LV=0.6, RA=0.7) == TABLE["RA"].index
    assert asked(PriorityDecision(thresholds=high, fallback="best"), LV=0.4) == 0


def test_a_volume_is_decided_voxel_by_voxel() -> None:
    image = torch.zeros(2, len(TABLE), 3, 5, 7)
    image[0, CHANNEL["LA"], 1] = 0.9
    image[1, CHANNEL["PV"], :, 2] = 0.9
    labels = PriorityDecision()(image)
    assert labels.shape == (2, 1, 3, 5, 7) and labels.dtype == torch.uint8
    assert int((labels[0] == TABLE["LA"].index).sum()) == 35 and int((labels[1] == TABLE["PV"].index).sum()) == 21


def test_it_has_no_parameters_and_can_be_exported() -> None:
    decision = PriorityDecision()
    assert not list(decision.parameters())
    image = torch.rand(1, len(TABLE), 3, 5, 7)
    exported = torch.export.export(decision, (image,)).module()
    assert torch.equal(exported(image), decision(image))


def test_what_cannot_be_a_setting_is_refused() -> None:
    with pytest.raises(InputError, match="fallback"):
        PriorityDecision(fallback="nearest")
    with pytest.raises(InputError, match="threshold of LV: found 1.0"):
        PriorityDecision(thresholds={"LV": 1.0})
    with pytest.raises(InputError, match="Did you mean"):
        PriorityDecision(thresholds={"Coronar": 0.4})


def test_calibration_finds_the_threshold_that_overlaps_best() -> None:
    generator = np.random.default_rng(0)
    labels = np.zeros((11, 13, 17), dtype=np.uint8)
    labels[2:7, 3:9, 4:12] = TABLE["LA"].index
    probability = np.zeros((len(TABLE), *labels.shape))
    own = labels == TABLE["LA"].index
    # Inside the answers lie above 0.3, outside below: one half would lose a part of it.
    probability[CHANNEL["LA"]] = np.where(own, 0.31, 0.0) + generator.uniform(0, 0.29, labels.shape)
    calibration = Calibration(TABLE)
    calibration.take(probability, labels)
    thresholds = calibration.thresholds()
    assert thresholds["LA"] == pytest.approx(0.31, abs=0.015)
    decided = PriorityDecision(thresholds=thresholds)(torch.from_numpy(probability)[None])[0, 0].numpy()
    np.testing.assert_array_equal(decided, labels)
    assert thresholds["LV"] == 0.5  # absent: nothing to learn from


def test_calibration_adds_cases_up_and_stays_within_its_limits() -> None:
    labels = np.full((3, 5, 7), TABLE["PV"].index, dtype=np.uint8)
    probability = np.zeros((len(TABLE), 3, 5, 7))
    probability[CHANNEL["PV"]] = 0.1
    calibration = Calibration(TABLE)
    calibration.take(probability, labels)
    probability[CHANNEL["PV"]] = 0.9
    calibration.take(probability, labels)
    assert calibration.inside.sum() == 2 * labels.size
    assert calibration.thresholds()["PV"] == 0.5
    assert calibration.thresholds(least=0.05)["PV"] == pytest.approx(0.1)
