"""Post-training a subject with a low-rank adapter.

The adapter sits on the queries and values of every attention (paper, section 3.5, asks what
post-training shifts; here we know what was trained). Only the replies are learned; the message is
context. Training keeps checkpoints in the cache and goes on from the last one; a finished adapter is
loaded. The base subject is never touched.
"""

import copy
import inspect
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import peft
import torch
import transformers
import trl
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from huggingface_hub import constants as hub
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel, PrinterCallback, TrainerCallback

from emolib import activations, chat, subject
from emolib.activations import Where
from emolib.corpus.lessons import Lesson
from emolib.errors import EmolibError
from emolib.files import cache_dir, digest, write_text, write_whole
from emolib.progress import progress
from emolib.subject import Subject

FORMAT = "emolib-adapter-1"
METHODS = ("sft", "dpo")
CHECKPOINT_EVERY = 10
# A training diverges when the mean loss of this many steps rises by this share of the first such mean
# above the lowest. Batches differ by a few per cent; a learning rate that is too high shows in tens.
RISE_WINDOW = 8
RISE_ALLOWED = 0.25
# Queries and values by the names that the architectures give them; the last two hold the keys as well.
_TARGETS = (("q_proj", "v_proj"), ("c_attn",), ("query_key_value",))
_COMPLETE = "complete"
_IGNORED = -100


