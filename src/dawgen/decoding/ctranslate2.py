"""Decoding by CTranslate2 (Klein et al. 2020), the label prompts baked into the checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.decoding.baking import prompt_ids
from dawgen.decoding.base import (
    Decoding,
    Generation,
    Request,
    encode_sources,
    read_ids,
)
from dawgen.errors import UserError, disk_trouble, first_line

Ids = Sequence[int]


class UnsupportedError(UserError):
    """This engine cannot do what is asked, here or at all; the message says why."""


class CTranslate2Engine:
    """Batches through CTranslate2's own loop, which removes finished rows and reads static
    prompts once.

    It draws from the same distribution as the reference engine, but its sampler has one stream
    of random numbers for all rows. That stream restarts in every call of :meth:`generate`,
    from the requests' seeds: the same requests in the same order give the same texts on one
    machine with one number of threads, while a single row's text depends on the rows it was
    asked for with.
    """

    name = "ctranslate2"

    def __init__(
        self, backbone: Backbone, prompts: Tensor, decoding: Decoding, quantization: str = "none"
    ) -> None:
        """Convert the backbone into a temporary folder, which goes with the engine.

        Args:
            prompts: [C,P,H], one soft prompt per label.
            quantization: of the weights, "none" or "int8".

        Raises:
            UnsupportedError: the package is missing, it has no converter for the backbone, it
                or it
                computes something else than the backbone does.
        """
        try:
            import ctranslate2

            from dawgen.decoding.conversion import convert
        except ImportError:
            raise UnsupportedError(
                "The engine ctranslate2 needs the package of that name (pip install "
                "'dawgen[fast]'); without, set synthesis.engine to transformers."
            ) from None
        self.backbone = backbone
        self.prompts = prompts.detach()
        self.decoding = decoding
        self.library: Any = ctranslate2
        self.int8 = False
        self._folder = TemporaryDirectory(prefix="dawgen-ctranslate2-")
        folder = Path(self._folder.name)
        try:
            self.path = convert(backbone, self.prompts, folder, None, decoding.frame)
        except Exception as error:  # a converter may fail in any of its lines
            if isinstance(error, OSError) or disk_trouble(error) is not None:
                raise
            kind = backbone.model.config.model_type
            why = first_line(error)
            none = why.startswith("No conversion is registered")
            raise UnsupportedError(
                f"CTranslate2 cannot run {backbone.name}: it "
                + (f"has no converter for models of type {kind}" if none else f"says {why!r}")
                + "; set synthesis.engine to transformers."
            ) from None
        self._check()
        if quantization == "int8":
            self.int8 = True
            self.path = convert(backbone, self.prompts, folder, "int8", decoding.frame)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order."""
        self.library.set_random_seed(_seed_of(requests))
        model = self._open()  # its worker takes up the seed when it starts, and only then
        sources = encode_sources(
            self.backbone, requests, self.prompts.shape[1], self.decoding.frame
        )
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(self._group(request, sources[i]), []).append(i)
        written: dict[int, Generation] = {}
        for indices in groups.values():
            rows = [(requests[i].label, sources[i]) for i in indices]
            for i, ids in zip(indices, self._write(model, rows), strict=True):
                written[i] = read_ids(self.backbone, ids, self.decoding.frame)
        return [written[i] for i in range(len(requests))]

    def log_probs(self, label: int, source: Ids, target: Ids) -> list[float]:
        """log p(x_t | x_<t, source, label's prompt) of the target's ids, allowed tokens only."""
        prompt = prompt_ids(self.backbone, self.prompts, label)
        model = self._open()
        if self.backbone.is_encoder_decoder:
            lead = self.backbone.decoder_start[1:]
            results = model.score_batch(
                [_names([*prompt, *source])], [_names([*lead, *target])], max_input_length=0
            )[0].log_probs
            return list(results[len(lead) : len(lead) + len(target)])
        ids = _names([*prompt, *source, *target])
        return list(model.score_batch([ids], max_input_length=0)[0].log_probs[-len(target) :])

    # --- calls of the library -------------------------------------------------------------

    def _open(self) -> Any:
        """The converted model, with a worker of its own."""
        library, device = self.library, self.backbone.device
        kind = library.Translator if self.backbone.is_encoder_decoder else library.Generator
        return kind(
            str(self.path),
            device=device.type,
            device_index=device.index or 0,
            compute_type=self._compute_type(),
            inter_threads=1,
            intra_threads=torch.get_num_threads(),
        )

    def _compute_type(self) -> str:
        """fp32 on a CPU, which has no other; the backbone's own number format on a GPU."""
        half = self.backbone.dtype == torch.bfloat16 and self.backbone.device.type != "cpu"
        number = "bfloat16" if half else "float32"
        return f"int8_{number}" if self.int8 else number

    def _group(self, request: Request, source: Ids) -> tuple[object, ...]:
        """What rows of one call have in common.

        A causal model's call has one static prompt. Rows of different lengths go through the
        sampling loop with their sources' last tokens: the penalty would count these, and where
        a row has no source the library would give them back as text.
        """
        penalty = self.decoding.penalty(request.label)
        if self.backbone.is_encoder_decoder:
            return (penalty,)
        return (request.label, bool(source) if penalty == 1.0 else len(source))

    def _write(self, model: Any, rows: Sequence[tuple[int, Ids]]) -> list[list[int]]:
        """Written ids of the rows of one group."""
        label = rows[0][0]
        if self.backbone.is_encoder_decoder:
            return self._translate(model, rows, self._options(label))
        prompt = _names(prompt_ids(self.backbone, self.prompts, label))
        results = model.generate_batch(
            [[prompt[-1], *_names(source)] for _, source in rows],
            static_prompt=prompt[:-1] or None,
            include_prompt_in_result=False,
            max_length=self.decoding.max_new_tokens,
            min_length=self.decoding.min_new_tokens,
            **self._options(label),
        )
        return [list(result.sequences_ids[0]) for result in results]

    def _translate(
        self, model: Any, rows: Sequence[tuple[int, Ids]], options: dict[str, Any]
    ) -> list[list[int]]:
        lead = _names(self.backbone.decoder_start[1:])
        results = model.translate_batch(
            [
                _names([*prompt_ids(self.backbone, self.prompts, label), *source])
                for label, source in rows
            ],
            target_prefix=[lead for _ in rows] if lead else None,
            max_input_length=0,
            max_decoding_length=len(lead) + self.decoding.max_new_tokens,
            min_decoding_length=len(lead) + self.decoding.min_new_tokens,
            **options,
        )
        return [[int(name) for name in result.hypotheses[0][len(lead) :]] for result in results]

    def _options(self, label: int) -> dict[str, Any]:
        """How tokens are chosen, in the library's words."""
        decoding = self.decoding
        return {
            "beam_size": 1,
            "max_batch_size": decoding.batch_size,
            "repetition_penalty": decoding.penalty(label),
            "sampling_temperature": decoding.temperature,
            "sampling_topk": min(decoding.top_k, len(self.backbone.table())),
            "sampling_topp": decoding.top_p,
            "return_end_token": True,
        }

    # --- that it computes what the backbone does ------------------------------------------

    def _check(self) -> None:
        """Compare a short text's log-probabilities with the backbone's own.

        Raises:
            UnsupportedError: they differ, so its texts would come from another distribution.
        """
        from dawgen.decoding.transformers import TransformersEngine

        reference = TransformersEngine(self.backbone, self.prompts, self.decoding)
        target = self.backbone.ordinary_token_ids()[:3]
        label = len(self.prompts) - 1
        source = self.backbone.encode_source("a", self.prompts.shape[1], self.decoding.frame)
        ours = torch.tensor(self.log_probs(label, source, target))
        theirs = torch.tensor(reference.log_probs(label, source, target))
        tolerance = 1e-2 if self.backbone.dtype == torch.float32 else 0.5
        if not torch.allclose(ours, theirs, atol=tolerance, rtol=0.0):
            raise UnsupportedError(
                f"CTranslate2 computes other probabilities than {self.backbone.name} itself, so "
                "its texts cannot be trusted; set synthesis.engine to transformers."
            )


def _names(ids: Ids) -> list[str]:
    """Token ids as the converted model calls them."""
    return [str(i) for i in ids]


def _seed_of(requests: Sequence[Request]) -> int:
    """One seed from all the requests' own."""
    text = " ".join(str(request.seed) for request in requests)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") or 1
