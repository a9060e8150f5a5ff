"""The registry of mutants is whole, and what it points at exists."""

import pkgutil
import re
from pathlib import Path

import pytest

from tests.chaos import mutants
from tests.chaos.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
NOT_FAMILIES = {"mutant", "plugin"}


def test_every_family_is_in_the_registry() -> None:
    written = {
        name: mutant
        for module in pkgutil.iter_modules(mutants.__path__)
        if module.name not in NOT_FAMILIES
        for name, mutant in getattr(mutants, module.name).MUTANTS.items()
    }
    assert written == MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_its_test_exists(name: str) -> None:
    path, _, test = MUTANTS[name].red.partition("::")
    wanted = test.partition("[")[0].rpartition("::")[2]
    assert re.search(rf"^ *def {wanted}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
