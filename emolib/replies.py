"""Letting a model reply: sampled texts, and how likely another model finds them."""

import inspect
import json
import sys
from collections.abc import Sequence

import numpy as np
import torch

from emolib import activations, chat
from emolib.activations import Where
from emolib.chat import Prompt
from emolib.errors import EmolibError
from emolib.files import cache_dir, digest, write_json
from emolib.progress import progress
from emolib.subject import Subject

# Sampled together, so that a seed decides every reply; a batch of this size fits any laptop.
BATCH = 32
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
    found = []
    for message, reply in zip(messages, replies, strict=True):
        row = activations.encode(subject, exchange(subject, message, reply), [Where(spans=("assistant",))])
        chosen = torch.from_numpy(row.selected[0])
        ids = torch.from_numpy(row.ids)[None].to(subject.device)
        with torch.no_grad():
            # Only what stands before the reply's last token is asked for its next one.
            logits = subject.model._module(input_ids=ids[:, : int(chosen[-1]) + 1], use_cache=False).logits
        scores = logits[0, chosen - 1].float().log_softmax(dim=-1)
        found.append(float(scores.gather(1, ids[0, chosen][:, None]).mean()))
    return np.array(found)


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
