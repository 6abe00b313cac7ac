"""Texts in turns."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from emolib.corpus.schema.record import Record, Sign, Slug, Text, check_id

NEUTRAL_KINDS = ("code", "facts", "work", "how-to", "lists")
STATE_CONDITIONS = ("shown", "hidden", "neutral", "story", "other")


class Turn(Record):
    """One message of a chat."""

    role: Literal["user", "assistant"]
    text: Text


class Chat(Record):
    """Turns that alternate between user and assistant, the user first."""

    id: Text
    system: Text | None = None
    turns: tuple[Turn, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _turns_alternate(self):
        expected = (["user", "assistant"] * len(self.turns))[: len(self.turns)]
        if [turn.role for turn in self.turns] != expected:
            raise ValueError("turns must alternate, beginning with the user")
        return self

    def said_by(self, role: str) -> str:
        """All that one side says, a line per message."""
        return "\n".join(turn.text for turn in self.turns if turn.role == role)

    def texts(self) -> tuple[str, ...]:
        """System prompt and messages."""
        return tuple(filter(None, (self.system, *(turn.text for turn in self.turns))))


class NeutralDialogue(Chat):
    """A chat without any feeling in it; its activations give the neutral directions (paper, extraction)."""

    kind: Literal[NEUTRAL_KINDS]

    @model_validator(mode="after")
    def _ends_with_the_assistant(self) -> "NeutralDialogue":
        if self.turns[-1].role != "assistant":
            raise ValueError("turns must end with the assistant")
        return self


class SpeakerDialogue(Chat):
    """A chat in which each side has an emotion of its own and shows it unnamed (paper, speakers)."""

    person_emotion: Text
    ai_emotion: Text
    topic: Text

    @model_validator(mode="after")
    def _id_says_whose_emotions(self) -> "SpeakerDialogue":
        check_id(self.id, "speakers", self.person_emotion, self.ai_emotion, numbered=True)
        if self.person_emotion == self.ai_emotion:
            raise ValueError("person_emotion and ai_emotion must differ")
        return self


class Line(Record):
    """Something that a named speaker says."""

    speaker: Text
    text: Text


class StateDialogue(Record):
    """Two people talk, and one of them is in a state (paper, chronic states and deflection).

    `emotion` is what `speaker` feels all the while. The conditions differ in what the words carry:
    `shown` the emotion itself; `hidden` another one, put on; `neutral` none; `story` that of a
    character in a story that the speaker tells; `other` that of somebody whom they talk about.
    `displayed` is the emotion in the words where it is another one. `scenario` comes before the talk
    and states the emotion by its word, except in `shown`.
    """

    id: Text
    condition: Literal[STATE_CONDITIONS]
    emotion: Text
    displayed: Text | None = None
    setting: Slug | None = None
    scenario: Text
    speaker: Text
    listener: Text
    lines: tuple[Line, ...] = Field(min_length=4, max_length=8)

    @model_validator(mode="after")
    def _fields_fit_the_condition(self) -> "StateDialogue":
        if self.condition == "hidden":
            check_id(self.id, "state", "hidden", self.emotion, self.displayed or "", numbered=True)
        else:
            check_id(self.id, "state", self.condition, self.emotion, self.setting or "")
        if (self.displayed is not None) != (self.condition in ("hidden", "story", "other")):
            raise ValueError(f"displayed does not belong to {self.condition!r}, or is missing")
        if self.displayed == self.emotion:
            raise ValueError("displayed must differ from emotion")
        return self

    @model_validator(mode="after")
    def _both_speak_in_turn(self) -> "StateDialogue":
        names = [line.speaker for line in self.lines]
        if set(names) != {self.speaker, self.listener} or any(a == b for a, b in pairwise(names)):
            raise ValueError(f"lines must alternate between {self.speaker} and {self.listener}")
        return self

    def texts(self) -> tuple[str, ...]:
        """Scenario and lines."""
        return self.scenario, *(line.text for line in self.lines)

    def said_by_speaker(self) -> str:
        """What the one in the state says."""
        return "\n".join(line.text for line in self.lines if line.speaker == self.speaker)


class Stretch(Record):
    """A marked part of one message, by character offsets."""

    turn: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int
    emotion: Literal["distress", "fear", "anger"]


class MonitoringTranscript(Chat):
    """A chat in which the assistant's own text shows strong feeling for a stretch, or does not.

    Transcripts come in pairs with the same `pair`: the same job, once ordinary, once marked.
    """

    pair: Slug
    marked: Stretch | None = None

    @model_validator(mode="after")
    def _stretch_lies_in_the_assistants_text(self) -> "MonitoringTranscript":
        check_id(self.id, "monitoring", self.pair, "marked" if self.marked else "ordinary")
        if self.marked is None:
            return self
        at = self.marked
        if at.turn >= len(self.turns) or self.turns[at.turn].role != "assistant":
            raise ValueError("marked.turn must be one of the assistant's")
        if not at.start < at.end <= len(self.turns[at.turn].text):
            raise ValueError("marked.start and marked.end must lie in the message, start first")
        return self

    def stretch_text(self) -> str:
        """The marked words, or nothing."""
        return self.turns[self.marked.turn].text[self.marked.start : self.marked.end] if self.marked else ""


class Expectation(Record):
    """Which way a vector should move, and where, against the mean over all conversations."""

    emotion: Text
    where: Literal["user", "reply-start", "assistant"]
    direction: Sign


class Conversation(Chat):
    """A short chat of a kind that the paper looks at, and the reading expected of it (paper, case studies).

    `expected` was written down before any model read the chat; `why` says what it rests on.
    """

    kind: Slug
    expected: tuple[Expectation, ...] = Field(min_length=1)
    why: Text

    @model_validator(mode="after")
    def _ends_with_the_assistant(self) -> "Conversation":
        check_id(self.id, "conversation", self.kind, numbered=True)
        if self.turns[-1].role != "assistant":
            raise ValueError("turns must end with the assistant")
        return self
