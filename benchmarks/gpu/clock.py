# SPDX-License-Identifier: Apache-2.0
"""Times on a GPU: medians by CUDA events, of calls or of replays of a CUDA graph, and by the wall; the card's name."""

import statistics
import time
from collections.abc import Callable, Sequence

import record as records
import torch

__all__ = ["Call", "call_us", "card", "graph_us", "record", "replay_us", "wall_us"]

Call = Callable[[], object]
WARM, CALLS = 5, 30


def card() -> str:
    """Return the GPU and what drives it."""
    driver = torch.version.cuda
    return f"{torch.cuda.get_device_name()}, CUDA {driver}"


def record(benchmark: str, metric: str, value: float | str, unit: str) -> None:
    """Print a figure, and append it to results.csv as one of this GPU."""
    import triton

    records.record(benchmark, metric, value, unit, card(), f"{records.versions()}, triton {triton.__version__}")


def captured(calls: Sequence[Call], rounds: int = 1) -> torch.cuda.CUDAGraph:
    """Return a graph of calls that take turns, so often; they were run before."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for call in (*calls, *calls):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(rounds):
            for call in calls:
                call()
    return graph


def graph_us(calls: Sequence[Call], rounds: int = 10) -> float:
    """Return the microseconds of a call in a graph of `rounds` times all of them.

    Several calls that differ in their weights, so many that these are more than the L2 cache holds, are cold; one alone
    that fits is hot.
    """
    graph = captured(calls, rounds)
    return call_us(graph.replay) / (rounds * len(calls))


def replay_us(call: Call) -> float:
    """Return the microseconds of the GPU for one replay of a graph that holds one call."""
    return call_us(captured([call]).replay)


def call_us(call: Call) -> float:
    """Return the microseconds between the events before and after a call: the median."""
    for _ in range(WARM):
        call()
    torch.cuda.synchronize()
    found = []
    for _ in range(CALLS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end) * 1e3)
    return statistics.median(found)


def wall_us(call: Call) -> float:
    """Return the microseconds of the computer's clock until a call's work is done: the median."""
    for _ in range(WARM):
        call()
    torch.cuda.synchronize()
    found = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize()
        found.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(found)
