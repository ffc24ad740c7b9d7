"""What was completed stands out in the picture from what was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from benchmarks.completion_picture import bodies, completion_picture
from custom.anatomy import PUBLIC_CARDIAC_CT
from tests.folder_entries import entries

LA, AORTA = (PUBLIC_CARDIAC_CT[name] for name in ("LA", "Aorta"))


def heart() -> np.ndarray:
    labels = np.zeros((13, 17, 19), np.uint8)
    labels[3:10, 4:8, 5:12], labels[3:10, 9:13, 5:12] = LA.index, AORTA.index
    return labels


def test_a_given_structure_is_paler_than_a_completed_one() -> None:
    plain, pale = ({body.color for body in bodies(heart(), given)} for given in ((), (LA.index,)))
    kept = plain & pale
    assert kept == {tuple((np.asarray(AORTA.color) / 255).tolist())}
    (faded,) = pale - kept
    assert np.ptp(faded) < np.ptp(np.asarray(LA.color) / 255)


def test_the_picture_shows_three_hearts(tmp_path: Path) -> None:
    whole = heart()
    given = np.where(whole == LA.index, whole, 0).astype(np.uint8)
    completion_picture(given, whole, whole, np.diag([1.5, 1.5, 1.5, 1.0]), tmp_path / "heart.png")
    picture = imread(tmp_path / "heart.png")[:, :, :3]
    inked = [(third < 0.9).any(axis=2).sum() for third in np.array_split(picture, 3, axis=1)]
    assert inked[0] < 0.8 * inked[1] and abs(int(inked[1]) - int(inked[2])) < 0.05 * inked[2]
    assert [path.name for path in entries(tmp_path.iterdir())] == ["heart.png"]
