"""What is checked before a run costs anything: mistyped settings, a folder that cannot be written, the seed."""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from ..data.case_list import label_map_paths
from ..errors import InputError
from ..files import check_folder
from ..output_checks import refuse_covering, refuse_foreign_files
from ..output_record import allow_overwriting, write_as
from .setting_rules import RULES, check_settings, is_expression

LOGGER = logging.getLogger(__name__)

MONAI_KEYS = {"_meta_", "_requires_", "imports", "initialize", "run", "finalize", "tracking"}


def running_config() -> dict[str, Any]:
    """The merged config, overrides included, of the parser that is building the caller.

    MONAI hands a component its own arguments only, and takes an unknown override in silence; the parser's frame is the
    one place where what the user typed can still be seen. Empty outside of a parser.
    """
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return dict(parser.get())
        frame = frame.f_back
    return {}


def setting_paths(config: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The keys of a config and of the groups in it, such as ``train`` and ``train::handlers``.

    What a component takes is not listed: a mistyped argument is refused by the component itself.
    """
    for key, value in config.items():
        path = above + key.lstrip("+")
        yield path
        if isinstance(value, dict) and "_target_" not in value:
            yield from setting_paths(value, f"{path}::")


def declared_settings(configs: Path) -> dict[str, set[str]]:
    """The keys that each JSON config in a folder and below declares, by the config's path relative to the folder."""
    paths = sorted(path for path in configs.rglob("*.json") if path.name != "metadata.json")
    return {str(path.relative_to(configs)): set(setting_paths(json.loads(path.read_text()))) for path in paths}


def free_settings(configs: Path) -> set[str]:
    """The settings that the JSON configs in a folder and below declare as an empty object: the user names its keys."""
    paths = [path for path in configs.rglob("*.json") if path.name != "metadata.json"]
    return {key for path in paths for key, value in json.loads(path.read_text()).items() if value == {}}


def check_keys(config: Mapping[str, Any], configs: Path) -> None:
    """Refuse a key that no config of the run declares and nothing refers to.

    MONAI does not tell which configs a run was made of. One counts as used if all its keys are in the merged
    ``config``, as those of the used ones are. The inside of a setting that is declared as an empty object is not
    checked.

    Raises:
        InputError: naming the nearest declared key, or the configs that it is a setting of; or no config is there.
    """
    declared, text = declared_settings(configs), json.dumps(config, default=str)
    if not declared:
        remedy = "Start the command there, or give --bundle_root with the path to it."
        raise InputError("--bundle_root", f"no configs in {configs}", "the bundle's folder", remedy)
    used = [keys for keys in declared.values() if {key.split("::")[0] for key in keys} <= set(config)]
    known, unjudged = set().union(*used), set(MONAI_KEYS)
    unjudged |= known & free_settings(configs)
    for key in sorted(set(setting_paths(config)) - known):
        above = key.split("::")
        paths = {"::".join(above[: depth + 1]) for depth in range(len(above))} - known
        if above[0] not in unjudged and not any(re.search(rf"[@%]{re.escape(path)}(?!\w)", text) for path in paths):
            plain = {name for name in known if name in unjudged or not isinstance(config.get(name), dict)}
            raise unknown_setting(key, declared, plain)


def unknown_setting(key: str, declared: Mapping[str, set[str]], known: set[str]) -> InputError:
    """The hint for an unknown key: which configs have it, or the nearest known key."""
    wanted = "one of its settings"
    elsewhere = sorted((name for name, keys in declared.items() if key in keys), key=lambda name: ("/" in name, name))
    if elsewhere:
        found = f"a setting of {', '.join(elsewhere[:3])} and not of this run"
        return InputError(f"--{key}", found, wanted, "Leave it out, or add that config to --config_file.")
    near = get_close_matches(key, sorted(known), n=1)
    remedy = f"Did you mean --{near[0]}?" if near else "docs/README.md of the bundle lists them."
    return InputError(f"--{key}", "a setting this bundle does not have", wanted, remedy)


def check_config(bundle_root: str | Path) -> None:
    """Check all that can be known from the config that is being parsed; nothing is built, no data are read.

    From here on an uncaught ``InputError`` is one line.

    Raises:
        InputError: a key that is no setting, or a value that the setting cannot have.
    """
    log_only_root_cause()
    config = running_config()
    check_keys(config, Path(bundle_root) / "configs")
    check_device_is_named(config.get("device"), Path(bundle_root) / "configs")
    check_settings(config)


def check_device_is_named(device: Any, configs: Path) -> None:
    """Refuse an expression for the device that no JSON config in a folder and below has: it cannot be checked unread.

    Raises:
        InputError: saying how a device is named.
    """
    if is_expression(device):
        paths = [path for path in configs.rglob("*.json") if path.name != "metadata.json"]
        if device not in [json.loads(path.read_text()).get("device") for path in paths]:
            raise InputError("--device", repr(device), RULES["device"].wanted, "Name it, without an expression.")


def root_cause(error: BaseException) -> BaseException:
    """The innermost ``InputError`` of a chain of exceptions, or the error itself.

    An error raised again while another is handled that it has caused closes the chain to a ring, walked once.
    """
    found, link, seen = error, error.__cause__ or error.__context__, {id(error)}
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, InputError):
            found = link
        link = link.__cause__ or link.__context__
    return found


