"""Steering agrees with plain forward hooks on the whole prompt, one condition at a time."""

import numpy as np
import pytest
import torch
from conftest import make_subject

from emolib import activations, steering
from emolib.chat import Prompt
from emolib.errors import EmolibError

TEXT = "He counted the boxes twice, and nobody had seen her leave. Six boats came back"
WORDS = ("A", "B", "C", "?")


def prompts(*parts):
    return [Prompt(TEXT).naming(item=part) for part in parts]


def pushes(subject, n, layers, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, len(layers), subject.width)).astype(np.float32)


def by_hooks(subject, prompt, span, layers, push, words):
    """Log-probabilities from a whole forward pass with the push added by a plain hook."""
    row = activations.encode(subject, prompt, [activations.Where(spans=(span,))])
    ids = torch.from_numpy(row.ids)[None]
    chosen = torch.from_numpy(row.selected[0])
    blocks = [subject.layers[layer]._module for layer in layers]
    added = iter(torch.from_numpy(push))

    def hook_for(value):
        def hook(module, args, output):
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden.clone()
            hidden[:, chosen] += value
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return hook

    handles = [block.register_forward_hook(hook_for(next(added))) for block in blocks]
    try:
        with torch.no_grad():
            logits = subject.model._module(input_ids=ids).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    tokens = [subject.tokenizer(prompt.text + word)["input_ids"][len(row.ids)] for word in words]
    return logits.float().log_softmax(-1)[tokens].numpy()


@pytest.mark.parametrize("layers", [[2], [0], [1, 2, 4]])
@pytest.mark.parametrize("part", ["boxes twice", "He", "boats"])
def test_shared_computation_agrees_with_running_each_condition_alone(any_subject, layers, part):
    (prompt,) = prompts(part)
    added = pushes(any_subject, 5, layers)
    found = steering.log_probabilities(any_subject, [prompt], "item", layers, added, WORDS)[0]
    for condition, push in zip(found, added, strict=True):
        expected = by_hooks(any_subject, prompt, "item", layers, push, WORDS)
        np.testing.assert_allclose(condition, expected, atol=1e-5)


def test_several_places_are_steered_and_what_lies_between_is_not(tiny):
    (prompt,) = prompts("counted")
    prompt = Prompt(TEXT, {"both": (*prompt.spans["item"], *Prompt(TEXT).naming(x="leave").spans["x"])})
    added = pushes(tiny, 2, [2])
    found = steering.log_probabilities(tiny, [prompt], "both", [2], added, WORDS)[0]
    for condition, push in zip(found, added, strict=True):
        np.testing.assert_allclose(condition, by_hooks(tiny, prompt, "both", [2], push, WORDS), atol=1e-5)


def test_no_push_is_bit_equal_to_no_steering(tiny):
    (prompt,) = prompts("boxes twice")
    added = np.concatenate([np.zeros((3, 1, tiny.width), np.float32), pushes(tiny, 2, [2])])
    found = steering.log_probabilities(tiny, [prompt], "item", [2], added, WORDS)[0]
    np.testing.assert_array_equal(found[0], found[2])
    none = steering.log_probabilities(tiny, [prompt], "item", [2], 0 * added, WORDS)[0]
    np.testing.assert_array_equal(found[0], none[0])
    assert not np.allclose(found[0], found[3])


def test_conditions_of_one_batch_do_not_touch_each_other(tiny, monkeypatch):
    monkeypatch.setattr(steering, "CONDITIONS_PER_BATCH", 2)
    (prompt,) = prompts("boxes twice")
    added = pushes(tiny, 5, [1, 3])
    small = steering.log_probabilities(tiny, [prompt], "item", [1, 3], added, WORDS, keep=False)
    monkeypatch.setattr(steering, "CONDITIONS_PER_BATCH", 100)
    large = steering.log_probabilities(tiny, [prompt], "item", [1, 3], added, WORDS, keep=False)
    np.testing.assert_allclose(small, large, atol=1e-5)


def test_a_second_run_reads_from_the_cache_and_another_push_does_not(tiny, monkeypatch):
    added = pushes(tiny, 2, [2])
    first = steering.log_probabilities(tiny, prompts("He", "boats"), "item", [2], added, WORDS)

    def forbidden(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr(steering, "_conditions", forbidden)
    again = steering.log_probabilities(tiny, prompts("He", "boats"), "item", [2], added, WORDS)
    np.testing.assert_array_equal(first, again)
    with pytest.raises(AssertionError, match="computed again"):
        steering.log_probabilities(tiny, prompts("He"), "item", [2], 2 * added, WORDS)


def test_push_has_the_length_that_the_strength_says():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, 3, 8)) * 7
    norms = np.array([2.0, 5.0, 11.0])
    made = steering.push(directions, 0.3, norms)
    np.testing.assert_allclose(np.linalg.norm(made, axis=-1), np.tile(0.1 * norms, (4, 1)), rtol=1e-5)
    assert np.all(np.sum(made * directions, axis=-1) > 0)
    np.testing.assert_array_equal(steering.push(directions, 0.0, norms), 0)


