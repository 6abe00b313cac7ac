"""What the makers' post-training shifts just before the reply (paper, section 3.5, Figs. 36 and 84).

Every checkpoint of a model that its makers published, from the pretrained one to the final one, reads
the same messages. The paper's way comes first: the final model's vectors, its chat template, the first
stage against the final one. Beside it stand the vectors of the stage, each model's own, and plain turns
without a template, since a pretrained model has never seen the template that it borrows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from emolib import paper, stats
from emolib.claims import Claim, judge
from emolib.errors import EmolibError
from emolib.experiments import shifts
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, cosine

TEMPLATE, PLAIN = "chat template", "plain turns"
# What the formats are called in `emolib.chat.render`.
FORMATS = {TEMPLATE: "own", PLAIN: "plain"}
FINAL_VECTORS, STAGE_VECTORS, OWN_VECTORS = "of the final model", "of the stage", "each model's own"
_PATH = ("from", "through", "to", "measure", "estimate", "low", "high", "null_low", "null_high", "n")


@dataclass(frozen=True)
class Stage:
    """One checkpoint: its states (n_messages, n_layers, width) by format, and vectors made on it."""

    name: str
    states: dict[str, np.ndarray]
    vectors: EmotionVectors


def run(stages: Sequence[Stage], challenging: np.ndarray, layer: int, scale: Scale, seed: int) -> Outcome:
    """The tables and claims of a model's stages, first to last.

    `challenging` (n_messages,) says which messages put the assistant under strain. Raises EmolibError
    for fewer than two stages, and for vectors that do not hold the same emotions and layers.
    """
    _check(stages)
    *earlier, final = stages
    of_agreement, of_layers, of_steps, of_null = np.random.default_rng(seed).spawn(4)
    agreement, claims = _agreement(earlier, final, challenging, layer, scale, of_agreement)
    readings = [shifts.readings(stage.states[TEMPLATE], final.vectors) for stage in stages]
    at = final.vectors.layers.index(layer)
    null = stats.random_directions(final.vectors.at(layer), scale.n_null, of_null)
    random = [cosine(stage.states[TEMPLATE][:, at], null) for stage in stages]
    here = [each[:, at] for each in readings]
    names, papers = final.vectors.names, paper.posttraining_shift()["diff"]
    return Outcome(
        {
            "agreement": agreement,
            "shifts": pd.concat(
                [
                    shifts.by_emotion(
                        before, here[-1], random[-1] - drawn, challenging, names, papers, stage=stage.name
                    )
                    for stage, before, drawn in zip(earlier, here, random, strict=False)
                ],
                ignore_index=True,
            ),
            "path": _path(stages, here, challenging),
            "steps": _steps(stages, here, scale, of_steps),
            "by_layer": _by_layer(stages, readings, challenging, scale, of_layers),
            "layer_similarity": pd.concat(
                [
                    shifts.between_layers(before, readings[-1], _layers(final), stage=stage.name)
                    for stage, before in zip(earlier, readings, strict=False)
                ],
                ignore_index=True,
            ),
            "rotation": _rotation(stages),
        },
        claims,
    )


def _check(stages: Sequence[Stage]) -> None:
    if len(stages) < 2:
        raise EmolibError("a natural pair needs an earlier stage beside the final one")
    final = stages[-1].vectors
    for stage in stages:
        if (stage.vectors.names, stage.vectors.layers) != (final.names, final.layers):
            raise EmolibError(f"the vectors of stage {stage.name!r} hold other emotions or layers")


def _layers(stage: Stage) -> tuple[int, ...]:
    return stage.vectors.layers


def _agreement(
    earlier: Sequence[Stage],
    final: Stage,
    challenging: np.ndarray,
    layer: int,
    scale: Scale,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, list[Claim]]:
    """Every measure for each stage against the final one, with each choice of vectors and format."""
    i, tables, claims = _layers(final).index(layer), [], []
    for stage in earlier:
        choices = {
            FINAL_VECTORS: (final, final),
            STAGE_VECTORS: (stage, stage),
            OWN_VECTORS: (stage, final),
        }
        for vectors, makers in choices.items():
            for form in FORMATS:
                before, after = (
                    cosine(reader.states[form][:, i], maker.vectors.at(layer))
                    for reader, maker in zip((stage, final), makers, strict=True)
                )
                found = _measured(before, after, challenging, final, scale, rng)
                tables.append(shifts.table(found, stage=stage.name, vectors=vectors, format=form))
                if not claims:  # the paper's way, which comes first
                    claims = [
                        judge(each.evidence(f"posttraining.natural.{name}")) for name, each in found.items()
                    ]
    return pd.concat(tables, ignore_index=True), claims


def _measured(
    before: np.ndarray,
    after: np.ndarray,
    challenging: np.ndarray,
    final: Stage,
    scale: Scale,
    rng: np.random.Generator,
) -> dict[str, shifts.Measured]:
    ratings, papers = paper.human_ratings(), paper.posttraining_shift()["diff"]
    return shifts.agreement(before, after, challenging, final.vectors.names, ratings, papers, scale, rng)


def _path(stages: Sequence[Stage], readings: Sequence[np.ndarray], challenging: np.ndarray) -> pd.DataFrame:
    """Mean reading of every emotion at every stage, in order."""
    tables = []
    for order, (stage, reading) in enumerate(zip(stages, readings, strict=True)):
        for kind, members in shifts.kinds(challenging):
            low, high = np.transpose([stats.mean_t_interval(each) for each in reading[members].T])
            tables.append(
                pd.DataFrame(
                    {
                        "order": order,
                        "stage": stage.name,
                        "kind": kind,
                        "emotion": stage.vectors.names,
                        "reading": reading[members].mean(axis=0),
                        "low": low,
                        "high": high,
                        "n": members.sum(),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _steps(
    stages: Sequence[Stage], readings: Sequence[np.ndarray], scale: Scale, rng: np.random.Generator
) -> pd.DataFrame:
    """Whether one step of post-training shifts the same emotions as the next; empty with a single step.

    The stage between the two steps enters both with opposite signs, so what only its own weights read
    makes them disagree.
    """
    steps = [after - before for before, after in pairwise(readings)]
    tables = []
    for i, (first, second) in enumerate(pairwise(steps)):

        def profiles(messages, first=first, second=second):
            return first[messages].mean(axis=0), second[messages].mean(axis=0)

        found = shifts.correlation(profiles, np.arange(len(first)), scale, rng)
        names = dict(zip(_PATH[:3], (stage.name for stage in stages[i : i + 3]), strict=True))
        tables.append(shifts.table({"next_step_r": found}, **names))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(_PATH))


def _by_layer(
    stages: Sequence[Stage],
    readings: Sequence[np.ndarray],
    challenging: np.ndarray,
    scale: Scale,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Every measure of the first stage against the final one, layer by layer, and how far shifts spread.

    `spread` is the standard deviation over emotions of the mean shift, `spread_random` the same over
    random directions in the span of the vectors.
    """
    first, final, tables = stages[0], stages[-1], []
    for i, layer in enumerate(_layers(final)):
        before, after = readings[0][:, i], readings[-1][:, i]
        found = _measured(before, after, challenging, final, scale, rng)
        low, high = _spread_interval(after - before, scale, rng)
        directions = stats.random_directions(final.vectors.at(layer), scale.n_null, rng)
        drawn = [cosine(stage.states[TEMPLATE][:, i], directions).mean(axis=0) for stage in (first, final)]
        labels = {
            "stage": first.name,
            "layer": layer,
            "spread": _spread(after - before),
            "spread_low": low,
            "spread_high": high,
            "spread_random": (drawn[1] - drawn[0]).std(),
        }
        tables.append(shifts.table(found, **labels))
    return pd.concat(tables, ignore_index=True)


def _spread(shift: np.ndarray) -> float:
    """Standard deviation over emotions of the mean shift, from shifts (n_messages, n_emotions)."""
    return float(shift.mean(axis=0).std())


def _spread_interval(shift: np.ndarray, scale: Scale, rng: np.random.Generator) -> tuple[float, float]:
    return stats.half_sample_interval(
        lambda half: _spread(shift[half]), _spread(shift), len(shift), scale.n_bootstrap, rng
    )


def _rotation(stages: Sequence[Stage]) -> pd.DataFrame:
    """Cosine of each emotion's vector made on a stage with that made on the final model.

    The null band is of different emotions' vectors, one from each model, in the same layer.
    """
    final, tables = stages[-1].vectors, []
    different = ~np.eye(len(final.names), dtype=bool)
    for stage in stages[:-1]:
        turned = shifts.rotation(stage.vectors.array, final.array)
        for layer, own in zip(final.layers, turned, strict=True):
            null_low, null_high = stats.band(cosine(stage.vectors.at(layer), final.at(layer))[different])
            tables.append(
                pd.DataFrame(
                    {
                        "stage": stage.name,
                        "layer": layer,
                        "emotion": final.names,
                        "cosine": own,
                        "null_low": null_low,
                        "null_high": null_high,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)
