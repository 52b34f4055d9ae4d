# SPDX-License-Identifier: Apache-2.0
"""An event camera on a USB port or the network, through the package neuromorphic-drivers.

Written after the types of version 0.18, and tried on none of the cameras.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UnsupportedError
from spikerun.events import EVENT, as_events, microseconds
from spikerun.sources.closing import Closing

__all__ = ["Camera", "camera"]

NOTHING = np.zeros(0, EVENT)


class Camera(Closing):
    """What `camera` returns: a source that never ends. `lost`: packets that the driver had no room for."""

    pace = 1.0
    waits = False
    drift = 2e-4  # its clock may be slower than ours by so much

    def __init__(self, device: Any) -> None:
        sensor = device.properties()
        self.shape = (2, int(sensor.height), int(sensor.width))
        self.lost = 0
        self._device = device

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for status, packet in self._device:
            if status.ring is not None:
                self.lost = int(status.ring.dropped_packets)
            events = None if packet is None else packet.polarity_events
            yield NOTHING if events is None else as_events(events, self.shape)

    def close(self) -> None:
        """Give the camera back."""
        self._device.close()


def camera(serial: str | None = None, *, tick_us: int = 1000) -> Camera:
    """Open an event camera: the only one, or that of a serial number. NOT TRIED ON HARDWARE.

    tick_us: after so many microseconds without events an empty array is given
    Raises UnsupportedError where the package is missing, and DataError where no camera can be opened.
    """
    try:
        import neuromorphic_drivers as drivers
    except ImportError as error:
        raise UnsupportedError(
            f"cameras need the package neuromorphic-drivers ({error}): install spikerun with its extra [camera], or: "
            "pip install neuromorphic-drivers"
        ) from error
    seconds = microseconds("tick_us", tick_us) * 1e-6
    try:
        device = drivers.open(serial=serial, iterator_timeout=seconds)
    except Exception as error:  # whatever the driver raises: RuntimeError for most of what can go wrong
        which = "no camera" if serial is None else f"no camera of serial number {serial}"
        raise DataError(
            f"{which} could be opened: {error}. Is one connected, and used by no other program? On Linux a user may "
            "open one only after the command neuromorphic-drivers-install-udev-rules"
        ) from error
    return Camera(device)
