# SPDX-License-Identifier: Apache-2.0
"""Lava 0.10.0 on Python 3.11 and newer: two of its modules are changed in memory, and no file is touched.

`var_model` gives fields of data classes an object as their default, which Python 3.11 refuses; `ports` calls
numpy.reshape with a keyword that NumPy 2.4 has no more.
"""

import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

CHANGES = {
    "lava.magma.compiler.var_model": (
        re.compile(rb"(: ByteEncoder) = ByteEncoder\(\)"),
        rb'\1 = __import__("dataclasses").field(default_factory=ByteEncoder)',
    ),
    "lava.magma.core.process.ports.ports": (
        re.compile(rb"ft\.partial\(np\.reshape, newshape=([\w.]+)\)"),
        rb"(lambda to: lambda data: np.reshape(data, to))(\1)",
    ),
}


class Loader(SourceFileLoader):
    """Reads the source, changed; never a compiled copy, of which it leaves none behind."""

    def get_data(self, path):
        if not path.endswith(".py"):
            raise OSError(f"{path}: a compiled copy is not what is wanted")
        pattern, better = CHANGES[self.name]
        return pattern.sub(better, super().get_data(path))

    def set_data(self, path, data, *, _mode=0o666):
        """Write no compiled copy."""


class Finder(MetaPathFinder):
    """Finds these modules, and leaves all others to those that come after."""

    def find_spec(self, fullname, path, target=None):
        if fullname not in CHANGES:
            return None
        found = PathFinder.find_spec(fullname, path)
        return found and ModuleSpec(fullname, Loader(fullname, found.origin), origin=found.origin)


def install():
    """Let Lava be imported from now on."""
    if sys.version_info >= (3, 11) and not any(isinstance(one, Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, Finder())
