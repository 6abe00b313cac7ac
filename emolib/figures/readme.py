"""The README's one figure, drawn from published results: `python -m emolib.figures.readme`."""

import sys
from pathlib import Path

import pandas as pd

from emolib import figures

TARGET = Path("book/_static/components.png")


def main() -> None:
    """Draw the components of the profile named on the command line."""
    words = pd.read_parquet(Path("results") / sys.argv[1] / "geometry" / "words.parquet")
    figures.use()
    figure, ax = figures.subplots(height=5)
    figures.components(words, ax)
    figure.savefig(TARGET, dpi=130)
    print(TARGET)


if __name__ == "__main__":
    main()
