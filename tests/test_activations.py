"""Reads through nnsight against plain forward hooks, one text at a time and without padding."""

import numpy as np
import pytest
import torch
from conftest import TEXTS, make_subject

from emolib import activations
from emolib.activations import EVERY_TOKEN, MESSAGES, REPLY_START, Where
from emolib.chat import Prompt
from emolib.errors import EmolibError

BLOCKS = {"gpt2": lambda m: m.transformer.h}
PROMPTS = [Prompt(text) for text in TEXTS]


def hooked(subject, prompt: Prompt) -> np.ndarray:
    """Every block's output for one unpadded text, (n_tokens, n_layers, width), by forward hooks."""
    model = subject.model._module
    blocks = BLOCKS.get(model.config.model_type, lambda m: m.model.layers)(model)
    caught = []

    def catch(module, args, output):
        caught.append((output[0] if isinstance(output, tuple) else output).detach()[0])

    handles = [block.register_forward_hook(catch) for block in blocks]
    ids = subject.tokenizer(prompt.text, add_special_tokens=prompt.adds_special_tokens, return_tensors="pt")
    with torch.no_grad():
        model(input_ids=ids["input_ids"])
    for handle in handles:
        handle.remove()
    return torch.stack(caught, dim=1).float().numpy()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_reads_the_same_as_one_by_one(any_subject, side):
    any_subject.tokenizer.padding_side = side
    read = activations.read(any_subject, PROMPTS, range(5), EVERY_TOKEN)
    for prompt, row in zip(PROMPTS, read, strict=True):
        np.testing.assert_allclose(row, hooked(any_subject, prompt).mean(axis=0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_last_token_and_skipped_tokens_are_the_right_ones(any_subject, side):
    any_subject.tokenizer.padding_side = side
    wheres = {"last": Where(last=True), "later": Where(skip=3)}
    long_enough = [p for p in PROMPTS if len(hooked(any_subject, p)) > 3]
    assert len(long_enough) >= 3
    read = activations.read_many(any_subject, long_enough, range(5), wheres)
    for i, prompt in enumerate(long_enough):
        states = hooked(any_subject, prompt)
        np.testing.assert_allclose(read["last"][i], states[-1], atol=1e-5, rtol=0)
        np.testing.assert_allclose(read["later"][i], states[3:].mean(axis=0), atol=1e-5, rtol=0)


def test_read_stopped_early_equals_the_full_read(any_subject):
    full = activations.read(any_subject, PROMPTS, range(5), EVERY_TOKEN)
    early = activations.read(any_subject, PROMPTS, [1], EVERY_TOKEN)
    np.testing.assert_array_equal(early[:, 0], full[:, 1])


def test_forward_pass_stops_after_the_last_layer_asked_for(tiny):
    ran = []
    for i, block in enumerate(tiny.model._module.model.layers):
        block.register_forward_pre_hook(lambda *_, i=i: ran.append(i))
    tiny.model._module.lm_head.register_forward_hook(lambda *_: ran.append("head"))
    activations.read(tiny, PROMPTS[:1], [0, 2], EVERY_TOKEN)
    assert ran == [0, 1, 2]


def test_every_token_matches_the_hooks(any_subject):
    for (pieces, states), prompt in zip(
        activations.read_tokens(any_subject, PROMPTS, range(5)), PROMPTS, strict=True
    ):
        np.testing.assert_allclose(states, hooked(any_subject, prompt), atol=1e-5, rtol=0)
        assert "".join(pieces) == prompt.text


def test_chat_parts_are_read_at_their_own_tokens(tiny):
    chat = tiny.chat(
        [("system", "Be brief."), ("user", "Where is the gate?"), ("assistant", "Here."), ("user", "Rain?")]
    )
    ids = tiny.tokenizer(chat.text, add_special_tokens=False)["input_ids"]
    states = hooked(tiny, chat)
    # Message tokens, found independently: decode each prefix and look at which text it completes.
    starts = [len(tiny.tokenizer.decode(ids[:i])) for i in range(len(ids) + 1)]
    inside = [
        i
        for i in range(len(ids))
        for low, high in (*chat.spans["user"], *chat.spans["assistant"])
        if starts[i] < high and starts[i + 1] > low
    ]
    read = activations.read_many(tiny, [chat], range(5), {"messages": MESSAGES, "reply": REPLY_START})
    np.testing.assert_allclose(read["messages"][0], states[inside].mean(axis=0), atol=1e-5, rtol=0)
    np.testing.assert_allclose(read["reply"][0], states[-1], atol=1e-5, rtol=0)


def test_batch_is_halved_when_memory_runs_out(tiny, monkeypatch):
    expected = activations.read(tiny, PROMPTS, range(5), EVERY_TOKEN)
    real, sizes = activations._read_batch, []

    def short_of_memory(subject, rows, layers):
        sizes.append(len(rows))
        if len(rows) > 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")
        return real(subject, rows, layers)

    monkeypatch.setattr(activations, "_read_batch", short_of_memory)
    read = activations.read(tiny, PROMPTS, range(5), EVERY_TOKEN)
    assert max(sizes) == 3
    np.testing.assert_allclose(read, expected, atol=1e-5, rtol=0)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny, monkeypatch):
    def broken(subject, rows, layers):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(activations, "_read_batch", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        activations.read(tiny, PROMPTS, range(5), EVERY_TOKEN)


def test_interrupted_read_goes_on_where_it_was(monkeypatch):
    subject = make_subject(batch_size=1)
    prompts = [Prompt(f"{text} {i}") for i in range(3) for text in TEXTS]
    expected = activations.read(subject, prompts, [2], EVERY_TOKEN)
    real, calls = activations._read_batch, []

    def counted(subject, rows, layers):
        calls.append(len(rows))
        if len(calls) == 10:
            raise KeyboardInterrupt
        return real(subject, rows, layers)

    monkeypatch.setattr(activations, "_read_batch", counted)
    with pytest.raises(KeyboardInterrupt):
        activations.read_many(subject, prompts, [2], {"": EVERY_TOKEN}, keep=True)
    read = activations.read_many(subject, prompts, [2], {"": EVERY_TOKEN}, keep=True)[""]
    np.testing.assert_array_equal(read, expected)
    assert len(calls) == 10 + len(prompts) - 2 * activations.BATCHES_PER_SHARD
    activations.read_many(subject, prompts, [2], {"": EVERY_TOKEN}, keep=True)
    assert len(calls) == 10 + len(prompts) - 2 * activations.BATCHES_PER_SHARD


def test_kept_reads_of_another_model_are_not_reused():
    first, second = make_subject(seed=0), make_subject(seed=1)
    one = activations.read_many(first, PROMPTS, [2], {"": EVERY_TOKEN}, keep=True)[""]
    other = activations.read_many(second, PROMPTS, [2], {"": EVERY_TOKEN}, keep=True)[""]
    assert not np.allclose(one, other)


def test_text_too_short_to_read_is_named(tiny):
    with pytest.raises(EmolibError, match="no token to read after the first 49"):
        activations.read(tiny, PROMPTS, [0], activations.FROM_TOKEN_50)


def test_unknown_part_is_named(tiny):
    with pytest.raises(EmolibError, match="no part called verdict"):
        activations.read(tiny, PROMPTS, [0], Where(spans=("verdict",)))


@pytest.mark.parametrize("layer", [-1, 5])
def test_layer_out_of_range_is_refused(tiny, layer):
    with pytest.raises(EmolibError, match="layers 0 to 4"):
        activations.read(tiny, PROMPTS, [layer], EVERY_TOKEN)
