"""The data set of a bundle: the user's, or the phantom cohort."""

from __future__ import annotations

import logging
from pathlib import Path

from .write_cohort import make_cohort

LOGGER = logging.getLogger(__name__)

PHANTOMS = Path("data/phantoms")


def given_or_phantoms(dataset_dir: str = "") -> str:
    """``dataset_dir`` as it is; if empty, the labels of the phantom cohort, which is made on first use."""
    if dataset_dir:
        return dataset_dir
    LOGGER.warning("no --dataset_dir given: using the phantom cohort in %s (made on first use)", PHANTOMS)
    make_cohort(PHANTOMS)
    return str(PHANTOMS / "labels")
