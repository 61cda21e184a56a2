"""Texts that say what somebody thinks of something, and an encoder that tells praise from blame.

Wikipedia, questions and captions hold few opinions, so an encoder that is taught on them learns
little of their difference. Here are words by which texts with opinions are found, and thirty
opinions, written for this purpose, on which a sentence encoder is tuned as a run tunes it on a
user's rows. No row of a task is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.tuned import TextReading, TunedEncoder
from dawgen.selection.tuning import tune
from dawgen.tasks import Row, TaskCard

PRAISE = (
    "It is warm, funny and far smarter than it needs to be.",
    "Spotless, quiet, and the bed was the best I have slept in for years.",
    "Battery lasts two full days and the screen is gorgeous.",
    "We had the lamb and it simply melted; we will be back next week.",
    "A gripping story told with real tenderness.",
    "She explains everything patiently and never makes you feel stupid.",
    "Set it up in five minutes and it has worked without a hitch since.",
    "He carries the whole picture with one raised eyebrow.",
    "They answered at once and sent a new part the same day, great service.",
    "Every song is a pleasure, and the last one gave me goosebumps.",
    "i love it , no more back pain .",
    "taut , clever and beautifully shot .",
    "Does exactly what it promises, no ads, no nonsense.",
    "What a night, the crowd never stopped singing.",
    "the pictures are sharp and the colours are amazing .",
)
BLAME = (
    "Two hours of clumsy jokes and wooden acting.",
    "The carpet was filthy and the air conditioning roared all night.",
    "It freezes every ten minutes and the speaker crackles.",
    "Cold soup, a rude waiter, and a bill that made us laugh.",
    "I gave up halfway, nothing happens and nobody is likeable.",
    "He never answers questions and reads from his slides.",
    "Jammed on the first day, and the ink costs a fortune.",
    "He mumbles through every scene as if he wanted to be elsewhere.",
    "I waited an hour on the line just to be hung up on.",
    "Dull, overproduced and instantly forgettable.",
    "it sags after a month , do not waste your money .",
    "a tired plot that runs out of steam long before the end .",
    "Crashes whenever I open it, deleted.",
    "The sound was so muddy that I left before the encore.",
    "the autofocus is useless and the menu makes no sense .",
)
_LIST = """
amazing annoying awesome awful bad beautiful beautifully best better bored boring brilliant
charming cheap clever clumsy comfortable crap crappy delicious delight delightful disappointed
disappointing disappointment disaster dreadful dull dumb elegant enjoy enjoyable enjoyed
excellent exciting failure fails fantastic favorite favourite flawed forgettable fresh
frustrating fun funny garbage glad good gorgeous great happy hate hated hilarious horrible
impressed impressive inept inferior inspired intelligent junk lackluster lame lazy like liked
lousy love loved lovely magnificent masterpiece mediocre mess messy moving nasty nice
outstanding pathetic perfect perfectly pleasant pleased pleasing pleasure poor poorly powerful
predictable pretentious problem rude sad satisfying sloppy slow smart solid stunning stupid
sucks superb tedious terrible terrific thrilling tired tiresome touching ugly unfunny uninspired
unpleasant useless waste weak witty wonderful worse worst worth worthless worthwhile wretched
"""
WORDS = frozenset(_LIST.split())


def with_opinions(texts: Iterable[str], least: int) -> list[str]:
    """Those with so many of the words, each counted once."""
    return [text for text in texts if len(WORDS.intersection(_words(text))) >= least]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def tuned_on_opinions(encoder: SentenceEncoder, seed: int = 1) -> TunedEncoder:
    """The encoder, tuned on the thirty opinions."""
    card = TaskCard(
        name="opinions",
        columns={"text1": "text", "label": "label"},
        labels=["praise", "blame"],
        template="{text1} It was",
        label_words={"praise": "great", "blame": "terrible"},
    )
    rows = [Row(text, None, "praise") for text in PRAISE]
    rows += [Row(text, None, "blame") for text in BLAME]
    reading = TextReading(encoder, is_pair=False)
    return TunedEncoder(encoder, tune(reading, card, rows, seed)[0])
