"""Score a network's predictions beside baselines without one, volume by volume, and write the tables (C4, C5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from jaxtyping import Bool, Float
from nibabel.affines import voxel_sizes

from ...data.label_maps import write_label_map
from ...metrics.reconstruction import TOLERANCES_MM, reconstruction_score
from ...metrics.slice_evaluation import Answer, format_answers, question_name, write_answers
from ...models.lora import parameter_counts
from ...near.heart_meshes import mesh_of
from ...slices.obj_io import write_obj
from ...space import Frame
from ..shape_model import ShapeModel
from .evaluation_inferer import ABOUT, methods_of
from .evaluation_items import EvaluationItems
from .slice_baselines import MeanShape, NearestCase, PlacedMeanShape, TrainingShapes, extruded_slice

LOGGER = logging.getLogger(__name__)

Guess = Callable[[Bool[np.ndarray, "s s"], int, int, str], Bool[np.ndarray, "s s s"]]

ABOUT_GUESSES = {
    "mean_shape": "the training patients' mean shape, the same for everybody",
    "mean_shape_placed": "the mean shape, moved in the slice's plane to the mask's middle",
    "nearest_case": "the training case whose slice across the same axis overlaps most (IoU), moved along the axis",
    "extruded_slice": "the mask, as deep along the axis as a circle of its area is wide",
}


def baseline_predictors(shapes: TrainingShapes) -> dict[str, Guess]:
    """The baselines that need no network, by name."""
    return {
        "mean_shape": MeanShape(shapes),
        "mean_shape_placed": PlacedMeanShape(shapes),
        "nearest_case": NearestCase(shapes),
        "extruded_slice": lambda mask, axis, index, structure: extruded_slice(mask, axis, index),
    }


def model_facts(model: ShapeModel) -> dict[str, Any]:
    """The entries of ``metrics.json`` for a model: its stage, and of an adapted one how much of the flow the adapters
    are."""
    told: dict[str, Any] = {"stage": model.stage, "flow_parameters": 0, "adapter_parameters": 0, "adapter_share": 0.0}
    told["flow_parameters"] = parameter_counts(model.part("flow"))[1]
    if model.adapted:
        told["adapter_parameters"] = sum(tensor.numel() for tensor in model.adapters().values())
        told["adapter_share"] = told["adapter_parameters"] / told["flow_parameters"]
    return told


class EvaluationScoreHandler:
    """Score every prediction when it is there; at the end write ``metrics.json`` and ``metrics.csv``.

    As they come, ``predictions/NAME.nii.gz`` (the first method's volume, the structure's number inside, on the cube's
    grid and affine) and ``meshes/NAME.obj`` (its surface, world mm, where its probability passes a half) are written;
    NAME is :func:`custom.metrics.slice_evaluation.question_name`. An empty prediction is written as an empty volume and
    an empty mesh. A structure that a case lacks was not asked for (``unasked``), so that no truth is empty.

    Args:
        folder: of the evaluation.
        questions: the items of the evaluation.
        model: that is evaluated.
        shapes: of the training patients, for the answers that need no network.
        settings: what the numbers were made with, for ``metrics.json``.
        tolerances_mm: of the surface Dice.
        subvoxel: see :func:`custom.metrics.reconstruction.reconstruction_score`.
        meshes: whether to write meshes.
    """

    def __init__(
        self,
        folder: str | Path,
        questions: EvaluationItems,
        model: ShapeModel,
        shapes: TrainingShapes,
        settings: Mapping[str, Any] | None = None,
        tolerances_mm: Sequence[float | int] = TOLERANCES_MM,
        subvoxel: bool = False,
        meshes: bool = True,
    ) -> None:
        self.folder, self.questions, self.model = Path(folder), questions, model
        self.guesses, self.label_table = baseline_predictors(shapes), shapes.label_table
        self.settings, self.patients = dict(settings or {}), len(shapes.labels)
        self.tolerances_mm, self.subvoxel, self.meshes = tuple(map(float, tolerances_mm)), subvoxel, meshes
        self.answers: list[Answer] = []
        self.spacing_mm = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        self.answers = []
        if self.model.banner():
            LOGGER.warning(self.model.banner())

    def score(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for item, answered in zip(batch, output, strict=True):
            question = {name: item[name] for name in ("case", "patient", "structure")}
            question |= {name: int(item[name]) for name in ("axis", "slice_idx")}
            probabilities = np.asarray(answered["answers"], np.float32)
            affine = np.asarray(item["affine"], np.float64)
            self._judge(question, probabilities, np.asarray(item["occupancy"])[0] > 0, np.asarray(item["seen"]), affine)
            self._save(question, probabilities[0], affine)

    def _judge(
        self,
        question: dict[str, Any],
        probabilities: Float[np.ndarray, "m s s s"],
        truth: Bool[np.ndarray, "s s s"],
        seen: Bool[np.ndarray, "s s"],
        affine: Float[np.ndarray, "4 4"],
    ) -> None:
        found = {name: one > 0.5 for name, one in zip(methods_of(self.model), probabilities, strict=True)}
        told = question["axis"], question["slice_idx"], question["structure"]
        found |= {name: guess(seen, *told) for name, guess in self.guesses.items()}
        x, y, z = (float(step) for step in voxel_sizes(affine))
        self.spacing_mm = x
        for name in [*(one for one in found if one != "codec_ceiling"), "codec_ceiling"]:
            score = reconstruction_score(found[name], truth, (x, y, z), self.tolerances_mm, self.subvoxel)
            self.answers.append(Answer(**question, method=name, score=score))

    def _save(
        self, question: dict[str, Any], probability: Float[np.ndarray, "s s s"], affine: Float[np.ndarray, "4 4"]
    ) -> None:
        name, index = question_name(question), self.label_table[question["structure"]].index
        path = self.folder / "predictions" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, (probability > 0.5).astype(np.uint8) * np.uint8(index), affine)
        if self.meshes:
            vertices_mm, faces = surface_of(probability, affine)
            write_obj(self.folder / "meshes" / f"{name}.obj", vertices_mm, faces, question["structure"])

    def write(self, engine: Engine) -> None:
        told = self.settings | {"spacing_mm": self.spacing_mm, "tolerances_mm": list(self.tolerances_mm)}
        told |= {"subvoxel": self.subvoxel, "patients": len({one.patient for one in self.answers})}
        told |= {"training_cases": self.patients, **model_facts(self.model)}
        about = {**ABOUT, **ABOUT_GUESSES}
        methods = {name: about[name] for name in dict.fromkeys(one.method for one in self.answers)}
        banner = self.model.banner() or ""
        content = write_answers(
            self.folder, self.answers, self.tolerances_mm, methods, told, banner, self.questions.unasked
        )
        first = next(iter(content["overall"].values()))
        engine.state.metrics |= {name: first[name] for name in ("hd95_mm", "chamfer_mm")}
        LOGGER.info("%sin %s\n%s", f"{banner}\n" if banner else "", self.folder, format_answers(content))


def surface_of(
    probability: Float[np.ndarray, "s s s"], affine: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, "n 3"], np.ndarray]:
    """Vertices in world mm and faces of the surface where a probability passes a half; none of an empty volume."""
    margin = probability.astype(np.float64) - 0.5
    if not (margin > 0).any():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int32)
    i, j, k = margin.shape
    return mesh_of(margin, Frame(affine, (i, j, k), (0, 0, 0), (i - 1, j - 1, k - 1)))
