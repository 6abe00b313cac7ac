"""One module per chapter: tidy tables and judged claims out, no plotting, no files."""

import numpy as np

CENTRAL = (0.25, 0.9)


def central_layers(layers: tuple[int, ...], n: int | None = None) -> list[int]:
    """The layers from one quarter to nine tenths of the depth; `n` of them evenly spaced, or all."""
    depth = max(layers) + 1
    low, high = (round(share * depth) for share in CENTRAL)
    central = [layer for layer in layers if low <= layer < high]
    if n is None or n >= len(central):
        return central
    return [central[i] for i in np.linspace(0, len(central) - 1, n).round().astype(int)]
