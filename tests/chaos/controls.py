"""`make chaos-controls`: takes one protection away at a time and fails unless the test that guards it goes red.

python -m tests.chaos.controls              # all
python -m tests.chaos.controls "unique key" # some, by name
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.mutants import MUTANTS, VARIABLE
from tests.chaos.mutants.plugin import SEEN

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 2
LONGEST = 240.0  # seconds for one test
_VERDICTS = {0: "GREEN: nobody noticed", SEEN: "red", 4: "NO SUCH TEST", 5: "NO SUCH TEST"}


@dataclass(frozen=True)
class Control:
    """What happened to one mutant."""

    name: str
    code: int
    seconds: float
    output: str

    @property
    def verdict(self) -> str:
        return _VERDICTS.get(self.code, "BROKEN: the test did not fail by a check of its own")


def run(name: str) -> Control:
    """Runs the mutant's test with the mutant in place."""
    began = time.monotonic()
    command = (sys.executable, "-m", "pytest", "-p", "tests.chaos.mutants.plugin", "-p", "no:cacheprovider")
    try:
        done = subprocess.run(
            [*command, "-q", "--tb=short", MUTANTS[name].red],
            cwd=ROOT,
            env=os.environ | {VARIABLE: name},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Control(name, -1, LONGEST, f"not finished after {LONGEST:g} s")
    return Control(name, done.returncode, time.monotonic() - began, done.stdout + done.stderr)


def main(names: Sequence[str]) -> int:
    """0 when every mutant was seen."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        controls = list(pool.map(run, names or MUTANTS))
    for control in controls:
        mutant = MUTANTS[control.name]
        print(f"{control.name:.<34} {control.verdict} after {control.seconds:.0f} s\n    without {mutant.removes}")
        print(f"    {mutant.red}")
    missed = [control for control in controls if control.code != SEEN]
    for control in missed:
        print(f"\n==== {control.name}: {control.verdict}\n{control.output[-4000:]}")
    print(f"\n{len(controls) - len(missed)} of {len(controls)} mutants were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
