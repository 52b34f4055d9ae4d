# SPDX-License-Identifier: Apache-2.0
"""Where everything is required, a skip fails; the marks that may skip are counted. Examples may be fewer."""

from collections.abc import Callable
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8").replace('["pytester"]', "[]")
SETTINGS = "[pytest]\nmarkers =\n    shared: x\n    gpu: x\n    isa: x\n"
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs tests of this source beside the conftest of the project."""

    def with_settings(source: str, *, required: bool = True, shared: Path | None = None) -> pytest.RunResult:
        monkeypatch.setenv("SPIKERUN_REQUIRE_ALL", "1" if required else "0")
        monkeypatch.delenv("SPIKERUN_SHARED", raising=False)
        if shared is not None:
            monkeypatch.setenv("SPIKERUN_SHARED", str(shared))
        pytester.makeini(SETTINGS)
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(f"import pytest\n{source}")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")

    return with_settings


SKIPS = "def test_a():\n    pytest.skip('no compiler')\n"


def test_a_skip_fails_where_everything_is_required(run: Run) -> None:
    result = run(SKIPS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*only shared, gpu, isa may skip*no compiler*"])


def test_a_skip_is_a_skip_elsewhere(run: Run) -> None:
    run(SKIPS, required=False).assert_outcomes(skipped=1)


def test_a_mark_that_skips_fails_too(run: Run) -> None:
    run("@pytest.mark.skipif(True, reason='no data')\ndef test_a(): pass\n").assert_outcomes(errors=1)


def test_a_module_that_skips_is_an_error(run: Run) -> None:
    result = run("pytest.skip('no library', allow_module_level=True)\n")
    result.assert_outcomes(errors=1)
    assert result.ret != 0


@pytest.mark.parametrize("mark", ["shared", "gpu", "isa"])
def test_three_marks_may_skip_and_are_counted(run: Run, mark: str) -> None:
    result = run(f"@pytest.mark.{mark}\n{SKIPS}")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"skipped where that is allowed: *1 {mark} *"])


def test_an_expected_failure_is_no_skip(run: Run) -> None:
    run("@pytest.mark.xfail\ndef test_a(): assert False\n").assert_outcomes(xfailed=1)


def test_none_skipped_is_said_where_everything_is_required(run: Run) -> None:
    run("def test_a(): pass\n").stdout.fnmatch_lines(["skipped where that is allowed: 0 shared *, 0 gpu *, 0 isa *"])


USES_SHARED = "def test_a(shared):\n    assert shared('spikes.npz').name == 'spikes.npz'\n"


def test_what_lies_beside_the_checkout_may_be_missing(run: Run, tmp_path: Path) -> None:
    run(USES_SHARED).assert_outcomes(skipped=1)
    run(USES_SHARED, shared=tmp_path).assert_outcomes(skipped=1)


def test_what_lies_beside_the_checkout_is_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spikes.npz").touch()
    run(USES_SHARED, shared=tmp_path).assert_outcomes(passed=1)


@pytest.mark.parametrize(("percent", "tried"), [("", 40), ("20", 8), ("1", 1)])
def test_a_run_tries_a_part_of_the_examples(
    run: Run, monkeypatch: pytest.MonkeyPatch, percent: str, tried: int
) -> None:
    if percent:
        monkeypatch.setenv("SPIKERUN_EXAMPLES", percent)
    else:
        monkeypatch.delenv("SPIKERUN_EXAMPLES", raising=False)
    result = run(
        "from hypothesis import given, settings, strategies as st\n"
        "seen = []\n"
        "@pytest.mark.parametrize('twice', [1, 2])\n"
        "@settings(max_examples=40, database=None)\n"
        "@given(k=st.integers())\n"
        "def test_a(k, twice): seen.append(k)\n"
        f"def test_b(): assert len(seen) == 2 * {tried}\n"
    )
    result.assert_outcomes(passed=3)
