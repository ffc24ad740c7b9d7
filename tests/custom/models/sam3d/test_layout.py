"""The published sizes have the published names and shapes: a published file would load strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from custom.models.sam3d.conditioner import Conditioner
from custom.models.sam3d.embedders import PatchEmbedder, PointPatches
from custom.models.sam3d.flow_transformer import SparseFlow
from custom.models.sam3d.network_sizes import FULL
from custom.models.sam3d.occupancy_vae import StructureDecoder, StructureEncoder

FACTS = Path(__file__).resolve().parents[3] / "data" / "sparse_structure_layout.json"
BLOCKS = "{0-23}"


def published(part: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a part; a line with ``{0-23}`` stands for 24."""
    shapes = {}
    for name, shape in json.loads(FACTS.read_text(encoding="utf-8"))[part].items():
        for number in range(24) if BLOCKS in name else [0]:
            shapes[name.replace(BLOCKS, str(number))] = tuple(shape)
    return shapes


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def numbers_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("part", "kind", "tensors", "numbers"),
    [("encoder", StructureEncoder, 74, 59_298_192), ("decoder", StructureDecoder, 74, 73_671_201)],
)
def test_the_codec_has_the_published_names_and_shapes(
    part: str, kind: type[nn.Module], tensors: int, numbers: int
) -> None:
    with torch.device("meta"):
        module = kind(**FULL[part])
    assert shapes_of(module) == published(part)
    assert (len(published(part)), numbers_of(module)) == (tensors, numbers)


def test_the_flow_with_the_pose_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        module = SparseFlow(**FULL["flow"], pose=True)
    assert shapes_of(module) == published("flow")
    assert (len(published("flow")), numbers_of(module)) == (945, 959_962_133)


def test_the_flow_of_the_shape_alone_has_493_of_them_and_556_9_million_parameters() -> None:
    with torch.device("meta"):
        module = SparseFlow(**FULL["flow"])
    facts, shapes = published("flow"), shapes_of(module)
    assert {name: facts[name] for name in shapes} == shapes
    assert (len(shapes), numbers_of(module)) == (493, 556_856_328)


def test_the_embedder_of_points_and_the_fuser_have_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        points = PointPatches()
        module = Conditioner(PatchEmbedder(width=1024), PatchEmbedder(width=1024), points, width=1024, inner=2816)
    own = {name: shape for name, shape in shapes_of(module).items() if not name.startswith("module_list")}
    assert shapes_of(points) == published("points")
    assert own == published("fuser")
    assert (len(published("points")), len(own)) == (18, 16)
