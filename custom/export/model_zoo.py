"""The requirements of the MONAI model zoo, as far as it can be read from the bundle's own files."""

from __future__ import annotations

import re

from ..errors import InputError
from .bundle_source import METADATA, README, Source, configs_of, parsed

SCRIPTS = "scripts"
"""What the zoo, MONAI Label and others call a bundle's own code."""

KEYS = (
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "name",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
"""What the metadata must hold: the schema's own keys, the changelog, and the name that the zoo's browser shows."""

INFERENCE, TERMS = "configs/inference.json", "docs/data_license.txt"
INFERENCE_KEYS = ("bundle_root", "device", "network_def", "inferer", "output_dir")
SECTIONS = ("Description", "Data", "Preprocessing", "Commands", "Limitations", "Citation", "References")
LARGEST_BYTES = 25 * 2**20
"""A file above this is not committed to the zoo but named in ``large_files.yml``."""


def missing_files(source: Source) -> list[str]:
    """What a bundle would have to have besides, each in words; empty if the zoo can take it."""
    told = parsed(METADATA, source.files[METADATA], str(source.folder))
    missing = [f"{key} in {METADATA}" for key in KEYS if key not in told]
    if told.get("version") not in told.get("changelog", {}):
        missing.append(f"version {told.get('version')} in the changelog of {METADATA}")
    formats = told.get("network_data_format", {})
    missing += [f"{side} of network_data_format in {METADATA}" for side in ("inputs", "outputs") if side not in formats]
    if told.get("data_source") and TERMS not in source.files:
        missing.append(f"{TERMS} (the metadata name a data source)")
    inference = configs_of(source.files, str(source.folder)).get(INFERENCE)
    if inference is None:
        missing.append(INFERENCE)
    else:
        missing += [f"{key} in {INFERENCE}" for key in INFERENCE_KEYS if key not in inference]
    headings = re.findall(r"^#+ \**(.+?)\**$", source.files[README].decode("utf-8"), flags=re.MULTILINE)
    return missing + [f"section {section} in {README}" for section in SECTIONS if section not in headings]


def check_zoo(source: Source) -> None:
    """Refuse what the model zoo would refuse.

    Raises:
        InputError: naming all that is missing.
    """
    missing = missing_files(source)
    if missing:
        found = f"a bundle without {', '.join(missing)}"
        raise InputError(source.folder, found, "what the MONAI model zoo asks for", "Add it, or take another --layout.")
