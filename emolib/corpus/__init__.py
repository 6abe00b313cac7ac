"""The texts: their schema, their checks, and the one way to load them.

The package carries its own corpus. A folder with files of the same names and schemas replaces any
set of it, so that the same pipeline can run on other people's texts.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from emolib.corpus import checks
from emolib.corpus.schema.dialogues import NeutralDialogue
from emolib.corpus.schema.prompts import SeverityFamily, SeverityPrompt
from emolib.corpus.schema.record import Emotion, Record
from emolib.corpus.schema.stories import Passage, Story
from emolib.corpus.sets import SETS
from emolib.errors import EmolibError

R = TypeVar("R", bound=Record)

OWN = Path(str(resources.files("emolib") / "corpus"))
_EMOTIONS = "emotions.jsonl"


@dataclass(frozen=True)
class Corpus:
    """The project's texts, or another folder's where it has them.

    Each set is read and validated when it is first asked for. EmolibError names the file, the line
    and the field of the first text that is not as its schema says.
    """

    folder: Path | None = None

    def __post_init__(self):
        if self.folder is not None and not self.folder.is_dir():
            raise EmolibError(f"no folder {self.folder}")

    @cached_property
    def emotions(self) -> tuple[Emotion, ...]:
        """The 171 emotion words in alphabetical order."""
        return self._load(Emotion, _EMOTIONS)

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """Every story; complete over topics and emotions, and none says its own emotion word."""
        stories = self.read("stories")
        topics = sorted({story.topic for story in stories})
        cells = {(topic, emotion.emotion): 1 for topic in topics for emotion in self.emotions}
        for problem in checks.count_problems(((s.topic, s.emotion) for s in stories), cells):
            raise EmolibError(f"stories: the set {problem}")
        return stories

    @cached_property
    def neutral(self) -> tuple[NeutralDialogue, ...]:
        """Chats without any feeling."""
        return self.read("neutral dialogues")

    @cached_property
    def severity_families(self) -> tuple[SeverityFamily, ...]:
        """The quantities that rise, and their wordings."""
        return self.read("severity families")

    @cached_property
    def severity_prompts(self) -> tuple[SeverityPrompt, ...]:
        """The paraphrases of every severity family."""
        prompts = self.read("severity prompts")
        known = {family.family for family in self.severity_families}
        for prompt in prompts:
            if prompt.family not in known:
                raise EmolibError(
                    f"severity/prompts.jsonl: {prompt.id} is of unknown family {prompt.family!r}"
                )
        return prompts

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """Texts that no vector is made from."""
        return self.read("passages")

    def read(self, name: str) -> tuple[Record, ...]:
        """The texts of one set, by its name in `sets.SETS`, each validated."""
        return self._load(SETS[name].model, SETS[name].pattern)

    def problems(self) -> list[str]:
        """Everything that is wrong with any set, one line per problem; empty when all is clean."""
        emotions = {emotion.emotion: emotion for emotion in self.emotions}
        return [line for name, each in SETS.items() for line in each.problems(self.read(name), emotions)]

    def sources(self) -> dict[str, dict]:
        """Per set, the hash of its files and whether they are the project's own."""
        return {
            name: {"hash": self.hash_of(each.pattern), "own": self.files(each.pattern)[0].is_relative_to(OWN)}
            for name, each in SETS.items()
        }

    def hash(self) -> str:
        """Hash of all texts."""
        return self.hash_of(_EMOTIONS, *(each.pattern for each in SETS.values()))

    def files(self, pattern: str) -> list[Path]:
        """The files of one set: the other folder's when it has any, else the package's own."""
        for folder in (self.folder, OWN):
            if folder is not None and (found := sorted(folder.glob(pattern))):
                return found
        raise EmolibError(f"the corpus has no {pattern}")

    def hash_of(self, *patterns: str) -> str:
        """Hash of the files behind these sets; any changed byte changes it."""
        hasher = hashlib.sha256()
        for pattern in patterns:
            for path in self.files(pattern):
                hasher.update(path.name.encode())
                hasher.update(path.read_bytes())
        return hasher.hexdigest()[:16]

    def _load(self, model: type[R], pattern: str) -> tuple[R, ...]:
        records: list[R] = []
        seen: dict[str, str] = {}
        own_word = {e.emotion: e for e in self.emotions} if model is Story else {}
        for path in self.files(pattern):
            for number, line in _lines(path):
                where = f"{path.name}, line {number}"
                record = _parse(model, line, where)
                if record.name in seen:
                    raise EmolibError(f"{where}: {record.name!r} stands already at {seen[record.name]}")
                seen[record.name] = where
                if isinstance(record, Story):
                    _check_own_word(record, own_word, where)
                records.append(record)
        if not records:
            raise EmolibError(f"{pattern} is empty")
        return tuple(records)


def _lines(path: Path) -> list[tuple[int, str]]:
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        raise EmolibError(f"{path.name} begins with a byte order mark; save it as UTF-8 without one")
    if b"\r" in content:
        raise EmolibError(f"{path.name} has carriage returns; save it with plain line ends")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise EmolibError(f"{path.name}, line {line} is not UTF-8") from None
    return [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def _parse(model: type[R], line: str, where: str) -> R:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise EmolibError(f"{where}: {field + ': ' if field else ''}{message}") from None


def _check_own_word(story: Story, emotions: dict[str, Emotion], where: str) -> None:
    if story.emotion not in emotions:
        raise EmolibError(f"{where}: emotion: {story.emotion!r} is not among the corpus's emotions")
    if said := checks.own_word(story.text, story.emotion):
        raise EmolibError(f"{where}: text: a story about {story.emotion!r} says {said!r}")
