# SPDX-License-Identifier: Apache-2.0
"""Events of cameras, as they come: arrays of `spikerun.EVENT`, one after the other, in order of time.

The table below is all there is; other packages add rows through the entry-point group `spikerun.sources`, each entry a
`Format`. docs/events.md says what each format is, and what reads it.
"""

if __name__ != "spikerun.sources":
    raise ImportError("import spikerun.sources instead")

from spikerun.sources.camera import Camera, camera
from spikerun.sources.file import CHUNK, FORMATS, File, file, formats
from spikerun.sources.format import Format, Opened, Shape
from spikerun.sources.npy import NpySink
from spikerun.sources.paced import Paced, paced
from spikerun.sources.repeated import Repeated, repeated
from spikerun.sources.standard_input import Piped, stdin
from spikerun.sources.udp import Udp, UdpSink, udp

__all__ = [
    "CHUNK",
    "FORMATS",
    "Camera",
    "File",
    "Format",
    "NpySink",
    "Opened",
    "Paced",
    "Piped",
    "Repeated",
    "Shape",
    "Udp",
    "UdpSink",
    "camera",
    "file",
    "formats",
    "paced",
    "repeated",
    "stdin",
    "udp",
]
