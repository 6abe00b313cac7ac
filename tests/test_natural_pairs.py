"""Stages of one model compared: on states whose shift is known, and on tiny models in folders."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from conftest import make_subject, save_profile, small_scale

from emolib import figures, paper, profiles, results, study, subject, weights
from emolib.errors import EmolibError
from emolib.experiments import natural_pairs, shifts
from emolib.experiments.natural_pairs import Stage
from emolib.files import sha256_of, write_json
from emolib.vectors import EmotionVectors

SCALE = small_scale(n_null=50, n_bootstrap=20)
PAPER = paper.posttraining_shift()["diff"]
LAYERS, WIDTH, N = (3, 7), 400, 60
CHALLENGING = np.arange(N) >= 20
ANGLE = 0.4


def planted(towards: dict[str, np.ndarray]) -> list[Stage]:
    """Stages whose readings differ by known shifts; the vectors of all but the last are turned by `ANGLE`.

    The vectors are orthogonal, and the stream is long in a direction of its own, so that a push along a
    vector changes its cosine by as much and leaves the others alone.
    """
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    names = tuple(PAPER.index)
    straight, aside, along = axes[: len(names)], axes[len(names) : 2 * len(names)], axes[-1]
    read = 20 * rng.standard_normal(len(names)) + 4 * rng.standard_normal((N, len(names)))
    common = 1000 * along + read @ straight
    origin, made = np.zeros((len(LAYERS), WIDTH), np.float32), []
    for name, shift in towards.items():
        turned = straight if name == list(towards)[-1] else np.cos(ANGLE) * straight + np.sin(ANGLE) * aside
        array = np.repeat(turned[:, None], len(LAYERS), axis=1).astype(np.float32)
        states = np.repeat((common + 1000 * shift @ straight)[:, None], len(LAYERS), axis=1)
        vectors = EmotionVectors(array, origin, names, LAYERS, {}, name, "corpus")
        made.append(Stage(name, dict.fromkeys(natural_pairs.FORMATS, states), vectors))
    return made


def test_the_papers_shift_planted_between_two_stages_is_found():
    zero = np.zeros(len(PAPER))
    outcome = natural_pairs.run(
        planted({"base": zero, "final": PAPER.to_numpy()}), CHALLENGING, 7, SCALE, seed=0
    )
    by_id = {claim.id.rsplit(".", 1)[1]: claim for claim in outcome.claims}
    assert list(by_id) == list(shifts.MEASURES)
    assert {claim.id.rsplit(".", 1)[0] for claim in outcome.claims} == {"posttraining.natural"}
    assert by_id["paper_rank_r"].estimate > 0.98
    assert by_id["shift_consistency_r"].verdict == by_id["neutral_r"].verdict == "replicated"
    assert by_id["shift_vs_arousal_r"].estimate == pytest.approx(by_id["shift_vs_arousal_r"].paper, abs=0.05)
    assert by_id["shift_larger_under_strain"].verdict == "not replicated"
    agreement = outcome["agreement"]
    assert len(agreement) == 3 * 2 * len(shifts.MEASURES)
    first = agreement[: len(shifts.MEASURES)]
    assert set(first.vectors) == {natural_pairs.FINAL_VECTORS}
    assert set(first.format) == {natural_pairs.TEMPLATE}
    assert list(first.estimate) == [claim.estimate for claim in outcome.claims]
    found = outcome["shifts"].query("kind == 'all'").set_index("emotion")
    np.testing.assert_allclose(found["shift"], PAPER, atol=4e-3)
    np.testing.assert_allclose(found.after - found.before, found["shift"], atol=1e-9)
    np.testing.assert_array_equal(found.paper, PAPER)
    assert not found["shift"].loc["brooding"] < found.null_high.loc["brooding"]
    assert outcome["steps"].empty
    depth = outcome["by_layer"].drop_duplicates("layer")
    np.testing.assert_allclose(depth.spread, PAPER.std(ddof=0), rtol=0.1)
    assert (depth.spread_low <= depth.spread).all()
    # A mixture of orthogonal vectors moves by as much as one of them does on average.
    np.testing.assert_allclose(depth.spread_random, np.sqrt((PAPER**2).mean()), rtol=0.4)
    similarity = outcome["layer_similarity"]
    assert list(zip(similarity.layer, similarity.other, strict=True)) == [(3, 3), (3, 7), (7, 3), (7, 7)]
    np.testing.assert_allclose(similarity.r, 1)


def test_a_planted_rotation_shows_in_the_table_and_not_in_its_null():
    zero = np.zeros(len(PAPER))
    found = natural_pairs.run(
        planted({"base": zero, "final": PAPER.to_numpy()}), CHALLENGING, 7, SCALE, seed=0
    )["rotation"]
    assert len(found) == len(LAYERS) * len(PAPER)
    np.testing.assert_allclose(found.cosine, np.cos(ANGLE), atol=1e-5)
    assert found.null_high.max() < 0.05


def test_a_path_that_goes_on_is_told_from_one_that_turns_back():
    rng = np.random.default_rng(1)
    one, other = 0.01 * rng.standard_normal((2, len(PAPER)))
    path = {"base": 0 * one, "sft": one, "dpo": 2 * one, "rl": one + 0.1 * other, "final": one + other}
    outcome = natural_pairs.run(planted(path), CHALLENGING, 7, SCALE, seed=0)
    steps = outcome["steps"].set_index("through")
    assert list(steps.index) == ["sft", "dpo", "rl"]
    assert steps.estimate["sft"] > 0.95
    assert steps.estimate["dpo"] < -0.95
    assert abs(steps.estimate["rl"]) < 0.4
    assert steps.null_high.max() < 0.4
    readings = (
        outcome["path"].query("kind == 'neutral'").pivot(index="emotion", columns="order", values="reading")
    )
    np.testing.assert_allclose((readings[2] - readings[0])[PAPER.index], 2 * one, atol=0.005)
    assert set(outcome["agreement"].stage) == {"base", "sft", "dpo", "rl"}


def test_stages_that_cannot_be_compared_are_refused():
    base, final = planted({"base": np.zeros(len(PAPER)), "final": PAPER.to_numpy()})
    with pytest.raises(EmolibError, match="needs an earlier stage"):
        natural_pairs.run([final], CHALLENGING, 7, SCALE, seed=0)
    fewer = replace(base, vectors=replace(base.vectors, layers=(3,), array=base.vectors.array[:, :1]))
    with pytest.raises(EmolibError, match="the vectors of stage 'base' hold other emotions or layers"):
        natural_pairs.run([fewer, final], CHALLENGING, 7, SCALE, seed=0)


def with_stages(path: str, **stages) -> study.Study:
    """A study of the tiny profile with stages, few stories and few draws."""
    with open(path, "a") as file:
        yaml.safe_dump({"stages": stages}, file)
    made = study.open(path, "smoke", device="cpu")
    few = {"stories": 1, "n_null": 9, "n_bootstrap": 9}
    return replace(made, scale=made.scale.model_copy(update=few))


def in_folder(path) -> dict:
    return {"source": "folder", "folder": str(path)}


def test_natural_pairs_of_two_saved_models_end_to_end(tmp_path):
    """The stage has no tokenizer of its own: it borrows the final model's, and its template."""
    other = make_subject(seed=1)
    other.model._module.save_pretrained(tmp_path / "base")
    made = with_stages(save_profile(tmp_path), base=in_folder(tmp_path / "base"))
    assert made.stages_missing() is None
    outcome = made.natural_pairs()
    assert {claim.chapter for claim in outcome.claims} == {"natural_pairs"}
    assert len(outcome.claims) == len(shifts.MEASURES)
    assert len(outcome["by_layer"]) == 5 * len(shifts.MEASURES)
    assert set(outcome["shifts"].n) == {50, 200, 250}
    assert outcome["shifts"]["shift"].abs().max() > 0.01
    # By hand: the message read by transformers alone, with the vectors of the final model.
    text = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    neutral = [each.text for each in made.corpus.read("challenge prompts") if each.kind == "neutral"]
    direction = made.vectors.at(3)[made.vectors.index("calm")]
    for model, column in ((other, "before"), (made.subject, "after")):
        cosines = []
        for message in neutral:
            ids = model.tokenizer(text.format(message), return_tensors="pt")["input_ids"]
            stream = model.model._module(ids, output_hidden_states=True).hidden_states[4][0, -1]
            state = stream.detach().double().numpy()
            cosines.append(state @ direction / np.linalg.norm(state) / np.linalg.norm(direction))
        shown = outcome["shifts"].query("emotion == 'calm' and kind == 'neutral'")[column].item()
        assert shown == pytest.approx(np.mean(cosines), abs=1e-5)
    record = json.loads((made.folder / "natural_pairs" / "provenance.json").read_text())
    assert record["fingerprint"] == made.subject.fingerprint
    assert results.load(made.folder / "natural_pairs", record["key"]).claims == outcome.claims


