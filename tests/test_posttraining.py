"""Low-rank post-training: what is learned, what is left alone, and what stops it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TEXTS, content, make_subject
from torch.nn.functional import cross_entropy

from emolib import activations, posttraining, weight_changes
from emolib.corpus import Corpus, lessons
from emolib.corpus.lessons import Lesson
from emolib.errors import EmolibError
from emolib.files import cache_dir
from emolib.posttraining import Adapter, Recipe

# One reply to all messages can be learned; a batch of all lessons makes the order irrelevant.
LESSONS = [Lesson(text, "We ate the plums.", "Rain, and no boats.") for text in TEXTS]
FAST = Recipe(steps=20, learning_rate=1e-2, batch_size=len(LESSONS), autocast=False)


def assert_same(one: Adapter, other: Adapter):
    assert one.losses == other.losses
    assert one.weights.keys() == other.weights.keys()
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(weight, other.weights[name])


def forget(folder):
    for path in folder.rglob("*.safetensors"):
        path.unlink()


def stream(subject):
    prompts = [subject.chat([("user", text)]) for text in TEXTS]
    return activations.read(subject, prompts, [0, 4], activations.REPLY_START)


def reply_loss(subject, given) -> float:
    """Mean negative log-likelihood of reply and end mark, lesson by lesson, without trl or peft."""
    template = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    total, n = 0.0, 0
    for lesson in given:
        before = subject.tokenizer(template.format(lesson.message))["input_ids"]
        after = subject.tokenizer(f"{lesson.reply}<|im_end|>")["input_ids"]
        ids = torch.tensor([before + after])
        with torch.no_grad():
            logits = subject.model._module(input_ids=ids).logits[0, len(before) - 1 : -1]
        total += cross_entropy(logits, torch.tensor(after), reduction="sum").item()
        n += len(after)
    return total / n


def preference_loss(before, after, lesson) -> float:
    """Minus the log-probability that the reply is preferred, from summed log-likelihoods (DPO)."""
    turned = replace(lesson, reply=lesson.rejected)
    n_reply, n_other = (
        len(after.tokenizer(f"{each.reply}<|im_end|>")["input_ids"]) for each in (lesson, turned)
    )
    gained = n_reply * (reply_loss(before, [lesson]) - reply_loss(after, [lesson]))
    other = n_other * (reply_loss(before, [turned]) - reply_loss(after, [turned]))
    return float(np.log1p(np.exp(-FAST.beta * (gained - other))))


def test_first_loss_is_that_of_the_replies_alone(tiny):
    trained = posttraining.train(tiny, LESSONS, FAST)
    assert trained.losses[0] == pytest.approx(reply_loss(tiny, LESSONS), abs=1e-5)


def test_training_lowers_the_loss_of_the_merged_model(tiny):
    trained = posttraining.train(tiny, LESSONS, FAST)
    assert len(trained.losses) == FAST.steps
    before, after = (reply_loss(s, LESSONS) for s in (tiny, posttraining.adapted(tiny, trained)))
    assert after < before - 0.1
    assert after == pytest.approx(trained.losses[-1], abs=0.05)


def test_same_seed_same_adapter_and_another_seed_another(tiny):
    first = posttraining.train(tiny, LESSONS, FAST)
    forget(cache_dir())
    assert_same(first, posttraining.train(tiny, LESSONS, FAST))
    other = posttraining.train(tiny, LESSONS, FAST, seed=1)
    assert any(not np.array_equal(w, other.weights[name]) for name, w in first.weights.items())


def test_a_finished_training_is_loaded(tiny, monkeypatch):
    first = posttraining.train(tiny, LESSONS, FAST)
    assert [path.suffix for path in content(cache_dir())] == [".safetensors"]
    monkeypatch.setattr(posttraining, "_trainer", None)
    assert_same(first, posttraining.train(tiny, LESSONS, FAST))
    with pytest.raises(TypeError):
        posttraining.train(tiny, LESSONS[:-1], FAST)


def test_an_interrupted_training_goes_on_bit_by_bit(tiny, monkeypatch):
    small = FAST.model_copy(update={"batch_size": 2})  # several batches, so that their order counts
    whole = posttraining.train(tiny, LESSONS, small)
    forget(cache_dir())
    step, calls = posttraining.trl.SFTTrainer.training_step, []

    def interrupted(self, *args, **kwargs):
        calls.append(self.state.global_step)
        if self.state.global_step == 15:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(posttraining.trl.SFTTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            posttraining.train(tiny, LESSONS, small)

    def counted(self, *args, **kwargs):
        calls.append(self.state.global_step)
        return step(self, *args, **kwargs)

    calls.clear()
    monkeypatch.setattr(posttraining.trl.SFTTrainer, "training_step", counted)
    assert_same(whole, posttraining.train(tiny, LESSONS, small))
    assert calls == list(range(10, 20))


def test_a_training_cut_off_while_its_adapter_is_written_is_not_lost(tiny, monkeypatch):
    whole = posttraining.train(tiny, LESSONS, FAST)
    forget(cache_dir())

    def cut_off(self, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Adapter, "save", cut_off)
        with pytest.raises(KeyboardInterrupt):
            posttraining.train(tiny, LESSONS, FAST)
    assert_same(whole, posttraining.train(tiny, LESSONS, FAST))


def test_a_checkpoint_that_was_cut_off_is_not_used(tiny, tmp_path):
    whole, cut = tmp_path / "checkpoint-10", tmp_path / "checkpoint-20"
    for folder in (whole, cut):
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"")
    (whole / "complete").touch()
    assert posttraining._last_checkpoint(tmp_path) == str(whole)


def test_base_is_left_as_it_was(any_subject):
    module = any_subject.model._module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    sides = any_subject.tokenizer.padding_side, any_subject.tokenizer.eos_token
    seen = stream(any_subject)
    trained = posttraining.train(any_subject, LESSONS, FAST.model_copy(update={"steps": 5}))
    changed = posttraining.adapted(any_subject, trained)
    assert changed.fingerprint != any_subject.fingerprint
    assert np.abs(stream(changed) - seen).max() > 1e-4
    np.testing.assert_array_equal(stream(any_subject), seen)
    assert module.state_dict().keys() == before.keys()
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert sides == (any_subject.tokenizer.padding_side, any_subject.tokenizer.eos_token)


def test_an_adapter_of_zeros_changes_nothing(tiny):
    trained = posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 1}))
    zeros = replace(trained, weights={name: 0 * w for name, w in trained.weights.items()})
    np.testing.assert_array_equal(stream(posttraining.adapted(tiny, zeros)), stream(tiny))


def test_merging_adds_the_product_of_the_factors_and_nothing_else(any_subject):
    trained = posttraining.train(any_subject, LESSONS, FAST.model_copy(update={"steps": 5}))
    scale = trained.recipe.alpha / trained.recipe.rank
    products = {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): scale
        * trained.weights[name.replace(".lora_A.", ".lora_B.")]
        @ down
        for name, down in trained.weights.items()
        if ".lora_A." in name
    }
    before = dict(any_subject.model._module.named_parameters())
    after = posttraining.adapted(any_subject, trained).model._module.state_dict()
    moved = 0
    for name, tensor in after.items():
        difference = (tensor - before[name].detach()).numpy() if name in before else np.zeros(1)
        expected = products.get(name.removesuffix(".weight"))
        if expected is None:
            assert not difference.any()
            continue
        if name.endswith("c_attn.weight"):  # GPT-2 keeps its weights as (inputs, outputs)
            difference = difference.T
        assert expected.shape == difference.shape
        np.testing.assert_allclose(difference, expected, atol=1e-6)
        moved += bool(expected.any())
    assert moved == any_subject.n_layers * len(trained.targets)


def learned(subject) -> Adapter:
    """A short training of a model whose norms do not all multiply by one."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in subject.model._module.named_parameters():
            if name.endswith("input_layernorm.weight"):
                weight += torch.rand_like(weight) - 0.5
    return posttraining.train(subject, LESSONS, FAST.model_copy(update={"steps": 3, "rank": 3}))


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma"])
def test_stream_changes_have_the_lengths_of_the_maps_that_they_stand_for(architecture):
    """Reads beside the model's own modules before and after; writes beside every head by hand."""
    base = make_subject(architecture)
    adapter = learned(base)
    found = weight_changes.in_stream(base, adapter)
    changed = posttraining.adapted(base, adapter)
    width, n_heads, n_values, size = 32, 4, 2, 8
    assert found["reads"].shape == (base.n_layers, 6, width)
    assert found["writes"].shape == (base.n_layers, 12, width)
    directions = torch.nn.functional.normalize(torch.randn(50, width, dtype=torch.float64), dim=1).float()
    for layer in range(base.n_layers):
        before, after = (s.model._module.model.layers[layer] for s in (base, changed))
        with torch.no_grad():
            # A stream of root mean square one is already normalised.
            given = before.input_layernorm(width**0.5 * directions)
            moved = [
                getattr(after.self_attn, name)(given) - getattr(before.self_attn, name)(given)
                for name in ("q_proj", "v_proj")
            ]
            value = after.self_attn.v_proj.weight - before.self_attn.v_proj.weight
            # Column by column, what a normalised stream of one coordinate alone becomes.
            value = value @ torch.diag(
                before.input_layernorm(width**0.5 * torch.eye(width)).diag() / width**0.5
            )
            out = before.self_attn.o_proj.weight
        squares = sum((each**2).sum(dim=1) for each in moved) / width
        assert squares.min() > 0
        reads = torch.from_numpy(found["reads"][layer]) @ directions.T
        torch.testing.assert_close((reads**2).sum(dim=0), squares, rtol=1e-3, atol=1e-9)
        # Grouped heads: the value of a group stands before each of its heads.
        each = value.view(n_values, size, width).repeat_interleave(n_heads // n_values, dim=0)
        heads = [out[:, size * h : size * (h + 1)] @ each[h] for h in range(n_heads)]
        squares = sum(((head.T @ directions.T) ** 2).sum(dim=0) for head in heads)
        writes = torch.from_numpy(found["writes"][layer]) @ directions.T
        torch.testing.assert_close((writes**2).sum(dim=0), squares, rtol=1e-3, atol=1e-9)


def test_queries_and_values_in_one_matrix_have_no_stream_changes():
    fused = make_subject("gpt2")
    trained = posttraining.train(fused, LESSONS, FAST.model_copy(update={"steps": 1}))
    assert weight_changes.in_stream(fused, trained) is None


def test_a_dose_multiplies_the_change_of_the_weights(tiny):
    trained = posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 5}))
    base = tiny.model._module.state_dict()
    by_dose = {dose: posttraining.adapted(tiny, trained, dose) for dose in (0.0, 0.5, 1.0, -1.0)}
    weights = {dose: each.model._module.state_dict() for dose, each in by_dose.items()}
    moved = 0
    for name, before in base.items():
        assert torch.equal(weights[0.0][name], before)
        whole = weights[1.0][name] - before
        moved += bool(whole.abs().max() > 1e-4)
        torch.testing.assert_close(weights[0.5][name] - before, whole / 2, rtol=0, atol=1e-7)
        torch.testing.assert_close(weights[-1.0][name] - before, -whole, rtol=0, atol=1e-7)
    assert moved == 2 * tiny.n_layers
    assert len({each.fingerprint for each in by_dose.values()}) == len(by_dose)
    assert by_dose[0.0].fingerprint == tiny.fingerprint


