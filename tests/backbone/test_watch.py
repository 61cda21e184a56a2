"""States after layers, on every kind of model that works."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dawgen.backbone import load_backbone
from dawgen.backbone.watch import layers_of, watching
from dawgen.selection.states import depths_of
from dawgen.settings import BackboneSettings
from tests.backbone.test_kinds import WORKS, write_model
from tests.backbone.test_words import KINDS, ROWS

PROJECTED = {
    "hidden_size": 32,
    "ffn_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "word_embed_proj_dim": 16,
}


@torch.no_grad()
@pytest.mark.parametrize("kind", dict.fromkeys([*WORKS, *KINDS]))
def test_a_rows_states_do_not_depend_on_what_it_is_read_with(kind: str, tmp_path: Path) -> None:
    write_model(tmp_path, kind, {**WORKS, **KINDS}[kind])
    backbone = load_backbone(BackboneSettings(path=str(tmp_path), dtype="fp32"))
    depths = depths_of(backbone)
    assert depths[-1] == len(layers_of(backbone.model)) > 1
    with watching(backbone.model, depths[:-1]) as watch:
        together = backbone.label_states(None, ROWS, watch)
        alone = [backbone.label_states(None, [row], watch) for row in ROWS]
    assert len(together) == len(depths) > 1
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[-1], backbone.label_hidden(None, ROWS))
    assert (together[0] - together[-1]).abs().max() > 1e-3


def test_a_model_that_projects_its_last_state_has_only_this(tmp_path: Path) -> None:
    write_model(tmp_path, "OPT", PROJECTED)
    backbone = load_backbone(BackboneSettings(path=str(tmp_path), dtype="fp32"))
    assert depths_of(backbone) == (2,)
