"""What all lines of all files share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sign = Literal[-1, 1]


class Record(BaseModel):
    """Settings shared by every line: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def name(self) -> str:
        """What the line is called in messages; it stands once in its set."""
        return self.id

    def texts(self) -> tuple[str, ...]:
        """Every text in the line that a model may be shown."""
        return (self.text,)


class Emotion(Record):
    """One of the paper's 171 emotion words and what a text about it must not say.

    `forbidden` holds the word, its inflections and its direct synonyms, each a word, a phrase, or a
    prefix that ends in `*`.
    """

    emotion: Text
    forbidden: tuple[Text, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """The word itself."""
        return self.emotion

    def texts(self) -> tuple[str, ...]:
        """None: the words are labels."""
        return ()


def slug(emotion: str) -> str:
    """An emotion word as a part of an id."""
    return emotion.replace(" ", "-")


def check_id(given: str, *parts: str, numbered: bool = False) -> None:
    """Raise ValueError unless the id is its parts joined by dots, with a two-digit number if asked."""
    expected = ".".join(slug(part) for part in parts)
    stem, _, number = given.rpartition(".")
    if numbered:
        if stem != expected or not (number.isdigit() and len(number) in (2, 3)):
            raise ValueError(f"id is {given!r}, must be {expected}.01, {expected}.02 and so on")
    elif given != expected:
        raise ValueError(f"id is {given!r}, the line's other fields make it {expected!r}")
