"""The model under study: loaded once, wrapped in nnsight, with its blocks under one name."""

import copy
import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

# tqdm asks for notebook widgets when transformers is imported; our progress is not in notebooks.
warnings.filterwarnings("ignore", message="IProgress not found")

import transformers  # noqa: E402
from nnsight import TransformersModel  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from emolib import chat, weights  # noqa: E402
from emolib.errors import EmolibError  # noqa: E402
from emolib.profiles import HubWeights, Profile, Weights  # noqa: E402

# Where the architectures keep their blocks; nnsight's `rename` gives them all one name.
_BLOCKS = ("model.layers", "transformer.h", "gpt_neox.layers", "model.language_model.layers")
_CHUNK = 1 << 26


@dataclass(frozen=True)
class Subject:
    """A loaded model, its tokenizer, and the profile that it came from.

    `fingerprint` is a hash of the configuration and all weights: two models share it only if they
    are equal.
    """

    model: TransformersModel
    tokenizer: PreTrainedTokenizerBase
    profile: Profile
    device: str
    fingerprint: str

    @property
    def layers(self):
        """The model's blocks as nnsight envoys, whatever the architecture calls them."""
        return self.model.blocks

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.model.config.get_text_config().hidden_size

    @property
    def dtype(self) -> str:
        """The precision in which the model computes."""
        return str(self.model.dtype).removeprefix("torch.")

    def check_layers(self, layers: Sequence[int]) -> list[int]:
        """The layers as a sorted list; raises EmolibError for one the model does not have."""
        for layer in layers:
            if not 0 <= layer < self.n_layers:
                raise EmolibError(
                    f"layer {layer} is out of range: {self.profile.name} has layers 0 to {self.n_layers - 1}"
                )
        return sorted(set(layers))

    def computing_in(self, dtype: str) -> "Subject":
        """The same weights, computing in another precision; the fingerprint stays."""
        if dtype == self.dtype:
            return self
        module = copy.deepcopy(self.model._module).to(getattr(torch, dtype))
        return replace(self, model=_wrapped(module, self.tokenizer))

    def chat(self, turns: Sequence[tuple[str, str]], prefill: str | None = "") -> chat.Prompt:
        """Render a chat in this model's own format; see `emolib.chat.render`."""
        return chat.render(self.tokenizer, turns, prefill, self.profile.chat_template)


def load(profile: Profile, device: str = "auto") -> Subject:
    """Load the profile's model for reading.

    `device` is `auto` (a CUDA GPU when there is one), `cpu` or `cuda`. Raises EmolibError when the
    weights cannot be had.
    """
    device = choose_device(device)
    _be_quiet()
    model = _fetched(AutoModelForCausalLM, profile.weights, dtype=getattr(torch, profile.dtype))
    tokenizer = _fetched(AutoTokenizer, profile.tokenizer or profile.weights)
    return wrap(model, tokenizer, profile, device)


def check_stage(stage: Profile, final: Subject) -> None:
    """Check that an earlier stage's model has the shape of the final one, before its weights are loaded.

    The two share a tokenizer and are compared direction by direction. Raises EmolibError that says
    what differs.
    """
    _be_quiet()
    theirs = _fetched(AutoConfig, stage.weights).get_text_config()
    ours = final.model.config.get_text_config()
    shape = {"vocabulary": "vocab_size", "width": "hidden_size", "number of layers": "num_hidden_layers"}
    for word, key in shape.items():
        if getattr(theirs, key) != getattr(ours, key):
            raise EmolibError(
                f"{stage.name} has {word} {getattr(theirs, key)}, {final.profile.name} has "
                f"{getattr(ours, key)}; a pair needs two checkpoints of one model"
            )


def _fetched(kind: type, place: Weights, **options):
    """A model, its configuration or its tokenizer, from where the weights lie."""
    source, more = weights.locate(place)
    try:
        return kind.from_pretrained(source, **options, **more)
    except (OSError, ValueError) as error:
        if isinstance(place, HubWeights):
            raise EmolibError(
                f"cannot load {source} from the model hub: is there a network, and may this account "
                "read the model?"
            ) from error
        raise EmolibError(f"cannot load the model in {source}: {error}") from error


def wrap(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    profile: Profile,
    device: str = "cpu",
) -> Subject:
    """Make a Subject of a model that is already in memory."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.to(device).eval()
    subject = Subject(_wrapped(model, tokenizer), tokenizer, profile, device, _fingerprint(model))
    subject.check_layers([profile.read_layer])
    return subject


def _wrapped(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TransformersModel:
    blocks = [path for path in _BLOCKS if _has(model, path)]
    if len(blocks) != 1:
        raise EmolibError(f"do not know where {type(model).__name__} keeps its blocks")
    side = tokenizer.padding_side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = TransformersModel(
            model, tokenizer=tokenizer, task="text-generation", rename={blocks[0]: "blocks"}
        )
    tokenizer.padding_side = side  # nnsight turns it to the left
    return wrapped


def choose_device(device: str) -> str:
    """Resolve `auto`; raises EmolibError for a device that this machine does not have."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise EmolibError(f"unknown device {device!r}; use auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise EmolibError("this machine has no CUDA GPU that torch can use; use --device cpu")
    return device


def _be_quiet() -> None:
    """No loading bars or advice in notebooks; the terminal has our own progress."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _has(model: torch.nn.Module, path: str) -> bool:
    try:
        return isinstance(model.get_submodule(path), torch.nn.ModuleList)
    except AttributeError:
        return False


def _fingerprint(model: PreTrainedModel) -> str:
    config = model.config.to_dict()
    for volatile in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        config.pop(volatile, None)
    hasher = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        hasher.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().contiguous().view(-1)
        for start in range(0, flat.numel(), _CHUNK):
            piece = flat[start : start + _CHUNK].cpu()
            hasher.update(piece.view(torch.uint8).numpy().data)
    return hasher.hexdigest()[:16]
