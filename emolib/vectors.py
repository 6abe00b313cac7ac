"""From story activations to emotion vectors, as in the paper's section on extraction.

For each layer: the mean over an emotion's stories, minus the mean over all emotions; then the
directions in which neutral chats vary most are projected out. Only NumPy from here on.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from emolib.errors import EmolibError
from emolib.files import write_whole

NEUTRAL_SHARE = 0.5
FORMAT = "1"


@dataclass(frozen=True)
class EmotionVectors:
    """Directions for emotion words.

    `array` is float32 (n_emotions, n_layers, width), not normalised; `origin` (n_layers, width) is
    the mean over emotions that was subtracted, for centring what is read with them; `steps` says how
    they were made; `fingerprint` is the model's and `corpus_hash` the texts'.
    """

    array: np.ndarray
    origin: np.ndarray
    names: tuple[str, ...]
    layers: tuple[int, ...]
    steps: dict
    fingerprint: str
    corpus_hash: str

    def at(self, layer: int) -> np.ndarray:
        """Vectors of one layer, (n_emotions, width). Raises EmolibError for a layer not held."""
        if layer not in self.layers:
            raise EmolibError(
                f"layer {layer} is out of range: these vectors hold layers "
                f"{min(self.layers)} to {max(self.layers)}"
            )
        return self.array[:, self.layers.index(layer)]

    def index(self, name: str) -> int:
        """Position of an emotion. Raises EmolibError for a word that has no vector."""
        if name not in self.names:
            raise EmolibError(f"no vector for {name!r}; `emolib corpus` lists the emotions")
        return self.names.index(name)

    def check_subject(self, fingerprint: str, allow_other: bool = False) -> None:
        """Refuse to be used on another model, unless that is what is wanted (base and post-trained)."""
        if fingerprint != self.fingerprint and not allow_other:
            raise EmolibError(
                f"these vectors come from model {self.fingerprint} and the loaded model is "
                f"{fingerprint}; extract them again, or allow it where two models are compared"
            )

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        about = {
            "format": FORMAT,
            "names": json.dumps(self.names),
            "layers": json.dumps(self.layers),
            "steps": json.dumps(self.steps),
            "fingerprint": self.fingerprint,
            "corpus_hash": self.corpus_hash,
        }
        content = save(
            {"vectors": np.ascontiguousarray(self.array), "origin": np.ascontiguousarray(self.origin)},
            metadata=about,
        )
        write_whole(path, lambda file: file.write(content))

    @classmethod
    def load(cls, path: Path) -> "EmotionVectors":
        """Read what `save` wrote. Raises EmolibError for a file that is something else."""
        try:
            tensors = load_file(path)
            array, origin = tensors["vectors"], tensors["origin"]
            about = _metadata(path)
            if about["format"] != FORMAT:
                raise KeyError("format")
        except (SafetensorError, KeyError, OSError) as error:
            raise EmolibError(f"{path} does not hold emotion vectors of format {FORMAT}") from error
        return cls(
            array=array,
            origin=origin,
            names=tuple(json.loads(about["names"])),
            layers=tuple(json.loads(about["layers"])),
            steps=json.loads(about["steps"]),
            fingerprint=about["fingerprint"],
            corpus_hash=about["corpus_hash"],
        )


def fit(
    stories: np.ndarray,
    emotions: Sequence[str],
    names: Sequence[str],
    layers: Sequence[int],
    fingerprint: str,
    corpus_hash: str,
) -> EmotionVectors:
    """Raw vectors: the mean over each emotion's stories minus the mean over emotions.

    `stories` is (n_stories, n_layers, width), `emotions` names the emotion of each story.
    """
    means = mean_by_emotion(stories, emotions, names)
    origin = means.mean(axis=0)
    return EmotionVectors(
        array=(means - origin).astype(np.float32),
        origin=origin.astype(np.float32),
        names=tuple(names),
        layers=tuple(layers),
        steps={"centred": True, "neutral_share": 0.0, "neutral_components": [0] * len(layers)},
        fingerprint=fingerprint,
        corpus_hash=corpus_hash,
    )


def denoise(vectors: EmotionVectors, neutral: np.ndarray, share: float = NEUTRAL_SHARE) -> EmotionVectors:
    """Project out the principal components of neutral texts that hold `share` of their variance.

    `neutral` is (n_texts, n_layers, width), one mean activation per neutral chat.
    """
    array = vectors.array.copy()
    removed = []
    for i in range(len(vectors.layers)):
        basis = principal_components(neutral[:, i], share)
        array[:, i] = project_out(array[:, i], basis)
        removed.append(len(basis))
    steps = {**vectors.steps, "neutral_share": share, "neutral_components": removed}
    return replace(vectors, array=array, steps=steps)


def mean_by_emotion(stories: np.ndarray, emotions: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Mean activation per emotion, (n_emotions, …). Raises EmolibError for an emotion without stories."""
    emotions = np.asarray(emotions)
    means = np.empty((len(names), *stories.shape[1:]), dtype=np.float64)
    for i, name in enumerate(names):
        members = emotions == name
        if not members.any():
            raise EmolibError(f"no story for {name!r}; every emotion needs at least one")
        means[i] = stories[members].mean(axis=0, dtype=np.float64)
    return means


def principal_components(samples: np.ndarray, share: float) -> np.ndarray:
    """Orthonormal rows: the fewest principal components that together hold `share` of the variance.

    `samples` is (n, width) and is centred here. Returns (n_components, width).
    """
    centred = samples - samples.mean(axis=0, dtype=np.float64)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    held = np.cumsum(singular**2) / np.sum(singular**2)
    return rows[: int(np.searchsorted(held, share - 1e-12) + 1)]


def project_out(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Remove from each row what lies in the span of the orthonormal rows of `basis`."""
    return (vectors - (vectors @ basis.T) @ basis).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length one, so that no norm is mistaken for a feeling."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def cosine(states: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Cosine of every state with every vector: (…, width) and (n, width) give (…, n)."""
    return unit(states) @ unit(vectors).T


def _metadata(path: Path) -> dict[str, str]:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.load(io.BytesIO(file.read(size)))["__metadata__"]