def test_written_texts_are_read_from_the_cache(tiny, monkeypatch):
    (prompt,) = prompts("boxes twice")
    asked = (tiny, prompt, "item", [2], pushes(tiny, 2, [2]))
    first = steering.continuations(*asked, 4)
    monkeypatch.setattr(steering, "_written", lambda *arguments: [("computed", 0.0)])
    assert steering.continuations(*asked, 4) == first
    assert steering.continuations(*asked, 5) == [("computed", 0.0)]


def test_unsteered_text_is_what_generate_writes(tiny):
    (prompt,) = prompts("boxes twice")
    none = np.zeros((2, 1, tiny.width), np.float32)
    (text, likely), other = steering.continuations(tiny, prompt, "item", [2], none, 6)
    ids = tiny.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    plain = tiny.model._module.generate(
        ids, max_new_tokens=6, do_sample=False, pad_token_id=tiny.tokenizer.pad_token_id
    )
    assert text == tiny.tokenizer.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    assert (text, likely) == other
    assert likely < 0


def test_steered_text_follows_the_steered_prompt(tiny):
    """The first token written is the most likely one under the same push."""
    (prompt,) = prompts("boxes twice")
    added = 3 * pushes(tiny, 1, [2])
    (text, _), *_ = steering.continuations(tiny, prompt, "item", [2], added, 1)
    row = activations.encode(tiny, prompt, [])
    every = [tiny.tokenizer.decode([i]) for i in range(3, 259)]
    single = [w for w in every if tiny.tokenizer(TEXT + w)["input_ids"][: len(row.ids)] == row.ids.tolist()]
    found = by_hooks(tiny, prompt, "item", [2], added[0], single)
    if text in single:
        assert text == single[int(found.argmax())]
    else:
        assert by_hooks(tiny, prompt, "item", [2], added[0], [text])[0] >= found.max()


def test_broken_weights_stop_with_the_prompt(tiny):
    with torch.no_grad():
        next(iter(tiny.model._module.lm_head.parameters()))[:] = float("nan")
    with pytest.raises(EmolibError, match=r"not finite after the prompt 'He counted"):
        steering.log_probabilities(tiny, prompts("He"), "item", [2], pushes(tiny, 1, [2]), WORDS)
    with pytest.raises(EmolibError, match=r"not finite after the prompt 'He counted"):
        activations.log_probabilities(tiny, prompts("He"), WORDS)


def test_words_that_cannot_be_told_apart_are_refused(tiny):
    (prompt,) = prompts("He")
    with pytest.raises(EmolibError, match="'AA' and 'A' begin with the same token"):
        activations.next_tokens(tiny, prompt, ["A", "AA"])


def test_word_that_merges_with_the_prompt_is_refused(tiny):
    with pytest.raises(EmolibError, match="'ted' merges with the end of the prompt 'He coun'"):
        activations.next_tokens(tiny, Prompt("He coun"), ["ted"])


def test_pushes_of_another_width_are_refused(tiny):
    with pytest.raises(EmolibError, match=r"must be \(n_conditions, 1, 32\)"):
        steering.log_probabilities(tiny, prompts("He"), "item", [2], np.zeros((1, 1, 5)), WORDS)


def test_steering_the_last_token_of_a_prompt_is_refused(tiny):
    with pytest.raises(EmolibError, match="a token must follow 'item'"):
        steering.log_probabilities(tiny, prompts("back"), "item", [2], pushes(tiny, 1, [2]), WORDS)


def test_unsteered_answers_of_a_padded_batch_are_those_of_one_by_one(any_subject):
    texts = ["Rain.", TEXT, "We ate the plums.", "The gate was open,"]
    found = activations.log_probabilities(any_subject, [Prompt(t) for t in texts], WORDS)
    for text, row in zip(texts, found, strict=True):
        ids = any_subject.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = any_subject.model._module(input_ids=ids).logits[0, -1].float().log_softmax(-1)
        tokens = [any_subject.tokenizer(text + w)["input_ids"][ids.shape[1]] for w in WORDS]
        np.testing.assert_allclose(row, logits[tokens].numpy(), atol=1e-5)


def test_mean_norm_is_over_the_tokens_that_are_read():
    subject = make_subject(batch_size=2)
    texts = [Prompt(t) for t in (TEXT, "We ate the plums.", "Rain. Rain. Rain.")]
    where = activations.Where(skip=1)
    found = activations.mean_norms(subject, texts, range(5), where)
    lengths = np.concatenate(
        [
            np.linalg.norm(states[1:], axis=-1)
            for _, states in activations.read_tokens(subject, texts, range(5))
        ]
    )
    np.testing.assert_allclose(found, lengths.mean(axis=0), rtol=1e-5)


def test_mean_embedding_is_that_of_the_chosen_tokens(tiny):
    (prompt,) = prompts("boxes twice")
    found = activations.read_embeddings(tiny, [prompt], activations.Where(spans=("item",)))[0]
    row = activations.encode(tiny, prompt, [activations.Where(spans=("item",))])
    table = tiny.model._module.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_allclose(found, table[row.ids[row.selected[0]]].mean(axis=0), rtol=1e-5)


def test_a_part_that_is_absent_or_twice_there_is_refused():
    with pytest.raises(EmolibError, match="'plums' stands 0 times"):
        Prompt(TEXT).naming(item="plums")
    with pytest.raises(EmolibError, match="'e' stands"):
        Prompt(TEXT).naming(item="e")
