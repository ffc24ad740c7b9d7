"""A teacher answers in its own frame: the same place of the world, whatever the box of the heart."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import field_of, pack
from custom.near.teacher_points import RandTeacherPointsd, TeacherPointPoold
from custom.near.teachers import NO_TEACHER, Teacher, Teachers, in_box
from custom.sampling.partial_labels import UNKNOWN
from custom.sampling.whole_heart_points import HeartPlacesd
from custom.space import Frame
from custom.training.checkpoint_file import save_atomically

NETWORK: dict[str, Any] = {"trunk_channels": [4], "latent_size": 2, "code_side": 3, "widths": [8, 8, 8, 8]}
CHANNEL = {name: channel for channel, name in enumerate(PUBLIC_CARDIAC_CT.names)}
SHAPE = (31, 29, 23)
GRID = np.array([[2.0, 0, 0, -11.0], [0, 3.0, 0, 7.0], [0, 0, 1.5, 40.0], [0, 0, 0, 1.0]])
FLIPPED = np.array([[-2.0, 0, 0, 49.0], [0, 3.0, 0, 7.0], [0, 0, 1.5, 40.0], [0, 0, 0, 1.0]])
"""The same voxels of the world, counted from the other side along i."""

ROI = Frame(GRID, SHAPE, (10, 5, 3), (20, 15, 9))
"""Unit x runs from i 10 to 20: world 9 to 29 mm."""


class Ramp(NearField):
    """A field whose logit is twelve times unit x."""

    def asked(self, row: int) -> Callable[[Tensor], Tensor]:
        return lambda points_unit: 12 * points_unit[:, 0]


def write_teacher(folder: Path, structure: str, frames: dict[str, Frame], label_table: str | None = None) -> NearField:
    field = NearField(len(frames), **NETWORK)
    torch.nn.init.normal_(field.codes.table.weight)
    content = pack(
        field, structure, label_table or PUBLIC_CARDIAC_CT.name, list(frames), frames, {"network": dict(NETWORK)}
    )
    save_atomically(content, folder / structure / "best.pt")
    return field


@pytest.fixture
def ramp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Teachers:
    write_teacher(tmp_path, "LV", {"one": ROI, "lacking": Frame(GRID, SHAPE, (0, 0, 0), (-1, -1, -1))})
    monkeypatch.setattr(Teacher, "field", lambda self, case: Ramp(1, **NETWORK))
    return Teachers(tmp_path)


def along_x(*x_mm: float) -> np.ndarray:
    """World points in the middle of the region of interest along y and z."""
    return np.array([[x, 7 + 3 * 10.0, 40 + 1.5 * 6] for x in x_mm])


def test_a_world_point_is_asked_at_its_place_in_the_teachers_own_box(ramp: Teachers) -> None:
    answers = ramp.ask("one", along_x(9.0, 14.0, 19.0, 21.5, 29.0))[CHANNEL["LV"]]
    wanted = 1 / (1 + np.exp(-12 * np.array([-1.0, -0.5, 0.0, 0.25, 1.0])))
    np.testing.assert_allclose(answers, wanted, rtol=1e-5)


def test_outside_of_its_box_a_teacher_says_zero(ramp: Teachers) -> None:
    """Half a voxel, 1 mm, around the outermost centres still belongs to the box, at its edge's value."""
    answers = ramp.ask("one", along_x(-300.0, 7.9, 8.1, 29.9, 30.1, 300.0))[CHANNEL["LV"]]
    assert (answers[[0, 1, 4, 5]] == 0).all()
    np.testing.assert_allclose(answers[[2, 3]], 1 / (1 + np.exp([12.0, -12.0])), rtol=1e-4)
    beside = along_x(29.0)
    beside[0, 1] = 7 + 3 * 16.0
    assert ramp.ask("one", beside)[CHANNEL["LV"]] == 0


def test_a_case_without_the_structure_is_zero_everywhere(ramp: Teachers) -> None:
    assert (ramp.ask("lacking", along_x(9.0, 19.0, 29.0))[CHANNEL["LV"]] == 0).all()


def test_structures_without_a_teacher_and_cases_it_does_not_know_are_not_answered(
    ramp: Teachers, caplog: pytest.LogCaptureFixture
) -> None:
    answers = ramp.ask("one", along_x(19.0))
    assert [name for name in CHANNEL if answers[CHANNEL[name], 0] != NO_TEACHER] == ["LV"]
    assert (ramp.ask("another", along_x(19.0)) == NO_TEACHER).all()
    assert "another: the teachers of LV do not know it" in caplog.text


def test_a_box_one_voxel_thick_ends_half_a_voxel_beyond_it() -> None:
    thin = Frame(np.eye(4), (5, 7, 11), (2, 3, 4), (2, 5, 6))
    inside = in_box(thin, np.array([[1.4, 4, 5], [1.6, 4, 5], [2.4, 4, 5], [2.6, 4, 5.0]]))
    assert inside.tolist() == [False, True, True, False]


def test_a_teacher_is_the_trained_field_of_the_case_by_its_name(tmp_path: Path) -> None:
    frames = {"one": ROI, "two": ROI, "three": ROI}
    field = write_teacher(tmp_path, "PA", frames)
    points_mm = ROI.unit_to_world(2 * np.random.default_rng(0).random((101, 3)) - 1)
    for row, case in enumerate(frames):
        answers = Teachers(tmp_path).ask(case, points_mm)[CHANNEL["PA"]]
        unit = torch.from_numpy(ROI.ijk_to_unit((points_mm - GRID[:3, 3]) / np.diag(GRID)[:3])).float()
        with torch.no_grad():
            wanted = torch.sigmoid(field.eval().asked(row)(unit)).numpy()
        np.testing.assert_allclose(answers, wanted, atol=1e-5)


