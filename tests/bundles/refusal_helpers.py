"""How the tests of bad input run the bundle, and what they ask of a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom.errors import InputError
from custom.training.run_bundle import bundle_configs, run_bundle

QUICK: dict[str, Any] = {"max_epochs": 2, "bias_milestones": [1, 2], "val_interval": 1, "amp": False}


def run(run_id: str, names: list[str], output: Path, **settings: Any) -> Any:
    common = {"output_dir": str(output), "structure": "LA", "amp": False}
    return run_bundle(bundle_configs("near_stage1", names), run_id, **(common | settings))


def train(labels: Path | str, output: Path, **settings: Any) -> Any:
    return run("training", ["train", "smoke"], output, dataset_dir=str(labels), **(QUICK | settings))


def infer(output: Path, **settings: Any) -> Any:
    return run("infer", ["inference"], output, **settings)


def evaluate(output: Path, references: Path | str, **settings: Any) -> Any:
    return run("evaluate", ["inference", "evaluate"], output, reference_dir=str(references), **settings)


def refusal(action: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    """The message of the error, which is one line that says what was found, wanted and to be done."""
    with pytest.raises(InputError) as raised:
        action(*arguments, **settings)
    message = str(raised.value)
    assert re.fullmatch(r"[^\n]+: found [^\n]+; wanted [^\n]+\. [^\n]+[.?\])]", message), message
    return message
