"""For pytest's `-p`: applies the chosen mutant for the whole run, and says by exit code why the test went red."""

from collections.abc import Generator

import pytest

from tests.chaos.mutants import apply_chosen

SEEN = 42  # exit code: every failure was a check in a test's body

_checks: list[bool] = []  # one per failure or error: whether it was a check
_patch = pytest.MonkeyPatch()


def pytest_configure() -> None:
    apply_chosen(_patch)


def pytest_unconfigure() -> None:
    _patch.undo()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        _checks.append(call.when == "call" and _is_check(call.excinfo))
    return report


def _is_check(failure: pytest.ExceptionInfo[BaseException] | None) -> bool:
    return failure is not None and isinstance(failure.value, AssertionError | pytest.fail.Exception)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _checks and all(_checks):
        session.exitstatus = SEEN
