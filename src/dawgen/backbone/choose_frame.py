"""Which frame the generator of a task has on a model: its chat template, or the card's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dawgen.backbone.frame import LINE_BREAK, Frame, line_break
from dawgen.errors import UserError, first_line

if TYPE_CHECKING:
    from dawgen.backbone.text import BackboneText
    from dawgen.tasks import TaskCard

_TEXTS = ("{text1}", "{text2}", "{text3}")
"""Stand for the texts where a template is rendered to see what it puts around them."""
_PLACEHOLDER = re.compile(r"\{\w+\}")


def frame_for(card: TaskCard, backbone: BackboneText, choice: str = "auto") -> Frame | None:
    """The frame of a task's generator; None for a sequence-to-sequence model, which needs none.

    Args:
        choice: `auto`, `plain` or `chat`, the setting ``generator.frame``.

    Raises:
        UserError: a chat is asked of a model whose tokenizer has no usable template.
    """
    if backbone.is_encoder_decoder:
        if choice == "chat":
            raise UserError(
                f"{backbone.name} is a sequence-to-sequence model and has no chat template; set "
                "generator.frame to auto."
            )
        return None
    if choice == "plain" or (choice == "auto" and not backbone.tokenizer.chat_template):
        return plain_frame(card, backbone)
    try:
        return chat_frame(card, backbone)
    except UserError as error:
        if choice == "chat":
            raise
        backbone.warn_once("chat", f"{error} Its generator reads plain texts.")
        return plain_frame(card, backbone)


def plain_frame(card: TaskCard, backbone: BackboneText) -> Frame:
    """The words of the card's ``causal_template``; text1 and a line break where it has none.

    A text ends with its line, as running text does: an end mark inside it is nothing that a model
    without a chat template has read, so behind earlier turns it would not write one. Where no
    token stands for a line break, the model's own end mark ends it.
    """
    before, found, rest = (card.causal_template or "").partition("{text1}")
    if not found or "{text2}" in before:
        before, between = "", LINE_BREAK
    else:
        between = rest.partition("{text2}")[0] if card.is_pair else LINE_BREAK
        before, between = _ending_in_space(before), _ending_in_space(between)
    if line_break(backbone.texts) is None:
        return Frame("plain", before, between, again=f"{LINE_BREAK}{before}")
    return Frame("plain", before, between, end=LINE_BREAK, again=before)


def _ending_in_space(words: str) -> str:
    return words if not words or words[-1].isspace() else f"{words} "


def chat_frame(card: TaskCard, backbone: BackboneText) -> Frame:
    """The chat template of the model's tokenizer: text1 or a request, and what is written to it.

    Raises:
        UserError: there is no template, or none that has both texts in it as they are.
    """
    chat = _render(backbone, 2)
    before, _, rest = chat.partition(_TEXTS[0])
    between, _, after = rest.partition(_TEXTS[1])
    end = next(iter(_special_names(backbone, after)), "")
    again = _between_turns(backbone)
    before = _without_system(before, again.removeprefix(after), backbone)
    again = again.partition(end)[2] if end else ""
    return Frame("chat", before, between, card.request, end, again)


def _render(backbone: BackboneText, texts: int) -> str:
    """The chat template around the first ``texts`` of the placeholders, user and model in turn.

    Raises:
        UserError: the template fails, or does not hold each of them once, in order.
    """
    roles = ("user", "assistant", "user")
    given = [{"role": r, "content": t} for r, t in zip(roles, _TEXTS[:texts], strict=False)]
    try:
        chat = str(backbone.tokenizer.apply_chat_template(given, tokenize=False))
    except Exception as error:  # a template is a program of its own, and may not know such turns
        raise UserError(
            f"{backbone.name} has no chat template that can be used ({first_line(error)})."
        ) from None
    if [name for name in _PLACEHOLDER.findall(chat) if name in _TEXTS] != list(_TEXTS[:texts]):
        raise UserError(
            f"{backbone.name} has a chat template that does not hold the turns of a chat as they "
            "are said, so it cannot be used."
        )
    return chat


def _special_names(backbone: BackboneText, text: str) -> list[str]:
    """Names of the special tokens in a text, in order."""
    names = sorted(backbone.texts.special, key=len, reverse=True)
    return re.findall("|".join(map(re.escape, names)), text) if names else []


def _between_turns(backbone: BackboneText) -> str:
    """What stands between a model's turn and the next user's; "" if it allows one exchange."""
    try:
        chat = _render(backbone, 3)
    except UserError:
        return ""
    return chat.partition(_TEXTS[1])[2].partition(_TEXTS[2])[0]


def _without_system(before: str, opening: str, backbone: BackboneText) -> str:
    """What stands before a user's turn, without the system turn that a template brings along.

    A later user's turn shows how one begins (``opening``). Behind "You are a helpful AI assistant
    named SmolLM" texts are less likely (SICK: 2.53 nats per token against 2.47), and every row is
    longer.
    """
    if not opening or not before.endswith(opening):
        return before
    bos = backbone.tokenizer.bos_token or ""
    return opening if opening.startswith(bos) or not before.startswith(bos) else bos + opening
