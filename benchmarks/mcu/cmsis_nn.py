# SPDX-License-Identifier: Apache-2.0
"""Instructions of CMSIS-NN's dense int8 layers on every core, counted as those of firmware are.

    python benchmarks/mcu/cmsis_nn.py PATH_TO_CMSIS_NN [core]...

Its sources are compiled where they lie with gcc -O3 (`git -C PATH describe` says which they are); on a core that is not
Arm's this is its portable C. Weights and words are drawn: what a dense layer costs does not depend on them. Layers are
those of the MLP and the CNN of `networks.py`, a depthwise one, and those of MLPerf Tiny's networks (`shapes.py`).
Without its rows for the sums of weights, which Helium takes, where these are computed before a network runs.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from record import record
from shapes import NETWORKS, Layer

from spikerun.edge.mcu import arch
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.build import SCRIPT
from spikerun.errors import TargetError

NAME = "mcu_cmsis_nn"
CORES = ("cortex-m4", "cortex-m0", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc")
FOLDERS = ("ConvolutionFunctions", "FullyConnectedFunctions", "NNSupportFunctions", "PoolingFunctions")
MORE = ("BasicMathFunctions/arm_elementwise_add_s8.c", "TransposeFunctions/arm_transpose_s8.c")
PORT = Path(str(boards.__file__)).parent / "port"
LARGEST = 160_000  # values of a layer: of its source, its target, or its weights
BUFFER = 64 * 1024
STACK = 8192
HEAD = f"""#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"
#include "port.h"
static int8_t source[{LARGEST}], target[{LARGEST}], weights[{LARGEST}];
static int32_t bias[1024], multiplier[1024], shift[1024], buffer[{BUFFER // 4}];
static void draw(int8_t* values, int32_t count, uint32_t seed) {{
    for (int32_t k = 0; k < count; k++) {{
        seed = seed * 1664525u + 1013904223u;
        values[k] = (int8_t)(seed >> 24);
    }}
}}
#define SAID(status) \\
    if ((status) != ARM_CMSIS_NN_SUCCESS) {{ \\
        port_print("mismatch 0 - refused\\n"); \\
    }}
int main(void) {{
    const cmsis_nn_context with = {{buffer, sizeof buffer}};
    port_print("begin 1 1 1\\n");
    draw(source, {LARGEST}, 1);
    draw(weights, {LARGEST}, 2);
    for (int32_t k = 0; k < 1024; k++) {{
        bias[k] = k;
        multiplier[k] = 1 << 30;
        shift[k] = -7;
    }}
"""
TAIL = '    port_print("end 0\\n");\n    return 0;\n}\n'
QUANTISED = "const cmsis_nn_per_channel_quant_params q = {multiplier, shift};"


def dims(name: str, *nhwc: int) -> str:
    """Return the definition of dimensions."""
    return f"const cmsis_nn_dims {name} = {{{', '.join(map(str, nhwc))}}};"


def ends(layer: Layer) -> list[str]:
    """Return the dimensions of source and target."""
    return [dims(name, 1, h, w, c) for name, (c, h, w) in (("from", layer.source), ("to", layer.target))]


def window(layer: Layer) -> str:
    """Return strides, padding, and range of a layer as the end of its parameters."""
    (y, x), (top, left) = layer.stride, layer.padding
    return f"{{{x}, {y}}}, {{{left}, {top}}}, {{1, 1}}, {{-128, 127}}"


def convolution(layer: Layer) -> tuple[list[str], str]:
    """Return what comes before a convolution, and its call."""
    lines = [
        *ends(layer),
        dims("filter", layer.target[0], *layer.kernel, layer.source[0]),
        dims("biases", 1, 1, 1, layer.target[0]),
        f"const cmsis_nn_conv_params p = {{128, -128, {window(layer)}}};",
        QUANTISED,
        "if (arm_convolve_wrapper_s8_get_buffer_size(&p, &from, &filter, &to) > (int32_t)sizeof buffer) {",
        "    return 1;",
        "}",
    ]
    given = "&with, &p, &q, &from, source, &filter, weights, &biases, bias, &to, target"
    return lines, f"arm_convolve_wrapper_s8({given})"


def depthwise(layer: Layer) -> tuple[list[str], str]:
    """Return what comes before a convolution of each channel alone, and its call."""
    lines = [
        *ends(layer),
        dims("filter", 1, *layer.kernel, layer.target[0]),
        dims("biases", 1, 1, 1, layer.target[0]),
        f"const cmsis_nn_dw_conv_params p = {{128, -128, 1, {window(layer)}}};",
        QUANTISED,
        "if (arm_depthwise_conv_wrapper_s8_get_buffer_size(&p, &from, &filter, &to) > (int32_t)sizeof buffer) {",
        "    return 1;",
        "}",
    ]
    given = "&with, &p, &q, &from, source, &filter, weights, &biases, bias, &to, target"
    return lines, f"arm_depthwise_conv_wrapper_s8({given})"


def linear(layer: Layer) -> tuple[list[str], str]:
    """Return what comes before a linear layer, among it the sums of its weights, and its call."""
    inputs, outputs = layer.source[0], layer.target[0]
    lines = [
        dims("from", 1, 1, 1, inputs),
        dims("to", 1, 1, 1, outputs),
        dims("filter", inputs, 1, 1, outputs),
        dims("biases", 1, 1, 1, outputs),
        "const cmsis_nn_fc_params p = {128, 0, -128, {-128, 127}};",
        "const cmsis_nn_per_tensor_quant_params q = {1 << 30, -7};",
        "if (arm_fully_connected_s8_get_buffer_size(&filter) > 0) {",
        f"    SAID(arm_vector_sum_s8(buffer, {inputs}, {outputs}, weights, 128, 0, bias))",
        "}",
    ]
    given = "&with, &p, &q, &from, source, &filter, weights, &biases, bias, &to, target"
    return lines, f"arm_fully_connected_s8({given})"


def mean(layer: Layer) -> tuple[list[str], str]:
    """Return what comes before a mean over the image, and its call."""
    lines = [*ends(layer), dims("filter", 1, *layer.kernel, 1)]
    lines += ["const cmsis_nn_pool_params p = {{1, 1}, {0, 0}, {-128, 127}};"]
    return lines, "arm_avgpool_s8(&with, &p, &from, source, &filter, &to, target)"


def addition(layer: Layer) -> tuple[list[str], str]:
    """Return the call of an addition of two images."""
    c, h, w = layer.source
    scale = "128, 1 << 30, 0"
    given = f"source, weights, {scale}, {scale}, 20, target, -128, 1 << 30, -19, -128, 127, {c * h * w}"
    return [], f"arm_elementwise_add_s8({given})"


KINDS = {"conv": convolution, "depthwise": depthwise, "linear": linear, "mean": mean, "add": addition}


def program(layers: list[Layer]) -> str:
    """Return a program that executes layers one after the other, each between two marks."""
    lines = []
    for layer in layers:
        before, call = KINDS[layer.kind](layer)
        lines += ["    {", *(f"        {line}" for line in before), "        arm_cmsis_nn_status status;"]
        lines += ["        SPIKERUN_MARK_BEGIN();", f"        status = {call};", "        SPIKERUN_MARK_END();"]
        lines += ["        SAID(status)", "    }"]
    return HEAD + "\n".join(lines) + "\n" + TAIL


def sources(cmsis: Path) -> Iterator[Path]:
    """Yield what layers of int8 need of CMSIS-NN."""
    for folder in FOLDERS:
        yield from sorted(
            p for p in (cmsis / "Source" / folder).glob("*.c") if "f16" not in p.name and "f32" not in p.name
        )
    yield from (cmsis / "Source" / file for file in MORE)


def _compile(command: list[str], folder: Path, name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        raise TargetError(f"CMSIS-NN does not compile for '{name}':\n{done.stderr[:4000]}")


def counted(cmsis: Path, name: str, layers: list[Layer]) -> list[int]:
    """Return the instructions of layers on a board."""
    board = boards.load(name)
    core = arch.of(board)
    assert core.linker_script is not None
    libraries = ["-lc", "-lgcc"] if board.arch == "cortex-m" else ["--specs=picolibc.specs", "-lc", "-lgcc"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "main.c").write_text(program(layers))
        (folder / SCRIPT).write_text(core.linker_script(board, board.twin, STACK))
        flags = [flag for flag in core.flags if flag != "-ffreestanding"]
        compiler = [*core.compilers["gcc"].command(board), "-std=gnu11", *flags, f"-I{PORT}"]
        ports = [str(PORT / port) for port in core.ports]  # with -O3 they would take vectors before these are enabled
        _compile([*compiler, "-O1", "-c", *ports], folder, name)
        files = [*map(str, (*sources(cmsis), folder / "main.c")), *(f"{Path(port).stem}.o" for port in ports)]
        script = ["-T", str(folder / SCRIPT), f"-I{cmsis / 'Include'}"]
        _compile([*compiler, "-O3", *script, *files, "-o", "layers.elf", *libraries], folder, name)
        ran = core.emulators["qemu"].run(folder / "layers.elf", board, 600)
    assert ran.code == 0, ran.text
    assert "mismatch" not in ran.text
    assert len(ran.counts) == len(layers)
    return [count.instructions for count in ran.counts]


def main(cmsis: Path, cores: tuple[str, ...]) -> None:
    """Print and record the instructions of all layers, and of each network."""
    for core in cores:
        found = iter(counted(cmsis, f"generic-{core}", [layer for layers in NETWORKS.values() for layer in layers]))
        for network, layers in NETWORKS.items():
            spent = [next(found) for _ in layers]
            for layer, instructions in zip(layers, spent, strict=True):
                if len(layers) > 1:
                    record(NAME, f"{core}: {network}, {layer.name}", instructions, "instructions")
            record(NAME, f"{core}: {network}", sum(spent), "instructions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or CORES)
