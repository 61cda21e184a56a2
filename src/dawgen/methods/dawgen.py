"""DawGen as generator, this package's own method, its rows combined with the real ones.

Guo et al., COLM 2024: token weights by meta-learning and the distribution-aligned regulariser,
equations (2) to (4). "dawgen-surgery" is the paper's last row; the other ways are those of its
table 2, and training on the synthetic rows alone.
"""

from __future__ import annotations

from dawgen.methods.synthetic import WAYS, combined

PREPARED = {f"dawgen-{way}": combined("dawgen", way) for way in WAYS}
