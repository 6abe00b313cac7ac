"""Checks that a text set must pass before any model sees it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from emolib.corpus.schema import Emotion, Story

WORDS_PER_STORY = (90, 150)
SHARED_WORDS = 8
SAME_OPENING_WORDS, SAME_OPENING_LIMIT = 3, 12
NAME_SHARE_LIMIT = 0.02

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I'd|I've|I'll|my|me|My|Me|we|our|us)\b")
_MID_SENTENCE_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")

# Capitalised inside a sentence and yet nobody's name.
_NOT_NAMES = frozenset(
    [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "Christmas",
        "Easter",
        "God",
        "Lord",
        "Heaven",
        "Mum",
        "Mom",
        "Dad",
        "Mother",
        "Father",
        "Grandma",
        "Grandpa",
        "Gran",
        "Grandmother",
        "Grandfather",
        "Aunt",
        "Uncle",
        "Mr",
        "Mrs",
        "Miss",
        "Doctor",
        "Captain",
        "Chef",
        "Sir",
        "Madam",
        "Yes",
    ]
)


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


def story_problems(story: Story, emotion: Emotion) -> Iterator[str]:
    """What is wrong with one story on its own."""
    n_words = len(words(story.text))
    low, high = WORDS_PER_STORY
    if not low <= n_words <= high:
        yield f"has {n_words} words, must have {low} to {high}"
    for word in forbidden_words(story.text, emotion):
        yield f"says {word!r}, which names {emotion.emotion!r}"
    narration = _QUOTED.sub(" ", story.text)
    first_person = bool(_FIRST_PERSON.search(narration))
    if first_person != (story.person == "first"):
        yield f"is marked {story.person} person but its narration is not"
    if "\n" in story.text:
        yield "has a line break; a story is one paragraph"
    if "{" in story.text or "<" in story.text:
        yield "has markup in it"


def crossing_problems(stories: Iterable[Story], emotions: Iterable[str]) -> Iterator[str]:
    """Cells of the topic × emotion table that are missing or filled twice."""
    cells = Counter((story.topic, story.emotion) for story in stories)
    emotions = list(emotions)
    for topic in sorted({topic for topic, _ in cells}):
        for emotion in emotions:
            n = cells.pop((topic, emotion), 0)
            if n != 1:
                yield f"topic {topic!r} has {n} stories for {emotion!r}, must have 1"
    for topic, emotion in cells:
        yield f"topic {topic!r} has a story for {emotion!r}, which is not among the emotions"


def shared_passages(stories: Iterable[Story], n: int = SHARED_WORDS) -> Iterator[str]:
    """Runs of `n` words that stand in two stories."""
    first_seen: dict[tuple[str, ...], str] = {}
    reported: set[tuple[str, str]] = set()
    for story in stories:
        tokens = words(story.text)
        for i in range(len(tokens) - n + 1):
            run = tuple(tokens[i : i + n])
            other = first_seen.setdefault(run, story.id)
            if other != story.id and (other, story.id) not in reported:
                reported.add((other, story.id))
                yield f"{story.id} shares “{' '.join(run)}” with {other}"


def common_openings(stories: Iterable[Story]) -> Iterator[str]:
    """Openings that too many stories begin with."""
    openings = Counter(tuple(words(story.text)[:SAME_OPENING_WORDS]) for story in stories)
    for opening, n in openings.items():
        if n > SAME_OPENING_LIMIT:
            yield f"“{' '.join(opening)}” opens {n} stories, at most {SAME_OPENING_LIMIT} may"


def common_names(stories: Iterable[Story]) -> Iterator[str]:
    """Capitalised words inside sentences that stand in too large a share of the stories."""
    stories = list(stories)
    limit = max(2, int(NAME_SHARE_LIMIT * len(stories)))
    seen = Counter(name for s in stories for name in set(_MID_SENTENCE_NAME.findall(s.text)) - _NOT_NAMES)
    for name, n in seen.items():
        if n > limit:
            yield f"{name} stands in {n} of {len(stories)} stories, at most {limit} may"


def person_balance(stories: Iterable[Story]) -> Iterator[str]:
    """Emotions whose stories are not half first and half third person."""
    by_emotion: dict[str, Counter] = {}
    for story in stories:
        by_emotion.setdefault(story.emotion, Counter())[story.person] += 1
    for emotion, persons in by_emotion.items():
        if abs(persons["first"] - persons["third"]) > 1:
            yield f"{emotion!r} has {persons['first']} first- and {persons['third']} third-person stories"


def corpus_problems(stories: Iterable[Story], emotions: Iterable[Emotion]) -> list[str]:
    """Everything that is wrong with a story set, one line per problem; empty when it is clean."""
    stories = list(stories)
    table = {emotion.emotion: emotion for emotion in emotions}
    problems = [
        f"{story.id} {problem}"
        for story in stories
        if story.emotion in table
        for problem in story_problems(story, table[story.emotion])
    ]
    problems += crossing_problems(stories, table)
    problems += person_balance(stories)
    problems += shared_passages(stories)
    problems += common_openings(stories)
    problems += common_names(stories)
    return problems
