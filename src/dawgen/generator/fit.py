"""Tuning the generator: one soft prompt per label on the few shots, method.md §1.

One step of "dawgen", and what of it "fewgen" (λ = 0) and "plain" (W = 1) leave out:

    a. the tokens' losses at Q, once; L_wGen at the present weights → look-ahead Q(W)
    b. L_disc + λ L_dist at Q(W) over all C prompts → update the weight network   (not in plain)
    c. fresh weights; L_wGen + λ L_dist at Q → update Q           (the forward pass of a., reused)

Passes over the step's B examples, one label's prompt before each:

                                                        forward     backward
    a. own labels at Q                                  1           1 (not in plain)
       other labels at Q, what the weights look at      C - 1       none
    b. own labels at Q(W), for (3) and (4) alike        1           1
       other labels at Q(W)                             C - 1       C - 1
       J v of the token losses, without the head        1           none
    c. own labels at Q                                  that of a.  1

C are the labels of the batch, which are all of them unless there are many (``MOST_COMPARED``).
With C = 3 these are 7 forward and 5 backward; of plain 1 and 1, and the other labels' C - 1 forward
in the first step of an epoch, whose figures nothing but the report needs. A step that does not
update the weights (``weights_every``) leaves out b. and a.'s backward pass: 3 forward, 1 backward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.threads import threads_for_jobs
from dawgen.errors import UserError
from dawgen.generator import meta, objectives
from dawgen.generator.examples import (
    Batch,
    Shot,
    epoch_batches,
    label_groups,
    make_shots,
    steps_per_epoch,
)
from dawgen.generator.generator import Generator
from dawgen.generator.outer import OuterLoss
from dawgen.generator.scoring import distinction, score_all, score_own, score_rest
from dawgen.generator.weights import TokenWeights, equal_weights
from dawgen.prompts import cycle_tokens
from dawgen.storage.checkpoint import Checkpoint, State, optimizer_state, restore_optimizer
from dawgen.streams import repeatable
from dawgen.terminal.progress import progress, warn

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import GeneratorSettings
    from dawgen.streams import Streams
    from dawgen.tasks import Row, TaskCard

# Central differences: how far the prompt vector that moves most goes, as a share of a prompt
# vector's length. Between the rounding of the number format and the model's curvature.
_CENTRAL_STEP = {torch.float32: 0.01, torch.bfloat16: 0.2}
_SHOTS_AT_ONCE = 8  # looked at together after the tuning; changes memory only


@repeatable()
def fit_generator(
    card: TaskCard,
    shots: Sequence[Row],
    backbone: Backbone,
    settings: GeneratorSettings,
    streams: Streams,
    *,
    write_first: bool,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Generator:
    """Tune one soft prompt per label, so that the frozen model writes texts of that label.

    Args:
        card: the task.
        shots: few-shot rows, a few of every label.
        backbone: the frozen generator, sequence-to-sequence or causal; it is not changed.
        settings: method ("plain", "fewgen" or "dawgen"), rates, sizes.
        streams: the run's random streams.
        write_first: first sentences are generated too, so the prompts also learn "" → text1.
        on_step: called after each step with that step's entry of the history.
        checkpoint: where the state is kept; a tuning that was stopped goes on from it.

    Returns:
        The label prompts, the weight network and the history. Each entry holds ``step``,
        ``epoch``, ``gen_loss`` (1), ``weighted_loss`` (2), ``disc_loss`` (3) at the look-ahead
        (at Q for plain), ``dist_loss`` (4) at Q with the fresh weights, ``entropy`` of the weights
        (0..1), ``ratio`` (mean ratio of (3) at Q) and ``distance`` (mean over the
        labels of ‖Q_l - start‖ / ‖start‖). Plain has ``disc_loss`` and ``ratio``, which it does not
        learn from, in the first step of each epoch only. The others also have
        ``lookahead_share`` (0..1): how much of the gradient of the token weights comes through
        the look-ahead, which is (3)'s only way; the rest is (4)'s direct one. In steps that do
        not update the weight network, ``disc_loss`` is at Q, and this is missing.

    Raises:
        UserError: a label has no usable row, or the loss is no longer finite.
    """
    frame = frame_for(card, backbone, settings.frame)
    examples = make_shots(
        card,
        shots,
        backbone,
        prompt_length=settings.prompt_length,
        max_length=settings.max_length,
        write_first=write_first,
        frame=frame,
    )
    _warn_without_pairs(card, examples, settings)
    tuner = Tuner(card, backbone, settings, streams)
    history: list[dict[str, float]] = []
    per_epoch = steps_per_epoch(examples, settings.batch_size)
    total = settings.epochs * per_epoch
    batches: list[Batch] = []
    checkpoint = checkpoint or Checkpoint()
    if saved := checkpoint.load():
        tuner.load_state_dict(saved["tuner"])
        history += saved["history"]
        checkpoint.tell(len(history), total)
    with (
        progress("tuning the generator", total, "steps") as advance,
        checkpoint.steps(lambda: {"tuner": tuner.state_dict(), "history": history}) as step_done,
    ):
        advance(len(history))
        for step in range(len(history), total):
            epoch, place = divmod(step, per_epoch)
            if place == 0 or not batches:
                batches = list(epoch_batches(examples, settings.batch_size, streams, epoch))
            entry: dict[str, float] = {"step": step, "epoch": epoch}
            again = step % settings.weights_every == 0
            entry |= tuner.step(batches[place], first=place == 0, again=again)
            _check_finite(entry, card, batches[place], settings)
            history.append(entry)
            if on_step is not None:
                on_step(entry)
            advance(1)
            step_done()
    return Generator(tuner.prompts.detach().cpu(), tuner.weight_state(), history, frame)


def label_prompt_start(card: TaskCard, backbone: Backbone, length: int) -> Tensor:
    """Q [C,P,H] in fp32: each label's own words, as the model embeds them, over and over."""
    rows = [
        cycle_tokens(backbone.text_ids(card.label_prompts[label]), length) for label in card.labels
    ]
    ids = torch.tensor(rows, device=backbone.device)
    return backbone.embed(ids).detach().to(torch.float32, copy=True)