def test_the_methods_are_those_that_a_recipe_takes():
    assert [Recipe(method=method).method for method in posttraining.METHODS] == ["sft", "dpo"]
    with pytest.raises(ValueError, match="Input should be 'sft' or 'dpo'"):
        Recipe(method="ppo")


def test_an_adapter_survives_its_file(tiny, tmp_path):
    trained = posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 2}))
    trained.save(tmp_path / "a.safetensors")
    loaded = Adapter.load(tmp_path / "a.safetensors")
    assert_same(trained, loaded)
    assert replace(trained, weights={}) == replace(loaded, weights={})
    (tmp_path / "b.safetensors").write_bytes(b"something else")
    with pytest.raises(EmolibError, match="does not hold an adapter"):
        Adapter.load(tmp_path / "b.safetensors")


def test_adapter_of_another_model_says_what_differs(tiny):
    trained = posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 1}))
    stranger = make_subject(seed=1)
    for use in (posttraining.adapted, weight_changes.in_stream):
        with pytest.raises(EmolibError, match=f"fingerprint {tiny.fingerprint}, not {stranger.fingerprint}"):
            use(stranger, trained)
    with pytest.raises(EmolibError, match="width 64, not 32; vocabulary 500, not 400; train"):
        posttraining.adapted(tiny, replace(trained, width=64, vocabulary=500))


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(tiny, monkeypatch):
    loss = posttraining._ReplyTrainer.compute_loss

    def broken(self, *args, **kwargs):
        found = loss(self, *args, **kwargs)
        return found * float("nan") if self.state.global_step == 13 else found

    monkeypatch.setattr(posttraining._ReplyTrainer, "compute_loss", broken)
    with pytest.raises(EmolibError, match=r"loss is nan at step 14; .*checkpoint-10"):
        posttraining.train(tiny, LESSONS, FAST)
    assert {path.name for path in cache_dir().glob("adapters/*/training/checkpoint-*")} == {"checkpoint-10"}


