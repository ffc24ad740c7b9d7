"""Who is for training, for validation and for the test (requirements B1, C1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..errors import InputError


def split_cases(cases: Sequence[str], validation: float, test: float, seed: int) -> dict[str, str]:
    """The split of each case. Chosen by digests of seed and name: neither order nor folder changes it.

    Each of the two shares is rounded to whole cases, to at least one if it is above 0 and there are three cases.

    Raises:
        InputError: shares that leave no case to train on.
    """
    for name, share in (("--validation", validation), ("--test", test)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise InputError(name, repr(share), "a share from 0 to below 1", "Correct it.")
    least = 1 if len(cases) >= 3 else 0
    held = [max(round(share * len(cases)), least if share > 0 else 0) for share in (test, validation)]
    if sum(held) >= max(len(cases), 1):
        found = f"shares of {validation:g} and {test:g} of {len(cases)} cases"
        raise InputError("--validation and --test", found, "shares that leave cases to train on", "Lower them.")
    ranked = sorted(cases, key=lambda case: hashlib.blake2b(f"{seed}/{case}".encode(), digest_size=8).digest())
    names = ["test"] * held[0] + ["validation"] * held[1]
    return {case: names[rank] if rank < len(names) else "training" for rank, case in enumerate(ranked)}
