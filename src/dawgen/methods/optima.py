"""OPTIMA: a prompt learned on a labelled source and unlabelled target rows (Guo et al. 2022).

One step, t of T, with λ = domain_weight · (2 / (1 + exp(-10 t/T)) - 1):

    a. a linear discriminator of the label position's hidden state learns source against target
    b. cross-entropy of the source rows
    c. a perturbation δ of the source's embedded tokens: uniform start, one step uphill of
       KL(clean ‖ perturbed) + λ · discriminator's loss
    d. the prompt descends b + KL(clean ‖ perturbed) + entropy of the perturbed prediction
       - λ · discriminator's loss on the perturbed rows; cosine decay, gradient norm clipped

KL(clean ‖ perturbed) = Σ p log(p/q), with p the clean and q the perturbed prediction: the
direction of the released code (``F.kl_div`` of log q and p) and of virtual adversarial training
(Miyato et al. 2018). p is the target and held fixed, so the term is cross-entropy against it up
to a constant. Its gradient in the perturbed scores is q - p, largest where the perturbation has
turned a certain prediction; that of KL(q ‖ p) vanishes there.

As published but for these, which are ours:

- the sign of the domain term. δ and the prompt both work *against* the discriminator, which is
  what the paper says they are for. In the released code δ follows the reversed gradient
  uphill, that is towards what the discriminator already finds easy, and the prompt's share of
  the term is multiplied by 0;
- source and target have each their card's template, and the target's label words; the prompt
  starts as ``settings.tuning`` says, whose optimiser it has;
- the few shots serve only to choose the checkpoint (``shots.dev``): the method adapts without
  labels of the target. The published few-shot figures tune on the shots afterwards.

Label words are read at one position, their first token, as published, so these must differ; rows
are labelled, and the checkpoint chosen, by whole words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.base import Prediction, Source, Task, label_by_prompt, train
from dawgen.methods.perturb import (
    Discriminator,
    adversarial,
    divergence,
    entropy,
    random_start,
    reversal_strength,
)
from dawgen.methods.transfer import as_target
from dawgen.settings import Settings
from dawgen.streams import Streams, repeatable
from dawgen.tasks import Shots, TaskCard
from dawgen.tuning.combine import Passes
from dawgen.tuning.develop import DevScore, dev_scores
from dawgen.tuning.gradients import clip, cross_entropy
from dawgen.tuning.rows import EncodedRows, encode
from dawgen.tuning.schedule import make_optimizer, rate_at
from dawgen.tuning.start import start_prompt


def optima(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """Adapt a prompt from the task's source to its unlabelled rows and label ``task.rows``."""
    source = as_target(task.needed_source("OPTIMA"), task.card, "OPTIMA")
    if not task.unlabelled:
        raise UserError(
            f"OPTIMA adapts to unlabelled rows of {task.card.name}, and there are none; name "
            f"some with --unlabelled."
        )
    prompt, step, score = adapt(task, source, shots, backbone, settings, streams)
    details = {
        "best_step": step,
        "dev_accuracy": score.accuracy,
        "dev_loss": score.loss,
        "source_rows": len(source.rows),
        "unlabelled_rows": len(task.unlabelled),
    }
    return label_by_prompt(task, prompt, backbone, settings, details)


@repeatable()
def adapt(
    task: Task,
    source: Source,
    shots: Shots,
    backbone: Backbone,
    settings: Settings,
    streams: Streams,
) -> tuple[Tensor, int, DevScore]:
    """The prompt [P,H] at the step that is best on the development shots, that step, its score.

    Args:
        source: with the target's labels, from :func:`dawgen.methods.transfer.as_target`.
    """
    if not shots.dev:
        raise UserError(f"{task.card.name}: there are no development rows to choose a step by.")
    optima_settings, length = settings.methods.optima, settings.tuning.prompt_length
    labelled = encode(source.card, source.rows, backbone, length)
    target = backbone.encode_rows(task.card, task.unlabelled, length)
    dev = encode(task.card, shots.dev, backbone, length)
    words = backbone.label_word_ids(task.card)
    adaptation = _Adaptation(task.card, source.card, backbone, settings, streams)
    source_order = Passes(len(labelled), streams.numpy("optima", "source"))
    target_order = Passes(len(target), streams.numpy("optima", "target"))
    size, tokens = optima_settings.batch_size, settings.tuning.tokens_per_batch
    best: tuple[Tensor, int, DevScore] | None = None

    def update(step: int) -> None:
        places = source_order.take(size)
        rows = EncodedRows([labelled.ids[i] for i in places], labelled.targets[places])
        adaptation.update(step, rows, [target[i] for i in target_order.take(size)])

    def look(step: int) -> None:
        nonlocal best
        prompt = adaptation.prompt.detach()
        (score,) = dev_scores(prompt[None], [dev], words, backbone, tokens)
        if score.better_than(best[2] if best else None):
            best = prompt.cpu().clone(), step, score

    train("OPTIMA", optima_settings.steps, optima_settings.eval_every, update, look)
    assert best is not None
    return best


