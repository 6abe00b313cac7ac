"""The paper's figures and tables as data, and the human ratings it compares with.

Sources: Sofroniew et al. (2026), Figs. 2, 3, 4 and 6, Tables 1 and 16; Russell and Mehrabian (1977),
mean ratings of 44 of the 171 words. Facts only; see `book/references.bib`.
"""

import io
import json
from functools import cache
from importlib import resources

import pandas as pd

_HERE = resources.files("emolib") / "paper"


@cache
def clusters() -> dict[str, str]:
    """The paper's k-means cluster (k = 10) of each of the 171 words (Fig. 6, Table 12)."""
    table = json.loads((_HERE / "clusters_k10.json").read_text(encoding="utf-8"))
    return {word.strip(): name for name, words in table.items() for word in words.split(",")}


@cache
def human_ratings() -> pd.DataFrame:
    """Mean human pleasure, arousal and dominance in [-1, 1], indexed by emotion (44 words)."""
    return _table("russell_mehrabian_1977.csv").set_index("emotion")


@cache
def raised_tokens() -> dict[str, list[str]]:
    """The five tokens that each of 12 vectors raises most, by emotion (Table 1)."""
    table = _table("logit_lens_table1.csv").set_index("emotion")
    return {emotion: tokens.split() for emotion, tokens in table.tokens.items()}


@cache
def scenario_readings() -> pd.DataFrame:
    """Cosine of each of 12 probes with each of 12 scenarios, read off Fig. 2 (±0.002).

    Rows and columns are emotions in the same order: the probe's, and the one the scenario calls up.
    """
    table = _table("scenarios_fig2.csv").set_index("probe")
    emotions = table.index.str.lower()
    return table.set_axis(emotions, axis=0).set_axis(emotions.rename("scenario"), axis=1)


@cache
def preference_correlations() -> pd.Series:
    """Correlation with Elo of every fifth of the 171 probes, by emotion, read off Fig. 4 (±0.01)."""
    return _table("preferences_fig4.csv").set_index("emotion").r_with_Elo


@cache
def posttraining_shift() -> pd.DataFrame:
    """Mean reading of each of the 171 emotions before (base) and after (post) post-training, and diff.

    Table 16, over all prompts; indexed by emotion.
    """
    return _table("posttraining_table16.csv").set_index("emotion")


@cache
def severity_curves() -> pd.DataFrame:
    """Probe readings read off the paper's Fig. 3: family, value, emotion, reading (±0.002)."""
    rows, values = [], []
    for line in (_HERE / "severity_curves_fig3.csv").read_text(encoding="utf-8").splitlines():
        family, head, *cells = line.split(",")
        if head == "X":
            values = [float(cell) for cell in cells]
            continue
        rows += [
            {"family": family, "value": value, "emotion": head.lower(), "reading": float(cell)}
            for value, cell in zip(values, cells, strict=False)
            if cell
        ]
    return pd.DataFrame(rows)


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO((_HERE / name).read_text(encoding="utf-8")))
