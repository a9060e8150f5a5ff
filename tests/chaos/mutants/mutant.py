"""What a mutant is: one protection of the product taken away, and the test that must notice."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Mutant:
    """`apply` patches the product in this process; it runs before the first fixture and before any child's work.

    `red` is a pytest node id (`tests/…/test_x.py::test_y[sqlite]`). That test must fail by a check of its own, an
    AssertionError or pytest.fail in its body: a mutant that breaks an import or a fixture proves nothing.
    """

    removes: str  # the protection, in words for the report
    apply: Callable[[pytest.MonkeyPatch], None]
    red: str
