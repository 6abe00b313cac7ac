"""Do the vectors follow a number whose meaning grows worse (paper, numerical severity, Fig. 3)?

A family of user messages says a rising amount in three wordings. The control family says the same
amounts of something harmless, in the same sentences. Half of the paraphrases choose the wording, the
read position and the layer; the other half judges. What is read is the cosine of the residual stream
with a vector, and its measure is the least-squares slope over log2 of the amount.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from emolib import stats
from emolib.claims import Claim, Control, Evidence, held_against, judge
from emolib.corpus.schema.prompts import SeverityFamily, SeverityPrompt
from emolib.experiments import central_layers
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, cosine

FAMILY, CONTROL = "tylenol", "chalk"
SHOWN = ("afraid", "calm", "happy", "sad")
N_MOST_MOVING = 4
# The paper reads one prompt, in milligrams, just before the reply.
PAPER_WORDING, PAPER_POSITION = "milligrams", "reply start"


@dataclass(frozen=True)
class Choice:
    """How severity is read: which wording, where in the prompt, in which layer."""

    wording: str
    position: str
    layer: int


def prompts(families: tuple[SeverityFamily, ...], paraphrases: tuple[SeverityPrompt, ...]) -> pd.DataFrame:
    """Every message: family, control, part, paraphrase, wording, value, text; one row each."""
    by_name = {family.family: family for family in families}
    return pd.DataFrame(
        [
            {
                "family": prompt.family,
                "control": by_name[prompt.family].control,
                "part": prompt.part,
                "paraphrase": int(prompt.id.rsplit(".", 1)[1]),
                "wording": wording,
                "value": value,
                "text": prompt.text.replace("{amount}", amount),
            }
            for prompt in paraphrases
            for wording, amounts in by_name[prompt.family].wordings.items()
            for value, amount in zip(by_name[prompt.family].values, amounts, strict=True)
        ]
    )


def run(
    readings: dict[str, np.ndarray],
    design: pd.DataFrame,
    expected: dict[str, int],
    vectors: EmotionVectors,
    raw: EmotionVectors,
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables and claims.

    `readings` maps a read position to states (n_prompts, n_layers, width) in the order of `design`
    (see `prompts`); `expected` gives the sign per emotion; `layer` is where the paper's own way is read.
    """
    directions = random_directions(vectors, scale, np.random.default_rng(seed))
    choosing = choosing_slopes(readings, design, vectors, directions)
    choices = score_choices(choosing, {vectors.index(name): sign for name, sign in expected.items()})
    choice = best_choice(choices)
    chosen = choosing[choice]
    judged = Slopes.of(readings, design, vectors, directions, choice, "judge")
    moving = _most_moving(chosen, vectors.names)
    claims = [claim(name, judged, vectors.index(name)) for name in expected]
    raw_judged = Slopes.of(readings, design, raw, directions, choice, "judge")
    tables = {
        "choices": choices,
        "slopes": _slope_table(judged, vectors.names),
        "raw_slopes": _slope_table(raw_judged, vectors.names),
        "by_paraphrase": _by_paraphrase(judged, vectors.names, [*SHOWN, *moving]),
        "curves": _curves(readings, design, vectors, directions, choice, [*SHOWN, *moving]),
        "paper_way": _paper_way(readings, design, vectors, directions, layer),
    }
    return Outcome(tables, claims)


