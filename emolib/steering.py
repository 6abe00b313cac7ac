"""Adding directions to the residual stream of chosen tokens, many conditions in one batch.

Tokens before the first steered one, and blocks below the lowest steered one, do not depend on the
condition. Both are computed once per prompt and shared; a batch holds many conditions of one prompt
and so needs no padding. What is added ("the push") is in units of the stream: `push` makes it from a
direction, a strength and the stream's mean norm.
"""

import copy
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emolib import activations
from emolib.activations import Where
from emolib.chat import Prompt
from emolib.errors import EmolibError
from emolib.files import cache_dir, digest, write_json
from emolib.progress import progress
from emolib.subject import Subject
from emolib.vectors import unit

CONDITIONS_PER_BATCH = 128


def push(directions: np.ndarray, strength: float, norms: np.ndarray) -> np.ndarray:
    """What to add: `strength` times the stream's mean norm, along each direction.

    `directions` is (n, n_layers, width) of any length, `norms` (n_layers,). With several layers each
    gets an equal part of the strength. Returns float32 (n, n_layers, width).
    """
    share = strength / directions.shape[1]
    return (share * np.asarray(norms)[:, None] * unit(directions)).astype(np.float32)


def log_probabilities(
    subject: Subject,
    prompts: Sequence[Prompt],
    span: str,
    layers: Sequence[int],
    pushes: np.ndarray,
    words: Sequence[str],
    label: str = "steering",
    keep: bool = True,
) -> np.ndarray:
    """Log-probability of each next word, for every prompt under every condition.

    `pushes` (n_conditions, n_layers, width) are added to the output of the blocks `layers` at the
    tokens of the prompt's part `span`, and nowhere else. Returns float32
    (n_prompts, n_conditions, n_words); finished prompts stay in the cache with `keep`. Raises
    EmolibError for a prompt whose log-probabilities are not finite.
    """
    layers = subject.check_layers(layers)
    pushes = np.asarray(pushes, dtype=np.float32)
    if pushes.shape[1:] != (len(layers), subject.width):
        raise EmolibError(
            f"pushes are {pushes.shape}, must be (n_conditions, {len(layers)}, {subject.width})"
        )
    folder = _folder(subject, span, layers, pushes) if keep else None
    out = np.empty((len(prompts), len(pushes), len(words)), np.float32)
    with progress(label, len(prompts)) as advance:
        for i, prompt in enumerate(prompts):
            tokens = activations.next_tokens(subject, prompt, words)
            key = digest([prompt.text, list(prompt.spans[span]), tokens])
            path = folder / f"{key}.npy" if folder else None
            found = activations.load_shard(path, out.shape[1:])
            if found is None:
                found = _conditions(subject, prompt, span, layers, pushes, tokens)
                activations.save_shard(path, found)
            out[i] = found
            advance(1)
    return out


def continuations(
    subject: Subject, prompt: Prompt, span: str, layers: Sequence[int], pushes: np.ndarray, n_tokens: int
) -> list[tuple[str, float]]:
    """Greedy continuations of a prompt whose part `span` is steered, one per condition.

    With each comes the mean log-probability of its tokens for the unsteered model. They stay in the
    cache.
    """
    layers = subject.check_layers(layers)
    key = digest([prompt.text, list(prompt.spans[span]), n_tokens])
    path = _folder(subject, span, layers, pushes) / f"{key}.json"
    if path.is_file():
        return [(text, likely) for text, likely in json.loads(path.read_text(encoding="utf-8"))]
    found = _written(subject, prompt, span, layers, pushes, n_tokens)
    write_json(path, found)
    return found


def _written(subject, prompt, span, layers, pushes, n_tokens) -> list[tuple[str, float]]:
    begun = _begin(subject, prompt, span)
    ids = begun.ids.expand(len(pushes), -1)
    added = _added(subject, pushes)
    mask = begun.steered[:-1, None]
    with torch.no_grad(), subject.model.trace(input_ids=ids[:, :-1], use_cache=True):
        for i, layer in enumerate(layers):
            subject.layers[layer].output[:] += added[:, i, None] * mask
        cache = subject.model.output.past_key_values.save()
    plain = subject.model._module
    with torch.no_grad():
        made = plain.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            max_new_tokens=n_tokens,
            do_sample=False,
            pad_token_id=subject.tokenizer.pad_token_id,
        )
        scores = plain(input_ids=made).logits.float().log_softmax(dim=-1)
    said = made[:, ids.shape[1] :]
    likely = scores[:, ids.shape[1] - 1 : -1].gather(2, said[..., None])[..., 0]
    kept = said != subject.tokenizer.pad_token_id
    means = (likely * kept).sum(1) / kept.sum(1).clamp(min=1)
    texts = subject.tokenizer.batch_decode(said, skip_special_tokens=True)
    return list(zip(texts, means.tolist(), strict=True))


