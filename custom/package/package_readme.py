"""The README that goes with a package."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from .. import __version__
from ..anatomy import StructureTable
from .manifest import CODES_FILE, FIELD, MANIFEST

TEXT = """# {count} as one implicit function

One function F(z, p), shared by all cases, answers for a code z and a point p of a heart's box which structures p lies
in. Each case is its code. From both its label map can be drawn again, on the grid it was trained on or on any other.

| file | content |
|---|---|
| `{field}` | the weights of F, float32 |
| `{codes}` | one tensor `codes` [cases, ...], {dtype}; the rows follow the cases in `{manifest}` |
| `{manifest}` | cases with their grids and boxes, structures, thresholds, priorities, versions, SHA-256 of every file |

Tensors and JSON only: opening it runs no code from it. Every file is compared with its SHA-256 first, and a changed
byte is refused. `checksum` stands for `{manifest}` itself: its SHA-256 with 64 zeros in the checksum's place.

## Drawing

With CorField {version}, or a later version that reads this format; HERE is this folder:

```
corfield render HERE --case {case} --output {file}
corfield render HERE --case {case} --spacing_mm 0.5 --output fine.nii.gz --meshes
corfield render HERE --case all --output hearts
```

In Python:

```
from custom.package import load
heart = load("HERE").render({name!r}, spacing_mm=0.5)  # heart.labels [i, j, k], heart.affine to world mm (RAS)
```

Labels: {labels}; 0 is background.

## Limits

- For research on label maps. Not for clinical use.
- A drawn heart is what the field has learned of a label map, not that map itself: it is smoothed, thin vessels first,
  and what was missing there is completed as it usually looks.
- A finer grid shows the field's own surface, no detail that the label maps did not have.
- A heart that the edge of the volume cuts is drawn inside the volume only.

## Terms

CorField is under the Apache License 2.0. Weights and codes are derived from the label maps they were trained on, and
stay under the terms of those. A code gives its heart back, and `{manifest}` holds the cases' names: pass this folder on
as you would the label maps.
"""


def text_of(cases: Sequence[str], label_table: StructureTable, half: bool) -> str:
    """The README of a package.

    Args:
        cases: names.
        label_table: their structures.
        half: whether codes are stored as float16.
    """
    return TEXT.format(
        count=f"{len(cases)} heart{'s' * (len(cases) != 1)}",
        field=FIELD,
        codes=CODES_FILE,
        manifest=MANIFEST,
        dtype="float16" if half else "float32",
        version=__version__,
        case=shlex.quote(cases[0]),
        file=shlex.quote(f"{cases[0]}.nii.gz"),
        name=cases[0],
        labels=", ".join(f"{structure.index} {structure.name}" for structure in label_table),
    )
