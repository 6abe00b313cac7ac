"""Asking the model about activities, as it is and with an activity's tokens steered."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from emolib import activations, steering
from emolib.activations import Where
from emolib.chat import Prompt
from emolib.corpus.schema.prompts import Activity
from emolib.experiments.preference_steering import (
    ALWAYS,
    HEADLINE,
    PAIR_FRAMES,
    PAIR_SPANS,
    QUALITY_FRAME,
    QUALITY_TOKENS,
    STRENGTHS,
    Steered,
    bands,
    partners,
    without,
)
from emolib.experiments.preferences import (
    APPROACH,
    AVOID,
    CHOICE_FRAME,
    CHOICE_PREFILL,
    CHOICES,
    DIGITS,
    DISPOSITION_FRAMES,
    DISPOSITION_PREFILL,
    RATING_FRAMES,
    Answers,
    ordered_pairs,
)
from emolib.subject import Subject
from emolib.vectors import EmotionVectors, unit

ITEM = Where(spans=("item",))
WORDS = (*APPROACH, *AVOID)
BOTH_SIGNS = (-HEADLINE, HEADLINE)
N_TEXTS = 8


def disposition_prompts(subject: Subject, items: Sequence[Activity]) -> list[list[Prompt]]:
    """Every activity in every disposition frame, [frame][item], its tokens named `item`."""
    return [
        [
            subject.chat([("user", frame.format(each.text))], DISPOSITION_PREFILL).naming(item=each.text)
            for each in items
        ]
        for frame in DISPOSITION_FRAMES
    ]


def answers(subject: Subject, items: Sequence[Activity], choices: bool) -> Answers:
    """What the model says to all instruments; forced choice only with `choices`."""
    pairs = [
        subject.chat([("user", CHOICE_FRAME.format(items[a].text, items[b].text))], CHOICE_PREFILL)
        for a, b in (ordered_pairs(len(items)) if choices else [])
    ]
    return Answers(
        items=tuple(items),
        disposition=np.stack(
            [
                activations.log_probabilities(subject, prompts, WORDS, "disposition")
                for prompts in disposition_prompts(subject, items)
            ]
        ),
        rating=np.stack(
            [
                activations.log_probabilities(
                    subject, [subject.chat([("user", f.format(i.text))]) for i in items], DIGITS, "rating"
                )
                for f in RATING_FRAMES
            ]
        ),
        choice=activations.log_probabilities(subject, pairs, CHOICES, "forced choice") if choices else None,
    )


def item_states(subject: Subject, items: Sequence[Activity], layers: Sequence[int]) -> np.ndarray:
    """Residual stream over each activity's own tokens, mean over the frames, (n_items, n_layers, width)."""
    frames = [
        activations.read_many(subject, prompts, layers, {"": ITEM}, "activities", keep=True)[""]
        for prompts in disposition_prompts(subject, items)
    ]
    return np.mean(frames, axis=0)


def item_embeddings(subject: Subject, items: Sequence[Activity]) -> np.ndarray:
    """The same before any block, (n_items, width)."""
    return activations.read_embeddings(subject, disposition_prompts(subject, items)[0], ITEM)


