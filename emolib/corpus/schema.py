"""What one line of each corpus file must look like.

Every file is JSON Lines in UTF-8: one object a line, validated by one of these models. Unknown keys
are errors, so that a typing mistake cannot pass as an optional field left out.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Record(BaseModel):
    """Settings shared by every line: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Emotion(Record):
    """One of the paper's 171 emotion words and what a story about it must not say.

    `forbidden` holds the word, its inflections and its direct synonyms, each a word, a phrase, or a
    prefix that ends in `*`.
    """

    emotion: Text
    forbidden: tuple[Text, ...] = Field(min_length=1)


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
        expected = f"story.{self.emotion.replace(' ', '-')}.{self.topic}"
        if self.id != expected:
            raise ValueError(f"id is {self.id!r}, its emotion and topic make it {expected!r}")
        return self


class Turn(Record):
    """One message of a chat."""

    role: Literal["user", "assistant"]
    text: Text


class Dialogue(Record):
    """A chat without any feeling in it; its activations give the neutral directions."""

    id: Text
    system: Text | None = None
    turns: tuple[Turn, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _turns_alternate(self) -> "Dialogue":
        roles = [turn.role for turn in self.turns]
        if roles != ["user", "assistant"] * (len(roles) // 2):
            raise ValueError("turns must alternate user, assistant and end with the assistant")
        return self


class SeverityFamily(Record):
    """A quantity that rises, and the ways of writing it (paper, numerical severity).

    `values` are the quantities in the family's unit, in rising order. Each wording maps to one
    string per value, which takes the place of `{amount}` in the family's prompts. `expected` gives
    the sign of the slope per emotion, fixed before any model was run; it is empty for a control.
    """

    family: Slug
    about: Text
    unit: Text
    control: bool
    values: tuple[float, ...] = Field(min_length=3)
    wordings: dict[Slug, tuple[Text, ...]]
    expected: dict[Text, Literal[-1, 1]]

    @model_validator(mode="after")
    def _wordings_cover_the_values(self) -> "SeverityFamily":
        if list(self.values) != sorted(set(self.values)):
            raise ValueError("values must rise from one to the next")
        for wording, amounts in self.wordings.items():
            if len(amounts) != len(self.values):
                raise ValueError(
                    f"wording {wording!r} has {len(amounts)} amounts for {len(self.values)} values"
                )
        return self


class SeverityPrompt(Record):
    """One paraphrase of a severity family's user message, with `{amount}` where the number goes.

    `part` says what the paraphrase is for: reading choices are made on `choose` and judged on
    `judge`.
    """

    id: Text
    family: Slug
    part: Literal["choose", "judge"]
    text: Text

    @model_validator(mode="after")
    def _has_one_amount(self) -> "SeverityPrompt":
        if self.text.count("{amount}") != 1:
            raise ValueError("text must contain {amount} exactly once")
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
