"""Trained networks become spiking networks."""

if __name__ != "spikerun.converters":
    raise ImportError("import spikerun.converters instead")
