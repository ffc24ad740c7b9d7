"""One small run, packed once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from custom.package.pack import run_pack
from tests.custom.package.package_helpers import save_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a calibrated run of four cases; not to be written to."""
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its package; not to be written to."""
    folder = tmp_path_factory.mktemp("packed") / "heart_model"
    run_pack(run, folder)
    return folder


@pytest.fixture
def model(packed: Path, tmp_path: Path) -> Path:
    """A copy of the package, to be damaged."""
    return Path(shutil.copytree(packed, tmp_path / "model"))
