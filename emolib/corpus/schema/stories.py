"""Running prose."""

from typing import Literal

from pydantic import Field, model_validator

from emolib.corpus.schema.record import Record, Slug, Text, check_id


class Story(Record):
    """A story of one paragraph that shows an emotion and never names it (paper, extraction)."""

    id: Text
    emotion: Text
    topic: Slug
    person: Literal["first", "third"]
    tense: Literal["past", "present"]
    text: Text

    @model_validator(mode="after")
    def _id_says_what_the_story_is(self) -> "Story":
        check_id(self.id, "story", self.emotion, self.topic)
        return self


class PassagePart(Record):
    """A stretch of a passage and the emotion that its writer meant."""

    emotion: Text
    text: Text


class Passage(Record):
    """A text that no vector was made from, for looking at readings token by token."""

    id: Text
    title: Text
    parts: tuple[PassagePart, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The parts as one text."""
        return " ".join(part.text for part in self.parts)
