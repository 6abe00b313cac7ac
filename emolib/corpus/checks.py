"""Checks that a text set must pass before any model sees it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from emolib.corpus.schema.record import Emotion, Record

SHARED_WORDS = 8
SAME_OPENING_WORDS, SAME_OPENING_LIMIT = 3, 12
NAME_SHARE_LIMIT = 0.02

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_MARKUP = re.compile(r"\{(?!amount\})[a-z_]+\}|</?[a-z_]+>|\[[A-Z][^\]]*\]|(?<=\S)  +(?=\S)")
_MID_SENTENCE_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")

# Capitalised inside a sentence and yet nobody's name.
# fmt: off
_NOT_NAMES = frozenset([
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "January", "February",
    "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    "Christmas", "Easter", "God", "Lord", "Heaven", "Mum", "Mom", "Dad", "Mother", "Father", "Grandma",
    "Grandpa", "Gran", "Grandmother", "Grandfather", "Aunt", "Uncle", "Mr", "Mrs", "Miss", "Doctor",
    "Captain", "Chef", "Sir", "Madam", "Yes",
])
# fmt: on


def words(text: str) -> list[str]:
    """The words of a text in lower case; an apostrophe stays inside its word."""
    return [match.lower() for match in _WORD.findall(text)]


@cache
def _forbidden_pattern(forbidden: tuple[str, ...]) -> re.Pattern:
    parts = [re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "") for word in forbidden]
    return re.compile(r"(?<!\w)(?:" + "|".join(parts) + r")(?!\w)", re.IGNORECASE)


def forbidden_words(text: str, emotion: Emotion) -> list[str]:
    """Every word in the text that names the emotion: the word, an inflection or a direct synonym."""
    return _forbidden_pattern(emotion.forbidden).findall(text)


def own_word(text: str, emotion: str) -> str | None:
    """The emotion's own word if the text says it, in any case; None if it does not."""
    found = re.search(rf"(?<!\w){re.escape(emotion)}(?!\w)", text, re.IGNORECASE)
    return found.group() if found else None


def length_problems(field: str, text: str, bounds: tuple[int, int]) -> Iterator[str]:
    """Whether a text has too few or too many words."""
    n_words = len(words(text))
    if not bounds[0] <= n_words <= bounds[1]:
        yield f"{field} has {n_words} words, must have {bounds[0]} to {bounds[1]}"


def equal_length_problems(texts: dict[str, str], ratio: float) -> Iterator[str]:
    """Whether texts that are compared with each other differ in length by more than `ratio`."""
    lengths = {name: len(words(text)) for name, text in texts.items()}
    shortest, longest = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
    if lengths[longest] > ratio * lengths[shortest]:
        yield (
            f"{longest} has {lengths[longest]} words and {shortest} {lengths[shortest]}, "
            f"at most {ratio:.2f} times as many are allowed"
        )


def naming_problems(field: str, text: str, emotions: Iterable[Emotion]) -> Iterator[str]:
    """Words of the text that name one of the emotions."""
    for emotion in emotions:
        for word in forbidden_words(text, emotion):
            yield f"{field} says {word!r}, which names {emotion.emotion!r}"


def markup_problems(record: Record) -> Iterator[str]:
    """Placeholders, tags and doubled spaces that a writer left behind."""
    for text in record.texts():
        if found := _MARKUP.search(text):
            yield f"has {found.group()!r} in it"


def count_problems(labels: Iterable, expected: dict) -> Iterator[str]:
    """Cells of a design that are missing, filled too often, or not part of it."""
    cells = Counter(labels)
    for cell, n in expected.items():
        if (found := cells.pop(cell, 0)) != n:
            yield f"has {found} of {_cell(cell)}, must have {n}"
    for cell, n in cells.items():
        yield f"has {n} of {_cell(cell)}, which is not part of the design"


def _cell(cell) -> str:
    return " × ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)


def shared_passages(records: Iterable[Record], n: int = SHARED_WORDS) -> Iterator[str]:
    """Runs of `n` words that stand in two records."""
    first_seen: dict[tuple[str, ...], str] = {}
    reported: set[tuple[str, str]] = set()
    for record in records:
        for text in record.texts():
            tokens = words(text)
            for i in range(len(tokens) - n + 1):
                run = tuple(tokens[i : i + n])
                other = first_seen.setdefault(run, record.name)
                if other != record.name and (other, record.name) not in reported:
                    reported.add((other, record.name))
                    yield f"{record.name} shares “{' '.join(run)}” with {other}"


def common_openings(records: Iterable[Record], limit: int = SAME_OPENING_LIMIT) -> Iterator[str]:
    """Openings that too many records begin with."""
    openings = Counter(tuple(words(record.texts()[0])[:SAME_OPENING_WORDS]) for record in records)
    for opening, n in openings.items():
        if n > limit:
            yield f"“{' '.join(opening)}” opens {n} of them, at most {limit} may"


def common_names(records: Iterable[Record]) -> Iterator[str]:
    """Capitalised words inside sentences that stand in too large a share of the records."""
    records = list(records)
    limit = max(2, int(NAME_SHARE_LIMIT * len(records)))
    seen = Counter(
        name
        for record in records
        for name in {found for text in record.texts() for found in _MID_SENTENCE_NAME.findall(text)}
        if name not in _NOT_NAMES
    )
    for name, n in seen.items():
        if n > limit:
            yield f"{name} stands in {n} of {len(records)} texts, at most {limit} may"
