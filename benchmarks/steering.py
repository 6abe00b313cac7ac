"""Steering with shared computation beside the usual way, on the same prompts and conditions, in one run.

The usual way runs the whole prompt for every condition, in batches of the same size, with a hook that
adds the push. The cases take turns prompt by prompt, and the ratio is the median over these pairs.
"""

import argparse
import time

import numpy as np
import torch

from emolib import activations, interviews, profiles, steering, subject
from emolib.corpus import Corpus
from emolib.interviews import ITEM, WORDS


def every_condition_alone(loaded, prompt, layer, pushes):
    """Log-probabilities from whole forward passes, the push added by a plain hook."""
    row = activations.encode(loaded, prompt, [ITEM])
    tokens = activations.next_tokens(loaded, prompt, WORDS)
    chosen, ids = torch.from_numpy(row.selected[0]), torch.from_numpy(row.ids)[None].to(loaded.device)
    found = []
    for start in range(0, len(pushes), steering.CONDITIONS_PER_BATCH):
        added = torch.from_numpy(pushes[start : start + steering.CONDITIONS_PER_BATCH, 0])
        added = added.to(loaded.device, loaded.model.dtype)

        def hook(module, args, output, added=added):
            output[:, chosen] += added[:, None]

        handle = loaded.layers[layer]._module.register_forward_hook(hook)
        with torch.no_grad():
            output = loaded.model._module(input_ids=ids.expand(len(added), -1), logits_to_keep=1)
        handle.remove()
        found.append(output.logits[:, -1].float().log_softmax(-1)[:, tokens].cpu().numpy())
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="smollm2-135m-instruct")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--conditions", type=int, default=128)
    arguments = parser.parse_args()

    loaded = subject.load(profiles.load(arguments.profile))
    items = [item for item in Corpus().read("activities") if item.part == "main"]
    prompts = [each[0] for each in zip(*interviews.disposition_prompts(loaded, items), strict=True)]
    prompts = prompts[:: max(1, len(prompts) // arguments.prompts)][: arguments.prompts]
    layer = loaded.n_layers // 2 - 1
    rng = np.random.default_rng(0)
    pushes = rng.normal(size=(arguments.conditions, 1, loaded.width)).astype(np.float32)

    def shared(prompt):
        return steering.log_probabilities(
            loaded, [prompt], "item", [layer], pushes, WORDS, keep=False, label=""
        )[0]

    cases = {
        "shared": shared,
        "every condition alone": lambda p: every_condition_alone(loaded, p, layer, pushes),
    }
    one, other = (run(prompts[0]) for run in cases.values())  # warm-up
    print(f"largest difference of a log-probability between the two: {np.abs(one - other).max():.3g}")
    taken = {name: [] for name in cases}
    for prompt in prompts:
        for name, run in cases.items():
            start = time.perf_counter()
            run(prompt)
            taken[name].append(time.perf_counter() - start)
    base = np.array(taken["every condition alone"])
    print(
        f"{len(prompts)} prompts under {len(pushes)} conditions, {loaded.dtype} on {loaded.device}, "
        f"steered in block {layer} of {loaded.n_layers}"
    )
    for name, values in taken.items():
        low, middle, high = np.quantile(base / np.array(values), [0.25, 0.5, 0.75])
        speed = len(prompts) * len(pushes) / sum(values)
        print(f"{name:24} {speed:6.0f} answers/s   {middle:.2f} x  (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