def steered(
    subject: Subject,
    main: Sequence[Activity],
    confirm: Sequence[Activity],
    emotions: Sequence[str],
    vectors: EmotionVectors,
    random: Mapping[str, np.ndarray],
    lexical: np.ndarray,
    layer: int,
    norms: np.ndarray,
    seed: int,
) -> Steered:
    """All steered readings of the chapter; `norms` is the stream's mean norm in every layer."""
    members = [vectors.index(name) for name in emotions]
    own = vectors.array[members][:, [layer]]
    cleared = without(unit(own[:, 0]), lexical)[:, None]

    def pushes(directions: np.ndarray, strengths: Sequence[float], layers=(layer,)) -> np.ndarray:
        """No push first, then every direction (n, n_layers, width) at every strength but zero."""
        made = [steering.push(directions, s, norms[list(layers)]) for s in strengths if s]
        each = np.stack(made, axis=1).reshape(-1, *directions.shape[1:])
        return np.concatenate([np.zeros_like(each[:1]), each])

    def ask(prompts, span, added, label, layers=(layer,)) -> np.ndarray:
        return steering.log_probabilities(subject, prompts, span, layers, added, WORDS, label)

    def ask_all(items, parts: Mapping[str, np.ndarray], label: str) -> dict[str, np.ndarray]:
        """Several sets of conditions in every frame; one call, so that they share what is shared."""
        added = np.concatenate(list(parts.values()))
        ends = np.cumsum([len(part) for part in parts.values()])[:-1]
        found = [ask(prompts, "item", added, label) for prompts in disposition_prompts(subject, items)]
        return dict(zip(parts, np.split(np.stack(found), ends, axis=2), strict=True))

    parts = {"main": pushes(own, STRENGTHS), "without words": pushes(cleared, BOTH_SIGNS)}
    drawn = {kind: pushes(directions[:, None], [HEADLINE])[1:] for kind, directions in random.items()}
    on_main = ask_all(main, parts | drawn, "steering")
    feel = disposition_prompts(subject, main)[0]
    return Steered(
        main=on_main["main"],
        confirm=ask_all(confirm, {"": pushes(own, BOTH_SIGNS)}, "confirmation")[""],
        without_words=on_main["without words"],
        random={kind: on_main[kind] for kind in random},
        layers={
            name: ask(
                feel,
                "item",
                pushes(vectors.array[members][:, list(layers)], [HEADLINE], layers),
                f"layers {name}",
                layers,
            )
            for name, layers in bands(subject.n_layers).items()
        },
        pairs={
            frame: {
                span: ask(prompts, span, pushes(own, [HEADLINE]), f"two activities, {frame}, {span} steered")
                for span in PAIR_SPANS
            }
            for frame, prompts in _pair_prompts(subject, main, seed).items()
        },
        texts=_texts(subject, main, vectors, layer, norms),
    )


def _pair_prompts(subject: Subject, items: Sequence[Activity], seed: int) -> dict[str, list[Prompt]]:
    """Per frame, every item asked about beside its partner; `both` names the tokens of the two."""
    found = {}
    for frame, text in PAIR_FRAMES.items():
        found[frame] = []
        for item, partner in zip(items, partners(items, seed), strict=True):
            said = text.format(asked=item.text, other=items[partner].text)
            prompt = subject.chat([("user", said)], DISPOSITION_PREFILL)
            prompt = prompt.naming(asked=item.text, other=items[partner].text)
            both = prompt.spans["asked"] + prompt.spans["other"]
            found[frame].append(replace(prompt, spans={**prompt.spans, "both": both}))
    return found


def _texts(subject, items, vectors: EmotionVectors, layer: int, norms: np.ndarray) -> pd.DataFrame:
    """Descriptions of a few activities written under steering, to see where the text breaks."""
    chosen = items[:: max(1, len(items) // N_TEXTS)][:N_TEXTS]
    conditions = [(word, s) for word in ALWAYS for s in STRENGTHS]
    added = np.concatenate(
        [
            steering.push(vectors.array[[vectors.index(word)]][:, [layer]], s, norms[[layer]])
            for word, s in conditions
        ]
    )
    rows = []
    for item in chosen:
        prompt = subject.chat([("user", QUALITY_FRAME.format(item.text))]).naming(item=item.text)
        said = steering.continuations(subject, prompt, "item", [layer], added, QUALITY_TOKENS)
        for (word, strength), (text, likely) in zip(conditions, said, strict=True):
            rows.append(
                {
                    "emotion": word,
                    "strength": strength,
                    "activity": item.text,
                    "text": text,
                    "log_probability": likely,
                }
            )
    return pd.DataFrame(rows)
