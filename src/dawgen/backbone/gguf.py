"""GGUF files as backbones: read through transformers, dequantised, checked before any work."""

from __future__ import annotations

import json
import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    **{0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?"},
    **{10: "<Q", 11: "<q", 12: "<d"},
}
_DIGITS_ALONE = (
    *("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
)
"""Values of ``tokenizer.ggml.pre`` whose digits stand alone; transformers 5.23 ignores them."""
_AS_GPT2 = ("default", "gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat")


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself.

    Attributes:
        values: its metadata; of an array only the number of its entries.
        types: bytes of the weights by their GGML type.
    """

    path: Path
    values: Mapping[str, Any]
    types: Mapping[int, int]

    @property
    def architecture(self) -> str:
        """Such as ``llama``."""
        return str(self.values.get("general.architecture"))

    @property
    def quantization(self) -> str:
        """The file's own name for it, such as Q4_K_M, or the type of most of the weights."""
        from gguf import GGMLQuantizationType, LlamaFileType

        try:
            name = LlamaFileType(self.values["general.file_type"]).name
        except (KeyError, ValueError):
            name = GGMLQuantizationType(max(self.types, key=lambda kind: self.types[kind])).name
        return name.removeprefix("ALL_").removeprefix("MOSTLY_")


def find_gguf(place: Path) -> Path | None:
    """The GGUF file that a path means: itself, or the one in a folder without a config.json.

    Raises:
        UserError: a folder with several.
    """
    if place.is_file():
        return place if place.suffix.lower() == ".gguf" else None
    if not place.is_dir() or (place / "config.json").exists():
        return None
    files = sorted(place.glob("*.gguf"))
    if len(files) > 1:
        raise UserError(
            f"The folder {place} has {len(files)} GGUF files; name one of them as backbone.path, "
            f"such as {files[0]}."
        )
    return files[0] if files else None


def check_gguf(path: Path) -> Header:
    """Read a file's header and refuse what cannot be read right; no weight is touched.

    Raises:
        UserError: not a whole GGUF file, or an architecture or quantisation that transformers'
            reader does not know.
    """
    header = read_header(path)
    _check_architecture(header)
    _check_types(header)
    return header


def read_header(path: Path) -> Header:
    """A file's metadata and the types of its weights.

    Raises:
        UserError: it is no GGUF file, or not a whole one.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            values, types, end = _Reader(data).header()
            whole = end <= len(data)
    except (ValueError, struct.error, UnicodeDecodeError) as error:
        if isinstance(error, _NoGgufError):
            raise UserError(f"{path} is {error}; name a GGUF file of version 2 or 3.") from None
        whole = False
    if not whole:
        raise UserError(f"The GGUF file {path} is cut off or damaged; get it again.")
    return Header(path, values, types)


class _NoGgufError(ValueError):
    """The file is of another format."""


class _Reader:
    """Walks through the bytes in front of the weights."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 4

    def header(self) -> tuple[dict[str, Any], Counter[int], int]:
        """Metadata, bytes by type, and where the last weight must end."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        if self.data[:4] != _MAGIC:
            raise _NoGgufError("no GGUF file")
        if (version := self.number("<I")) not in _VERSIONS:
            raise _NoGgufError(f"a GGUF file of version {version}")
        tensors, count = self.number("<Q"), self.number("<Q")
        values = {}
        for _ in range(count):
            key = self.string()
            values[key] = self.value(self.number("<I"))
        types: Counter[int] = Counter()
        end = 0
        for _ in range(tensors):
            self.string()
            size = 1
            for _ in range(self.number("<I")):
                size *= self.number("<Q")
            kind, offset = self.number("<I"), self.number("<Q")
            known = kind in GGMLQuantizationType.__members__.values()
            block, width = GGML_QUANT_SIZES[GGMLQuantizationType(kind)] if known else (1, 0)
            types[kind] += size // block * width
            end = max(end, offset + size // block * width)
        step = int(values.get("general.alignment") or 32)
        return values, types, -(-self.at // step) * step + end

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self) -> str:
        size = self.number("<Q")
        if self.at + size > len(self.data):
            raise ValueError("a string beyond the end")
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise ValueError(f"a value of type {kind}")
        kind, count = self.number("<I"), self.number("<Q")
        if kind in _NUMBERS:
            self.at += count * struct.calcsize(_NUMBERS[kind])
        for _ in range(0 if kind in _NUMBERS else count):
            self.value(kind)
        return count


def _check_architecture(header: Header) -> None:
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.utils import is_gguf_arch_supported

    def plain(name: str) -> str:
        return name.replace("-", "").replace("_", "")

    known = {plain(name) for name in GGUF_CONFIG_MAPPING} - {"general", "tokenizer"}
    name = header.architecture
    if plain(name) not in known and not is_gguf_arch_supported(name):
        raise UserError(
            f"The GGUF file {header.path} has a model of architecture {name!r}, which transformers "
            "cannot read from GGUF; take a file of another model, or its safetensors."
        )
    if int(header.values.get("split.count") or 1) > 1:
        raise UserError(
            f"The GGUF file {header.path} is one of several pieces of a model; join them with "
            "llama.cpp's gguf-split --merge and name the whole file."
        )


def _check_types(header: Header) -> None:
    """Dequantise one block of each type: the reader refuses those that it does not know."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    for kind in header.types:
        try:
            known = GGMLQuantizationType(kind)
            dequantize(np.zeros(GGML_QUANT_SIZES[known][1], dtype=np.uint8), known)
        except (ValueError, NotImplementedError):
            names = {int(each): each.name for each in GGMLQuantizationType}
            raise UserError(
                f"The GGUF file {header.path} has weights of type {names.get(kind, kind)}, which "
                "cannot be dequantised; take another quantisation of the model, such as Q8_0."
            ) from None


def load_gguf(path: Path, dtype: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model with plain weights, and transformers' account of what it found."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, GgufConfig
    from transformers.initialization import no_init_weights

    named: dict[str, Any] = {"gguf_file": path.name}
    config = AutoConfig.from_pretrained(path.parent, **named)
    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with redirect_stderr(StringIO()):  # its progress bar, which cannot be turned off
        read, found = kind.from_pretrained(
            path.parent,
            dtype=dtype,
            output_loading_info=True,
            quantization_config=GgufConfig(gguf_file=path.name, dequantize=True),
            **named,
        )
    # What was read calls itself quantised, and then neither saves nor moves as a plain model does.
    config = read.config
    for name in ("quantization_config", "_name_or_path"):
        config.__dict__.pop(name, None)
    with no_init_weights():
        model = type(read)._from_config(config, dtype=dtype)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, found


def load_gguf_tokenizer(header: Header) -> PreTrainedTokenizerBase:
    """The tokenizer that a file describes, with digits split as its model learnt them."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    from dawgen.terminal.progress import warn

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        header.path.parent, gguf_file=header.path.name
    )
    for name in ("local_files_only", "is_local", "gguf_file"):
        tokenizer.init_kwargs.pop(name, None)
    _drop_foreign_tokens(tokenizer, int(header.values.get("tokenizer.ggml.tokens") or 0))
    split = header.values.get("tokenizer.ggml.pre", "default")
    if header.values.get("tokenizer.ggml.model") != "gpt2" or split in GGUF_PRE_TOKENIZER_SPLITS:
        return tokenizer
    if split in _DIGITS_ALONE:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    elif split not in _AS_GPT2:
        warn(
            f"{header.path} splits text in a way ({split!r}) that is not known here; it is split "
            "as GPT-2 does, which may differ from how the model was trained."
        )
    return tokenizer


def _drop_foreign_tokens(tokenizer: Any, count: int) -> None:
    """Take out tokens that the file has not: GPT-2's end mark, which its class adds by itself."""
    from tokenizers import Tokenizer

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    own = [token for token in content["added_tokens"] if token["id"] < count]
    if len(own) < len(content["added_tokens"]):
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content | {"added_tokens": own}))
