"""Letting a model reply: sampled texts, and how likely another model finds them."""

import inspect
import json
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from emolib import activations, chat
from emolib.activations import Row, Where, in_batches
from emolib.chat import Prompt
from emolib.errors import EmolibError
from emolib.files import cache_dir, digest, write_json
from emolib.progress import progress
from emolib.subject import Subject

# Sampled together, so that a seed decides every reply; a batch of this size fits any laptop.
BATCH = 64
# A reply must say something: its end is not allowed before this many tokens.
LEAST_TOKENS = 8


def sample(
    subject: Subject, messages: Sequence[str], n_tokens: int, temperature: float, seed: int
) -> list[str]:
    """One sampled reply of at most `n_tokens` tokens to each message, white space stripped.

    All models draw the same random numbers for the same messages, so that two models' replies differ
    by the models and not by chance alone. Replies stay in the cache. Raises EmolibError for a reply
    without any visible character.
    """
    prompts = [subject.chat([("user", message)]) for message in messages]
    path = cache_dir() / "replies" / f"{_key(subject, prompts, n_tokens, temperature, seed)}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i].text))
    found = [""] * len(prompts)
    with progress("replies", len(prompts)) as advance:
        for start in range(0, len(order), BATCH):
            members = order[start : start + BATCH]
            said = _sampled(subject, [prompts[i] for i in members], n_tokens, temperature, seed + start)
            for i, text in zip(members, said, strict=True):
                found[i] = text
            advance(len(members))
    for message, text in zip(messages, found, strict=True):
        if not text:
            raise EmolibError(f"the model replied with nothing but white space to {message[:60]!r}")
    write_json(path, found)
    return found


def exchange(subject: Subject, message: str, reply: str) -> Prompt:
    """A message with its reply, the reply being the part `assistant`."""
    return subject.chat([("user", message), ("assistant", reply)], prefill=None)


def likelihoods(subject: Subject, messages: Sequence[str], replies: Sequence[str]) -> np.ndarray:
    """Mean log-probability per token that the model gives each reply to its message, (n,)."""
    rows = [
        activations.encode(subject, exchange(subject, *each), [Where(spans=("assistant",))])
        for each in zip(messages, replies, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))

    def batch(members: slice) -> np.ndarray:
        return _likely(subject, [rows[i] for i in order[members]])

    found = np.empty(len(rows))
    found[order] = np.concatenate(list(in_batches(len(rows), subject.profile.batch_size, batch)))
    return found


def _likely(subject: Subject, rows: Sequence[Row]) -> np.ndarray:
    """Mean log-probability of the tokens selected in each row, (n_rows,)."""
    ids = [torch.from_numpy(row.ids) for row in rows]
    # Padded on the right, where no token that is asked about can see it.
    inputs = pad_sequence(ids, batch_first=True, padding_value=subject.tokenizer.pad_token_id)
    chosen = torch.zeros_like(inputs, dtype=torch.bool)
    for i, row in enumerate(rows):
        chosen[i, torch.from_numpy(row.selected[0])] = True
    # The token at a place is foretold by the logits of the place before it.
    chosen, tokens = chosen[:, 1:].to(subject.device), inputs[:, 1:].to(subject.device)
    places = chosen.any(dim=0).nonzero()[:, 0]
    with torch.no_grad():
        logits = subject.model._module(
            input_ids=inputs.to(subject.device), use_cache=False, logits_to_keep=places
        ).logits
    chosen = chosen[:, places]
    losses = cross_entropy(logits.float().transpose(1, 2), tokens[:, places], reduction="none")
    return (-(losses * chosen).sum(1) / chosen.sum(1)).cpu().numpy()


def _sampled(subject: Subject, prompts: Sequence[Prompt], n_tokens, temperature, seed) -> list[str]:
    rows = subject.tokenizer(
        [prompt.text for prompt in prompts],
        add_special_tokens=prompts[0].adds_special_tokens,
        padding=True,
        padding_side="left",
        return_tensors="pt",
        return_token_type_ids=False,
    ).to(subject.device)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        made = subject.model._module.generate(
            **rows,
            max_new_tokens=n_tokens,
            min_new_tokens=min(LEAST_TOKENS, n_tokens),
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            pad_token_id=subject.tokenizer.pad_token_id,
        )
    said = made[:, rows["input_ids"].shape[1] :]
    return [text.strip() for text in subject.tokenizer.batch_decode(said, skip_special_tokens=True)]


def _key(subject: Subject, prompts: Sequence[Prompt], n_tokens, temperature, seed) -> str:
    return digest(
        {
            "model": subject.fingerprint,
            "dtype": subject.dtype,
            "device": subject.device,
            "prompts": [prompt.text for prompt in prompts],
            "settings": [n_tokens, temperature, seed, BATCH, LEAST_TOKENS],
            "code": inspect.getsource(sys.modules[__name__]) + inspect.getsource(chat),
            "torch": torch.__version__,
        }
    )
