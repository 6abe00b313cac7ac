"""One model before and after a training: what it reads, says and prefers, on the same texts.

Every observation is kept in the cache under what decides it, so that the trained model is put together
only where something has not been observed yet.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import joblib
import numpy as np
import torch

from emolib import activations, chat, interviews, posttraining, replies, steering
from emolib.activations import EVERY_TOKEN, FROM_TOKEN_50, REPLY_START, Where
from emolib.chat import Prompt
from emolib.corpus.schema.prompts import Activity
from emolib.experiments.posttraining import Examined, Preferring, Shifted
from emolib.experiments.suppression import Voice
from emolib.files import cache_dir, digest, write_whole
from emolib.posttraining import Adapter
from emolib.progress import note
from emolib.subject import Subject

REPLY = Where(spans=("assistant",))
# Words by themselves: nothing before them, and not the first token, whose state is many times longer.
WORDS_ALONE = Where(skip=1)
# Fixed before anything was sampled: long enough for two sentences, and the temperature of everyday use.
N_TOKENS = 60
TEMPERATURE = 0.7
# Of these many unseen messages the replies are shown where a reader compares doses.
N_SHOWN = 4
_DECIDING = (activations, chat, interviews, posttraining, replies, steering)
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Trained:
    """A training's model, put together on first use; without an adapter the untrained one itself.

    `untrained` computes in the profile's precision and `precise`, the same model, in that for small
    differences. `dose` multiplies what the training added to the weights.
    """

    name: str
    untrained: Subject
    precise: Subject
    adapter: Adapter | None
    dose: float = 1.0

    @cached_property
    def model(self) -> Subject:
        """The model after the training, which talks, answers and reads stories."""
        return self._changed(self.untrained)

    @cached_property
    def precise_model(self) -> Subject:
        """The same for small differences: what it reads of a message or a reply."""
        return self._changed(self.precise)

    def _changed(self, base: Subject) -> Subject:
        if self.adapter is None or self.dose == 0:
            return base
        return posttraining.adapted(base, self.adapter, self.dose)

    def kept(self, what: str, decides: object, make: Callable[[], _Found]) -> _Found:
        """What was observed before under the same name and for the same reasons, or is now."""
        weights = self.adapter and [joblib.hash(self.adapter.weights), self.dose]
        code = [inspect.getsource(module) for module in (sys.modules[__name__], *_DECIDING)]
        subject, dtypes = self.untrained, [self.untrained.dtype, self.precise.dtype]
        about = [what, subject.fingerprint, dtypes, subject.device, weights, joblib.hash(decides)]
        path = cache_dir() / "trainings" / f"{digest([about, code, torch.__version__])}.joblib"
        if path.is_file():
            return joblib.load(path)
        note(f"{self.name}: {what}")
        found = make()
        write_whole(path, lambda file: joblib.dump(found, file))
        return found


def shifted(
    trained: Trained, messages: Sequence[str], chats: Sequence[str], layer: int, seed: int
) -> Shifted:
    """What it reads before replying, and what it then writes as the untrained model reads it."""

    def make() -> Shifted:
        model = trained.precise_model
        said = replies.sample(trained.model, chats, N_TOKENS, TEMPERATURE, seed)
        return Shifted(
            messages=_states_before_reply(model, messages, range(model.n_layers)),
            chats=_states_before_reply(model, chats, [layer])[:, 0],
            words=_words_alone(trained.precise, said, layer),
            replies=tuple(said),
        )

    return trained.kept("shifts before the reply", [messages, chats, layer, seed], make)


def voice(trained: Trained, messages: Sequence[str], layer: int, seed: int) -> Voice:
    """Emotional messages: what it reads before and during its reply, and what the words alone carry."""

    def make() -> Voice:
        model = trained.precise_model
        said = replies.sample(trained.model, messages, N_TOKENS, TEMPERATURE, seed)
        return Voice(
            before=_states_before_reply(model, messages, range(model.n_layers)),
            during=_over_reply(model, messages, said, layer),
            words=_words_alone(trained.precise, said, layer),
            replies=tuple(said),
            likelihoods=replies.likelihoods(trained.untrained, messages, said),
        )

    return trained.kept("emotional messages", [messages, layer, seed], make)


def examined(
    trained: Trained,
    chats: Sequence[str],
    said: Sequence[str],
    deep_dives: Sequence[str],
    stories: Sequence[str],
    layer: int,
) -> Examined:
    """What is done for one seed only: likely replies, stories read again, and messages token by token."""

    def make() -> Examined:
        return Examined(
            likelihoods=replies.likelihoods(trained.untrained, chats, said),
            stories=activations.read(
                trained.model,
                [Prompt(text) for text in stories],
                range(trained.model.n_layers),
                FROM_TOKEN_50,
            ),
            tokens=tuple(_tokens(trained.precise_model, text, layer) for text in deep_dives),
        )

    return trained.kept("a closer look", [chats, said, deep_dives, stories, layer], make)


def preferring(trained: Trained, items: Sequence[Activity], pushes: np.ndarray, layer: int) -> Preferring:
    """Answers about activities, states over them in `layer`, and answers with their tokens pushed there.

    `pushes` is (n_pushes, 1, width), no push first; they are made in the first frame only.
    """

    def make() -> Preferring:
        model = trained.model
        frames = interviews.disposition_prompts(model, items)
        return Preferring(
            answers=np.stack(
                [activations.log_probabilities(model, each, interviews.WORDS) for each in frames]
            ),
            states=interviews.item_states(model, items, [layer])[:, 0],
            pushed=steering.log_probabilities(model, frames[0], "item", [layer], pushes, interviews.WORDS),
        )

    return trained.kept("preferences", [[each.text for each in items], pushes, layer], make)


def before_reply(trained: Trained, messages: Sequence[str], layer: int) -> np.ndarray:
    """States just before the reply to each message, (n, width)."""
    return trained.kept(
        "states before the reply",
        [messages, layer],
        lambda: _states_before_reply(trained.precise_model, messages, [layer])[:, 0],
    )


def few_replies(trained: Trained, messages: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """The first few messages, each with a sampled reply."""
    few = messages[:N_SHOWN]
    said = trained.kept(
        "replies", [few, seed], lambda: replies.sample(trained.model, few, N_TOKENS, TEMPERATURE, seed)
    )
    return list(zip(few, said, strict=True))


def _states_before_reply(model: Subject, messages: Sequence[str], layers: Sequence[int]) -> np.ndarray:
    """States just before the reply to each message, (n, n_layers, width)."""
    return activations.read(
        model, [model.chat([("user", message)]) for message in messages], layers, REPLY_START
    )


def _over_reply(model: Subject, messages: Sequence[str], said: Sequence[str], layer: int) -> np.ndarray:
    """Mean state over each reply, (n, width)."""
    prompts = [replies.exchange(model, *each) for each in zip(messages, said, strict=True)]
    return activations.read(model, prompts, [layer], REPLY)[:, 0]


def _words_alone(untrained: Subject, said: Sequence[str], layer: int) -> np.ndarray:
    """Mean state of the untrained model over each reply without its message, (n, width)."""
    return activations.read(untrained, [Prompt(reply) for reply in said], [layer], WORDS_ALONE)[:, 0]


def _tokens(model: Subject, message: str, layer: int) -> list[tuple[str, str, np.ndarray]]:
    """Text, part and state (width,) of every token from the message on: `user` or `template`."""
    prompt = model.chat([("user", message)])
    row = activations.encode(model, prompt, [EVERY_TOKEN])
    ((pieces, states),) = activations.read_tokens(model, [prompt], [layer])
    ((first, last),) = prompt.spans["last_user"]
    starts = row.offsets[row.selected[0], 0]
    return [
        (piece, "user" if start < last else "template", state)
        for piece, start, state in zip(pieces, starts, states[:, 0], strict=True)
        if start >= first
    ]
