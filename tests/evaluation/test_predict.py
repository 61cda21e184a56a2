"""Predicting in buckets gives what predicting one by one gives, in the order asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.calls import CallLimits
from dawgen.errors import UserError
from dawgen.evaluation import predict
from dawgen.tasks import Row, TaskCard, load_card

SICK = load_card("sick")


class Counting:
    """A stand-in model: a row of n tokens scores ln n for the first label, 0 for the others."""

    device = torch.device("cpu")
    is_packed = False

    def __init__(self) -> None:
        self.limits = CallLimits({True: 10**6, False: 10**6})
        self.batches: list[list[int]] = []
        self.prompts: list[Tensor | None] = []

    def label_word_ids(self, card: TaskCard) -> list[list[int]]:
        return [[i] for i in range(len(card.labels))]

    def encode_rows(
        self, card: TaskCard, rows: Sequence[Row], prompt_length: int
    ) -> list[list[int]]:
        return [[7] * len(row.text1) for row in rows]

    def label_scores(
        self, prompts: Tensor | None, inputs: Sequence[Sequence[int]], words: list[list[int]]
    ) -> Tensor:
        self.batches.append([len(ids) for ids in inputs])
        self.prompts.append(prompts)
        scores = torch.zeros(len(inputs), len(words))
        scores[:, 0] = torch.tensor([float(len(ids)) for ids in inputs]).log()
        return scores


def test_order_is_restored_and_batches_keep_the_budget() -> None:
    lengths = [3, 9, 1, 4, 9, 2, 30, 5]
    model = Counting()
    rows = [Row("x" * n, "y", None) for n in lengths]
    found = predict(model, SICK, torch.zeros(2, 4), rows, tokens_per_batch=24)  # type: ignore[arg-type]
    # softmax of (ln n, 0, 0) is (n, 1, 1) / (n + 2)
    expected = [[n / (n + 2), 1 / (n + 2), 1 / (n + 2)] for n in lengths]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32
    # two prompt vectors a row: 30 alone though over budget, 11 x 2, then the rest, 7 x 3 at most
    assert model.batches == [[1, 2], [3, 4, 5], [9, 9], [30]]
    assert [list(p.shape) for p in model.prompts if p is not None] == [
        [len(batch), 2, 4] for batch in model.batches
    ]


def test_zero_shot_has_no_prompt_and_no_rows_are_fine() -> None:
    model = Counting()
    assert predict(model, SICK, None, [Row("ab", "y", None)]).shape == (1, 3)  # type: ignore[arg-type]
    assert model.prompts == [None]
    assert predict(model, SICK, None, []).shape == (0, 3)  # type: ignore[arg-type]


def test_a_score_that_is_not_finite_names_its_row() -> None:
    rows = [Row("abc", "y", None), Row("", "y", None), Row("ab", "y", None)]

    class Broken(Counting):
        def label_scores(
            self, prompts: Tensor | None, inputs: Sequence[Sequence[int]], words: list[list[int]]
        ) -> Tensor:
            scores = super().label_scores(prompts, inputs, words)
            scores[[len(ids) == 2 for ids in inputs]] = float("nan")
            return scores

    with pytest.raises(UserError, match=r"1 of 3 rows .* row 3"):
        predict(Broken(), SICK, None, rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_batches_do_not_change_a_real_models_probabilities(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    rows = [Row("the man " * n, "a dog runs in the park", None) for n in (1, 4, 2, 3, 1)]
    prompt = torch.randn(3, backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    together = predict(backbone, SICK, prompt, rows)
    alone = [predict(backbone, SICK, prompt, [row])[0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    assert np.abs(together - predict(backbone, SICK, None, rows)).max() > 1e-6
