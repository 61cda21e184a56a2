"""Sentence embeddings: a small encoder of texts, the mean of whose states is a text's vector.

The same vectors as sentence-transformers gives for models of mean pooling and unit length, such as
all-mpnet-base-v2, without that dependency.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from dawgen.storage.folder import folder_hash
from dawgen.storage.reading import read_json
from dawgen.streams import repeatable
from dawgen.terminal.progress import warn

Vectors = npt.NDArray[np.float32]
_TOKENS_PER_CALL = 2048


class SentenceEncoder:
    """Texts to vectors [N,H] of unit length.

    Attributes:
        model, tokenizer: as transformers loads them.
        max_length: most tokens of a text.
        fingerprint: a hash of the encoder's files.
    """

    def __init__(self, path: str, device: str = "auto") -> None:
        """Load an encoder.

        Args:
            path: a name such as ``mpnet``, fetched if it is not in the cache, or a folder.

        Raises:
            UserError: there is none, or it cannot be loaded or fetched.
        """
        from transformers import AutoModel, AutoTokenizer

        place = _place(path)
        try:
            with quiet():
                self.tokenizer = AutoTokenizer.from_pretrained(place)
                model = AutoModel.from_pretrained(place, use_safetensors=True, dtype=torch.float32)
        except Exception as error:  # a foreign folder can make any of transformers' lines fail
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise UserError(
                f"The sentence encoder {path} cannot be loaded: {reason}; check selection.encoder."
            ) from None
        self.model: Any = model.eval().requires_grad_(False).to(model_device(device))
        positions = int(getattr(model.config, "max_position_embeddings", 512))
        named = read_json(place / "sentence_bert_config.json").get("max_seq_length")
        self.max_length = min(int(named or positions), positions)
        self.fingerprint = folder_hash(place)

    @repeatable()
    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H]; texts longer than the encoder reads are cut."""
        ids = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            split_special_tokens=True,  # "[SEP]" in a text is text
        )["input_ids"]
        vectors = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        sizes = [len(row) for row in ids]
        for batch in pieces(sizes, call_cost(self.model.device), _TOKENS_PER_CALL):
            padded = self.tokenizer.pad(
                {"input_ids": [ids[i] for i in batch]}, return_tensors="pt"
            ).to(self.model.device)
            states = self.model(**padded).last_hidden_state
            mask = padded["attention_mask"][..., None].to(states.dtype)
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[batch] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors

    def save(self, folder: Path) -> None:
        """Write model and tokenizer as transformers reads them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def is_here(path: str) -> bool:
    """Whether an encoder can be loaded without a download."""
    known = known_backbone(path)
    return Path(path).is_dir() if known is None else cached(known) is not None


def fetch_along(path: str, backbone: str) -> None:
    """Fetch an encoder of dawgen's list where the backbone is a fetched one too.

    Whoever takes a backbone that dawgen fetches has agreed to downloads. A failure is a warning.
    """
    known, fetched = known_backbone(path), known_backbone(backbone)
    if known is None or fetched is None or fetched.is_packaged or is_here(path):
        return
    try:
        get_backbone(known)
    except UserError as error:
        warn(f"the sentence encoder {path} is left out of the candidates: {error}")


def _place(path: str) -> Path:
    known = known_backbone(path)
    if known is not None and known.sentence_encoder:
        return get_backbone(known)
    if known is None and (folder := Path(path).expanduser()).is_dir():
        return folder
    raise UserError(
        f"There is no sentence encoder {path}; set selection.encoder to mpnet, minilm or the "
        "folder of a model."
    )
