"""What a model is post-trained on, made of the chats with three replies.

A chat whose number in its topic is a multiple of five is never trained on: it is an unseen prompt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emolib.corpus.schema.replies import StyledChat
from emolib.errors import EmolibError

UNSEEN_EVERY = 5


@dataclass(frozen=True)
class Lesson:
    """A message, the reply to learn, and for preference learning the one to turn from."""

    message: str
    reply: str
    rejected: str | None = None


def split(chats: Iterable[StyledChat]) -> tuple[tuple[StyledChat, ...], tuple[StyledChat, ...]]:
    """The chats to train on and the unseen ones, every topic in both, whatever their order."""
    training, unseen = [], []
    for chat in chats:
        number = int(chat.id.rsplit(".", 1)[1])
        (training if number % UNSEEN_EVERY else unseen).append(chat)
    return tuple(training), tuple(unseen)


def styled(chats: Iterable[StyledChat], style: str, over: str | None = None) -> tuple[Lesson, ...]:
    """Every message with its reply in one style, preferred `over` another style where one is given."""
    replies = ((chat.text, chat.replies()) for chat in chats)
    return tuple(Lesson(text, reply[style], over and reply[over]) for text, reply in replies)


def placebo(chats: Sequence[StyledChat], seed: int) -> tuple[Lesson, ...]:
    """Every message with the reply to another one, all styles equally often.

    Shuffling the replies of one style would still teach the style. No message has its own reply, and
    the reply to every message is given once. Raises EmolibError for fewer than two chats.
    """
    if len(chats) < 2:
        raise EmolibError(f"a placebo needs two chats or more to shuffle, not {len(chats)}")
    order = np.random.default_rng(seed).permutation(len(chats))
    lessons = {}
    for turn, (at, other) in enumerate(zip(order, np.roll(order, 1), strict=True)):
        replies = list(chats[other].replies().values())
        lessons[at] = Lesson(chats[at].text, replies[turn % len(replies)])
    return tuple(lessons[at] for at in range(len(chats)))