@dataclass(frozen=True)
class _Begun:
    """A tokenised prompt, (1, n_tokens), its first steered token, and a 0/1 mask of all of them."""

    ids: torch.Tensor
    first: int
    steered: torch.Tensor


def _begin(subject: Subject, prompt: Prompt, span: str) -> _Begun:
    row = activations.encode(subject, prompt, [Where(spans=(span,))])
    chosen = torch.from_numpy(row.selected[0])
    steered = torch.zeros(len(row.ids), dtype=subject.model.dtype)
    steered[chosen] = 1
    if chosen[-1] == len(row.ids) - 1:
        raise EmolibError(f"the last token of {prompt.text[-30:]!r} is steered; a token must follow {span!r}")
    ids = torch.from_numpy(row.ids)[None].to(subject.device)
    return _Begun(ids, int(chosen[0]), steered.to(subject.device))


def _added(subject: Subject, pushes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(pushes, np.float32)).to(subject.device, subject.model.dtype)


def _conditions(subject, prompt, span, layers, pushes, tokens) -> np.ndarray:
    """Log-probabilities (n_conditions, n_words) of one prompt: shared part first, then in batches."""
    begun = _begin(subject, prompt, span)
    states, cache = _shared(subject, begun, layers[0])

    def batch(rows: slice) -> np.ndarray:
        return _batch(subject, begun, states, cache, layers, _added(subject, pushes[rows]), tokens)

    found = np.concatenate(list(activations.in_batches(len(pushes), CONDITIONS_PER_BATCH, batch)))
    activations.check_finite(found, prompt)
    return found


def _shared(subject: Subject, begun: _Begun, layer: int):
    """The stream leaving `layer` from the first steered token on, and the keys and values before it."""
    with torch.no_grad(), subject.model.trace(input_ids=begun.ids, use_cache=True, logits_to_keep=1):
        states = subject.layers[layer].output[:, begun.first :].save()
        cache = subject.model.output.past_key_values.save()
    if begun.first:
        cache.crop(begun.first - begun.ids.shape[1])
    return states, cache if begun.first else None


def _batch(subject: Subject, begun: _Begun, states, cache, layers, added, tokens) -> np.ndarray:
    """Log-probabilities (n_conditions, n_words) of one batch of conditions."""
    n, length = len(added), begun.ids.shape[1]
    if cache is not None:
        cache = copy.deepcopy(cache)
        cache.batch_repeat_interleave(n)
    mask = begun.steered[begun.first :, None]
    lowest = states + added[:, 0, None] * mask
    inputs = {
        "input_ids": begun.ids[:, begun.first :].expand(n, -1),
        "attention_mask": torch.ones(n, length, dtype=torch.long, device=subject.device),
        "position_ids": torch.arange(begun.first, length, device=subject.device)[None].expand(n, -1),
    }
    with (
        torch.no_grad(),
        subject.model.trace(**inputs, past_key_values=cache, use_cache=cache is not None, logits_to_keep=1),
    ):
        for below in range(layers[0] + 1):
            subject.layers[below].skip(lowest)
        for layer in range(layers[0] + 1, subject.n_layers):
            if layer == subject.n_layers - 1:
                # Only the last token's answer is read, and an MLP works token by token.
                subject.layers[layer].mlp.input = subject.layers[layer].mlp.input[:, -1:]
            if layer in layers:
                subject.layers[layer].output[:] += added[:, layers.index(layer), None] * mask
        logits = subject.model.output.logits.save()
    return logits[:, -1].float().log_softmax(dim=-1)[:, tokens].cpu().numpy()


def _folder(subject, span, layers, pushes) -> Path:
    """A folder named after everything but the prompts that decides what steering gives."""
    key = digest(
        {
            "model": subject.fingerprint,
            "dtype": subject.dtype,
            "device": subject.device,
            "batch": CONDITIONS_PER_BATCH,
            "span": span,
            "layers": layers,
            "pushes": digest(pushes.tobytes().hex()),
            "code": inspect.getsource(sys.modules[__name__]) + inspect.getsource(activations),
            "torch": torch.__version__,
        }
    )
    return cache_dir() / "steering" / key
