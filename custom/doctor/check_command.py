"""The checkup of a bundle, or of configs merged in order, as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .check_bundle import Examined, Report, check_bundle, check_configs
from .finding import Fault


@dataclass(frozen=True)
class Checked:
    """What a checkup came to.

    Attributes:
        text: a line per list of configs, then every fault with its file, its id, its cause and what to do.
        faults: the same faults, a line each; empty if nothing is wrong.
    """

    text: str
    faults: tuple[str, ...]


def run_check(*targets: str | Path, **overrides: Any) -> Checked:
    """Examine a bundle, every config of it; or a list of configs merged in order.

    Nothing is trained, evaluated or written. All faults are listed.

    Args:
        targets: the folder of one bundle, or configs.
        overrides: settings by id, laid over a list of configs as on MONAI's command line.

    Raises:
        InputError: nothing to examine, a folder among several targets, settings for a whole bundle.
    """
    paths = [Path(str(target)) for target in targets]
    if not paths:
        raise InputError("check", "nothing to examine", "a bundle's folder or configs", "Name one.")
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return _checked(check_configs(paths, overrides))
    if len(paths) > 1 or overrides:
        found = f"{len(paths)} targets" if len(paths) > 1 else f"--{next(iter(overrides))}"
        wanted = "one bundle alone, or configs with or without settings"
        raise InputError(folders[0], f"a folder with {found}", wanted, "Name the configs that the settings are for.")
    return _checked(check_bundle(paths[0].parent if paths[0].name == "configs" else paths[0]))


def _checked(report: Report) -> Checked:
    lines = [_line(examined) for examined in report.examined]
    lines += [_paragraph(fault) for fault in report.faults]
    files = f"{report.files} config{'s' * (report.files != 1)}"
    lists = f"{len(report.examined)} list{'s' * (len(report.examined) != 1)}"
    count = f"{len(report.faults)} fault{'s' * (len(report.faults) != 1)}" if report.faults else "no faults"
    lines.append(f"{files} in {lists}: {count}")
    return Checked("\n".join(lines), tuple(str(fault) for fault in report.faults))


def _line(examined: Examined) -> str:
    head = f"{len(examined.faults)} wrong" if examined.faults else "OK"
    seen = f"{examined.ids} ids, {examined.components} targets, {examined.references} references"
    return f"{head:9} {' + '.join(examined.names)}: {seen}, {examined.expressions} expressions"


def _paragraph(fault: Fault) -> str:
    return f"\n{fault.config}  {fault.where}\n    {fault.cause}\n    {fault.remedy}"
