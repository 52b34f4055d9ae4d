# SPDX-License-Identifier: Apache-2.0
"""How a network does on samples, beside the network that it was made of."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from spikerun.converters.accuracy import Accuracy
from spikerun.converters.evaluate import Evaluation
from spikerun.converters.examples import Batch, Examples
from spikerun.converters.graph import Array
from spikerun.converters.metrics import METRICS, Metric, reference
from spikerun.converters.torch.export import named

__all__ = ["Judge", "results_of"]


class Judge:
    """Scores the first result of networks on `batches` of examples, by a metric (None: top1, of real targets mse).

    model: the network that others are held to; without labels its own results take their place.
    """

    def __init__(
        self, model: nn.Module, examples: Examples, batches: Callable[[], Iterator[Batch]], metric: Metric | None = None
    ) -> None:
        self._examples, self._batches = examples, batches
        metric = metric or METRICS["mse" if examples.real else "top1"]
        logits = self._logits(model)
        labels = [batch.labels for batch in batches()]
        known = np.concatenate([one.cpu().numpy() for one in labels if one is not None] or [reference(metric, logits)])
        self._evaluation = Evaluation({}, known, _flat(logits), logits.shape[1:], metric)
        self.before = self._mean(self._evaluation.ann)

    @property
    def by_chance(self) -> bool:
        """Return whether the network that others are held to finds classes no more often than by chance."""
        return self._evaluation.by_chance

    def score(self, model: nn.Module) -> float:
        """Return the mean score, in percent."""
        return self._mean(_flat(self._logits(model)))

    def accuracy(self, model: nn.Module) -> Accuracy:
        """Return both networks' scores, `snn` being those of this one."""
        return self._evaluation.accuracy(_flat(self._logits(model)))

    def _mean(self, logits: Mapping[str, Array]) -> float:
        return 100 * float(self._evaluation.scores(logits).mean())

    @torch.no_grad()
    def _logits(self, model: nn.Module) -> Array:
        """Return the first result (N, *shape), float64; the model is in inference mode meanwhile."""
        training = model.training
        model.eval()
        found = [next(iter(results_of(model, self._examples.seen(batch.x)).values())) for batch in self._batches()]
        model.train(training)
        logits: Array = torch.cat(found).double().cpu().numpy()
        return logits


def results_of(model: nn.Module, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the results of a module by name, for what it sees by input."""
    return named(model(*seen.values()) if len(seen) == 1 else model(**seen), torch.Tensor)


def _flat(logits: Array) -> dict[str, Array]:
    return {"output": logits.reshape(len(logits), -1)}
