"""What a bundle is started with: the list to run, and paths as they were typed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from custom.errors import InputError
from custom.training.entry import check_run_id, check_typed_paths, run_ids, typed_settings
from custom.training.preflight import check_device_is_named

LISTS = {"train": {"trainer": {}}, "training": ["@check", "@x"], "merge": ["@check"], "check": {}, "run": ["@check"]}
STAGE1 = Path(__file__).resolve().parents[3] / "bundles" / "near_stage1" / "configs"


def test_the_lists_that_can_be_run_are_those_that_check_the_config_first() -> None:
    assert run_ids(LISTS) == ["training", "merge", "check", "run"]


@pytest.mark.parametrize(("run_id", "remedy"), [("train", "Did you mean training?"), ("banana", "Choose one of them.")])
def test_a_list_that_there_is_not_is_refused_with_the_nearest(run_id: str, remedy: str) -> None:
    with pytest.raises(InputError) as raised:
        check_run_id(run_id, LISTS)
    wanted = "wanted one of training, merge, check, run"
    assert str(raised.value) == f"monai.bundle run {run_id}: found no such list; {wanted}. {remedy}"
    for known in (*run_ids(LISTS), None):
        check_run_id(known, LISTS)


@pytest.mark.parametrize("run_id", ["train", "banana", "evaluate"])
def test_a_bundle_refuses_it_before_anything_is_built(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    workflow = ConfigWorkflow(str(STAGE1 / "train.json"), logging_file=False, run_id=run_id, bundle_root="nowhere")
    with pytest.raises(RuntimeError) as raised:
        workflow.initialize()
    assert isinstance(raised.value.__cause__, InputError) and f"run {run_id}: found" in str(raised.value.__cause__)
    assert list(tmp_path.iterdir()) == []


def test_flags_are_paired_with_what_stands_behind_them_as_fire_does() -> None:
    words = ["run", "training", "--output_dir", "1.10", "--amp", "--data-dir=a=b", "-seed", "-1", "--last"]
    assert typed_settings(words) == {"output_dir": "1.10", "data_dir": "a=b", "seed": "-1"}


@pytest.mark.parametrize(
    ("text", "arrives", "said"),
    [
        ("1.10", 1.1, "found '1.10', which arrives as 1.1; wanted a path. Write --output_dir ./1.10."),
        ("2024_11_20", 20241120, "arrives as 20241120; wanted a path. Write --output_dir ./2024_11_20."),
        ("[a]", ["a"], "Write --output_dir ./[a]."),
        ("(x)", "x", "Write --output_dir ./(x)."),
        ("None", None, "Write --output_dir ./None."),
        ("run#2", "run", "found 'run#2', which arrives as 'run'; wanted a path. Choose another name."),
        ("./run#2", "./run::2", "found './run#2', which arrives as './run::2'; wanted a path. Choose another name."),
        ("", "", "found an empty text; wanted a path. Give one, or leave the flag out."),
        ('""', "", "found an empty text; wanted a path."),
    ],
)
def test_a_path_that_arrives_as_something_else_is_refused_with_how_to_write_it(
    text: str, arrives: Any, said: str
) -> None:
    with pytest.raises(InputError) as raised:
        check_typed_paths({"output_dir": text}, {"output_dir": arrives})
    assert str(raised.value).startswith("--output_dir: ") and said in str(raised.value)


@pytest.mark.parametrize("text", ["./1.10", "out", "/a b/c", "$os.getcwd()", "@masks_dir", "%other.json"])
def test_a_path_that_arrives_as_it_was_typed_or_is_an_expression_passes(text: str) -> None:
    check_typed_paths({"output_dir": text, "max_epochs": "7"}, {"output_dir": text, "max_epochs": 7})


def test_an_empty_path_passes_where_a_config_has_another_and_empty_stands_for_none() -> None:
    check_typed_paths({"init_from": ""}, {"init_from": ""})


def test_a_device_is_named_or_the_very_expression_of_a_config() -> None:
    for device in ("cpu", None, "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"):
        check_device_is_named(device, STAGE1)
    for device in ("$torch.device('cuda:7')", "$__import__('os').system('x')", "@seed", "%a.json"):
        with pytest.raises(InputError, match="--device: found .* Name it, without an expression"):
            check_device_is_named(device, STAGE1)
