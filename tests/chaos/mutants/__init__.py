"""Mutants of the product, one file per family of tests; `make chaos-controls` wants every one of them seen red.

How it works. `tests/chaos/controls.py` runs each mutant's `red` test in a pytest of its own, with the mutant's name in the
environment (`VARIABLE`) and this package's `plugin` loaded. The plugin applies the mutant before anything else happens.
Child processes inherit the variable: `tests/chaos/process.py`, which starts every one of them, calls `apply_chosen` too.

To add one: write `MUTANTS: dict[str, Mutant]` in the file of your family, and the family in the registry below.
"""

import os

import pytest

from tests.chaos.mutants import crash, infra, letters, load, ownership, peers
from tests.chaos.mutants.mutant import Mutant

VARIABLE = "TINGSU_CHAOS_MUTANT"

MUTANTS: dict[str, Mutant] = {
    **crash.MUTANTS,
    **infra.MUTANTS,
    **letters.MUTANTS,
    **load.MUTANTS,
    **ownership.MUTANTS,
    **peers.MUTANTS,
}


def apply_chosen(patch: pytest.MonkeyPatch) -> None:
    """Applies the mutant that the environment names; nothing without one. Raises KeyError for an unknown name."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        MUTANTS[chosen].apply(patch)
