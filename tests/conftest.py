"""Tiny models built from configurations, and a tokenizer trained on the spot: no downloads."""

import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import sync_playwright
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from emolib import profiles, subject

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = [
    "The gate was open, and nobody had seen her leave.",
    "Rain.",
    "He counted the boxes twice, wrote the number on his hand, and went in to tell them what was missing.",
    "Six boats came back before dark; the seventh did not, and the women stayed on the quay.",
    "We ate the plums.",
]
# Words that a chapter asks for must each begin with a token of their own.
ANSWERS = ("love", "like", "enjoy", "welcome", "appreciate", "hate", "dislike", "refuse", "avoid", "decline")
ARCHITECTURES = {
    "llama": LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=5,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
    ),
    "gpt2": GPT2Config(vocab_size=400, n_embd=32, n_layer=5, n_head=4, n_positions=1024),
    "qwen3": Qwen3Config(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=5,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=1024,
    ),
    "gemma": GemmaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=5,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=1024,
    ),
}  # fmt: skip


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400 - len(ANSWERS),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    core.add_tokens([f" {word}" for word in ANSWERS])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|pad|>", eos_token="<|im_end|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_subject(architecture: str = "llama", seed: int = 0, batch_size: int = 3) -> subject.Subject:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture], dtype=torch.float32)
    profile = profiles.Profile(
        name=f"tiny-{architecture}",
        about="random weights",
        weights={"source": "folder", "folder": "nowhere"},
        dtype="float32",
        read_layer=3,
        batch_size=batch_size,
    )
    return subject.wrap(model, make_tokenizer(), profile)


def save_profile(folder: Path, seed: int = 0) -> str:
    """A profile file, `tiny.yaml`, for a tiny model saved beside it."""
    made = make_subject(seed=seed)
    made.model._module.save_pretrained(folder / "model")
    made.tokenizer.save_pretrained(folder / "model")
    path = folder / "tiny.yaml"
    path.write_text(
        f"about: random weights\nweights: {{source: folder, folder: {folder / 'model'}}}\n"
        "dtype: float32\nread_layer: 3\nbatch_size: 16\n"
    )
    return str(path)


def content(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, byte by byte."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small_scale(n_null: int, n_bootstrap: int, n_directions: int = 9) -> profiles.Scale:
    """All texts that there are, and few draws."""
    return profiles.Scale(
        name="smoke", stories=None, pair_emotions=None, activities=None, n_steered=9,
        n_directions=n_directions, n_null=n_null, n_bootstrap=n_bootstrap,
        messages=None, chats=None, scenarios=None, training_steps=4, training_seeds=1,
    )  # fmt: skip


@pytest.fixture(params=list(ARCHITECTURES))
def any_subject(request) -> subject.Subject:
    return make_subject(request.param)


@pytest.fixture
def tiny() -> subject.Subject:
    return make_subject()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Nothing in a test touches the user's cache or the checkout's results."""
    monkeypatch.setenv("EMOLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMOLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("EMOLIB_RESULTS", str(tmp_path / "results"))


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    assert path, "these tests need Chromium; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield chromium
        chromium.close()
