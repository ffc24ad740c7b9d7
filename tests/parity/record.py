"""Record the digests of all runs, or of those named, where they differ on purpose::

OMP_NUM_THREADS=1 python -m tests.parity.record [RUN ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.parity.digests import RECORD, digests_of, machine
from tests.parity.runs import RUNS


def main() -> None:
    """Run, and replace the record; runs that are not named keep theirs if the machine is the same."""
    names = sys.argv[1:] or list(RUNS)
    known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    runs = known.get("runs", {}) if known.get("machine") == machine() else {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            RUNS[name].do(Path(folder))
            runs[name] = digests_of(Path(folder), RUNS[name].files)
    content = {"machine": machine(), "runs": {name: runs[name] for name in RUNS if name in runs}}
    RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
