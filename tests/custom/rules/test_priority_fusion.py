from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART, adjusted
from custom.errors import InputError
from custom.rules.priority_fusion import PriorityFusion, fuse

# Requirement A2.1, letter by letter.
REQUIRED = ("Coronary", "LAA", "PV", "LA", "LV", "Myocardium", "Aorta", "RA", "RV", "PA")
SHAPE = (3, 5, 7)


def one_voxel(*place: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[place] = True
    return mask


@pytest.mark.parametrize(("higher", "lower"), list(combinations(REQUIRED, 2)))
def test_of_each_pair_the_one_named_first_in_the_requirement_wins(higher: str, lower: str) -> None:
    masks = {lower: one_voxel(1, 2, 3) | one_voxel(0, 0, 1), higher: one_voxel(1, 2, 3) | one_voxel(2, 4, 6)}
    labels = fuse(masks, PUBLIC_CARDIAC_CT)
    assert labels[1, 2, 3] == PUBLIC_CARDIAC_CT[higher].index
    assert labels[0, 0, 1] == PUBLIC_CARDIAC_CT[lower].index
    assert labels[2, 4, 6] == PUBLIC_CARDIAC_CT[higher].index
    assert np.count_nonzero(labels) == 3


def test_a_voxel_claimed_by_all_goes_to_the_coronary() -> None:
    labels = fuse({name: np.ones(SHAPE, dtype=bool) for name in REQUIRED}, PUBLIC_CARDIAC_CT)
    assert (labels == 9).all()


def test_names_in_any_case_and_absent_or_empty_structures_are_understood() -> None:
    labels = fuse({"lv": one_voxel(0, 1, 2).astype(np.uint8) * 255, "PA": np.zeros(SHAPE)}, PUBLIC_CARDIAC_CT)
    assert labels.dtype == np.uint8
    assert labels.sum() == labels[0, 1, 2] == 3


def test_the_masks_stay_as_they_are() -> None:
    mask = one_voxel(0, 1, 2)
    before = mask.copy()
    fuse({"LV": mask, "LA": np.ones(SHAPE, dtype=bool)}, PUBLIC_CARDIAC_CT)
    np.testing.assert_array_equal(mask, before)


def test_no_mask_different_shapes_or_an_unknown_name_are_refused() -> None:
    with pytest.raises(ValueError, match="0 shapes"):
        fuse({}, PUBLIC_CARDIAC_CT)
    with pytest.raises(ValueError, match="2 shapes"):
        fuse({"LV": np.zeros(SHAPE), "LA": np.zeros((3, 5, 11))}, PUBLIC_CARDIAC_CT)
    with pytest.raises(InputError, match="LVV"):
        fuse({"LVV": np.zeros(SHAPE)}, PUBLIC_CARDIAC_CT)


def random_masks() -> torch.Tensor:
    return torch.rand(2, len(REQUIRED), *SHAPE)


def test_the_network_gives_what_the_function_gives() -> None:
    probabilities = random_masks()
    fused = PriorityFusion()(probabilities)
    assert fused.shape == (2, 1, *SHAPE)
    assert fused.dtype == torch.uint8
    for case in range(2):
        masks = {name: probabilities[case, index - 1].numpy() > 0.5 for index, name in _channels()}
        np.testing.assert_array_equal(fused[case, 0].numpy(), fuse(masks, PUBLIC_CARDIAC_CT))


def _channels() -> list[tuple[int, str]]:
    return sorted((structure.index, structure.name) for structure in PUBLIC_CARDIAC_CT)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_masks_of_any_type_give_the_same_map(dtype: torch.dtype) -> None:
    inside = random_masks() > 0.7
    torch.testing.assert_close(PriorityFusion()(inside.to(dtype)), PriorityFusion()(inside.float()))


def test_the_threshold_itself_and_what_is_not_a_number_are_outside() -> None:
    probabilities = torch.zeros(1, 10, 1, 1, 3)
    probabilities[0, 2, 0, 0] = torch.tensor([0.5, 0.5001, torch.nan])
    assert PriorityFusion()(probabilities).flatten().tolist() == [0, 3, 0]
    assert PriorityFusion(threshold=0.4)(probabilities).flatten().tolist() == [3, 3, 0]


def test_another_table_has_other_channels_and_ranks() -> None:
    everything = torch.ones(1, 5, *SHAPE)
    assert PriorityFusion("totalsegmentator_heart")(everything).unique().tolist() == [5]
    atrium_first = adjusted(TOTALSEGMENTATOR_HEART, {"heart_atrium_left": {"rank": 0}, "5": {"rank": 9}})
    assert PriorityFusion(atrium_first)(everything).unique().tolist() == [1]
    with pytest.raises(ValueError, match=r"wanted \[batch, 5, i, j, k\]"):
        PriorityFusion("totalsegmentator_heart")(torch.ones(1, 10, *SHAPE))


def test_it_has_no_parameters_and_takes_a_case_beside_the_masks() -> None:
    network = PriorityFusion()
    assert not list(network.parameters()) and not network.state_dict()
    masks = random_masks()
    torch.testing.assert_close(network(masks, index=torch.tensor([1, 2])), network(masks))


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_the_exported_program_gives_the_same_map(dtype: torch.dtype) -> None:
    masks = (random_masks() > 0.6).to(dtype)
    program = torch.export.export(PriorityFusion(), (masks,))
    torch.testing.assert_close(program.module()(masks), PriorityFusion()(masks))


class _Largest(TorchDispatchMode):
    """The size of the largest tensor that operations allocate beside those that were there."""

    def __init__(self, known: torch.Tensor) -> None:
        super().__init__()
        self.known = known.untyped_storage().data_ptr()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if result.untyped_storage().data_ptr() != self.known:
            self.bytes = max(self.bytes, result.nelement() * result.element_size())
        return result


def test_it_holds_no_second_copy_of_its_input() -> None:
    masks = random_masks()
    with _Largest(masks) as largest:
        PriorityFusion()(masks)
    assert largest.bytes == masks[:, 0].nelement()  # one byte a voxel
