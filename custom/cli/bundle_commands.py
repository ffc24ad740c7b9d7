"""Commands on the bundles themselves: check one, export one.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .console_output import LEFT_OUT, print_line


class BundleCommands:
    """Commands on the bundles themselves: check one, export one."""

    def export(
        self,
        bundle: str,
        output: Path,
        layout: str = "vendored",
        checkpoint: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a bundle to one zip that runs elsewhere, with nothing else of this project.

        Before it takes its place the zip is unpacked into an empty folder and tried there. It holds one folder, called
        like the bundle; the same bundle and weights give the same bytes.

        Args:
            bundle: name of a bundle, such as near_stage1, or the folder of one.
            output: .zip to write.
            layout: vendored (configs as they are, custom/ beside them, requirements.txt) or zoo (MONAI model zoo:
                scripts/ instead of custom/, the prefix rewritten).
            checkpoint: a trained checkpoint (best.pt) to go with it; its configs then take it by default.
            overwrite: replace the zip if it exists.
        """
        from ..export.export_bundle import run_export

        print_line(run_export(bundle, output, layout, checkpoint, overwrite).text)

    def check(self, *targets: Path, **settings: Any) -> None:
        """Examine a bundle, or configs merged in order, for all that would stop a run; build and write nothing.

        Every fault is listed with its config, its id, its cause and what to do, and the exit code is 1; a sound list of
        configs is one line, with what was looked at.

        Args:
            targets: folder of one bundle, every config of which is examined; or configs, later ones over earlier ones.
            settings: laid over the configs as on MONAI's command line, such as --max_epochs 7.
        """
        from ..doctor.check_command import run_check

        checked = run_check(*targets, **settings)
        print_line(checked.text)
        if checked.faults:
            sys.exit(LEFT_OUT)
