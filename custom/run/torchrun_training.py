"""A training by several processes of one machine, started by torchrun."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

from ..errors import InputError
from ..training.run_bundle import ROOT
from .json_records import write_record
from .stage1_structures import StructureJob, run_training

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
"""``torchrun`` of this very environment, whatever the PATH is."""

TOGETHER = "torchrun.json"
"""Settings of a training by several processes, beside its checkpoints while it runs."""


def train_by(job: StructureJob, processes: int, device: str) -> None:
    """Train in this process, or in several by torchrun, the batch shared out: they learn from it what one would.

    Raises:
        InputError: the training failed; it has said why.
    """
    if processes == 1:
        run_training(job)
        return
    settings, config = job.run_dir / TOGETHER, Path(job.train_configs[0])
    batch = math.ceil(job.merged["batch_size"] / processes)
    write_record(settings, {**job.train_settings, "batch_size": batch, "bundle_root": str(config.parents[1])})
    configs = [*job.train_configs, str(settings), str(config.with_name("multi_gpu_train.json"))]
    command = [*TORCHRUN, f"--nproc_per_node={processes}", "-m", "monai.bundle", "run", "training"]
    # `python -m` would look into the working directory first, where another package may have this one's name.
    places = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONPATH": places}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    ended = subprocess.run([*command, "--config_file", str(configs)], env=environment, check=False)
    if ended.returncode:
        found = f"exit code {ended.returncode} of its {processes} processes"
        raise InputError(job.structure, found, "a trained field", "See what they have said before.")