def test_the_same_weights_as_a_stage_read_the_same_and_are_refused_as_a_pair(tmp_path):
    """The stage's configuration differs in what only training uses, so nothing comes from the cache."""
    path = save_profile(tmp_path)
    shutil.copytree(tmp_path / "model", tmp_path / "same")
    config = tmp_path / "same" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "initializer_range": 0.5}))
    made = with_stages(path, base=in_folder(tmp_path / "same"))
    stage = made._stage("base")
    assert stage.vectors.fingerprint != made.vectors.fingerprint
    np.testing.assert_array_equal(stage.vectors.array, made.vectors.array)
    for form, states in made.challenge_states.items():
        assert states.std() > 0
        np.testing.assert_array_equal(stage.states[form], states)
    with pytest.raises(EmolibError, match="the two models read the same everywhere"):
        made.natural_pairs()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vocab_size": 500}, r"tiny\+base has vocabulary 500, tiny has 400; a pair needs two checkpoints"),
        ({"hidden_size": 64}, r"tiny\+base has width 64, tiny has 32"),
        ({"num_hidden_layers": 6}, r"tiny\+base has number of layers 6, tiny has 5"),
    ],
)
def test_a_stage_of_another_shape_is_refused_before_its_weights_are_loaded(tmp_path, changed, message):
    path = save_profile(tmp_path)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({**config, **changed}))
    made = with_stages(path, base=in_folder(tmp_path / "base"))
    with pytest.raises(EmolibError, match=message):
        made.natural_pairs()


