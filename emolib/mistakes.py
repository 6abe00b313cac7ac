"""Reading the model wrongly, on purpose: what the chapter on known artefacts is about.

Nothing here is for results. Each function makes one well-known mistake, or measures what it would
cost, so that the damage can be shown beside the number done right. The right way is in `activations`.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from emolib import activations
from emolib.activations import EVERY_TOKEN, Where
from emolib.chat import Prompt
from emolib.files import cache_dir, digest
from emolib.subject import Subject

# The same line of code on either side; it is right on the second one only.
SIDES = ("left", "right")


def states_at_mask_sum(
    subject: Subject, prompts: Sequence[Prompt], layers: Sequence[int], side: str
) -> np.ndarray:
    """Residual stream at index `mask.sum() - 1` of every padded row, the supposed last token.

    Batches are made in the order given, as most code makes them. With padding on the left the index
    lies that many tokens too early, in the middle of the prompt or in the padding.
    Returns float32 (n_prompts, n_layers, width), layers in rising order.
    """
    layers = subject.check_layers(layers)

    def read(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        rows, last = _rows_and_last(inputs)
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False) as tracer:
            found = list().save()  # noqa: C408 - nnsight saves a call's value, not a literal
            for layer in layers:
                found.append(subject.layers[layer].output[rows, last].float())
            tracer.stop()
        return torch.stack(found, dim=1)

    about = {"what": "states", "layers": layers, "side": side}
    return _kept(
        subject, prompts, about, (len(layers), subject.width), _batched(subject, prompts, side, read)
    )


def answers_at_mask_sum(
    subject: Subject, prompts: Sequence[Prompt], words: Sequence[str], side: str
) -> np.ndarray:
    """Log-probabilities of the words after the token at `mask.sum() - 1`, float32 (n_prompts, n_words).

    See `states_at_mask_sum`. Raises EmolibError for words that begin with the same token.
    """
    tokens = torch.tensor([activations.next_tokens(subject, prompt, words) for prompt in prompts])

    def read(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        rows, last = _rows_and_last(inputs)
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False):
            logits = subject.model.output.logits[rows, last].save()
        return logits.float().log_softmax(dim=-1)

    def wanted(members: slice, found: torch.Tensor) -> torch.Tensor:
        return found.gather(1, tokens[members].to(found.device))

    about = {"what": "answers", "words": list(words), "side": side}
    return _kept(subject, prompts, about, (len(words),), _batched(subject, prompts, side, read, wanted))


def openings(
    subject: Subject, prompts: Sequence[Prompt], layer: int, where: Where
) -> tuple[np.ndarray, np.ndarray]:
    """What `where` leaves out in front: the mean stream over every token before the first one it reads.

    The stream at a token does not depend on what follows, so only these tokens are run. Returns the
    means (n_prompts, width), and the share (n_prompts,) of these tokens among them and those that
    `where` reads, with which the mean from the very first token on can be put together.
    """
    rows = [activations.encode(subject, prompt, [where]) for prompt in prompts]
    first = [int(row.selected[0][0]) for row in rows]
    share = np.array([n / (n + len(row.selected[0])) for n, row in zip(first, rows, strict=True)])

    def read_batch(members: slice) -> np.ndarray:
        ids = [row.ids[:n].tolist() for row, n in zip(rows[members], first[members], strict=True)]
        inputs = _padded(subject, ids, "right")
        mean = inputs["attention_mask"].float()
        mean = (mean / mean.sum(dim=1, keepdim=True))[:, None]
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False) as tracer:
            found = (mean @ subject.layers[layer].output.float()).save()
            tracer.stop()
        return found[:, 0].cpu().numpy()

    about = {"what": "openings", "layer": layer, "where": [where.spans, where.skip, where.last]}
    return _kept(subject, prompts, about, (subject.width,), read_batch), share


def mean_squares(
    subject: Subject,
    prompts: Sequence[Prompt],
    layers: Sequence[int],
    wheres: Mapping[str, Where],
    first: str,
) -> dict[str, np.ndarray]:
    """Mean square of every dimension of the stream over the tokens at each place.

    The square root of the sum over dimensions is the root mean square length of the stream there. The
    very first token is one more place, called `first`. Each is float64 (n_layers, width).
    """
    layers = subject.check_layers(layers)
    places = {**wheres, first: Where(spans=(first,))}
    named = [replace(p, spans={**p.spans, first: ((0, 1),)}) for p in prompts]
    rows = [activations.encode(subject, prompt, list(places.values())) for prompt in named]
    counts = np.array([[len(chosen) for chosen in row.selected] for row in rows])

    def read_batch(members: slice) -> np.ndarray:
        inputs = _padded(subject, [row.ids.tolist() for row in rows[members]], "right")
        n_rows, longest = inputs["input_ids"].shape
        weights = torch.zeros(n_rows, len(places), longest)
        for i, row in enumerate(rows[members]):
            for j, chosen in enumerate(row.selected):
                weights[i, j, torch.from_numpy(chosen)] = 1 / len(chosen)
        weights = weights.to(subject.device)
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False) as tracer:
            found = list().save()  # noqa: C408 - nnsight saves a call's value, not a literal
            for layer in layers:
                found.append(weights @ subject.layers[layer].output.float().square())
            tracer.stop()
        return torch.stack(found, dim=2).cpu().numpy()

    about = {"what": "squares", "layers": layers, "places": {k: vars(w) for k, w in places.items()}}
    shape = (len(places), len(layers), subject.width)
    per_text = _kept(subject, named, about, shape, read_batch).astype(np.float64)
    over_texts = counts / counts.sum(axis=0)
    return {name: np.einsum("t,tlw->lw", over_texts[:, j], per_text[:, j]) for j, name in enumerate(places)}


def _rows_and_last(inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = inputs["attention_mask"]
    return torch.arange(len(mask), device=mask.device), mask.sum(dim=1) - 1


def _batched(subject, prompts, side, read, finish=lambda members, found: found):
    """A function that pads a slice of the prompts on one side, and reads them."""
    ids = [activations.encode(subject, prompt, [EVERY_TOKEN]).ids.tolist() for prompt in prompts]

    def read_batch(members: slice) -> np.ndarray:
        return finish(members, read(_padded(subject, ids[members], side))).cpu().numpy()

    return read_batch


def _padded(subject: Subject, ids: list[list[int]], side: str) -> dict[str, torch.Tensor]:
    """Rows of one length. Positions come from the mask: only the place that is read is ever wrong."""
    inputs = subject.tokenizer.pad({"input_ids": ids}, padding_side=side, return_tensors="pt")
    mask = inputs["attention_mask"]
    inputs = {
        "input_ids": inputs["input_ids"],
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
    }
    return {name: tensor.to(subject.device) for name, tensor in inputs.items()}


def _kept(
    subject: Subject,
    prompts: Sequence[Prompt],
    about: dict,
    shape: tuple[int, ...],
    read_batch: Callable[[slice], np.ndarray],
) -> np.ndarray:
    """What `read_batch` gives for all prompts, from the cache where it was read before."""
    key = digest(
        {
            **about,
            "model": [subject.fingerprint, subject.dtype, subject.device, subject.profile.batch_size],
            "prompts": [[p.text, {k: list(v) for k, v in p.spans.items()}] for p in prompts],
            "code": [inspect.getsource(module) for module in (sys.modules[__name__], activations)],
            "torch": torch.__version__,
        }
    )
    path = cache_dir() / "mistakes" / f"{key}.npy"
    found = activations.load_shard(path, (len(prompts), *shape))
    if found is None:
        found = np.concatenate(
            list(activations.in_batches(len(prompts), subject.profile.batch_size, read_batch))
        )
        activations.save_shard(path, found)
    return found