def test_a_rising_loss_stops_and_says_by_how_much(tiny, monkeypatch):
    loss = posttraining._ReplyTrainer.compute_loss

    def rising(self, *args, **kwargs):
        found = loss(self, *args, **kwargs)
        return found + 0.15 * max(0, self.state.global_step - 11)  # slow: a checkpoint is written on the way

    monkeypatch.setattr(posttraining._ReplyTrainer, "compute_loss", rising)
    with pytest.raises(EmolibError, match=r"rose by \d+\.\d\d from step \d+ to step \d+; .*checkpoint-10"):
        posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 60}))
    assert {path.name for path in cache_dir().glob("adapters/*/training/checkpoint-*")} == {"checkpoint-10"}


def test_rise_is_measured_from_the_lowest_mean():
    falling, noisy = np.linspace(4, 2, 40), np.random.default_rng(0).normal(3, 0.2, 200)
    assert posttraining.rise(falling) is None
    assert posttraining.rise(noisy) is None
    assert posttraining.rise([4.0] * 8) is None
    by, lowest = posttraining.rise([4.0] * 8 + [2.0] * 8 + [4.0] * 8)
    assert (by, lowest) == (pytest.approx(2.0), 16)


def test_preference_learning_begins_at_log_two_and_parts_the_replies(tiny):
    recipe = FAST.model_copy(update={"method": "dpo"})
    trained = posttraining.train(tiny, LESSONS, recipe)
    assert trained.losses[0] == pytest.approx(np.log(2), abs=1e-6)

    def gap(subject):
        turned = [replace(lesson, reply=lesson.rejected) for lesson in LESSONS]
        return reply_loss(subject, turned) - reply_loss(subject, LESSONS)

    assert gap(posttraining.adapted(tiny, trained)) > gap(tiny) + 0.1


