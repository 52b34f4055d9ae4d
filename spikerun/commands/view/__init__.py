# SPDX-License-Identifier: Apache-2.0
"""`spikerun view`, a stream in a browser page: `tap.py` watches it, `frame.py` makes frames, `server.py` sends them."""
