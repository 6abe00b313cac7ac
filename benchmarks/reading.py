"""Reading speed through nnsight beside plain transformers, over the same sorted batches, in one run.

The yardstick is what is usually done: a full forward pass with all hidden states, pooled afterwards.
The cases take turns batch by batch, several rounds over, and the ratio is the median over these pairs,
so that a machine whose speed drifts favours none.
"""

import argparse
import time

import numpy as np
import torch

from emolib import activations, profiles, subject
from emolib.activations import FROM_TOKEN_50
from emolib.chat import Prompt
from emolib.corpus import Corpus


def full_forward(loaded, rows, layers):
    """All hidden states of a full forward pass, then the same mean over tokens."""
    inputs, mean = activations._pad(loaded, rows, loaded.tokenizer.padding_side)
    with torch.no_grad():
        states = loaded.model._module(**inputs, output_hidden_states=True).hidden_states
    # The last entry is after the final norm, so the last block cannot be had this way.
    return torch.stack([mean @ states[layer + 1].float() for layer in layers], dim=2).cpu().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="smollm2-135m-instruct")
    parser.add_argument("--stories", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    profile = profiles.load(arguments.profile)
    loaded = subject.load(profile)
    prompts = [Prompt(story.text) for story in Corpus().stories[: arguments.stories]]
    rows = [activations.encode(loaded, prompt, [FROM_TOKEN_50]) for prompt in prompts]
    rows.sort(key=lambda row: -len(row.ids))
    size = profile.batch_size
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    tokens = sum(len(row.ids) for row in rows)
    to_read_layer = list(range(profile.read_layer + 1))
    cases = {
        "nnsight, up to the read-out layer": lambda b: activations._read_batch(loaded, b, to_read_layer),
        "nnsight, every layer": lambda b: activations._read_batch(loaded, b, list(range(loaded.n_layers))),
        "transformers, full forward": lambda b: full_forward(loaded, b, to_read_layer),
    }
    results = {name: run(batches[0]) for name, run in cases.items()}  # warm-up
    one, *_, other = results.values()
    assert np.abs(one - other).max() < 0.05 * np.abs(other).max(), "the two readings disagree"

    taken = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for batch in batches:
            for name, run in cases.items():
                start = time.perf_counter()
                run(batch)
                taken[name].append(time.perf_counter() - start)
    seconds = {name: np.array(values) for name, values in taken.items()}
    base = seconds["transformers, full forward"]
    print(
        f"{len(rows)} stories, {tokens} tokens, {profile.dtype} on {loaded.device}, "
        f"{arguments.rounds} rounds of {len(batches)} batches of {size}"
    )
    for name, values in seconds.items():
        low, middle, high = np.quantile(base / values, [0.25, 0.5, 0.75])
        speed = arguments.rounds * tokens / values.sum()
        print(f"{name:36} {speed:7.0f} tokens/s   {middle:.2f} x  (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
