"""Single messages to an assistant."""

from typing import Literal

from pydantic import Field, model_validator

from emolib.corpus.schema.record import Record, Sign, Slug, Text, check_id

CHALLENGES = ("isolation", "confrontation", "accusation", "danger", "praise", "situation")
ACTIVITY_CATEGORIES = (
    "helpful",
    "engaging",
    "self-curiosity",
    "social",
    "neutral",
    "aversive",
    "misaligned",
    "unsafe",
)


class Scenario(Record):
    """A message that calls up an emotion in whoever listens, unnamed (paper, implicit scenarios)."""

    id: Text
    emotion: Text
    text: Text

    @model_validator(mode="after")
    def _id_says_the_emotion(self) -> "Scenario":
        check_id(self.id, "scenario", self.emotion, numbered=True)
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
    expected: dict[Text, Sign]

    @property
    def name(self) -> str:
        """The family."""
        return self.family

    def texts(self) -> tuple[str, ...]:
        """None: the amounts stand in the prompts."""
        return ()

    @model_validator(mode="after")
    def _wordings_cover_the_values(self) -> "SeverityFamily":
        if list(self.values) != sorted(set(self.values)):
            raise ValueError("values must rise from one to the next")
        for wording, amounts in self.wordings.items():
            if len(amounts) != len(self.values):
                raise ValueError(
                    f"wording {wording!r} has {len(amounts)} amounts for {len(self.values)} values"
                )
        if self.control == bool(self.expected):
            raise ValueError("expected must be empty for a control and for nothing else")
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
        check_id(self.id, "severity", self.family, numbered=True)
        if self.text.count("{amount}") != 1:
            raise ValueError("text must contain {amount} exactly once")
        return self


class MixedMessage(Record):
    """A message whose feeling differs from that of the fitting reply (paper, user against assistant).

    `statement` carries the feeling and ends with a full stop, where the user's side is read;
    `question` follows and carries none.
    """

    id: Text
    user_emotion: Text
    reply_emotion: Text
    statement: Text
    question: Text

    @model_validator(mode="after")
    def _ends_where_it_is_read(self) -> "MixedMessage":
        check_id(self.id, "mixed", numbered=True)
        if self.user_emotion == self.reply_emotion:
            raise ValueError("user_emotion and reply_emotion must differ")
        if not self.statement.endswith(".") or not self.question.endswith("?"):
            raise ValueError("statement must end with a full stop and question with a question mark")
        return self

    @property
    def text(self) -> str:
        """The message."""
        return f"{self.statement} {self.question}"


class PrefixPair(Record):
    """Two messages that differ in one phrase and end alike (paper, persistence of a prefix)."""

    id: Text
    before: Text
    good: Text
    hard: Text
    after: Text

    @model_validator(mode="after")
    def _is_numbered(self) -> "PrefixPair":
        check_id(self.id, "prefix", numbered=True)
        return self

    def texts(self) -> tuple[str, ...]:
        """The good message and the hard one."""
        return tuple(f"{self.before} {phrase} {self.after}" for phrase in (self.good, self.hard))


class NegationPair(Record):
    """A feeling affirmed and denied in the same frame (paper, negation)."""

    id: Text
    emotion: Text
    affirmed: Text
    negated: Text

    @model_validator(mode="after")
    def _both_say_the_word_once(self) -> "NegationPair":
        check_id(self.id, "negation", self.emotion, numbered=True)
        for field in ("affirmed", "negated"):
            if getattr(self, field).count(self.emotion) != 1:
                raise ValueError(f"{field} must say {self.emotion!r} exactly once")
        return self

    def texts(self) -> tuple[str, ...]:
        """Affirmed and denied."""
        return self.affirmed, self.negated


class Bearer(Record):
    """Somebody in a scene and the emotion that the scene gives them."""

    who: Text
    emotion: Text


class BindingScene(Record):
    """Two people, two emotions, and a later mention of both (paper, binding emotions to people)."""

    id: Text
    bearers: tuple[Bearer, Bearer]
    scene: Text
    later: Text

    @model_validator(mode="after")
    def _names_stand_where_they_are_read(self) -> "BindingScene":
        check_id(self.id, "binding", numbered=True)
        for bearer in self.bearers:
            if self.scene.count(bearer.emotion) != 1:
                raise ValueError(f"scene must say {bearer.emotion!r} exactly once")
            if bearer.emotion in self.later:
                raise ValueError(f"later must not say {bearer.emotion!r}")
            if bearer.who not in self.scene or self.later.count(bearer.who) != 1:
                raise ValueError(f"scene must mention {bearer.who!r}, and later must exactly once")
        return self

    @property
    def text(self) -> str:
        """Scene and later mention."""
        return f"{self.scene} {self.later}"


class Activity(Record):
    """Something an assistant may be asked to do, or may meet with (paper, preferences).

    `part` keeps half of them for one confirmation run.
    """

    id: Text
    category: Literal[ACTIVITY_CATEGORIES]
    part: Literal["main", "confirm"]
    text: Text

    @model_validator(mode="after")
    def _is_a_bare_infinitive(self) -> "Activity":
        check_id(self.id, "activity", self.part, self.category, numbered=True)
        if self.text[0].isupper() or self.text[-1] in ".?!" or self.text.startswith("to "):
            raise ValueError('text must read on after "be asked to": no capital, no "to", no full stop')
        return self


class ChallengePrompt(Record):
    """A message that puts an assistant under strain, or a neutral one (paper, post-training)."""

    id: Text
    kind: Literal[*CHALLENGES, "neutral"]
    text: Text

    @model_validator(mode="after")
    def _id_says_the_kind(self) -> "ChallengePrompt":
        check_id(self.id, "prepost", self.kind, numbered=True)
        return self
