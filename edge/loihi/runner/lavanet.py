# SPDX-License-Identifier: Apache-2.0
"""A graph as processes of Lava, and one run of them. Lava must be importable (`lavacompat`)."""

import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from guard import Watch
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sdn.process import Sigma, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from processes import LifSubtract, Recorder, SigmaDeltaExact, Summing, Watcher, Words
from scipy.sparse import csr_matrix

STOP_SECONDS = 5
FIXED = "fixed_pt"  # without the tag Lava mixes models of floats and of integers, and says nothing
STATES = ("u", "v")


def lif(shape, v_first, reset_interval, reset_offset, **given):
    """LIF, or LIFReset where there is an interval."""
    if reset_interval == 0:
        return LIF(shape=shape, v=v_first, **given)
    resets = {"reset_interval": reset_interval, "reset_offset": reset_offset % reset_interval}
    return LIFReset(shape=shape, v=v_first, **resets, **given)


def lif_subtract(shape, v_first, after_leak=False, **given):
    """Return our own."""
    return LifSubtract(shape=shape, v=v_first, after_leak=after_leak, **given)


MODELS = {
    "lif": lif,
    "lif_subtract": lif_subtract,
    "lif_subtract_after_leak": partial(lif_subtract, after_leak=True),
    "sigma": Sigma,
    "sigma_delta": SigmaDelta,
    "sigma_delta_exact": SigmaDeltaExact,
    "summing": Summing,
    "words": Words,
}
STOCK = ("lif", "sigma", "sigma_delta")  # those that Lava ships, which a chip has too


def dense(made, source, target, how):
    """Return dense synapses, with delays where there are any."""
    if np.max(made.delay, initial=0) == 0:
        return Dense(weights=made.weight, **how)
    delays = np.broadcast_to(np.asarray(made.delay, int), made.weight.shape).copy()
    return DelayDense(weights=made.weight, delays=delays, max_delay=int(delays.max()), **how)


def sparse(made, source, target, how):
    """Return sparse synapses, with delays where there are any."""

    def matrix(values):
        return csr_matrix((values, made.indices, made.indptr), shape=(int(np.prod(target)), int(np.prod(source))))

    if np.max(made.delay, initial=0) == 0:
        return Sparse(weights=matrix(made.weight), **how)
    delays = np.broadcast_to(np.asarray(made.delay, int), made.weight.shape).copy()
    return DelaySparse(weights=matrix(made.weight), delays=matrix(delays), max_delay=int(delays.max()), **how)


def conv(made, source, target, how):
    """Return a convolution; Lava's have no exponents."""
    if made.groups > 127:  # Lava keeps the number in 8 bits
        raise ValueError(f"a convolution in {made.groups} groups is more than Lava takes, which is 127")
    return Conv(weight=made.weight, input_shape=source, stride=made.stride, padding=made.padding,
                dilation=made.dilation, groups=made.groups, num_message_bits=how["num_message_bits"])  # fmt: skip


# Of synapses, not of connections: there is no diagonal, sum_pool, pooled_conv, random or window in a graph.
FORMS = {"dense": dense, "sparse": sparse, "conv": conv}


class Direct:
    """How a simulation is entered and left: not at all; and its configuration. `hardware.Chip` does so for a chip."""

    def enter(self, port, source):
        """Return the port at which the spikes of a source arrive."""
        return port

    def leave(self, port, neurons):
        """Return the port at which what a population sends comes out."""
        return port

    def config(self, steps):
        """Return the run configuration."""
        return Loihi2SimCfg(select_tag=FIXED)


def components(graph):
    """Yield the names of parts that are connected: Lava runs what a process can reach."""
    group = {name: {name} for name in graph.shapes}
    for made in graph.synapses:
        joined = group[made.source] | group[made.target]
        group.update(dict.fromkeys(joined, joined))
    seen = set()
    for name in graph.shapes:
        if name not in seen:
            seen |= group[name]
            yield group[name]


def run(graph, streams, steps, where, deadline, every=(), last=False):
    """Run all steps, and return {name: events (steps, *shape)} and {(name, state): values (steps or 1, *shape)}.

    streams: what sources send, (steps, *shape); deadline: of time.monotonic(); every: populations whose v is read
    after each step; last: u and v of all are read after the last one.
    """
    events, states = {}, {}
    populations = {neurons.name for neurons in graph.neurons}
    for names in components(graph):
        if names & populations:
            with TemporaryDirectory(prefix="spikerun-lava-") as folder:
                files, process = build(graph, names, streams, steps, where, Path(folder), every, last)
                try:
                    with Watch(deadline), explained(process):
                        process.run(condition=RunSteps(num_steps=steps), run_cfg=where.config(steps))
                    for key, file in files.items():
                        (events if len(key) == 1 else states)[key if len(key) > 1 else key[0]] = np.load(file)
                finally:
                    stop(process)
    return events, states


@contextmanager
def explained(process):
    """Raise what was raised in a process of Lava, which keeps it to itself."""
    try:
        yield
    except RuntimeError as error:
        actors = getattr(getattr(process.runtime, "_messaging_infrastructure", None), "actors", ())
        for raised, trace in filter(None, [actor.exception for actor in actors]):
            print(trace, file=sys.stderr)
            raise RuntimeError(f"{type(raised).__name__} in one of its processes: {raised}") from error
        raise


def build(graph, names, streams, steps, where, folder, every, last):
    """Return ({(population,) or (population, state): file}, one of the processes), for a part of a graph."""
    shapes, ports, targets, files, process = graph.shapes, {}, {}, {}, None

    def record(name, neurons):
        path = files[name] = str(folder / f"{len(files)}.npy")
        return {"shape": tuple(neurons.shape), "path": path, "steps": steps}

    for source in graph.sources:
        if source.name in names:
            buffer = RingBuffer(data=np.ascontiguousarray(np.moveaxis(streams[source.name], 0, -1)))
            ports[source.name] = where.enter(buffer.s_out, source)
    for neurons in graph.neurons:
        if neurons.name not in names:
            continue
        process = targets[neurons.name] = MODELS[neurons.model](shape=neurons.shape, **neurons.parameters)
        ports[neurons.name] = process.s_out
        where.leave(process.s_out, neurons).connect(Recorder(**record((neurons.name,), neurons)).a_in)
        for state in STATES:
            all_steps = state == "v" and neurons.name in every
            if hasattr(process, state) and (last or all_steps):
                watcher = Watcher(every=all_steps, **record((neurons.name, state), neurons))
                watcher.state.connect_var(getattr(process, state))
    for made in graph.synapses:
        if made.source in names:
            how = {"weight_exp": made.exponent, "num_weight_bits": made.weight_bits,
                   "sign_mode": SignMode(made.sign_mode), "num_message_bits": made.message_bits}  # fmt: skip
            source, target = shapes[made.source], shapes[made.target]
            process = FORMS[made.form](made, source, target, how)
            port, into = ports[made.source], targets[made.target].a_in
            (port if port.shape == process.s_in.shape else port.flatten()).connect(process.s_in)
            out = process.a_out
            (out if out.shape == into.shape else out.reshape(into.shape)).connect(into)
    return files, process


def stop(process):
    """Stop Lava's processes. After an exception its own way of doing so hangs: then they are killed."""

    def politely():
        with suppress(Exception):  # what had to be said has been said
            process.stop()

    thread = threading.Thread(target=politely, daemon=True)
    thread.start()
    thread.join(STOP_SECONDS if sys.exc_info()[0] is None else 0.5)
    if thread.is_alive():
        for child in active_children():
            child.kill()