class Tuner:
    """What changes while the generator is tuned: Q, the weight network, their optimisers."""

    def __init__(
        self,
        card: TaskCard,
        backbone: Backbone,
        settings: GeneratorSettings,
        streams: Streams,
    ) -> None:
        self.backbone = backbone
        self.settings = settings
        self.dist_weight = settings.dist_weight if settings.method == "dawgen" else 0.0
        self.start = label_prompt_start(card, backbone, settings.prompt_length)
        self.prompts = self.start.clone().requires_grad_()
        rate = backbone.rate_unit(settings.learning_rate_unit) * settings.learning_rate
        self.optimizer = torch.optim.Adam([self.prompts], lr=rate)
        self.network: TokenWeights | None = None
        if settings.method != "plain":
            rng = streams.torch("generator", "weights")
            self.network = TokenWeights(settings.weight_hidden, rng).to(backbone.device)
            self.network_optimizer = torch.optim.Adam(
                self.network.parameters(), lr=settings.weight_learning_rate
            )

    def state_dict(self) -> State:
        """All that changes from step to step."""
        state: State = {
            "prompts": self.prompts,
            "optimizer": optimizer_state(self.optimizer),
            "network": self.weight_state(),
        }
        if self.network is not None:
            state["network_optimizer"] = optimizer_state(self.network_optimizer)
        return state

    def load_state_dict(self, state: State) -> None:
        """Go on from what :meth:`state_dict` gave."""
        with torch.no_grad():
            self.prompts.copy_(state["prompts"])
        restore_optimizer(self.optimizer, state["optimizer"])
        if self.network is not None:
            self.network.load_state_dict(state["network"])
            restore_optimizer(self.network_optimizer, state["network_optimizer"])

    def weight_state(self) -> dict[str, Tensor]:
        """The weight network's parameters, on the CPU; empty for the plain generator."""
        if self.network is None:
            return {}
        return {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}

    def step(self, batch: Batch, first: bool = True, again: bool = True) -> dict[str, float]:
        """One training step, a. to c.; gives back the step's figures.

        Args:
            first: of an epoch; plain computes the figures of (3) then only.
            again: update the weight network; without, step b. is left out.
        """
        with threads_for_jobs() if self.backbone.is_packed else nullcontext():
            return self._step(batch, first, again)

    def _step(self, batch: Batch, first: bool, again: bool) -> dict[str, float]:
        prompts, labels = self._of(batch)
        with self._own_attention() if again else nullcontext():
            own = score_own(self.backbone, prompts, batch.examples, labels)
        token_losses, mask = -own.log_probs, own.mask
        weights = equal_weights(mask)
        across: dict[str, Tensor] = {}  # what compares the labels
        if first or self.network is not None:
            with torch.no_grad():
                log_probs = score_rest(
                    self.backbone, prompts, batch.examples, labels, own.log_probs.detach()
                )
            across["disc_loss"] = objectives.discriminative_loss(log_probs, labels, mask)
            across["ratio"] = -across["disc_loss"]
            if self.network is not None and again:
                across["disc_loss"], weights, across["lookahead_share"] = self._update_weights(
                    prompts, token_losses, log_probs, mask, batch, labels
                )
            elif self.network is not None:
                with torch.no_grad():
                    inputs = objectives.discriminative_token_loss(log_probs, labels)
                    weights = self.network(inputs, mask)

        weighted = objectives.weighted_generation_loss(token_losses, weights, mask)
        with nullcontext() if self.dist_weight else torch.no_grad():
            dist = distinction(weights, own.hidden, mask, batch)
        self.optimizer.zero_grad(set_to_none=True)
        (weighted + self.dist_weight * dist if self.dist_weight else weighted).backward()
        self.optimizer.step()

        moved = (self.prompts.detach() - self.start).flatten(1).norm(dim=1)
        figures = {
            "gen_loss": objectives.generation_loss(token_losses.detach(), mask),
            "weighted_loss": weighted.detach(),
            "disc_loss": across.get("disc_loss"),
            "dist_loss": dist.detach(),
            "entropy": objectives.weight_entropy(weights, mask),
            "ratio": across.get("ratio"),
            "distance": (moved / self.start.flatten(1).norm(dim=1)).mean(),
            "lookahead_share": across.get("lookahead_share"),
        }
        known = {name: value for name, value in figures.items() if value is not None}
        values = torch.stack([value.float() for value in known.values()]).tolist()
        return dict(zip(known, values, strict=True))

    def _of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The prompts of the batch's labels, a part of Q or all, and which of them each example
        reads, [B]. The other prompts have a gradient of 0; Adam's momentum still moves them."""
        labels = batch.labels.to(self.backbone.device)
        present = labels.unique()
        if len(present) == len(self.prompts):
            return self.prompts, labels
        return self.prompts[present], torch.searchsorted(present, labels)

    def _update_weights(
        self,
        prompts: Tensor,
        token_losses: Tensor,
        log_probs: Tensor,
        mask: Tensor,
        batch: Batch,
        labels: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Steps a. and b.: L_disc at Q(W), the fresh weights [B,T], the look-ahead's share."""
        assert self.network is not None
        inputs = objectives.discriminative_token_loss(log_probs, labels)
        weights = self.network(inputs, mask)
        outer = OuterLoss(self.backbone, batch, labels, self.dist_weight)
        found = meta.meta_gradient(
            prompts,
            token_losses,
            weights,
            mask,
            outer,
            self.settings.lookahead_rate,
            self._derivative(batch, labels),
        )
        self.network_optimizer.zero_grad(set_to_none=True)
        weights.backward(found.weights)
        self.network_optimizer.step()
        with torch.no_grad():
            share = found.lookahead_share(weights.detach())
            return outer.disc, self.network(inputs, mask), share

    def _own_attention(self) -> AbstractContextManager[None]:
        """Eager where the meta-step goes back through the gradient of the own losses."""
        exact = self.network is not None and self.settings.meta_gradient == "jvp"
        return self.backbone.eager_attention() if exact else nullcontext()

    def _derivative(self, batch: Batch, labels: Tensor) -> meta.Derivative | None:
        """How the meta-step takes the tokens' losses along a direction; None: from their graph."""
        if self.settings.meta_gradient == "jvp":
            return None

        def losses(prompts: Tensor) -> Tensor:
            return -score_own(self.backbone, prompts, batch.examples, labels).log_probs

        step = _CENTRAL_STEP[self.backbone.dtype]
        return partial(meta.central_difference, losses, labels=labels, points=4, step=step)


@torch.no_grad()
def token_weights(
    generator: Generator, shots: Sequence[Shot], backbone: Backbone
) -> tuple[Tensor, Tensor, Tensor]:
    """What a tuned generator makes of every token: weights, ratios of (3) and mask, all [B,T].

    The softmax of the weights runs over all the shots given, so their mean is 1. Of many labels
    each is compared with those of its group.
    """
    prompts = generator.prompts.to(backbone.device)
    own = Batch(tuple(shots)).labels.to(backbone.device)
    parts, places = [], []
    for group in label_groups(range(len(prompts))):
        some = [shot for shot in shots if shot.label in group]
        if some:
            labels = torch.tensor(group, device=backbone.device)
            parts.append(_losses(prompts[group], some, labels, backbone))
            places.append(torch.isin(own, labels).nonzero().flatten())
    longest = max(part.shape[1] for part, _ in parts)
    order = torch.cat(places).argsort()
    inputs, mask = (
        torch.cat([pad(part[k], (0, longest - part[k].shape[1])) for part in parts])[order]
        for k in (0, 1)
    )
    network = generator.weight_network()
    weights = equal_weights(mask)
    if network is not None:
        weights = network.to(backbone.device)(inputs, mask)
    return weights, (-inputs).exp(), mask


def _losses(
    prompts: Tensor, shots: Sequence[Shot], labels: Tensor, backbone: Backbone
) -> tuple[Tensor, Tensor]:
    """The shots' tokens' cross-entropy over the prompts of ``labels`` [C], which are sorted, and
    their mask, both [B,T]."""
    own = torch.searchsorted(labels, Batch(tuple(shots)).labels.to(labels.device))
    log_probs, mask = _every_log_prob(prompts, shots, own, backbone)
    return objectives.discriminative_token_loss(log_probs, own), mask


def _every_log_prob(
    prompts: Tensor, shots: Sequence[Shot], labels: Tensor, backbone: Backbone
) -> tuple[Tensor, Tensor]:
    """Log-probabilities [C,B,T] of the shots' tokens under every prompt, and their mask [B,T].

    A few shots at a time: all of them would not fit beside a large vocabulary. ``labels`` [B] says
    which prompt is each example's own.
    """
    batches = [
        Batch(tuple(shots[i : i + _SHOTS_AT_ONCE])) for i in range(0, len(shots), _SHOTS_AT_ONCE)
    ]
    longest = max(len(target) for batch in batches for target in batch.targets)
    parts = []
    owns = labels.split([len(batch.examples) for batch in batches])
    for batch, own in zip(batches, owns, strict=True):
        scored = score_all(backbone, prompts, batch.examples, own)
        padding = (0, longest - scored.mask.shape[1])
        parts.append((pad(scored.log_probs, padding), pad(scored.mask, padding)))
    return torch.cat([p for p, _ in parts], dim=1), torch.cat([m for _, m in parts])


def _warn_without_pairs(card: TaskCard, shots: Sequence[Shot], settings: GeneratorSettings) -> None:
    """Warn that (4), which compares two rows of a label, has nothing to compare."""
    alone = max(Counter(shot.label for shot in shots).values()) == 1
    if alone and settings.method == "dawgen" and settings.dist_weight:
        warn(
            f"{card.name}: generator tuning has 1 row per label, so (4) has no two rows of a label "
            "to compare and dawgen is FewGen here; give it more rows."
        )


def _check_finite(
    entry: dict[str, float], card: TaskCard, batch: Batch, settings: GeneratorSettings
) -> None:
    wrong = [name for name, value in entry.items() if not torch.isfinite(torch.tensor(value))]
    if wrong:
        rows = ", ".join(str(shot.row) for shot in batch.shots)
        raise UserError(
            f"{card.name}: tuning the generator, {wrong[0]} became {entry[wrong[0]]} at step "
            f"{int(entry['step'])} (few shots {rows}, counted from 0); lower "
            f"generator.learning_rate ({settings.learning_rate}) or check these rows and the model."
        )
