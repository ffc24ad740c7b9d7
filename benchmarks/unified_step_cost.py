"""What a training step of the bundle unified_implicit costs, and how that grows with the number of codes::

    python -m benchmarks.unified_step_cost --output runs/unified_steps

The network, the optimiser, the loss and the points are those of ``train.json`` on a few phantom hearts, beside a table
of 10, 100 or 1000 codes, whose rows the hearts take in turn. Every number of codes runs in a process of its own with
one thread; CPU seconds a step, the optimiser's and the drawing's among them, and peak memory. Any other ``--NAME
VALUE`` is a setting of ``train.json``. Written to OUTPUT/steps.md and steps.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser

from benchmarks.peak_memory import peak_mb
from custom.metrics.csv_tables import markdown
from custom.phantoms.write_cohort import make_cohort
from custom.run.json_records import digest
from custom.training.run_bundle import bundle_configs

from .unified_runs import BUNDLE, once, plain_settings

CODES = (10, 100, 1000)


class Training:
    """The parts of a training run, with more codes than cases.

    Args:
        labels: folder of label maps.
        output: where the boxes are stored.
        codes: rows of the table.
        settings: of ``train.json``.
    """

    def __init__(self, labels: Path, output: Path, codes: int, settings: dict[str, Any]) -> None:
        parser = ConfigParser()
        parser.read_config(bundle_configs(BUNDLE, ["train"]))
        where = {"dataset_dir": str(labels), "output_dir": str(output), "device": "cpu", "network_def::cases": codes}
        parser.update(settings | where)
        ids = ("train::dataset", "train::sampling", "network", "optimizer", "loss_function", "train::inferer")
        self.dataset, self.sampling, self.network, self.optimizer, self.loss, self.inferer = (
            parser.get_parsed_content(name) for name in ids
        )
        self.codes, self.batch = codes, int(parser.get("batch_size"))
        self.generator = np.random.default_rng(0)

    def step(self, number: int) -> dict[str, float]:
        """One step; CPU seconds of drawing, of both passes and of the optimiser."""
        ticks = [time.process_time()]
        self.sampling.set_epoch(number)
        items = [self.dataset[position % len(self.dataset)] for position in range(self.batch)]
        image, label = (torch.stack([item[key] for item in items]) for key in ("image", "label"))
        rows = torch.from_numpy(self.generator.choice(self.codes, self.batch, replace=self.codes < self.batch))
        ticks.append(time.process_time())
        self.optimizer.zero_grad()
        self.loss(self.inferer(image, self.network, index=rows), label).backward()
        ticks.append(time.process_time())
        self.optimizer.step()
        ticks.append(time.process_time())
        return dict(zip(("drawing", "passes", "optimizer"), np.diff(ticks).tolist(), strict=True))


def cost(output: Path, codes: int, size: int, steps: int, settings: dict[str, Any]) -> dict[str, float]:
    """Medians over the steps after the first two, in this process."""
    make_cohort(output / f"cohort_{size}", 6, size)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    training = Training(output / f"cohort_{size}" / "truth", output, codes, settings)
    measured = [training.step(number) for number in range(1, steps + 3)][2:]
    medians = {part: float(np.median([one[part] for one in measured])) for part in measured[0]}
    whole = float(np.median([sum(one.values()) for one in measured]))
    numbers = training.network.codes.table.weight[0].numel()
    return {"codes": codes, "step": whole, **medians, "peak_mb": peak_mb(), "numbers": numbers, "batch": training.batch}


def apart(output: Path, codes: int, size: int, steps: int, settings: dict[str, Any]) -> dict[str, float]:
    """The same in a process of its own; what is done is not done again."""
    call = [sys.executable, "-m", "benchmarks.unified_step_cost", "--output", str(output), f"--codes={codes}"]
    call += [f"--size={size}", f"--steps={steps}", *(f"--{name}={value}" for name, value in settings.items())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def work() -> dict[str, float]:
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return result

    key = digest(plain_settings(), settings, codes, size, steps)
    return once(output / f"codes_{codes}_{key}.json", work)


def table_of(results: list[dict[str, float]]) -> str:
    """A line per number of codes."""
    lines = [
        [f"{one['codes']}", *(f"{one[key]:.2f}" for key in ("step", "drawing", "passes", "optimizer"))]
        + [f"{one['peak_mb']:.0f}"]
        for one in results
    ]
    return markdown(["codes", "CPU s a step", "drawing", "both passes", "optimiser", "peak MB"], lines)


def main(output: str, codes: int = 0, size: int = 96, steps: int = 5, **settings: Any) -> None:
    """Every number of codes, each in its own process; or one, printed as one line of JSON."""
    folder = Path(output)
    if codes:
        print(json.dumps(cost(folder, codes, size, steps, settings)))
        return
    results = [apart(folder, count, size, steps, settings) for count in CODES]
    text = table_of(results)
    print(text)
    (folder / "steps.md").write_text(text)
    (folder / "steps.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