def log_only_root_cause() -> None:
    """From now on an uncaught ``InputError`` is one line, however many layers MONAI has wrapped around it."""
    usual = sys.excepthook
    if getattr(usual, "says_only_the_cause", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            sys.stderr.write(f"error: {cause}\n")
        else:
            usual(kind, error, trace)

    hook.says_only_the_cause = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def point_to_overlay(structure: str, configs: Path) -> None:
    """Say in the log that a structure has settings of its own, unless they are in use."""
    overlay = configs / "structures" / f"{structure.lower()}.json"
    if overlay.is_file():
        config, own = running_config(), json.loads(overlay.read_text())
        if any(config.get(key) != value for key, value in own.items() if key in config and key != "structure"):
            LOGGER.info("%s has settings that measured better: add %s to --config_file", structure, overlay)


def with_label_maps(inputs: Sequence[str | Path]) -> list[Path]:
    """The inputs, and the label maps that those of them that are folders or data lists name; links among them lead
    elsewhere."""
    found = [Path(given) for given in inputs if str(given)]
    for given in list(found):
        with suppress(InputError):  # reported by whoever reads it
            found += label_map_paths(given)
    return found


class Preflight:
    """Run all checks when built; first in a bundle's ``training``, ``infer`` and ``evaluate`` lists.

    Args:
        bundle_root: the bundle's folder.
        folder: where the run will write.
        seed: of everything random; ``None`` leaves the seeds alone.
        structure: its name, to point to its settings overlay; empty for none.
        cpu_threads: torch's threads; 0 leaves them alone. A small network is slower on many threads than on one.
        inputs: files and folders that the run reads, data lists and folders of label maps among them; empty names
            stand for none.
        outputs: folders in which the run writes files; ``folder`` if left out.
        files: single files that the run writes.
        overwrite: overwrite files that this project has not written.

    Raises:
        InputError: what :func:`check_config` refuses, an output that is or holds an input, a foreign file in the place
            of an output, or a folder that cannot be written.
    """

    def __init__(
        self,
        bundle_root: str | Path,
        folder: str | Path,
        seed: int | None = None,
        structure: str = "",
        cpu_threads: int = 0,
        inputs: Sequence[str | Path] = (),
        outputs: Sequence[str | Path] | None = None,
        files: Sequence[str | Path] = (),
        overwrite: bool = False,
    ) -> None:
        check_config(bundle_root)
        write_as(Path(bundle_root).resolve().name)
        if overwrite:
            allow_overwriting()
        refuse_covering(files, with_label_maps(inputs), flat=[folder] if outputs is None else outputs)
        refuse_foreign_files(files)
        check_folder(Path(folder), "Choose another --output_dir.")
        if seed is not None:
            set_determinism(seed)
        if structure:
            point_to_overlay(structure, Path(bundle_root) / "configs")
        if cpu_threads:
            torch.set_num_threads(cpu_threads)
