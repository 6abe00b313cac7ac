"""The loaded model: its fingerprint, its layers, its precision."""

import numpy as np
import pytest
import torch
from conftest import TEXTS, make_subject

from emolib import activations, subject
from emolib.chat import Prompt
from emolib.errors import EmolibError


def test_fingerprint_follows_the_weights(any_subject):
    architecture = any_subject.profile.name.removeprefix("tiny-")
    assert make_subject(architecture).fingerprint == any_subject.fingerprint
    assert make_subject(architecture, seed=1).fingerprint != any_subject.fingerprint


def test_one_changed_weight_changes_the_fingerprint(tiny):
    module = tiny.model._module
    with torch.no_grad():
        next(module.parameters()).view(-1)[7] += 1e-3
    assert subject._fingerprint(module) != tiny.fingerprint


def test_layers_are_the_blocks_whatever_they_are_called(any_subject):
    assert any_subject.n_layers == 5
    assert any_subject.width == 32


def test_computing_in_another_precision_keeps_weights_and_fingerprint(tiny):
    half = tiny.computing_in("bfloat16")
    assert (half.dtype, tiny.dtype) == ("bfloat16", "float32")
    assert half.fingerprint == tiny.fingerprint
    assert tiny.computing_in("float32") is tiny
    prompts = [Prompt(text) for text in TEXTS]
    exact, rough = (activations.read(s, prompts, [4], activations.EVERY_TOKEN) for s in (tiny, half))
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


def test_read_layer_beyond_the_model_is_refused(tiny):
    profile = tiny.profile.model_copy(update={"read_layer": 5})
    with pytest.raises(EmolibError, match="layer 5 is out of range"):
        subject.wrap(tiny.model._module, tiny.tokenizer, profile)
