# SPDX-License-Identifier: Apache-2.0
"""The constants of a source: each content once."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikerun.edge.mcu import emit
from spikerun.edge.mcu.table import Table

__all__ = ["Constants"]


@dataclass
class Constants:
    """Constant tables by symbol, each content once; `owner` says for which population the first was made."""

    prefix: str
    tables: dict[str, Table] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    pointers: dict[str, dict[str, str]] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    flash: dict[str, int] = field(default_factory=dict)
    _known: dict[object, str] = field(default_factory=dict)

    def table(self, table: Table, owner: str) -> str:
        """Return the symbol of a table."""
        symbol = f"{self.prefix}_{table.ctype.removeprefix('spikerun_')}{len(self.tables)}"
        pointers = {key: self.array(f"{symbol}_{key}", values, owner) for key, values in table.arrays.items()}
        content = (table.ctype, tuple(table.numbers.items()), tuple(pointers.items()))
        if content not in self._known:
            self._known[content] = symbol
            self.tables[symbol], self.pointers[symbol], self.owner[symbol] = table, pointers, owner
            self._count(owner, 4 * (len(table.numbers) + len(table.arrays)))
        return self._known[content]

    def array(self, symbol: str, values: npt.NDArray[np.generic], owner: str) -> str:
        """Return the symbol of an array: the one given, unless the same content has one already."""
        content = (values.dtype.str, hashlib.sha256(values.tobytes()).digest(), values.size)
        if content not in self._known:
            self._known[content] = emit.identifier(symbol)
            self.arrays[self._known[content]] = values
            self._count(owner, -(-values.nbytes // 4) * 4 + 8)  # and its row in the list of all
        return self._known[content]

    def _count(self, owner: str, size: int) -> None:
        self.flash[owner] = self.flash.get(owner, 0) + size
