# SPDX-License-Identifier: Apache-2.0
"""The user's own model: a Python file with a function that builds it, and a file of weights. Nothing is unpickled."""

import importlib.util
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from spikerun.errors import ConversionError, UsageError, unknown_name
from spikerun.text import listed

__all__ = ["load_model", "load_weights"]

# Where training scripts put the state dict of a checkpoint.
CHECKPOINT = ("state_dict", "model_state_dict", "model")
# What wrappers put before the names of all weights, and which.
WRAPPERS = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
LOOKED_AT, QUOTED = 4096, 40  # bytes of what is no file of weights, and what of them is quoted
FOREIGN = re.compile(r"GLOBAL ([\w.]+)")  # what torch's reader names where it finds an object

log = logging.getLogger(__name__)


def load_model(where: str, weights: Path | None = None) -> nn.Module:
    """Return the module that `file.py:function` builds, with the weights of a file, in inference mode.

    The file is executed: it is the user's own code.
    """
    name, colon, function = where.rpartition(":")
    if not colon or not name.endswith(".py") or not function.isidentifier():
        raise UsageError(f"the model must be given as file.py:function, such as model.py:build; got '{where}'")
    module = _execute(Path(name))
    if not hasattr(module, function):
        raise unknown_name(f"function of {name}", function, [n for n, v in vars(module).items() if callable(v)])
    try:
        with redirect_stdout(sys.stderr):
            model = getattr(module, function)()
    except (Exception, SystemExit) as error:
        raise ConversionError(
            f"{where} raised {type(error).__name__}: {error}. It is called without arguments."
        ) from error
    if not isinstance(model, nn.Module):
        raise ConversionError(f"{where} must return a torch.nn.Module, it returned {type(model).__name__}")
    if weights is not None:
        load_weights(model, weights)
    return model.float().eval()


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'; give the model as file.py:function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # the file may import its neighbours, as when it is run
    sys.modules.setdefault(path.stem, module)
    try:
        with redirect_stdout(sys.stderr):  # what the file prints is no result
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConversionError(f"importing '{path}' raised {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict into `model`; every name and shape must fit."""
    own = model.state_dict()
    state = _merged(path, _unwrapped(path, _read(path), own), own)
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    missing, strange = own.keys() - state.keys() - optional, state.keys() - own.keys()
    if missing or strange:
        told = [f"lacks {listed(missing)}"] if missing else []
        told += [f"has {listed(strange)}, which the model has not"] if strange else []
        raise ConversionError(
            f"'{path}' does not fit the model: it {' and '.join(told)}. Give the weights of this very model."
        )
    for name, value in state.items():
        _check_tensor(path, name, value, own[name])
    model.load_state_dict(dict(state), strict=False)


def _unwrapped(path: Path, state: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return weights without what a wrapper has put before all of their names, where the model has no such names."""
    for prefix, wrapper in WRAPPERS.items():
        if state and all(name.startswith(prefix) for name in state) and not any(n.startswith(prefix) for n in own):
            log.warning("'%s': all names begin with '%s', as %s saves them; that is left out", path, prefix, wrapper)
            return _unwrapped(path, {name.removeprefix(prefix): value for name, value in state.items()}, own)
    return state


def _merged(path: Path, state: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return weights with the masks of torch.nn.utils.prune multiplied in, where the model has none."""
    masked = [name.removesuffix("_orig") for name in state if name.endswith("_orig") and name not in own]
    masked = [name for name in masked if name in own and name not in state and f"{name}_mask" in state]
    found = dict(state)
    for name in masked:
        weight, mask = found.pop(f"{name}_orig"), found.pop(f"{name}_mask")
        if weight.shape != mask.shape:
            raise ConversionError(
                f"'{path}': '{name}_mask' has the shape {tuple(mask.shape)}, '{name}_orig' {tuple(weight.shape)}: the "
                "file is broken, save the state_dict of the pruned module again"
            )
        found[name] = weight * mask
    if masked:
        log.info("'%s': masks are multiplied into %s", path, listed(masked))
    return found


def _check_tensor(path: Path, name: str, value: torch.Tensor, own: torch.Tensor) -> None:
    if (
        value.is_meta
        or value.is_quantized
        or value.layout is not torch.strided
        or value.is_complex() != own.is_complex()
    ):
        raise ConversionError(
            f"'{path}' does not fit the model: '{name}' is a tensor of {value.dtype}, {value.layout}, on "
            f"'{value.device}', the model expects dense {own.dtype} with values. Give the weights of the float model."
        )
    if value.shape != own.shape:
        raise ConversionError(
            f"'{path}' does not fit the model: '{name}' has the shape {tuple(value.shape)}, the model expects "
            f"{tuple(own.shape)}. Give the weights of this very model."
        )


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise UsageError(f"there is no weights file '{path}'")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise UsageError(f"weights come as .safetensors, .pt or .pth, got '{path}'")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise
    except Exception as error:  # readers raise whatever a broken file makes them stumble over
        if found := FOREIGN.search(str(error)):
            raise ConversionError(
                f"'{path}' holds a whole module, or other objects that would have to be unpickled ({found[1]}), which "
                "can execute code; save its state_dict instead: torch.save(model.state_dict(), ...)"
            ) from error
        raise ConversionError(
            f"'{path}' {_kind(path) or f'is not a file of weights that can be read safely ({_first_line(error)})'}. "
            "Weights are what torch.save(model.state_dict(), ...) or safetensors.torch.save_file writes: save them so."
        ) from error
    return _state_dict(path, state)


def _kind(path: Path) -> str:
    """Return what a file is, where it is plain that it holds no weights."""
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
    if not head:
        return "is empty"
    try:
        text = head[: head.rfind(b"\n") + 1 or len(head)].decode()
    except UnicodeDecodeError:
        return ""
    plain = all(c.isprintable() or c in "\n\r\t" for c in text)
    return f"is a text file ('{text.split(chr(10))[0][:QUOTED].strip()}'), and holds no weights" if plain else ""


def _first_line(error: Exception) -> str:
    """Return what a reader says, in one line; torch's advice to read unsafely is left out."""
    said = str(error).strip().splitlines()
    told = said and " " in said[0] and not said[0].startswith("Weights only")  # of a KeyError there is a number
    return said[0].rstrip(".") if told else type(error).__name__


def _state_dict(path: Path, state: Any) -> Mapping[str, torch.Tensor]:
    if _is_state_dict(state):
        return state  # type: ignore[no-any-return]
    held = [key for key in CHECKPOINT if _is_state_dict(state.get(key))] if isinstance(state, Mapping) else []
    if len(held) == 1:
        log.warning("'%s' is a checkpoint: the state dict under its key '%s' is taken", path, held[0])
        return state[held[0]]  # type: ignore[no-any-return]
    has = f"; it is a dict with {listed(state)}" if isinstance(state, Mapping) else f"; it is a {type(state).__name__}"
    raise ConversionError(
        f"'{path}' does not hold a state dict{has}: save it with torch.save(model.state_dict(), ...), "
        f"or have it under one of the keys {listed(CHECKPOINT)}"
    )


def _is_state_dict(state: Any) -> bool:
    return isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    )
