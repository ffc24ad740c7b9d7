"""``corfield export``: one bundle as one file that runs elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import part_of
from .archive_layouts import laid_out
from .bundle_source import METADATA, find_bundle, parsed, read_bundle
from .checkpoint_in_archive import MODEL, add_checkpoint, takers
from .model_zoo import LARGEST_BYTES
from .self_test import SelfTest, try_out
from .zip_archive import check_output, place, write_archive


@dataclass(frozen=True)
class Export:
    """A bundle that was exported.

    Attributes:
        path: of the zip.
        names: of the files in it, by path in its one folder.
        text: the message to the user.
    """

    path: Path
    names: tuple[str, ...]
    text: str


def run_export(
    bundle: str, output: Path, layout: str = "vendored", checkpoint: Path | None = None, overwrite: bool = False
) -> Export:
    """Write a bundle to a zip that needs nothing of this project, once it has been seen to run from an empty folder.

    The zip holds one folder, called like the bundle. The same bundle and checkpoint give the same bytes. It is written
    beside its place and moved there when its trial is over; if anything fails, what was there stays.

    Args:
        bundle: name of a bundle of the project, or the folder of one.
        output: ``.zip`` to write.
        layout: ``vendored``, the configs as they are and ``custom/`` beside them; ``zoo``, that of the MONAI model zoo,
            with ``scripts/``.
        checkpoint: weights to go with it, in ``models/``; see :func:`add_checkpoint`.
        overwrite: replace ``output`` if it exists.

    Raises:
        InputError: ``output`` exists or cannot be written, no such bundle or layout, a folder that is no bundle, a
            checkpoint that does not belong to it, or an export that does not run by itself.
    """
    check_output(output, overwrite)
    source = read_bundle(find_bundle(bundle))
    package, files = laid_out(source, layout)
    if checkpoint is not None:
        files = add_checkpoint(files, checkpoint, source.name)
    part = part_of(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_archive(part, source.name, files)
        trial = try_out(part, package, files, source.name)
        place(part, output, overwrite)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(output, found, "a writable file", "Choose another --output or free some space.") from error
    finally:
        if part.exists():
            part.unlink()
    return Export(output, tuple(sorted(files)), told(source.name, files, layout, output, trial))


def told(name: str, files: Mapping[str, bytes], layout: str, output: Path, trial: SelfTest) -> str:
    """What was written and what the trial showed, and what it could not show."""
    version = parsed(METADATA, files[METADATA]).get("version", "of no version")
    size = output.stat().st_size / 1000
    lines = [f"{name} {version}, {layout}: {len(files)} files, {size:.0f} kB in {output}"]
    lines.append(
        f"tried in an empty folder: {trial.targets} components found, {trial.modules} modules, all its own; "
        f"`monai.bundle run check` of {', '.join(trial.dry) or 'no config'}"
    )
    if trial.asked:
        lines.append(f"the network gives what the metadata say ({', '.join(trial.asked)})")
    elif MODEL not in files and takers(files):
        lines.append(f"no {MODEL} in it, so the network was not asked; --checkpoint adds one")
    large = [path for path, content in files.items() if len(content) > LARGEST_BYTES]
    if layout == "zoo" and large:
        lines.append(f"above the zoo's 25 MB, to be named in large_files.yml: {', '.join(large)}")
    return "\n".join(lines)
