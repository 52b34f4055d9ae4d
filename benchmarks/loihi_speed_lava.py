# SPDX-License-Identifier: Apache-2.0
"""The part of `loihi_speed.py` that runs in Lava's Python: prints the seconds of a step, and the spikes of the end.

python loihi_speed_lava.py FOLDER RUNNER
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, sys.argv[2])


def main() -> None:
    """Build the graph with one sink, run a step to start everything, and time the others."""
    import lavacompat

    lavacompat.install()
    import bundle
    import lavanet
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.utils.weightutils import SignMode

    folder = Path(sys.argv[1])
    graph = bundle.read_graph(folder / "graph.h5")
    streams = np.load(folder / "streams.npz", allow_pickle=False)
    ports, targets = {}, {}
    for source in graph.sources:
        ports[source.name] = Source(data=np.ascontiguousarray(np.moveaxis(streams[source.name], 0, -1))).s_out
    steps = len(streams[graph.sources[0].name])
    for neurons in graph.neurons:
        process = targets[neurons.name] = lavanet.MODELS[neurons.model](shape=neurons.shape, **neurons.parameters)
        ports[neurons.name] = process.s_out
    for made in graph.synapses:
        how = {"weight_exp": made.exponent, "num_weight_bits": made.weight_bits,
               "sign_mode": SignMode(made.sign_mode), "num_message_bits": made.message_bits}  # fmt: skip
        process = lavanet.FORMS[made.form](made, graph.shapes[made.source], graph.shapes[made.target], how)
        port, into = ports[made.source], targets[made.target].a_in
        (port if port.shape == process.s_in.shape else port.flatten()).connect(process.s_in)
        out = process.a_out
        (out if out.shape == into.shape else out.reshape(into.shape)).connect(into)
    sink = Sink(shape=ports[graph.neurons[-1].name].shape, buffer=steps)
    ports[graph.neurons[-1].name].connect(sink.a_in)
    config = Loihi2SimCfg(select_tag="fixed_pt")
    sink.run(condition=RunSteps(num_steps=1), run_cfg=config)
    begin = time.perf_counter()
    sink.run(condition=RunSteps(num_steps=steps - 1), run_cfg=config)
    took = time.perf_counter() - begin
    spikes = int(sink.data.get().sum())
    sink.stop()
    print(took / (steps - 1), spikes)


if __name__ == "__main__":
    main()