def test_teachers_learn_nothing(tmp_path: Path) -> None:
    write_teacher(tmp_path, "PA", {"one": ROI})
    asked = Teachers(tmp_path)
    before = field_of(torch.load(tmp_path / "PA" / "best.pt", weights_only=True)).state_dict()
    asked.ask("one", along_x(19.0))
    model = asked.teacher("PA").model
    assert all(torch.equal(before[key], model[key]) for key in before)
    assert not any(value.requires_grad for value in model.values())


@pytest.mark.parametrize("affine", [GRID, FLIPPED], ids=["RAS", "LAS"])
def test_the_pool_of_a_heart_holds_what_the_teacher_says_at_those_places_of_the_world(
    ramp: Teachers, affine: np.ndarray
) -> None:
    heart = Frame(affine, SHAPE, (2, 1, 0), (27, 24, 18))
    item = TeacherPointPoold("label", ramp, points=997)(heart_item(heart))
    pool, taught = item["label_pool"].numpy(), item["label_taught"].numpy()
    assert pool.shape == (3, 997) and taught.shape == (10, 997)
    points_mm = heart.unit_to_world(pool.T.astype(np.float64))
    inside = ((points_mm >= [8, 20.5, 43.75]) & (points_mm <= [30, 53.5, 54.25])).all(axis=1)
    wanted = np.where(inside, 1 / (1 + np.exp(-12 * np.clip((points_mm[:, 0] - 19) / 10, -1, 1))), 0)
    assert 20 < inside.sum() < 977
    np.testing.assert_allclose(taught[CHANNEL["LV"]].astype(np.float64), wanted, atol=2e-3)
    assert (taught[CHANNEL["PV"]] == NO_TEACHER).all()


def heart_item(frame: Frame) -> dict[str, Any]:
    labels = np.zeros(frame.unit_shape, dtype=np.uint8)
    labels[4:12, 5:16, 6:19] = PUBLIC_CARDIAC_CT["LV"].index
    item = {"label": torch.from_numpy(labels)[None], "label_frame": frame.to_dict(), "index": 0, "case": "one"}
    return HeartPlacesd("label")(item)


def drawn_from(pool: int, points: int, epoch: int = 1) -> dict[str, Any]:
    item = {
        "image": torch.zeros(3, 5),
        "label": torch.full((10, 5), 0.25),
        "index": 3,
        "label_pool": torch.arange(3.0 * pool).reshape(3, pool),
        "label_taught": (torch.arange(10.0 * pool).reshape(10, pool) / 1000).half(),
    }
    draw = RandTeacherPointsd("label", points)
    draw.set_epoch(epoch)
    return draw(item)


def test_drawn_points_stand_behind_the_labelled_ones_and_neither_answers_for_the_other() -> None:
    item = drawn_from(pool=23, points=7)
    assert item["image"].shape == (3, 12) and item["label"].shape == (20, 12)
    assert (item["label"][:10, :5] == 0.25).all() and (item["label"][10:, :5] == UNKNOWN).all()
    assert (item["label"][:10, 5:] == UNKNOWN).all()
    chosen = item["image"][0, 5:].long()
    wanted = (torch.arange(10)[:, None] * 23 + chosen) / 1000
    assert torch.allclose(item["label"][10:, 5:], wanted, atol=1e-3)
    assert set(item) == {"image", "label", "index"}


def test_a_draw_from_the_pool_depends_on_the_epoch() -> None:
    assert torch.equal(drawn_from(997, 7)["image"], drawn_from(997, 7)["image"])
    assert not torch.equal(drawn_from(997, 7)["image"], drawn_from(997, 7, epoch=2)["image"])


def test_with_no_points_asked_for_the_pool_is_dropped_and_nothing_added() -> None:
    item = drawn_from(pool=23, points=0)
    assert item["label"].shape == (10, 5) and set(item) == {"image", "label", "index"}


def test_without_teachers_there_is_no_pool() -> None:
    item = heart_item(ROI)
    assert set(TeacherPointPoold("label", Teachers())(item)) == set(item)


def test_teachers_of_the_same_files_are_the_same_to_a_stored_result(tmp_path: Path) -> None:
    write_teacher(tmp_path, "PA", {"one": ROI})
    asked = Teachers(tmp_path)
    before = pickle.dumps(asked)
    asked.ask("one", along_x(19.0))
    assert pickle.dumps(asked) == before
    write_teacher(tmp_path, "LV", {"one": ROI})
    assert pickle.dumps(Teachers(tmp_path)) != before


def test_a_folder_without_fields_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no STRUCTURE/best.pt in it"):
        Teachers(tmp_path)


def test_a_field_of_another_structure_or_table_is_refused(tmp_path: Path) -> None:
    write_teacher(tmp_path, "PA", {"one": ROI})
    (tmp_path / "PA").rename(tmp_path / "LV")
    with pytest.raises(InputError, match="found a field of PA; wanted a field of LV"):
        Teachers(tmp_path).ask("one", along_x(19.0))
    write_teacher(tmp_path, "LV", {"one": ROI}, label_table="totalsegmentator_heart")
    with pytest.raises(InputError, match="a field of the table totalsegmentator_heart"):
        Teachers(tmp_path).ask("one", along_x(19.0))
