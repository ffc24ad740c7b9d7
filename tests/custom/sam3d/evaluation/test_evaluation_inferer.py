"""What is asked of a model, and what it answers with and without its adapters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import list_data_collate

from custom.models.lora import parameter_counts
from custom.run.rewrite_report import run_report
from custom.sam3d.evaluation.evaluation_inferer import (
    EvaluationInferer,
    LoadEvaluationItemd,
    PrepareEvaluation,
    SplitPredictionsd,
    methods_of,
)
from custom.sam3d.evaluation.evaluation_items import find_evaluation_items
from custom.sam3d.evaluation.score_handler import model_facts, surface_of
from custom.sam3d.shape_checkpoint import checkpoint_content
from custom.sam3d.shape_model import ShapeModel
from custom.training.checkpoint_file import save_atomically
from custom.training.run_bundle import bundle_configs, run_bundle
from tests.custom.report.evaluation_helpers import AFFINE, INDEX, LV, SIDE, TRUTH, box, write_cache
from tests.folder_entries import entries

SIZES = json.loads(Path("bundles/heart_sam3d_lora/configs/sizes/tiny.json").read_text())
SIZES = {"codec_blocks": 1, "codec_middle": 1, "embedder": "patches", **SIZES}
LORA = {"rank": 2, "alpha": 4.0}


def random_model(adapters: float = 0.0) -> ShapeModel:
    """A model of random weights; its adapters change what the flow says if they are above 0."""
    torch.manual_seed(0)
    model = ShapeModel(SIZES)
    for parameter in model.parameters():
        if not parameter.any():  # the flow's last layer among them
            torch.nn.init.normal_(parameter, std=0.1)
    model.set_stage("lora")
    model.adapt(**LORA)
    state = {name: tensor + adapters * torch.randn_like(tensor) for name, tensor in model.adapters().items()}
    model.take_adapters(state)
    return model.eval()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache", ("s1", "s2", "s3"))


def batch(cache: Path) -> dict:
    load = LoadEvaluationItemd(SIDE)
    return list_data_collate([load(item) for item in find_evaluation_items(cache, structures=[LV]).items])


def answers(model: ShapeModel, asked: dict, **how: float) -> torch.Tensor:
    truth, _, _, beside = PrepareEvaluation()(asked)
    return EvaluationInferer(steps=3, **how)(truth, model, **beside)


def test_a_question_holds_what_is_seen_and_the_truth(cache: Path) -> None:
    (first, *_) = find_evaluation_items(cache, structures=[LV], axes=[2]).items
    item = LoadEvaluationItemd(SIDE)(first)
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[TRUTH[0], TRUTH[1]] = True
    np.testing.assert_array_equal(item["seen"], wanted)
    np.testing.assert_array_equal(item["occupancy"][0], box(*TRUTH))
    np.testing.assert_array_equal(item["affine"], AFFINE)
    np.testing.assert_array_equal(item["mask"][0] > 0, wanted)


def test_without_its_adapters_the_model_is_the_base_and_they_are_back_afterwards(cache: Path) -> None:
    asked, plain, adapted = batch(cache), random_model(), random_model(adapters=0.5)
    found = answers(adapted, asked)
    assert methods_of(adapted) == ("lora", "untuned_base", "codec_ceiling")
    # Adapters of nothing change nothing.
    untouched = answers(plain, asked)
    torch.testing.assert_close(untouched[:, 0], untouched[:, 1])
    torch.testing.assert_close(found[:, 1], untouched[:, 1])
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(answers(adapted, asked), found)


def test_an_answer_depends_on_its_question_alone(cache: Path) -> None:
    model, asked = random_model(adapters=0.5), batch(cache)
    alone = {name: values[1:2] if torch.is_tensor(values) else values for name, values in asked.items()}
    torch.testing.assert_close(answers(model, asked)[1:2], answers(model, alone), atol=1e-5, rtol=1e-5)


def test_several_draws_are_averaged(cache: Path) -> None:
    model, asked = random_model(), batch(cache)
    seeds = asked["seed"].clone()
    each = []
    for turn in range(3):
        asked["seed"] = seeds + 1_000_003 * turn
        each.append(answers(model, asked)[:, 0])
    asked["seed"] = seeds
    torch.testing.assert_close(answers(model, asked, draws=3)[:, 0], torch.stack(each).mean(0))
    assert (each[0] - each[1]).abs().max() > 1e-4


def test_the_ceiling_is_the_truth_through_the_codec(cache: Path) -> None:
    model, asked = random_model(), batch(cache)
    with torch.no_grad():
        wanted = model.decoded(model.encoded(asked["occupancy"].float())).sigmoid()
    torch.testing.assert_close(answers(model, asked)[:, 2:], wanted)


def test_models_of_earlier_stages_answer_what_they_can() -> None:
    model = ShapeModel(SIZES)
    model.set_stage("base")
    assert methods_of(model) == ("base", "codec_ceiling")
    model.set_stage("vae")
    assert methods_of(model) == ("codec_ceiling",)
    assert model_facts(model)["adapter_parameters"] == 0


def test_the_share_of_the_adapters_is_of_the_flow() -> None:
    model = random_model()
    told = model_facts(model)
    trained, every = parameter_counts(model.part("flow"))
    assert (told["adapter_parameters"], told["flow_parameters"]) == (trained, every)
    assert 0 < told["adapter_share"] == trained / every < 0.2


def test_above_a_half_is_inside() -> None:
    item = SplitPredictionsd()({"pred": torch.tensor([0.5, 0.51, 0.49]).reshape(3, 1, 1, 1)})
    assert item["pred"].flatten().tolist() == [0]
    assert SplitPredictionsd()({"pred": torch.tensor([0.51]).reshape(1, 1, 1, 1)})["pred"].flatten().tolist() == [1]


def test_a_surface_lies_between_the_voxels_in_world_mm_and_nothing_has_none() -> None:
    vertices_mm, faces = surface_of(box(*TRUTH).astype(np.float32), AFFINE)
    low = np.array([4, 3, 5]) - 0.5
    high = np.array([11, 8, 10]) - 0.5
    np.testing.assert_allclose(vertices_mm.min(axis=0), AFFINE[:3, :3] @ low + AFFINE[:3, 3], atol=1e-3)
    np.testing.assert_allclose(vertices_mm.max(axis=0), AFFINE[:3, :3] @ high + AFFINE[:3, 3], atol=1e-3)
    empty, none = surface_of(np.full((SIDE,) * 3, 0.5, np.float32), AFFINE)
    assert empty.shape == (0, 3) and none.shape == (0, 3) and len(faces)


@pytest.fixture
def evaluated(cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> tuple[Path, str]:
    """An evaluation of random weights by the bundle's own config, and what was logged."""
    model = random_model(adapters=0.5)
    settings = {"network": SIZES, "lora": LORA, "crop": False}
    content = checkpoint_content(model, "totalsegmentator_heart", settings, {}, model.banner())
    checkpoint = tmp_path / "best.pt"
    save_atomically(content, checkpoint)
    given = {"dataset_dir": str(cache), "checkpoint": str(checkpoint), "output_dir": str(tmp_path / "run")}
    torch.set_num_threads(1)
    run_bundle(
        bundle_configs("heart_sam3d_lora", ["inference", "evaluate"]), "evaluate", **given, structures=[LV], steps=3
    )
    return tmp_path / "run" / "evaluation", caplog.text


