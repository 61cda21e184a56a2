"""The small sentence encoder, for heads on its vectors."""

from tests.selection.conftest import encoder_folder

__all__ = ["encoder_folder"]
