"""Sentence embeddings: a small encoder of texts, the mean of whose states is a text's vector.

The same vectors as sentence-transformers gives for models of mean pooling and unit length, such as
all-mpnet-base-v2, without that dependency.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone.cache import cached
from dawgen.backbone.calls import call_cost, pieces
from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.place import model_device
from dawgen.backbone.quiet import quiet
from dawgen.backbone.registry import known_backbone
from dawgen.errors import UserError
from dawgen.selection.adapter import read_adapter
from dawgen.selection.alignment import ReadPairs, Tokens
from dawgen.selection.packaged import (
    CHANGES,
    CHANGES_FOR_PAIRS,
    MAX_LENGTH,
    packaged_encoder,
)
from dawgen.settings.selection import AUTO, PACKAGED, PREFERRED, SelectionSettings
from dawgen.storage.folder import folder_hash
from dawgen.storage.reading import read_json
from dawgen.storage.seals import fingerprint
from dawgen.streams import repeatable
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.selection.adapter import Adapter
    from dawgen.selection.cross_encoder import CrossEncoder
    from dawgen.settings import Settings

Vectors = npt.NDArray[np.float32]
_TOKENS_PER_CALL = 2048


class _Batch(NamedTuple):
    """Texts that were read together, padded: ids [b,T], states [b,T,H], which tokens are no padding
    [b,T], and which of these the tokenizer did not put around a text."""

    ids: torch.Tensor
    states: torch.Tensor
    kept: torch.Tensor
    own: torch.Tensor


class SentenceEncoder:
    """Texts to vectors [N,H] of unit length.

    Attributes:
        model, tokenizer: as transformers loads them.
        max_length: most tokens of a text.
        fingerprint: a hash of the encoder's files.
        crossing: the cross-encoders made of it, by the file of their changes, for all tasks.
    """

    def __init__(self, path: str, device: str = "auto", *, is_pair: bool = False) -> None:
        """Load an encoder.

        Args:
            path: a name such as ``dawgen/mpnet``, fetched if it is not in the cache, or a folder.
            is_pair: for tasks of pairs; of the packaged one only are there two.

        Raises:
            UserError: there is none, or it cannot be loaded or fetched.
        """
        from transformers import AutoTokenizer

        place = _place(path)
        load = partial(_load_packaged, is_pair) if path == PACKAGED else _load_folder
        try:
            with quiet():
                self.tokenizer = AutoTokenizer.from_pretrained(place)
                model, self.max_length, self.fingerprint = load(place)
        except Exception as error:  # a foreign folder can make any of transformers' lines fail
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise UserError(
                f"The sentence encoder {path} cannot be loaded: {reason}; check selection.encoder."
            ) from None
        self.model: Any = model.eval().requires_grad_(False).to(model_device(device))
        self.crossing: dict[Path, CrossEncoder] = {}

    @cached_property
    def pairs(self) -> ReadPairs:
        """The encoder with what it has read lately, for all who read with it."""
        return ReadPairs(self)

    @repeatable()
    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H]; texts longer than the encoder reads are cut."""
        vectors = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        for batch, read in self._read(texts):
            vectors[batch] = _means(read.states, read.kept).cpu().numpy()
        return vectors

    def vectors(self, texts: Sequence[str], others: Sequence[str] | None = None) -> torch.Tensor:
        """[N,H] in fp32, with gradients.

        Args:
            others: second texts, each of which is read behind the first as one input.
        """
        places, parts = [], []
        for batch, read in self._read(texts, others):
            places += batch
            parts.append(_means(read.states.float(), read.kept))
        order = torch.tensor(places, device=self.model.device).argsort()
        return torch.cat(parts)[order]

    @contextmanager
    def changed(self, *adapters: Adapter) -> Iterator[None]:
        """Within, the encoder reads with the adapters' changes of its weights.

        They are added to what each layer gives: adding them to the weights would take a tenth of a
        second a time.
        """
        hooks = []
        try:
            for adapter, name, down in _each_layer(adapters):
                parts = (torch.from_numpy(part) for part in (down, adapter.scaled_up(name)))
                down_, up = (part.to(self.model.device) for part in parts)
                layer = self.model.get_submodule(name)
                hooks.append(layer.register_forward_hook(partial(_plus, down=down_, up=up)))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def with_changes(self, *adapters: Adapter) -> Any:
        """A copy of the model whose weights are changed so."""
        model = copy.deepcopy(self.model)
        for adapter in adapters:
            adapter.add_to(model)
        return model

    @repeatable()
    @torch.no_grad()
    def read_words(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """Vectors [N,H], and of each text its tokens.

        What the tokenizer puts around a text is not among them, if there are others.
        """
        vectors = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        words: dict[int, Tokens] = {}
        for batch, read in self._read(texts):
            vectors[batch] = _means(read.states, read.kept).cpu().numpy()
            units = torch.nn.functional.normalize(read.states, dim=2).cpu().numpy()
            for row, place in enumerate(batch):
                own = read.own[row] if read.own[row].any() else read.kept[row]
                ids = read.ids[row][own].tolist()
                words[place] = Tokens(ids, units[row][own.cpu().numpy()])
        return vectors, [words[place] for place in range(len(texts))]

    @repeatable()
    @torch.no_grad()
    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """[N,H] of unit length, of both texts of a pair as one; the longer of them is cut first."""
        vectors = np.zeros((len(pairs), self.model.config.hidden_size), np.float32)
        first, second = ([pair[which] for pair in pairs] for which in (0, 1))
        for batch, read in self._read(first, second):
            vectors[batch] = _means(read.states, read.kept).cpu().numpy()
        return vectors

    def _read(
        self, texts: Sequence[str], others: Sequence[str] | None = None
    ) -> Iterator[tuple[list[int], _Batch]]:
        """Batch by batch, with the places of its texts.

        Args:
            others: second texts, each of which is read behind the first as one input.
        """
        found = self.tokenizer(
            list(texts),
            None if others is None else list(others),
            truncation=True,
            max_length=self.max_length,
            split_special_tokens=True,  # "[SEP]" in a text is text
            return_special_tokens_mask=True,
        )
        ids, special = found["input_ids"], found["special_tokens_mask"]
        sizes = [len(row) for row in ids]
        for batch in pieces(sizes, call_cost(self.model.device), _TOKENS_PER_CALL):
            padded = self.tokenizer.pad(
                {
                    "input_ids": [ids[i] for i in batch],
                    "special_tokens_mask": [special[i] for i in batch],
                },
                return_tensors="pt",
            ).to(self.model.device)
            around = padded.pop("special_tokens_mask").bool()
            states = self.model(**padded).last_hidden_state
            kept = padded["attention_mask"].bool()
            yield list(batch), _Batch(padded["input_ids"], states, kept, kept & ~around)

    def save(self, folder: Path, *adapters: Adapter) -> None:
        """Write model, with adapters' changes, and tokenizer as transformers reads them."""
        model = self.with_changes(*adapters) if adapters else self.model
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _each_layer(
    adapters: Sequence[Adapter],
) -> Iterator[tuple[Adapter, str, npt.NDArray[np.float32]]]:
    """Each adapter's layers, with the name and the first of the two matrices."""
    for adapter in adapters:
        for name, down in adapter.down.items():
            yield adapter, name, down


def _plus(
    layer: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    output: torch.Tensor,
    down: torch.Tensor,
    up: torch.Tensor,
) -> torch.Tensor:
    """A linear layer's output [...,O] of inputs [...,I], changed by up [O,R] @ down [R,I]; a
    forward hook."""
    return output + inputs[0] @ down.T @ up.T


def _means(states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Mean state [b,H] of the tokens that are kept [b,T], of unit length."""
    mask = kept[..., None].to(states.dtype)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def is_here(path: str) -> bool:
    """Whether an encoder can be loaded without a download."""
    known = known_backbone(path)
    if known is None:
        return Path(path).is_dir()
    return known.is_packaged or cached(known) is not None


def encoder_of(settings: SelectionSettings) -> str:
    """The encoder that the settings name; of ``auto`` the preferred one, but with ``quick``, which
    downloads nothing, the packaged one where that is not in the cache."""
    if settings.encoder != AUTO:
        return settings.encoder
    waits = settings.candidates == "quick" and not is_here(PREFERRED)
    return PACKAGED if waits else PREFERRED


def with_encoder(settings: Settings) -> Settings:
    """The settings with the encoder by its name, as a run folder keeps them: which one ``auto`` is
    may be another tomorrow."""
    chosen = settings.selection.model_copy(update={"encoder": encoder_of(settings.selection)})
    return settings.model_copy(update={"selection": chosen})


def fetch_along(path: str, backbone: str) -> None:
    """Fetch an encoder of dawgen's list where the backbone is a fetched one too.

    Whoever takes a backbone that dawgen fetches has agreed to downloads. A failure is a warning.

    Args:
        path: as ``selection.encoder``; for ``auto`` the preferred one is fetched.
    """
    path = PREFERRED if path == AUTO else path
    known, fetched = known_backbone(path), known_backbone(backbone)
    if known is None or fetched is None or fetched.is_packaged or is_here(path):
        return
    try:
        get_backbone(known)
    except UserError as error:
        warn(f"the run does without the sentence encoder {path}: {error}")


def _load_packaged(is_pair: bool, place: Path) -> tuple[Any, int, str]:
    """The encoder half of the embedded backbone, the most tokens of a text, and a fingerprint."""
    changes = CHANGES_FOR_PAIRS if is_pair else CHANGES
    seal = fingerprint([folder_hash(place), read_adapter(changes).fingerprint])
    return packaged_encoder(place, changes), MAX_LENGTH, seal


def _load_folder(place: Path) -> tuple[Any, int, str]:
    """The same of an encoder's folder."""
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(place, use_safetensors=True, dtype=torch.float32)
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    named = read_json(place / "sentence_bert_config.json").get("max_seq_length")
    return model, min(int(named or positions), positions), folder_hash(place)


def _place(path: str) -> Path:
    known = known_backbone(path)
    if known is not None and (known.sentence_encoder or path == PACKAGED):
        return get_backbone(known)
    if known is None and (folder := Path(path).expanduser()).is_dir():
        return folder
    raise UserError(
        f"There is no sentence encoder {path}; set selection.encoder to mpnet, minilm, "
        "tiny or the folder of a model."
    )