class Recipe(BaseModel):
    """How an adapter is trained.

    `method` is `sft` (learn the replies) or `dpo` (prefer them to the rejected ones, with the strength
    `beta`). `max_length` is in tokens of message and reply. With `autocast` the frozen weights and the
    arithmetic are bfloat16 and the adapter float32; without, all is float32. The learning rate rises
    over the first tenth of the steps and then falls to zero.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[METHODS] = "sft"
    steps: PositiveInt = 30
    learning_rate: PositiveFloat = 2e-3
    rank: PositiveInt = 8
    alpha: PositiveFloat = 16
    batch_size: PositiveInt = 8
    max_length: PositiveInt = 1024
    autocast: bool = True
    beta: PositiveFloat = 0.1


@dataclass(frozen=True)
class Adapter:
    """A trained low-rank change of a model's weights, and the training that made it.

    `weights` are its float32 factors under peft's names, `losses` the mean loss of every step before
    the step was taken, and `fingerprint`, `width` and `vocabulary` say which base it belongs to.
    """

    weights: dict[str, np.ndarray]
    targets: tuple[str, ...]
    recipe: Recipe
    seed: int
    losses: tuple[float, ...]
    fingerprint: str
    width: int
    vocabulary: int

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        about = {
            "targets": self.targets,
            "recipe": self.recipe.model_dump(),
            "seed": self.seed,
            "losses": self.losses,
            "fingerprint": self.fingerprint,
            "width": self.width,
            "vocabulary": self.vocabulary,
        }
        content = to_safetensors(self.weights, metadata={"format": FORMAT, "about": json.dumps(about)})
        write_whole(path, lambda file: file.write(content))

    @classmethod
    def load(cls, path: Path) -> "Adapter":
        """Read what `save` wrote. Raises EmolibError for a file that is something else."""
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise KeyError("format")
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads(metadata["about"])
        except (SafetensorError, KeyError, OSError) as error:
            raise EmolibError(f"{path} does not hold an adapter of format {FORMAT}") from error
        about["targets"], about["losses"] = tuple(about["targets"]), tuple(about["losses"])
        return cls(weights=weights, **{**about, "recipe": Recipe(**about["recipe"])})


def train(
    subject: Subject, lessons: Sequence[Lesson], recipe: Recipe, seed: int = 0, label: str = "training"
) -> Adapter:
    """Train an adapter on the lessons, or load the one that the same training gave before.

    An interrupted training goes on from its last checkpoint. The same seed gives the same adapter bit
    by bit on the same machine with the same number of threads. Raises EmolibError for lessons that do
    not fit the recipe, and when the loss is not finite or rises; the last good checkpoint stays.
    """
    examples = _examples(subject, lessons, recipe)
    folder = cache_dir() / "adapters" / _key(subject, examples, recipe, seed)
    path, run = folder / "adapter.safetensors", folder / "training"
    if path.is_file():
        return Adapter.load(path)
    targets = _targets(subject.model._module)
    with progress(label, recipe.steps) as advance, _quietly():
        trainer = _trainer(subject, examples, recipe, seed, targets, run)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Watch(run, advance))
        trainer.train(resume_from_checkpoint=_last_checkpoint(run))
    state = peft.get_peft_model_state_dict(trainer.model)
    adapter = Adapter(
        weights={name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()},
        targets=targets,
        recipe=recipe,
        seed=seed,
        losses=_losses(trainer.state),
        fingerprint=subject.fingerprint,
        width=subject.width,
        vocabulary=_vocabulary(subject),
    )
    adapter.save(path)
    shutil.rmtree(run)
    return adapter


def adapted(base: Subject, adapter: Adapter, dose: float = 1.0) -> Subject:
    """The subject with the adapter merged into a copy of its weights, under a fingerprint of its own.

    `dose` multiplies the change: 0 is the base, 1 what was trained. The merged weights are rounded to
    the base's precision; `computing_in("float32")` before merging keeps small changes whole. Raises
    EmolibError for an adapter that was trained on another model.
    """
    check_base(base, adapter)
    with torch.random.fork_rng(), _quietly():
        model = peft.get_peft_model(_plain_copy(base, torch.float32), _lora(adapter.recipe, adapter.targets))
    # The change is a product of two factors; the dose goes to one of them.
    state = {
        name: torch.from_numpy(value) * (dose if ".lora_B." in name else 1)
        for name, value in adapter.weights.items()
    }
    peft.set_peft_model_state_dict(model, state)
    merged = model.merge_and_unload().to(getattr(torch, base.dtype))
    # Merging leaves the weights frozen. torch multiplies a slice by frozen weights row by row, which makes
    # the logits of a batch's last tokens many times slower. No gradient is ever taken from them.
    merged.requires_grad_(True)
    return subject.wrap(merged, base.tokenizer, base.profile, base.device)


def check_base(base: Subject, adapter: Adapter) -> None:
    """Raise EmolibError, saying what differs, for an adapter that was trained on another model."""
    differing = [
        f"{name} {trained}, not {here}"
        for name, trained, here in (
            ("width", adapter.width, base.width),
            ("vocabulary", adapter.vocabulary, _vocabulary(base)),
            ("fingerprint", adapter.fingerprint, base.fingerprint),
        )
        if trained != here
    ]
    if differing:
        raise EmolibError(
            f"the adapter was trained on another model than {base.profile.name}: it has "
            f"{'; '.join(differing)}; train it on this one"
        )


@dataclass(frozen=True)
class _Example:
    """A lesson in tokens: what is given, what is learned, and what is turned from."""

    prompt: list[int]
    reply: list[int]
    rejected: list[int] | None


def _examples(subject: Subject, lessons: Sequence[Lesson], recipe: Recipe) -> list[_Example]:
    if not lessons:
        raise EmolibError("there is no lesson to train on")
    examples = []
    for i, lesson in enumerate(lessons):
        prompt, reply = _tokens(subject, lesson.message, lesson.reply)
        rejected = None
        if recipe.method == "dpo":
            if lesson.rejected is None:
                raise EmolibError(
                    f"dpo needs a rejected reply; lesson {i} ({lesson.message[:40]!r}) has none"
                )
            other, rejected = _tokens(subject, lesson.message, lesson.rejected)
            if other != prompt:
                raise EmolibError(f"the replies of lesson {i} change the tokens before them")
        longest = len(prompt) + max(len(reply), len(rejected or []))
        if longest > recipe.max_length:
            raise EmolibError(
                f"lesson {i} ({lesson.message[:40]!r}) has {longest} tokens, the recipe allows "
                f"{recipe.max_length}; shorten it or raise max_length"
            )
        examples.append(_Example(prompt, reply, rejected))
    return examples


def _tokens(subject: Subject, message: str, reply: str) -> tuple[list[int], list[int]]:
    """The tokens that ask for a reply, and those that give it, with the mark that ends its turn."""
    asked = subject.chat([("user", message)])
    whole = subject.chat([("user", message), ("assistant", reply)], prefill=None)
    if not whole.text.startswith(asked.text):
        raise EmolibError("the chat template asks for a reply in other words than it shows one")
    ((_, end),) = whole.spans["assistant"]
    learned = replace(whole, spans={"reply": ((len(asked.text), end),)})
    row = activations.encode(subject, learned, [Where(spans=("reply",))])
    first, stop = row.selected[0][0], row.selected[0][-1] + 1
    ids = row.ids.tolist()
    if stop < len(ids) and ids[stop] in subject.tokenizer.all_special_ids:
        stop += 1
    return ids[:first], ids[first:stop]


def _key(subject: Subject, examples: Sequence[_Example], recipe: Recipe, seed: int) -> str:
    return digest(
        {
            "model": subject.fingerprint,
            "device": subject.device,
            "examples": [[each.prompt, each.reply, each.rejected] for each in examples],
            "recipe": recipe.model_dump(),
            "seed": seed,
            "code": inspect.getsource(sys.modules[__name__]) + inspect.getsource(chat),
            "versions": [module.__version__ for module in (torch, transformers, peft, trl)],
        }
    )


def _trainer(subject, examples, recipe, seed, targets, folder) -> transformers.Trainer:
    dpo = recipe.method == "dpo"
    # A pair is two texts, and trl keeps all their logits: half a batch at a time takes no more memory.
    parts = 2 if dpo and recipe.batch_size % 2 == 0 else 1
    options = {
        "output_dir": str(folder),
        "max_steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": recipe.steps // 10,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": recipe.batch_size // parts,
        "gradient_accumulation_steps": parts,
        "max_length": None,  # checked before, so that no reply is cut unnoticed
        "bf16": recipe.autocast,
        "activation_checkpointing": False,
        "optim": "adamw_torch",
        "seed": seed,
        "use_cpu": subject.device == "cpu",
        "dataloader_pin_memory": subject.device != "cpu",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": CHECKPOINT_EVERY,
        "report_to": "none",
        "disable_tqdm": True,
    }
    precision = torch.bfloat16 if recipe.autocast else torch.float32
    with torch.random.fork_rng():
        model = _plain_copy(subject, precision)
    if subject.device == "cpu":
        # Over texts this short the fused attention is slower, most of all backward.
        model.set_attn_implementation("eager")
    handed_on = {
        "model": model,
        "train_dataset": _dataset(examples, dpo),
        "processing_class": copy.deepcopy(subject.tokenizer),  # trl sets tokens and sides on it
        "peft_config": _lora(recipe, targets),
    }
    if dpo:
        return _TokenisedDPOTrainer(args=trl.DPOConfig(beta=recipe.beta, **options), **handed_on)
    args = trl.SFTConfig(dataset_kwargs={"skip_prepare_dataset": True}, **options)
    return _ReplyTrainer(args=args, **handed_on)


class _ReplyTrainer(trl.SFTTrainer):
    """trl's own loss also measures entropy and accuracy, which takes most of a step on a CPU."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        # The token at a place is foretold by the logits of the place before it.
        labels = inputs["labels"][:, 1:]
        places = (labels != _IGNORED).any(dim=0).nonzero()[:, 0]
        labels = labels[:, places]
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=places,
        )
        loss = cross_entropy(
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=_IGNORED, reduction="sum"
        )
        loss = loss / ((labels != _IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


class _TokenisedDPOTrainer(trl.DPOTrainer):
    """trl renders and tokenises pairs itself, which would add a begin-of-text token twice."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def _dataset(examples: Sequence[_Example], dpo: bool) -> Dataset:
    if dpo:
        return Dataset.from_dict(
            {
                "prompt_ids": [each.prompt for each in examples],
                "chosen_ids": [each.reply for each in examples],
                "rejected_ids": [each.rejected for each in examples],
            }
        )
    return Dataset.from_dict(
        {
            "input_ids": [each.prompt + each.reply for each in examples],
            "labels": [[_IGNORED] * len(each.prompt) + each.reply for each in examples],
        }
    )


def _lora(recipe: Recipe, targets: tuple[str, ...]) -> peft.LoraConfig:
    return peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(targets),
        # GPT-2 keeps its weights as (inputs, outputs); peft sees that itself, with a warning.
        fan_in_fan_out=targets == ("c_attn",),
        task_type="CAUSAL_LM",
    )


def _targets(model: PreTrainedModel) -> tuple[str, ...]:
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    for targets in _TARGETS:
        if names.issuperset(targets):
            return targets
    raise EmolibError(f"do not know what {type(model).__name__} calls its queries and values")


def _plain_copy(subject: Subject, precision: torch.dtype) -> PreTrainedModel:
    """The model without what nnsight hangs on its modules; draws random numbers on the way."""
    source = subject.model._module
    model = AutoModelForCausalLM.from_config(copy.deepcopy(source.config), dtype=precision)
    model.load_state_dict(source.state_dict())
    return model.to(subject.device)


def _vocabulary(subject: Subject) -> int:
    return subject.model._module.get_input_embeddings().weight.shape[0]


class _Watch(TrainerCallback):
    """Shows progress, marks whole checkpoints, and stops a training that diverges."""

    def __init__(self, folder: Path, advance):
        self.folder, self.advance = folder, advance

    def on_train_begin(self, args, state, control, **_):
        self.advance(state.global_step)

    def on_step_end(self, args, state, control, **_):
        self.advance(1)

    def on_log(self, args, state, control, logs, **_):
        if "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not np.isfinite(logs[name]):
                self._stop(f"the {name} is {logs[name]} at step {state.global_step}")
        losses = _losses(state)
        if risen := rise(losses):
            by, lowest = risen
            # What came after the lowest loss is already on the way up.
            for checkpoint, step in _checkpoints(self.folder):
                if step > lowest:
                    shutil.rmtree(checkpoint)
            self._stop(f"the loss rose by {by:.2f} from step {lowest} to step {state.global_step}")

    def on_save(self, args, state, control, **_):
        write_text(self.folder / f"checkpoint-{state.global_step}" / _COMPLETE, "")

    def _stop(self, why: str) -> None:
        last = _last_checkpoint(self.folder)
        kept = f"the state before is in {last}" if last else "no checkpoint was reached before"
        raise EmolibError(f"post-training diverged: {why}; lower the learning rate ({kept})")


def rise(losses: Sequence[float]) -> tuple[float, int] | None:
    """By how much the mean loss stands above its lowest and at which step that was; None if in bounds.

    Means are over `RISE_WINDOW` steps; the bound is `RISE_ALLOWED` of the first mean.
    """
    if len(losses) <= RISE_WINDOW:
        return None
    means = np.convolve(losses, np.full(RISE_WINDOW, 1 / RISE_WINDOW), "valid")
    lowest = int(np.argmin(means))
    by = float(means[-1] - means[lowest])
    return (by, lowest + RISE_WINDOW) if by > RISE_ALLOWED * means[0] else None


def _losses(state: transformers.TrainerState) -> tuple[float, ...]:
    return tuple(entry["loss"] for entry in state.log_history if "loss" in entry)


def _checkpoints(folder: Path) -> list[tuple[Path, int]]:
    """The whole checkpoints and their steps, in rising order."""
    found = [(mark.parent, int(mark.parent.name.split("-")[1])) for mark in folder.glob(f"*/{_COMPLETE}")]
    return sorted(found, key=lambda each: each[1])


def _last_checkpoint(folder: Path) -> str | None:
    checkpoints = _checkpoints(folder)
    return str(checkpoints[-1][0]) if checkpoints else None


@contextmanager
def _quietly() -> Iterator[None]:
    """No bars but ours, and no report of the training to anybody: trl asks the hub's client for one."""
    disable_progress_bar()
    before, hub.HF_HUB_DISABLE_TELEMETRY = hub.HF_HUB_DISABLE_TELEMETRY, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # transformers' and trl's about each other
            yield
    finally:
        hub.HF_HUB_DISABLE_TELEMETRY = before
