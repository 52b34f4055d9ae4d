# SPDX-License-Identifier: Apache-2.0
"""What all tests share: hypothesis without deadlines, and skips that fail where everything is required.

With SPIKERUN_REQUIRE_ALL=1 (as CI runs) a test that skips fails, for a missing tool must not hide what it would have
found. Three marks alone may skip; how often they did is printed at the end. SPIKERUN_EXAMPLES=20 leaves hypothesis 20 %
of the examples that each test asks for: for runs of the same tests once more, on a slow machine or with other kernels.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

# Machines differ in speed, so a test has no deadline for one example.
settings.register_profile("spikerun", deadline=None, print_blob=True)
settings.load_profile("spikerun")

# What layers cost is measured by each process, and the cache of the user stays as it is.
os.environ["SPIKERUN_COST_CACHE"] = "off"

# Where there is no GPU, Triton's interpreter stands in for one: it is asked for before Triton is imported.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"

MAY_SKIP = {
    "shared": "data that lie beside the checkout",
    "gpu": "no GPU",
    "isa": "the processor lacks the instructions",
}


def required() -> bool:
    """Return whether everything that tests need must be on this machine."""
    return os.environ.get("SPIKERUN_REQUIRE_ALL") == "1"


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a failure of a skip."""
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"SPIKERUN_REQUIRE_ALL=1: only {', '.join(MAY_SKIP)} may skip, this was: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.skipped and not hasattr(report, "wasxfail"):
        mark = next((name for name in MAY_SKIP if item.get_closest_marker(name)), None)
        if mark:
            report.user_properties.append(("may skip", mark))
        elif required():
            fail(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if report.skipped and required():  # a whole module
        fail(report)
    return report  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = (dict(getattr(report, "user_properties", ())) for report in terminalreporter.getreports("skipped"))
    counts = Counter(found["may skip"] for found in skipped if "may skip" in found)
    if counts or required():
        said = ", ".join(f"{counts[name]} {name} ({why})" for name, why in MAY_SKIP.items())
        terminalreporter.write_line(f"skipped where that is allowed: {said}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest tests come first: at the end one process would be left with them, and the other with nothing.
    items.sort(key=lambda item: "test_documents_run" not in item.nodeid)
    percent = float(os.environ.get("SPIKERUN_EXAMPLES", 100))
    for test in {item.obj for item in items if isinstance(item, pytest.Function)}:
        if percent < 100 and getattr(test, "is_hypothesis_test", False):
            asked = test._hypothesis_internal_use_settings  # what a test asks for comes before every profile
            few = max(1, round(asked.max_examples * percent / 100))
            test._hypothesis_internal_use_settings = settings(asked, max_examples=few)


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a function that finds a file or folder beside the checkout, in $SPIKERUN_SHARED, or skips the test."""
    request.node.add_marker(pytest.mark.shared)

    def find(name: str) -> Path:
        folder = os.environ.get("SPIKERUN_SHARED")
        if not folder or not (Path(folder) / name).exists():
            pytest.skip(f"'{name}' is not in the folder $SPIKERUN_SHARED ({folder or 'not set'})")
        return Path(folder) / name

    return find


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: several wait for each other longer than tiny networks take."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
