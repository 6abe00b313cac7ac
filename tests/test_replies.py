"""What a model replies, and how likely another finds it: beside plain loops over the same model."""

import numpy as np
import pytest
import torch
from conftest import TEXTS

from emolib import replies
from emolib.errors import EmolibError
from emolib.files import cache_dir

ASKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
N_TOKENS = 14
COLD = 1e-4  # the likeliest token every time


def greedy(subject, message: str) -> str:
    """Token by token without padding; the end is not allowed before the least number of tokens."""
    ids = subject.tokenizer(ASKED.format(message))["input_ids"]
    begun, end = len(ids), subject.tokenizer.eos_token_id
    while len(ids) < begun + N_TOKENS:
        with torch.no_grad():
            logits = subject.model._module(input_ids=torch.tensor([ids])).logits[0, -1]
        if len(ids) < begun + replies.LEAST_TOKENS:
            logits[end] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == end:
            break
    return subject.tokenizer.decode(ids[begun:], skip_special_tokens=True).strip()


def test_a_padded_batch_says_what_each_message_gets_by_itself(tiny):
    said = replies.sample(tiny, TEXTS, N_TOKENS, COLD, seed=0)
    assert said == [greedy(tiny, text) for text in TEXTS]
    assert len(set(said)) > 1


def test_batches_keep_the_order_of_the_messages(tiny, monkeypatch):
    monkeypatch.setattr(replies, "BATCH", 2)
    assert replies.sample(tiny, TEXTS, N_TOKENS, COLD, seed=0) == [greedy(tiny, text) for text in TEXTS]


def test_a_seed_decides_and_leaves_other_random_numbers_alone(tiny, monkeypatch):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = replies.sample(tiny, TEXTS, N_TOKENS, 1.0, seed=0)
    assert torch.equal(torch.rand(3), expected)
    for path in cache_dir().rglob("*.json"):
        path.unlink()
    assert replies.sample(tiny, TEXTS, N_TOKENS, 1.0, seed=0) == first
    assert replies.sample(tiny, TEXTS, N_TOKENS, 1.0, seed=1) != first


def test_replies_are_sampled_once(tiny, monkeypatch):
    first = replies.sample(tiny, TEXTS, N_TOKENS, 1.0, seed=0)

    def forbidden(*args, **kwargs):
        raise AssertionError("sampled again")

    monkeypatch.setattr(tiny.model._module, "generate", forbidden)
    assert replies.sample(tiny, TEXTS, N_TOKENS, 1.0, seed=0) == first
    for changed in ({"seed": 1}, {"temperature": 0.5}, {"n_tokens": 10}, {"messages": TEXTS[1:]}):
        given = {"messages": TEXTS, "n_tokens": N_TOKENS, "temperature": 1.0, "seed": 0} | changed
        with pytest.raises(AssertionError, match="sampled again"):
            replies.sample(tiny, **given)


def test_a_reply_of_white_space_is_refused_and_not_kept(tiny, monkeypatch):
    blank = tiny.tokenizer(" \n ")["input_ids"]

    def nothing(input_ids, **_):
        return torch.cat([input_ids, torch.tensor([blank] * len(input_ids))], dim=1)

    with monkeypatch.context() as patch:
        patch.setattr(tiny.model._module, "generate", nothing)
        with pytest.raises(EmolibError, match="nothing but white space to 'The gate was open"):
            replies.sample(tiny, TEXTS, N_TOKENS, COLD, seed=0)
    assert all(replies.sample(tiny, TEXTS, N_TOKENS, COLD, seed=0))


def test_likelihoods_are_mean_log_probabilities_of_the_replys_own_tokens(tiny):
    said = [TEXTS[-1], TEXTS[0], TEXTS[1], TEXTS[2], "No."]
    expected = []
    for message, reply in zip(TEXTS, said, strict=True):
        before = tiny.tokenizer(ASKED.format(message))["input_ids"]
        own = tiny.tokenizer(reply)["input_ids"]
        with torch.no_grad():
            logits = tiny.model._module(input_ids=torch.tensor([before + own])).logits[0].double()
        scores = []
        for place, token in enumerate(own, len(before)):
            row = logits[place - 1]
            scores.append(float(row[token] - torch.log(torch.exp(row).sum())))
        expected.append(np.mean(scores))
    found = replies.likelihoods(tiny, TEXTS, said)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(set(found.round(4))) == len(TEXTS)


def test_an_exchange_names_the_reply(tiny):
    prompt = replies.exchange(tiny, "Well?", "Rain.")
    ((start, end),) = prompt.spans["assistant"]
    assert prompt.text[start:end] == "Rain."
    assert prompt.text == ASKED.format("Well?") + "Rain.<|im_end|>\n"
