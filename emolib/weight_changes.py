"""What an adapter changes in the weights, as directions of the residual stream (paper, section 3.5)."""

import re

import numpy as np
import torch

from emolib.posttraining import Adapter, check_base
from emolib.subject import Subject

_FACTORS = re.compile(r"\.(?P<layer>\d+)\..*?(?P<module>\w+)\.lora_A\.")


def in_stream(subject: Subject, adapter: Adapter) -> dict[str, np.ndarray] | None:
    """Directions of the residual stream along which the adapter changes what a layer reads and writes.

    `reads` and `writes` are float32 (n_layers, n, width). Their rows have the same squared length, in
    all and along every direction, as the change of the map from the normalised stream to queries and
    values, and of the map from the normalised stream of the tokens attended to, through their values, to
    the stream; the norm's gain belongs to both. None for a model whose queries and values are one matrix.
    Raises EmolibError for an adapter that was trained on another model.
    """
    check_base(subject, adapter)
    if not {"q_proj", "v_proj"}.issubset(adapter.targets):
        return None
    factors = _factors(adapter)
    reads, writes = [], []
    for layer, block in enumerate(subject.model._module.get_decoder().layers):
        gain = _gain(block.input_layernorm)
        changes = {name: (up, down * gain) for name, (up, down) in factors[layer].items()}
        reads.append(np.vstack([_triangle(up) @ down for up, down in changes.values()]))
        up, down = changes["v_proj"]
        out = block.self_attn.o_proj.weight.detach().float().cpu().numpy()
        size = block.self_attn.head_dim
        n_heads, n_values = out.shape[1] // size, len(up) // size
        # Every head writes what its group's value holds; heads of a group share the value.
        each = [
            out[:, size * h : size * (h + 1)] @ up[size * (g := h * n_values // n_heads) : size * (g + 1)]
            for h in range(n_heads)
        ]
        writes.append(np.vstack([_triangle(down.T) @ one.T for one in each]))
    return {"reads": np.stack(reads), "writes": np.stack(writes)}


def _factors(adapter: Adapter) -> dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """By layer and module, the two matrices whose product is added: (n_outputs, rank), (rank, n_inputs)."""
    scale = adapter.recipe.alpha / adapter.recipe.rank
    found: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for name, down in adapter.weights.items():
        if place := _FACTORS.search(name):
            up = adapter.weights[name.replace(".lora_A.", ".lora_B.")]
            found.setdefault(int(place["layer"]), {})[place["module"]] = scale * up, down
    return found


def _gain(norm: torch.nn.Module) -> np.ndarray:
    """What a root-mean-square norm multiplies each coordinate by; Gemma's weights count from one."""
    weight = norm.weight.detach().float().cpu().numpy()
    return 1 + weight if type(norm).__name__.startswith("Gemma") else weight


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """A square matrix with the same products between its columns, (n_columns, n_columns)."""
    return np.linalg.qr(matrix, mode="r")