def test_the_bundle_scores_every_method_on_volumes_and_says_that_nothing_is_trained(
    evaluated: tuple[Path, str],
) -> None:
    folder, logged = evaluated
    content = json.loads((folder / "metrics.json").read_text())
    guesses = ["mean_shape", "mean_shape_placed", "nearest_case", "extruded_slice"]
    assert list(content["overall"]) == ["lora", "untuned_base", *guesses, "codec_ceiling"]
    assert content["banner"].startswith("UNTRAINED: random weights in encoder, decoder")
    assert "UNTRAINED" in logged
    assert (content["settings"]["patients"], content["settings"]["training_cases"]) == (1, 2)
    assert content["settings"]["spacing_mm"] == pytest.approx(3.0)
    # Every training case is the truth itself here.
    for name in ("mean_shape", "mean_shape_placed", "nearest_case"):
        assert content["overall"][name]["dice"] == 1.0 and content["overall"][name]["surface_dice_1mm"] == 1.0
    # Across axis 0 25 pixels, 6 and a circle of 5.6: 5 of 7; across the others 35 pixels of 6.7: 7 of 5.
    assert content["overall"]["extruded_slice"]["dice"] == pytest.approx((2 * 5 / 12 + 2 * (2 * 5 / 12)) / 3)
    assert len(content["rows"]) == 7 * 3
    assert len(content["cases"]) == 1


def test_the_bundle_writes_a_volume_and_a_mesh_of_each_answer(evaluated: tuple[Path, str]) -> None:
    folder, _ = evaluated
    names = [f"s1-{LV}-ax0-006", f"s1-{LV}-ax1-005", f"s1-{LV}-ax2-007"]
    assert sorted(path.stem for path in entries((folder / "meshes").iterdir())) == names
    assert sorted(path.name for path in entries((folder / "predictions").iterdir())) == [
        f"{name}.nii.gz" for name in names
    ]
    image = nib.load(folder / "predictions" / f"{names[0]}.nii.gz")
    np.testing.assert_array_equal(image.affine, AFFINE)
    volume = np.asarray(image.dataobj)
    assert set(np.unique(volume)) <= {0, INDEX}
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    both = ((volume > 0) & box(*TRUTH)).sum()
    assert rows[0]["method"] == "lora"
    assert rows[0]["dice"] == pytest.approx(2 * both / ((volume > 0).sum() + box(*TRUTH).sum()))


def test_the_page_is_written_from_the_folder_alone_and_from_slices_that_have_moved(
    evaluated: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = evaluated
    page = run_report(folder, tmp_path / "page.html")
    assert len(list(entries((folder / "pictures").iterdir()))) == 6
    text = page.read_text(encoding="utf-8")
    cache = json.loads((folder / "metrics.json").read_text())["settings"]["cache_dir"]
    assert "UNTRAINED" in text and Path(cache).is_absolute() and cache not in text
    shutil.copytree(cache, tmp_path / "moved")
    assert run_report(folder, reference=tmp_path / "moved") == folder / "report" / "index.html"
    assert (folder / "report" / "index.html").read_text(encoding="utf-8") == text