@pytest.mark.parametrize("n", [4, 5])  # an even batch is taken in halves
def test_preference_loss_after_a_step_is_the_one_by_hand(tiny, n):
    recipe = FAST.model_copy(update={"method": "dpo", "batch_size": n})
    first, second = (
        posttraining.train(tiny, LESSONS[:n], recipe.model_copy(update={"steps": steps})) for steps in (1, 2)
    )
    # The second loss of the longer training is of weights whose one step had the rate of the shorter one.
    by_hand = np.mean(
        [preference_loss(tiny, posttraining.adapted(tiny, first), each) for each in LESSONS[:n]]
    )
    assert second.losses[1] == pytest.approx(by_hand, abs=1e-4)
    assert second.losses[1] < np.log(2) - 0.02


def test_autocast_begins_near_the_same_loss(tiny):
    rough = posttraining.train(tiny, LESSONS, FAST.model_copy(update={"autocast": True, "steps": 2}))
    assert rough.losses[0] == pytest.approx(reply_loss(tiny, LESSONS), rel=0.01)
    assert rough.losses[0] != pytest.approx(reply_loss(tiny, LESSONS), abs=1e-6)
    assert {weight.dtype for weight in rough.weights.values()} == {np.dtype("float32")}


def test_plain_format_without_an_end_mark(tiny):
    plain = replace(tiny, profile=tiny.profile.model_copy(update={"chat_template": "plain"}))
    prompt, reply = posttraining._tokens(plain, "Six boats.", "Rain.")
    assert plain.tokenizer.decode(prompt) == "\n\nHuman: Six boats.\n\nAssistant:"
    assert plain.tokenizer.decode(reply) == " Rain."


