"""Run neural networks as spikes, with the same bits on every target."""

from pathlib import Path

# In a checkout the sub-packages lie beside this folder and not in it; in a wheel they lie in it.
_checkout = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "kernels").is_dir() and (_checkout / "kernels").is_dir():
    __path__.append(str(_checkout))
