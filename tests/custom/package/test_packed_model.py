"""Cases of a package, drawn: the same labels as from the checkpoint itself, on any grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nibabel.affines import voxel_sizes
from safetensors.torch import load_file, save_file

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.near.heart_inferer import HeartInferer
from custom.near.output_grid import OutputGrids
from custom.package import load
from custom.package.manifest import CODES_FILE
from custom.package.pack import run_pack
from custom.rules.priority_decision import PriorityDecision
from custom.space import Frame
from custom.volumes.roi import paste
from tests.custom.package.package_helpers import CASES, FRAMES, STRAIGHT, THRESHOLDS, lively, resealed, save_run


def expected(case: str, spacing_mm: float | None = None) -> np.ndarray:
    """From the field with all codes."""
    canvases = OutputGrids(list(FRAMES.values()), spacing_mm)
    row = CASES.index(case)
    decision = PriorityDecision(PUBLIC_CARDIAC_CT, THRESHOLDS)
    labels = HeartInferer(canvases, decision, bf16=True)(torch.tensor([row]), lively(len(CASES)).eval())[0, 0].numpy()
    canvas = canvases[row]
    return np.zeros(canvas.shape, np.uint8) if canvas.empty else paste(labels, canvas)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("spacing_mm", [None, 0.9])
def test_a_case_is_drawn_as_from_the_field_with_all_codes(case: str, spacing_mm: float | None, packed: Path) -> None:
    heart = load(packed).render(case, spacing_mm)
    assert heart.labels.dtype == np.uint8
    assert np.array_equal(heart.labels, expected(case, spacing_mm))
    assert len(np.unique(heart.labels)) > 5 or case == "empty"
    if spacing_mm is None:
        assert heart.labels.shape == FRAMES[case].shape and np.array_equal(heart.affine, FRAMES[case].affine)
    else:
        assert np.allclose(voxel_sizes(heart.affine), spacing_mm)
        frame = FRAMES[case]
        middles = [
            affine[:3, :3] @ ((np.asarray(shape) - 1) / 2) + affine[:3, 3]
            for shape, affine in ((heart.labels.shape, heart.affine), (frame.shape, frame.affine))
        ]
        assert np.allclose(*middles)
        over = np.asarray(heart.labels.shape) * spacing_mm - np.asarray(frame.shape) * frame.spacing_mm
        assert (over > -1e-6).all() and (over < spacing_mm).all()


def test_cases_drawn_in_any_order_are_the_same(packed: Path) -> None:
    model = load(packed)
    first = {case: model.render(case).labels for case in CASES}
    assert all(np.array_equal(model.render(case).labels, first[case]) for case in reversed(CASES))
    assert not np.array_equal(first["007"][:29, :23], first["beyond"][:29, :23, :23])


def test_nothing_is_drawn_beyond_the_volume_and_nothing_of_background(packed: Path) -> None:
    model = load(packed)
    assert model.render("beyond").labels[:20].any()  # its box begins five voxels before the volume
    assert not model.render("empty").labels.any()


def test_one_code_is_read_for_one_case(model: Path) -> None:
    codes = load_file(model / CODES_FILE)
    codes["codes"][2:] = torch.nan
    save_file(codes, model / CODES_FILE)
    resealed(model)
    opened = load(model)
    assert opened.render("007").labels.any() and opened.render("beyond").labels.any()
    with pytest.raises(InputError, match="codes.safetensors: found NaN or infinite entries in code 3"):
        opened.render("patient_a")


def test_the_thresholds_and_the_fallback_of_the_package_decide(model: Path) -> None:
    before = load(model).render("007").labels
    resealed(model, thresholds=dict.fromkeys(PUBLIC_CARDIAC_CT.names, 0.99))
    strict = load(model).render("007").labels
    resealed(model, fallback="best")
    filled = load(model).render("007").labels
    assert 0 < (strict > 0).sum() < (before > 0).sum()
    assert np.array_equal(filled[strict > 0], strict[strict > 0]) and (filled > 0).sum() > (strict > 0).sum()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("patient_b", "Did you mean patient_a?"),
        ("07", "Did you mean 007?"),
        ("zzz", "Choose one of them, or all."),
        ("", "Choose one of them"),
    ],
)
def test_an_unknown_case_is_refused_with_the_nearest(case: str, said: str, packed: Path) -> None:
    with pytest.raises(InputError, match="wanted one of the 4 cases of .*: 007, beyond, empty, patient_a") as raised:
        load(packed).render(case)
    assert str(raised.value).startswith(f"--case: found {case!r}") and said in str(raised.value)


@pytest.mark.parametrize("spacing_mm", [0, -1.0, 0.01, float("nan"), float("inf"), True])
def test_a_spacing_that_is_none_is_refused(spacing_mm: Any, packed: Path) -> None:
    with pytest.raises(InputError, match="--spacing_mm: found .* wanted a number of mm of at least 0.05"):
        load(packed).render("007", spacing_mm)


def test_a_whole_number_of_mm_is_a_spacing(packed: Path) -> None:
    assert np.array_equal(load(packed).render("007", 2).labels, load(packed).render("007", 2.0).labels)


def test_a_grid_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    large = Frame(STRAIGHT, (512, 512, 512), (0, 0, 0), (9, 9, 9))
    run_pack(save_run(tmp_path / "run", frames={"large": large}), tmp_path / "model")
    model = load(tmp_path / "model")
    with pytest.raises(InputError, match="--spacing_mm: found a grid of 10240 x 7680 x 15360 voxels"):
        model.render("large", 0.1)
    assert model.render("large", 20).labels.shape == (52, 39, 77)
