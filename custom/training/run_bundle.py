"""Run a bundle inside this process, by MONAI's own workflow."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from ..errors import InputError
from ..output_record import overwriting, writer, writing_as
from .preflight import root_cause

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = ROOT / "bundles" if (ROOT / "bundles").is_dir() else ROOT.parent
"""Where the bundles lie: in a clone in a folder of their own. An exported bundle holds this package, and others lie
beside it."""


def bundle_configs(bundle: str, names: Sequence[str], structure: str | None = None) -> list[str]:
    """Paths of a bundle's configs, and behind the first one the structure's own overlay if there is one.

    Raises:
        InputError: the bundle does not lie beside the package.
    """
    folder = BUNDLES / bundle / "configs"
    if not folder.is_dir():
        found, wanted = "no such folder", "the bundle beside the package"
        remedy = "Run from a clone of the project, installed with `make install`, or unpack that bundle's export there."
        raise InputError(folder, found, wanted, remedy)
    overlay = folder / "structures" / f"{str(structure).lower()}.json"
    paths = [folder / f"{name}.json" for name in names]
    if overlay.is_file():
        paths.insert(1, overlay)
    return [str(path) for path in paths]


def run_bundle(config_file: Sequence[str], run_id: str, **overrides: Any) -> ConfigWorkflow:
    """Run one list of a bundle's configs and hand back the workflow, its parts still at hand.

    Args:
        config_file: configs, later ones over earlier ones.
        run_id: ``training``, ``infer`` or ``evaluate``.
        overrides: top-level settings.

    Raises:
        InputError: the user's fault, without the layers MONAI wraps around it.
    """
    kind = "train" if run_id == "training" else "infer"
    # Overlays lie in a folder below and the caller's logging stands: both are meant, so MONAI need not warn of them.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    root = str(Path(config_file[0]).parents[1])
    with warnings.catch_warnings(), overwriting(False), writing_as(writer()):
        warnings.filterwarnings("ignore", message="parsing config_file")
        workflow = ConfigWorkflow(
            list(config_file),
            logging_file=False,
            workflow_type=kind,
            run_id=run_id,
            bundle_root=root,
            **overrides,
        )
        fault: BaseException | None = None
        try:
            workflow.initialize()
            workflow.run()
            workflow.finalize()
        except RuntimeError as error:
            fault = root_cause(error)
            if not isinstance(fault, InputError):
                raise
    # Raised out here: inside, the cause would have its own consequence for a context, a ring without end.
    if fault is not None:
        raise fault
    logging.getLogger(__name__).debug("%s of %s done", run_id, config_file)
    return workflow