def random_directions(
    vectors: EmotionVectors, scale: Scale, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """The null of every layer: directions in the span of its vectors, (n, width) each."""
    return {
        at: stats.random_directions(vectors.at(at), scale.n_null, each)
        for at, each in zip(vectors.layers, rng.spawn(len(vectors.layers)), strict=True)
    }


@dataclass(frozen=True)
class Slopes:
    """Slopes over log2 amount of one part of the paraphrases, in the null's standard deviations.

    `family` and `control` are (n_paraphrases, n_emotions); `null` and `control_null` are
    (n_directions,), the mean over paraphrases of each random direction's slope. The unit of all is the
    spread of `null`.
    """

    family: np.ndarray
    control: np.ndarray
    null: np.ndarray
    control_null: np.ndarray

    @classmethod
    def of(cls, readings, design, vectors, directions, choice: Choice, part: str) -> "Slopes":
        """Read one part of the paraphrases in one way."""

        def slopes(family: str, towards: np.ndarray) -> np.ndarray:
            states, values = _states(readings, design, family, choice, part, vectors)
            return stats.slopes(np.moveaxis(cosine(states, towards), 1, -1), np.log2(values))

        null = slopes(FAMILY, directions[choice.layer]).mean(axis=0)
        spread = null.std(ddof=1)
        return cls(
            family=slopes(FAMILY, vectors.at(choice.layer)) / spread,
            control=slopes(CONTROL, vectors.at(choice.layer)) / spread,
            null=null / spread,
            control_null=slopes(CONTROL, directions[choice.layer]).mean(axis=0) / spread,
        )


def _states(readings, design, family, choice: Choice, part, vectors) -> tuple[np.ndarray, np.ndarray]:
    """States (n_paraphrases, n_values, width) of a family in one wording, and its values."""
    rows = design[(design.family == family) & (design.wording == choice.wording)]
    if part is not None:
        rows = rows[rows.part == part]
    rows = rows.sort_values(["paraphrase", "value"])
    values = np.unique(rows.value)
    states = readings[choice.position][rows.index.to_numpy(), vectors.layers.index(choice.layer)]
    return states.reshape(-1, len(values), states.shape[-1]), values


def choosing_slopes(readings, design, vectors: EmotionVectors, directions) -> dict[Choice, Slopes]:
    """The choosing paraphrases read in every wording, position and central layer."""
    return {
        choice: Slopes.of(readings, design, vectors, directions, choice, "choose")
        for wording in design.wording.unique()
        for position in readings
        for layer in central_layers(vectors.layers)
        for choice in [Choice(wording, position, layer)]
    }


def score_choices(choosing: dict[Choice, Slopes], signs: dict[int, int]) -> pd.DataFrame:
    """Every choice, scored on the choosing paraphrases, best first.

    The score is the mean over the expected emotions (`signs`: their columns and which way they should
    go) of the signed slope by which the family exceeds its control, in standard deviations of the same
    difference for random directions.
    """
    rows = []
    for choice, slopes in choosing.items():
        over = (slopes.family - slopes.control).mean(axis=0)[list(signs)]
        spread = (slopes.null - slopes.control_null).std(ddof=1)
        score = float(np.mean(np.array(list(signs.values())) * over / spread))
        rows.append({**asdict(choice), "score": score})
    return pd.DataFrame(rows).sort_values("score", ascending=False, ignore_index=True)


def best_choice(choices: pd.DataFrame) -> Choice:
    """The choice in the first row of what `score_choices` gives."""
    best = choices.iloc[0]
    return Choice(best.wording, best.position, int(best.layer))


def _most_moving(chosen: Slopes, names: tuple[str, ...]) -> list[str]:
    """The emotions that exceed their control most, up or down, on the choosing paraphrases."""
    over = np.abs((chosen.family - chosen.control).mean(axis=0))
    ranked = [names[i] for i in np.argsort(-over) if names[i] not in SHOWN]
    return ranked[:N_MOST_MOVING]


def claim(name: str, judged: Slopes, i: int) -> Claim:
    """The claim on an emotion, judged on its column `i` of the slopes."""
    family, control = judged.family[:, i], judged.control[:, i]
    estimate = float(family.mean())
    null = held_against("random directions in the span of the vectors", estimate, judged.null)
    return judge(
        Evidence(
            id=f"severity.{FAMILY}.{name}",
            estimate=estimate,
            ci=stats.mean_t_interval(family),
            n=len(family),
            null=null,
            control=Control(
                estimate=float(control.mean()),
                ci=stats.mean_t_interval(control),
                difference_ci=stats.mean_t_interval(family - control),
            ),
        )
    )


def _slope_table(judged: Slopes, names: tuple[str, ...]) -> pd.DataFrame:
    """Mean slope of every emotion on the judging paraphrases, family beside control."""
    family, control = judged.family.mean(axis=0), judged.control.mean(axis=0)
    return pd.DataFrame(
        {
            "emotion": names,
            "slope": family,
            "control_slope": control,
            "over_control": family - control,
            "p": [stats.p_two_sided(value, judged.null) for value in family],
        }
    ).sort_values("over_control", ascending=False, ignore_index=True)


def _by_paraphrase(judged: Slopes, names: tuple[str, ...], shown: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"emotion": name, "family": family, "paraphrase": number + 1, "slope": slope}
            for name in shown
            for family, table in ((FAMILY, judged.family), (CONTROL, judged.control))
            for number, slope in enumerate(table[:, names.index(name)])
        ]
    )


def _curves(readings, design, vectors, directions, choice, shown) -> pd.DataFrame:
    """Mean reading per amount on the judging paraphrases, each paraphrase centred over its amounts."""
    rows = []
    for family in (FAMILY, CONTROL):
        states, values = _states(readings, design, family, choice, "judge", vectors)
        null = _centred(cosine(states, directions[choice.layer])).mean(axis=0)
        null_low, null_high = stats.band(null.T)
        read = _centred(cosine(states, vectors.at(choice.layer)))
        for name in shown:
            for j, value in enumerate(values):
                sample = read[:, j, vectors.index(name)]
                low, high = stats.mean_t_interval(sample)
                rows.append(
                    {
                        "family": family,
                        "emotion": name,
                        "value": value,
                        "reading": sample.mean(),
                        "low": low,
                        "high": high,
                        "null_low": null_low[j],
                        "null_high": null_high[j],
                    }
                )
    return pd.DataFrame(rows)


def _paper_way(readings, design, vectors, directions, layer: int) -> pd.DataFrame:
    """One prompt, milligrams, just before the reply, with the null band of the same prompt."""
    choice = Choice(PAPER_WORDING, PAPER_POSITION, layer)
    states, values = _states(readings, design, FAMILY, choice, None, vectors)
    first = states[:1]
    null_low, null_high = stats.band(_centred(cosine(first, directions[layer]))[0].T)
    read = _centred(cosine(first, vectors.at(layer)))[0]
    return pd.DataFrame(
        [
            {
                "emotion": name,
                "value": value,
                "reading": read[j, vectors.index(name)],
                "null_low": null_low[j],
                "null_high": null_high[j],
            }
            for name in SHOWN
            for j, value in enumerate(values)
        ]
    )


def _centred(readings: np.ndarray) -> np.ndarray:
    """Readings (n_paraphrases, n_values, n) minus each paraphrase's mean over its values."""
    return readings - readings.mean(axis=1, keepdims=True)
