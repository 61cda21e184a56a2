"""FewGen as generator (Meng et al. 2023), its rows combined with the real ones in every way.

Label prompts tuned with meta-learned token weights, equations (2) and (3), without dawgen's
sentence term. FewGen itself tunes a prefix of CTRL (1.6 B) and then fine-tunes a classifier;
here it writes with the backbone of the comparison, through prompts at the input, and its rows
tune a prompt, as in the paper's tables. Its care with noisy rows is ``tuning.label_smoothing``
and ``tuning.noise``; "mixed-smoothed" is Real+Syn+LS.
"""

from __future__ import annotations

from dawgen.methods.synthetic import WAYS, combined

PREPARED = {f"fewgen-{way}": combined("fewgen", way) for way in WAYS}
