"""FewGen's care with noisy synthetic rows: temporal ensembling (Meng et al. 2023, equation 6).

A prompt learns easy regularities before it learns wrong labels, so the mean z of its own past
predictions for a row is a better teacher than the last one. The loss of a synthetic row becomes

    - Σ_l q_l log p_l  +  λ Σ_l z_l log (z_l / p_l)

and rows whose mean prediction of their own label stays below a threshold are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.tuning.rows import JoinedRows

if TYPE_CHECKING:
    from dawgen.settings import NoiseSettings


class Ensemble:
    """One arm's mean predictions of its synthetic rows.

    A row's mean is updated when the row is drawn (FewGen: of all rows, once an epoch; a prompt
    sees each row a few times only, and scoring all of them would cost more than tuning).

    Args:
        labels: [N,C] each synthetic row's label as probabilities.
    """

    def __init__(self, labels: Tensor, settings: NoiseSettings) -> None:
        self._own = labels.argmax(dim=1)
        self._sum = torch.zeros_like(labels)
        self._seen = torch.zeros(len(labels))
        self._settings = settings

    def mean(self, places: Sequence[int]) -> Tensor:
        """z [n,C] of rows seen before, bias-corrected as in Adam; zero of the others."""
        rows = torch.tensor(places, dtype=torch.long)
        correction = 1.0 - self._settings.momentum ** self._seen[rows]
        return self._sum[rows] / correction.clamp(min=1e-12)[:, None]

    def apply(self, rows: JoinedRows, copy: int, places: Sequence[int]) -> JoinedRows:
        """The step's rows with this arm's targets and weights changed.

        The gradient of cross-entropy is linear in its target, so target q + λ z gives both
        terms at once. Rows left out weigh nothing, the others share the whole weight.

        Args:
            copy: which prompt copy this arm's synthetic rows read.
            places: their places in the synthetic set, in the order of the joined rows.
        """
        mine = (rows.copy == copy).nonzero()[:, 0]
        mean, drawn = self.mean(places), torch.tensor(places, dtype=torch.long)
        certainty = mean.gather(1, self._own[drawn][:, None])[:, 0]
        kept = (self._seen[drawn] == 0) | (certainty >= self._settings.threshold)
        targets, weight = rows.targets.clone(), rows.weight.clone()
        targets[mine] += self._settings.weight * mean
        weight[mine] = kept.to(weight.dtype) / kept.sum().clamp(min=1)
        return replace(rows, targets=targets, weight=weight)

    def state_dict(self) -> dict[str, Tensor]:
        """The means, and how often each row was seen."""
        return {"sum": self._sum, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._sum, self._seen = state["sum"], state["seen"]

    def add(self, places: Sequence[int], probabilities: Tensor) -> None:
        """Take the predictions [n,C] of drawn rows into their means."""
        rows = torch.tensor(places, dtype=torch.long)
        momentum = self._settings.momentum
        self._sum[rows] = momentum * self._sum[rows] + (1.0 - momentum) * probabilities.cpu()
        self._seen[rows] += 1
