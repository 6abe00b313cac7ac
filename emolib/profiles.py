"""Profiles: one YAML file per model, with everything that depends on the model.

A profile says where the weights come from, in which precision the model runs, and where its residual
stream is read. The files lie in `emolib/models/`; a path to a YAML file of your own works in every
place where a profile's name does.
"""

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emolib.errors import EmolibError

FINAL = "final"  # the last stage of a model: the profile's own weights


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PackageWeights(_Settings):
    """A GGUF file that an installed Python package carries."""

    source: Literal["package"]
    package: str
    version: str
    file: str
    sha256: str


class HubWeights(_Settings):
    """A model on the Hugging Face hub."""

    source: Literal["hub"]
    hub_id: str
    revision: str = "main"


class FolderWeights(_Settings):
    """A local folder as written by `save_pretrained`."""

    source: Literal["folder"]
    folder: Path


Weights = Annotated[PackageWeights | HubWeights | FolderWeights, Field(discriminator="source")]


class Profile(_Settings):
    """A model and how it is read.

    `read_layer` counts blocks from 0 and means the stream leaving that block. `compare_dtype` is the
    precision for prompts that differ in a single number, where rounding would drown the difference.
    `stages` are earlier checkpoints of the same model, first to last; its own weights come after them.
    `tokenizer` says whose tokenizer and chat template are used, where they are not those of the weights.
    """

    name: str
    about: str
    weights: Weights
    alternatives: dict[str, Weights] = {}
    stages: dict[str, Weights] = {}
    tokenizer: Weights | None = None
    dtype: Literal["bfloat16", "float16", "float32"]
    compare_dtype: Literal["bfloat16", "float16", "float32"] = "float32"
    read_layer: int = Field(ge=0)
    batch_size: int = Field(default=16, ge=1)
    chat_template: Literal["own", "plain"] = "own"

    @field_validator("stages")
    @classmethod
    def _last_stage_is_the_profiles_own(cls, stages: dict) -> dict:
        if FINAL in stages:
            raise ValueError(f"{FINAL!r} is what the profile's own weights are called; take another name")
        return stages

    def with_weights(self, alternative: str | None) -> "Profile":
        """The same profile with its weights taken from one of its alternatives.

        Raises EmolibError when the profile has no alternative of that name.
        """
        if alternative is None:
            return self
        if alternative not in self.alternatives:
            known = ", ".join(self.alternatives) or "none"
            raise EmolibError(f"profile {self.name!r} has no weights called {alternative!r}; it has: {known}")
        update = {"weights": self.alternatives[alternative], "name": f"{self.name}@{alternative}"}
        return self.model_copy(update=update)

    def at_stage(self, stage: str) -> "Profile":
        """The same profile with the weights of an earlier stage, its tokenizer and template kept.

        Raises EmolibError when the profile has no stage of that name.
        """
        if stage not in self.stages:
            known = ", ".join(self.stages) or "none; add one under `stages:`"
            raise EmolibError(f"profile {self.name!r} has no stage called {stage!r}; it has: {known}")
        update = {
            "name": f"{self.name}+{stage}",
            "weights": self.stages[stage],
            "tokenizer": self.tokenizer or self.weights,
            "stages": {},
        }
        return self.model_copy(update=update)


class Scale(_Settings):
    """How much is computed.

    `stories` is the number per emotion; `pair_emotions` the number of emotions among which paired
    dialogues are read; `activities` the number per category and part; None means all there are.
    `n_steered` emotions and `n_directions` random directions are steered. A model is post-trained for
    `training_steps` steps with each of `training_seeds` seeds; `messages` is the number of neutral and of
    challenging messages that it then reads, `chats` that of unseen chats and `scenarios` that of messages
    per emotion that it replies to.
    """

    name: Literal["smoke", "standard", "paper"]
    stories: int | None
    pair_emotions: int | None
    activities: int | None
    n_steered: int
    n_directions: int
    n_null: int
    n_bootstrap: int
    messages: int | None
    chats: int | None
    scenarios: int | None
    training_steps: int
    training_seeds: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            stories=2,
            pair_emotions=5,
            activities=2,
            n_steered=12,
            n_directions=5,
            n_null=50,
            n_bootstrap=50,
            messages=24,
            chats=8,
            scenarios=2,
            training_steps=4,
            training_seeds=1,
        ),
        Scale(
            name="standard",
            stories=None,
            pair_emotions=None,
            activities=None,
            n_steered=35,
            n_directions=100,
            n_null=1000,
            n_bootstrap=2000,
            messages=None,
            chats=None,
            scenarios=None,
            training_steps=30,
            training_seeds=1,
        ),
        Scale(
            name="paper",
            stories=None,
            pair_emotions=None,
            activities=None,
            n_steered=35,
            n_directions=1000,
            n_null=10_000,
            n_bootstrap=10_000,
            messages=None,
            chats=None,
            scenarios=None,
            training_steps=30,
            training_seeds=3,
        ),
    )
}


def scale(name: str) -> Scale:
    """The scale of this name; raises EmolibError when there is none."""
    if name not in SCALES:
        raise EmolibError(f"no scale {name!r}; choose one of {', '.join(SCALES)}")
    return SCALES[name]


def names() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("emolib") / "models"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load(name: str | Path) -> Profile:
    """Read a profile by its name, or from a path that ends in `.yaml`.

    `NAME@ALTERNATIVE` takes the weights from one of the profile's alternatives.
    Raises EmolibError when there is no such profile (naming the nearest ones) or a key is unknown.
    """
    base, _, alternative = str(name).partition("@")
    if base.endswith(".yaml"):
        path = Path(base)
        if not path.is_file():
            raise EmolibError(f"no profile file {base}")
        return _parse(path.stem, path.read_text(encoding="utf-8"), base).with_weights(alternative or None)
    if base not in names():
        near = difflib.get_close_matches(base, names(), n=3, cutoff=0.3)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(names())}"
        raise EmolibError(f"no profile {base!r}; {hint}")
    text = (resources.files("emolib") / "models" / f"{base}.yaml").read_text(encoding="utf-8")
    return _parse(base, text, f"emolib/models/{base}.yaml").with_weights(alternative or None)


def _parse(name: str, text: str, where: str) -> Profile:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EmolibError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise EmolibError(f"{where} must hold keys and values")
    try:
        return Profile(name=name, **content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key.split(".")[-1], Profile.model_fields, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise EmolibError(f"{where}: unknown key {key!r}{hint}") from error
        raise EmolibError(f"{where}: {key}: {first['msg']}") from error
