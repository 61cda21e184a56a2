"""How texts are decoded: settings that a task card may set too, in its `decoding` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from dawgen.settings.section import Positive, Section, Share


class DecodingSettings(Section):
    """The choice of each next token, and how long a text may become."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy decoding."""
    top_k: Annotated[int, Field(ge=0)] = 10
    """Sample from the k likeliest tokens (FewGen: 10); 0 is all of them."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of these, from the likeliest that make up this share of the probability; 1 is all."""
    repetition_penalty: float | dict[str, float] = 1.0
    """Above 1, tokens already written become less likely: one number, or one by label, such
    as `{not_equivalent: 1.5}`; labels not named have 1 (FewGen: 1.0 to 1.5 by label, there
    over the first sentence too)."""
    max_new_tokens: Positive = 50
    """Longest text, in tokens (FewGen: 50)."""
    longest_text: Annotated[float, Field(gt=0)] = 1.5
    """No text becomes longer than this many times the longest few-shot text, in tokens."""
    shortest_text: Share = 0.0
    """No text ends before this share of the shortest few-shot text, in tokens; 0 is no bound."""

    @field_validator("repetition_penalty", mode="before")
    @classmethod
    def _penalty(cls, value: object) -> object:
        by_label = value if isinstance(value, dict) else {"all": value}
        for label, penalty in by_label.items():
            if isinstance(label, bool):
                raise ValueError("YAML reads it as a truth value; quote labels such as 'no'")
            if isinstance(penalty, bool) or not isinstance(penalty, int | float) or penalty < 1:
                raise ValueError("it must be a number of at least 1, or one for each label")
        return {str(k): v for k, v in by_label.items()} if isinstance(value, dict) else value