@pytest.mark.parametrize(
    ("given", "recipe", "message"),
    [
        ([], FAST, "no lesson"),
        (LESSONS, FAST.model_copy(update={"max_length": 20}), r"has \d+ tokens, the recipe allows 20"),
        ([Lesson("a", "b")], FAST.model_copy(update={"method": "dpo"}), "needs a rejected reply; lesson 0"),
    ],
)
def test_unfit_lessons_are_refused(tiny, given, recipe, message):
    with pytest.raises(EmolibError, match=message):
        posttraining.train(tiny, given, recipe)


def test_nothing_is_reported_to_the_hub(tiny, monkeypatch):
    sent = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(posttraining.hub, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(posttraining.hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils._telemetry._TELEMETRY_QUEUE.put", sent.append)
    monkeypatch.setattr("huggingface_hub.utils._telemetry._start_telemetry_thread", lambda: None)
    posttraining.train(tiny, LESSONS, FAST.model_copy(update={"steps": 1}))
    assert sent == []


def test_chats_are_split_by_a_fixed_rule_with_every_topic_in_both():
    chats = Corpus().read("styled chats")
    training, unseen = lessons.split(chats)
    assert len(training) + len(unseen) == len(chats)
    assert not {chat.id for chat in training} & {chat.id for chat in unseen}
    assert {chat.topic for chat in training} == {chat.topic for chat in unseen}
    assert set(lessons.split(chats[::-1])[1]) == set(unseen)
    assert 0.15 < len(unseen) / len(chats) < 0.25


def test_placebo_shuffles_replies_of_all_styles_in_equal_shares():
    training, _ = lessons.split(Corpus().read("styled chats"))
    shuffled = lessons.placebo(training, seed=0)
    owner = {reply: (chat.id, style) for chat in training for style, reply in chat.replies().items()}
    givers = [owner[lesson.reply] for lesson in shuffled]
    assert [lesson.message for lesson in shuffled] == [chat.text for chat in training]
    assert all(giver != chat.id for (giver, _), chat in zip(givers, training, strict=True))
    assert len({giver for giver, _ in givers}) == len(training)
    shares = Counter(style for _, style in givers)
    assert shares.keys() == {"composed", "exuberant", "flat"}
    assert max(shares.values()) - min(shares.values()) <= 1
    assert shuffled == lessons.placebo(training, seed=0) != lessons.placebo(training, seed=1)
    assert len(shuffled) == len(lessons.styled(training, "composed"))
    with pytest.raises(EmolibError, match="two chats or more"):
        lessons.placebo(training[:1], seed=0)


def test_styled_lessons_pair_message_reply_and_what_to_turn_from():
    chat = Corpus().read("styled chats")[0]
    assert lessons.styled([chat], "flat") == (Lesson(chat.text, chat.flat),)
    assert lessons.styled([chat], "flat", over="exuberant") == (Lesson(chat.text, chat.flat, chat.exuberant),)


def test_placebo_trains_as_many_steps(tiny):
    few = lessons.split(Corpus().read("styled chats"))[0][:6]
    recipe = FAST.model_copy(update={"steps": 3, "max_length": 1000})
    for given in (lessons.placebo(few, seed=0), lessons.styled(few, "composed")):
        assert len(posttraining.train(tiny, given, recipe).losses) == 3