class _Adaptation:
    """What OPTIMA carries from step to step: prompt, discriminator, optimiser, random stream."""

    def __init__(
        self,
        card: TaskCard,
        source: TaskCard,
        backbone: Backbone,
        settings: Settings,
        streams: Streams,
    ) -> None:
        start = start_prompt(backbone, card, settings.tuning, streams.root)
        self.prompt = nn.Parameter(start.to(backbone.device, torch.float32))  # [P, H]
        self._name, self._backbone = card.name, backbone
        self._settings = settings.methods.optima
        self._unit = backbone.rate_unit(settings.tuning.learning_rate_unit)
        self._words = _first_tokens(source, backbone)
        tuning = settings.tuning
        self._optimizer = make_optimizer(tuning.optimizer, self.prompt, tuning.weight_decay)
        self.discriminator = Discriminator(
            backbone.hidden_size, self._settings.discriminator_learning_rate, backbone.device
        )
        self._random = streams.torch("optima", "perturbation")

    def read(
        self, rows: Sequence[Sequence[int]], perturbation: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rows under the prompt -> label position's hidden state [B,H] and scores [B,C]."""
        prompts = self.prompt.expand(len(rows), *self.prompt.shape)
        hidden = self._backbone.label_hidden(prompts, rows, perturbation)
        return hidden, self._backbone.head.logits(hidden, self._words)

    def update(self, step: int, source: EncodedRows, target: Sequence[Sequence[int]]) -> None:
        """Steps a to d of the module's docstring."""
        s = self._settings
        hidden, clean = self.read(source.ids)
        with torch.no_grad():
            elsewhere, _ = self.read(target)
        self.discriminator.learn(hidden, elsewhere)
        weight = s.domain_weight * reversal_strength(step, s.steps)
        loss = cross_entropy(clean, source.targets.to(clean.device)).mean()
        loss = loss + self._consistency(source.ids, clean.detach(), weight)
        if not bool(loss.isfinite()):
            raise UserError(
                f"{self._name}, step {step} of OPTIMA: the loss is not finite; lower "
                f"methods.optima.learning_rate, or take backbone.dtype fp32."
            )
        (gradient,) = torch.autograd.grad(loss, self.prompt)
        self.prompt.grad = clip(gradient[None], s.max_grad_norm)[0]
        rate = rate_at(step, s.steps, self._unit * s.learning_rate, "cosine")
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()

    def _consistency(self, rows: list[list[int]], clean: Tensor, weight: float) -> Tensor:
        """What the prompt descends on perturbed rows; clean scores [B,C] -> a mean."""
        s = self._settings
        start = random_start([len(row) for row in rows], self.prompt.shape[1], self._random)
        found = adversarial(
            start.to(clean.device),
            clean,
            lambda perturbation: self.read(rows, perturbation),
            self.discriminator,
            domain_weight=weight,
            step_size=s.step_size,
            max_norm=s.max_norm,
        )
        hidden, scores = self.read(rows, found)
        domain = self.discriminator.loss(hidden, source=True)
        return (divergence(clean, scores) + entropy(scores) - weight * domain).mean()


def _first_tokens(card: TaskCard, backbone: Backbone) -> Tensor:
    """The label words' first tokens [C] behind the card's template."""
    firsts = [word[0] for word in backbone.label_word_ids(card)]
    if len(set(firsts)) < len(firsts):
        words = ", ".join(repr(card.label_words[label]) for label in card.labels)
        raise UserError(
            f"{card.name}: OPTIMA reads the first token of each label word, and two of {words} "
            f"start with the same token of {backbone.name}; choose other words or another method."
        )
    return torch.tensor(firsts, device=backbone.device)
