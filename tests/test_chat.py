"""The span finder, against the text it was given."""

import pytest
from conftest import make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from emolib import chat
from emolib.errors import EmolibError

TOKENIZER = make_tokenizer()
# Any Unicode but surrogates; the template must keep it as it is.
MESSAGE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(MESSAGE, MESSAGE), min_size=1, max_size=3), st.none() | st.text(max_size=8))
@pytest.mark.parametrize("template", ["own", "plain"])
def test_spans_hold_their_messages_whatever_the_unicode(template, exchanges, prefill):
    turns = [turn for user, reply in exchanges for turn in (("user", user), ("assistant", reply))]
    prompt = chat.render(TOKENIZER, turns, prefill, template)
    for role in ("user", "assistant"):
        found = [prompt.text[low:high] for low, high in prompt.spans[role]]
        assert found == [text for speaker, text in turns if speaker == role]
    assert prompt.spans["last_user"] == prompt.spans["user"][-1:]
    if prefill is None:
        assert "generation_prompt" not in prompt.spans
    else:
        (low, high), *_ = prompt.spans["generation_prompt"]
        assert prompt.text[low:high].strip().lower().endswith(("assistant", "assistant:"))
        assert prompt.text[high:] == prefill


def test_message_that_repeats_the_template_is_found_in_its_own_place():
    message = "user\nuser<|im_end|>assistant"
    prompt = chat.render(TOKENIZER, [("user", message), ("assistant", "user")])
    (low, high), *_ = prompt.spans["user"]
    assert prompt.text[low:high] == message
    (low, high), *_ = prompt.spans["assistant"]
    assert low > prompt.text.index(message) + len(message)
    assert prompt.text[low:high] == "user"


def test_rendering_is_the_templates_own():
    turns = [("system", "Be brief."), ("user", "Hm?")]
    expected = TOKENIZER.apply_chat_template(
        [{"role": role, "content": text} for role, text in turns], tokenize=False, add_generation_prompt=True
    )
    assert chat.render(TOKENIZER, turns).text == expected


def test_template_that_trims_is_refused():
    trimming = make_tokenizer()
    trimming.chat_template = trimming.chat_template.replace("m['content']", "m['content'] | trim")
    assert chat.render(trimming, [("user", "fine")]).text.count("fine") == 1
    with pytest.raises(EmolibError, match="changes its messages"):
        chat.render(trimming, [("user", " padded ")])


def test_template_that_drops_the_system_message_is_refused():
    dropping = make_tokenizer()
    dropping.chat_template = (
        "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
    )
    with pytest.raises(EmolibError, match="drops or repeats"):
        chat.render(dropping, [("system", "x"), ("user", "y")])


def test_model_without_template_is_told_what_to_do():
    bare = make_tokenizer()
    bare.chat_template = None
    with pytest.raises(EmolibError, match="chat_template: plain"):
        chat.render(bare, [("user", "Hm?")])
    assert chat.render(bare, [("user", "Hm?")], template="plain").text == "\n\nHuman: Hm?\n\nAssistant:"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_message_is_refused(text):
    with pytest.raises(EmolibError, match="empty"):
        chat.render(TOKENIZER, [("user", text)])


def test_unknown_role_is_refused():
    with pytest.raises(EmolibError, match="unknown role 'human'"):
        chat.render(TOKENIZER, [("human", "x")])


@given(
    st.text(max_size=9), st.lists(st.tuples(st.sampled_from(["Ada", "Ben"]), MESSAGE), min_size=1, max_size=4)
)
def test_transcript_spans_hold_what_each_speaker_says(before, lines):
    prompt = chat.transcript(before, lines)
    assert prompt.text.startswith(before)
    for name in {name for name, _ in lines}:
        said = [prompt.text[low:high] for low, high in prompt.spans[name]]
        assert said == [text for speaker, text in lines if speaker == name]


def test_transcript_refuses_an_empty_line():
    with pytest.raises(EmolibError, match="an empty line of Ben in a talk of 2 lines"):
        chat.transcript("", [("Ada", "Yes?"), ("Ben", " ")])
