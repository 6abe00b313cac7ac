"""The paper's figures and tables as data, and the human ratings it compares with.

Sources: Sofroniew et al. (2026), Figs. 3 and 6; Russell and Mehrabian (1977), mean ratings of 44 of
the 171 words. Facts only; see `book/references.bib`.
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
    text = (_HERE / "russell_mehrabian_1977.csv").read_text(encoding="utf-8")
    return pd.read_csv(io.StringIO(text)).set_index("emotion")


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