def test_a_profile_without_stages_says_what_to_add(tmp_path):
    made = study.open(save_profile(tmp_path), "smoke", device="cpu")
    assert made.stages_missing() == (
        "profile 'tiny' names no earlier stage of its model; add one under `stages:`"
    )
    with pytest.raises(EmolibError, match="names no earlier stage"):
        made.natural_pairs()
    with pytest.raises(EmolibError, match="no stage called 'sft'; it has: none; add one"):
        made.profile.at_stage("sft")


def test_the_default_profile_asks_nothing_of_the_hub(monkeypatch):
    """Not even whether the stage is there, since its own weights are not from the hub."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def asked(weights):
        raise AssertionError("asked the hub")

    monkeypatch.setattr(weights, "_why_out_of_reach", asked)
    monkeypatch.setattr(subject.AutoModelForCausalLM, "from_pretrained", asked)
    made = study.open("smollm2-135m-instruct", "smoke", device="cpu")
    line = made.stages_missing()
    assert "\n" not in line
    assert "HuggingFaceTB/SmolLM2-135M lies on the model hub" in line
    assert "smollm2-135m-instruct@hub" in line
    with pytest.raises(EmolibError, match="lies on the model hub"):
        made.natural_pairs()
    assert not set(study.WITH_STAGES) & set(study.CHAPTERS)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import huggingface_hub

    waited = []

    def unreachable(*args, etag_timeout, **kwargs):
        waited.append(etag_timeout)
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network,\nno file")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    line = study.open("olmo-2-7b-instruct").stages_missing()
    assert line.startswith("stage 'base' of 'olmo-2-7b-instruct': cannot get allenai/OLMo-2-1124-7B from")
    assert "\n" not in line
    assert max(waited) <= 10
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in study.open("olmo-2-7b-instruct").stages_missing()
    assert len(waited) == 1


def test_every_profile_names_its_stages_and_reads_at_two_thirds():
    depths = {
        "gemma-2-9b-it": 42,
        "llama-3.1-8b-instruct": 32,
        "olmo-2-7b-instruct": 32,
        "qwen3-0.6b": 28,
        "qwen3-8b": 36,
        "smollm2-1.7b-instruct": 24,
        "smollm2-135m-instruct": 30,
        "smollm2-360m-instruct": 32,
    }
    assert profiles.names() == list(depths)
    for name, depth in depths.items():
        profile = profiles.load(name)
        assert "base" in profile.stages, name
        assert profile.read_layer == round(depth * 2 / 3), name
        stage = profile.at_stage("base")
        assert stage.tokenizer == profile.weights
        assert stage.weights != profile.weights
    assert list(profiles.load("olmo-2-7b-instruct").stages) == ["base", "sft", "dpo"]


def test_a_stage_may_not_take_the_name_of_the_last_one(tmp_path):
    path = save_profile(tmp_path)
    with pytest.raises(EmolibError, match="take another name"):
        with_stages(path, final=in_folder(tmp_path / "model"))


def publish_alone(run: study.Study, outcome: results.Outcome, profile: str) -> None:
    """What `publish` writes, for one chapter; it refuses a profile whose other chapters were not run."""
    record = json.loads((run.folder / "natural_pairs" / "provenance.json").read_text())
    target = results.results_dir() / profile
    shutil.copytree(run.folder / "natural_pairs", target / "natural_pairs")
    for name in ("claims.json", "provenance.json"):
        (target / "natural_pairs" / name).unlink()
    record["sha256"] = {path.stem: sha256_of(path) for path in target.glob("natural_pairs/*.parquet")}
    record["claims"] = [claim.id for claim in outcome.claims]
    claims = {"schema": results.SCHEMA, "claims": [claim.model_dump() for claim in outcome.claims]}
    write_json(target / "claims.json", claims)
    hashes = {"claims.json": sha256_of(target / "claims.json")}
    seal = {"schema": results.SCHEMA, "scale": "smoke", "sha256": hashes}
    write_json(target / "provenance.json", {**seal, "chapters": {"natural_pairs": record}})


def test_a_pair_is_shown_where_it_was_read_and_where_it_is_published(tmp_path):
    make_subject(seed=1).model._module.save_pretrained(tmp_path / "base")
    path = save_profile(tmp_path)
    alone = study.open(path, "smoke", device="cpu")
    assert alone.pairs() == {}
    made = with_stages(path, base=in_folder(tmp_path / "base"))
    outcome = made.natural_pairs()
    assert list(made.pairs()) == ["tiny, read for this page"]
    for profile in ("tiny", "larger"):
        publish_alone(made, outcome, profile)
    # A fresh reading stands for what is published of the same profile.
    own, other = made.pairs()
    assert own == "tiny, read for this page"
    assert other.startswith("larger, published: float32 and float32 on cpu, CPU with ")
    shown = alone.pairs()
    assert [line.split(",")[0] for line in shown] == ["larger", "tiny"]
    for tables in shown.values():
        assert set(tables) == set(outcome.tables)
        assert tables["shifts"].equals(outcome["shifts"])
    (results.results_dir() / "larger" / "natural_pairs" / "shifts.parquet").write_bytes(b"altered")
    with pytest.raises(EmolibError, match="was altered after it was published"):
        alone.pairs()


def notebook_cell(mark: str) -> str:
    """Source of the one cell of the chapter that holds the mark."""
    notebook = Path(__file__).parents[1] / "notebooks" / "06_pretrain_vs_posttrain.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    (found,) = ["".join(cell["source"]) for cell in cells if mark in "".join(cell["source"])]
    return found


@pytest.mark.parametrize("stages", [["base", "final"], ["base", "sft", "dpo", "final"]])
def test_the_chapter_draws_every_pair(stages):
    """The chapter's own cell, on stages whose shifts are known."""
    steps = np.linspace(0, 1, len(stages))
    planted_stages = planted(
        {name: step * PAPER.to_numpy() for name, step in zip(stages, steps, strict=True)}
    )
    tables = natural_pairs.run(planted_stages, CHALLENGING, 7, SCALE, seed=0).tables
    shown = []
    run = SimpleNamespace(stages_missing=lambda: None, pairs=lambda: {"planted": tables})
    space = {"run": run, "figures": figures, "display": lambda *each: shown.extend(each), "Markdown": str}
    for mark in ("papers_way =", "figures.left_to_shift"):
        exec(notebook_cell(mark), space)
    line, *styled = shown
    assert line == "Pairs shown: planted."
    papers_way, others = (each.to_html() for each in styled)
    for stage in stages[:-1]:
        assert stage in papers_way
        assert stage in others
    assert "the paper" in papers_way
    assert natural_pairs.PLAIN in others
    by_hand = tables["shifts"].query("kind == 'all' and emotion == 'brooding'").set_index("stage")["shift"]
    left = space["axes"][1, 0]
    drawn = [bars.lines[0].get_xdata()[0] for bars in left.containers]
    np.testing.assert_allclose(drawn, by_hand.loc[stages[:-1]])
    # What is left to shift falls from stage to stage, from the paper's shift to the last step's.
    np.testing.assert_allclose(drawn, PAPER["brooding"] * (1 - steps[:-1]), atol=5e-3)
    diamonds = left.collections[-1].get_offsets()[:, 0]
    np.testing.assert_allclose(diamonds, PAPER[list(left_names(left))])
    plt.close("all")


def left_names(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]
