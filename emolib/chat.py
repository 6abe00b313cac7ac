"""Prompts with named spans, found by character offsets and never by counting tokens.

A `Prompt` is a text and the parts of it that have a name. A chat gets its names from its turns:
`user` and `assistant` (the messages without the template around them), `system`, `last_user`,
`generation_prompt` (what the template adds to make the model reply) and `prefill` (the begun reply).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from emolib.errors import EmolibError

Ranges = tuple[tuple[int, int], ...]

# Private-use characters: no template looks for them and no message contains them.
_MARK = "\ue0f0{}\ue0f1"
_PLAIN_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}


@dataclass(frozen=True)
class Prompt:
    """A text and the character ranges of its named parts.

    `adds_special_tokens` is true where the tokenizer should put its own begin-of-text token in
    front, and false where the text already has it, as rendered chats do.
    """

    text: str
    spans: Mapping[str, Ranges] = field(default_factory=dict)
    adds_special_tokens: bool = True

    def __post_init__(self):
        if not self.text.strip():
            raise EmolibError("a prompt is empty; every text must have at least one character")

    def naming(self, **parts: str) -> "Prompt":
        """The same prompt with more named parts, each the one place where its text stands.

        Raises EmolibError for a text that is not there, or there more than once.
        """
        found = dict(self.spans)
        for name, text in parts.items():
            if self.text.count(text) != 1:
                raise EmolibError(
                    f"{text!r} stands {self.text.count(text)} times in the prompt, must be once"
                )
            start = self.text.index(text)
            found[name] = ((start, start + len(text)),)
        return replace(self, spans=found)


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that renders a chat."""

    chat_template: str | None

    def apply_chat_template(self, conversation: list[dict], **kwargs) -> str:
        """Render a conversation as text."""


def render(
    tokenizer: ChatTokenizer,
    turns: Sequence[tuple[str, str]],
    prefill: str | None = "",
    template: str = "own",
) -> Prompt:
    """Render a chat and find its parts.

    `turns` are (role, text) pairs with the roles system, user and assistant. `prefill` is how the
    reply begins; None leaves the generation prompt out altogether. `template` is the tokenizer's
    `own`, or `plain` for the paper's `Human: … Assistant:` turns, which a model without a template
    needs. Raises EmolibError for an empty message, or a template that changes its messages.
    """
    for role, text in turns:
        if role not in _PLAIN_NAMES:
            raise EmolibError(f"unknown role {role!r}; use {', '.join(_PLAIN_NAMES)}")
        if not text.strip():
            raise EmolibError(f"an empty {role} message in a chat of {len(turns)} turns")
    if template == "plain":
        frame = _plain_frame([role for role, _ in turns], prefill is not None)
    else:
        frame = _template_frame(tokenizer, [role for role, _ in turns], prefill is not None)
    prompt = _fill(frame, turns, prefill)
    if template == "own":
        _check_against_template(tokenizer, turns, prefill, prompt)
    return prompt


def transcript(before: str, lines: Sequence[tuple[str, str]]) -> Prompt:
    """A text in front and the lines of named speakers below it, without any chat template.

    `lines` are (speaker, text) pairs. Each speaker's name is the span of what they say. Raises
    EmolibError for an empty line.
    """
    text = before
    ranges: dict[str, list[tuple[int, int]]] = {}
    for speaker, said in lines:
        if not said.strip():
            raise EmolibError(f"an empty line of {speaker} in a talk of {len(lines)} lines")
        text += f"\n\n{speaker}: " if text else f"{speaker}: "
        ranges.setdefault(speaker, []).append((len(text), len(text) + len(said)))
        text += said
    return Prompt(text, {name: tuple(found) for name, found in ranges.items()})


def _plain_frame(roles: Sequence[str], replies: bool) -> list[str]:
    """The text around the messages: one piece before each, and one after the last."""
    before = [f"\n\n{_PLAIN_NAMES[role]}: " for role in roles]
    return [*before, "\n\nAssistant:" if replies else ""]


def _template_frame(tokenizer: ChatTokenizer, roles: Sequence[str], replies: bool) -> list[str]:
    """What a chat template puts around the messages, learned by rendering marks in their place."""
    if not tokenizer.chat_template:
        raise EmolibError("this tokenizer has no chat template; set chat_template: plain in the profile")
    marks = [_MARK.format(i) for i in range(len(roles))]
    rest = _apply(tokenizer, list(zip(roles, marks, strict=True)), replies)
    frame = []
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found or mark in rest:
            raise EmolibError("the chat template drops or repeats a message; use chat_template: plain")
        frame.append(piece)
    return [*frame, rest]


def _apply(tokenizer: ChatTokenizer, turns: Sequence[tuple[str, str]], replies: bool) -> str:
    conversation = [{"role": role, "content": text} for role, text in turns]
    return tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=replies)


def _fill(frame: Sequence[str], turns: Sequence[tuple[str, str]], prefill: str | None) -> Prompt:
    text = ""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for piece, (role, message) in zip(frame, turns, strict=False):
        text += piece
        ranges.setdefault(role, []).append((len(text), len(text) + len(message)))
        text += message
    if prefill is None:
        text += frame[-1]
    else:
        ranges["generation_prompt"] = [(len(text), len(text) + len(frame[-1]))]
        text += frame[-1]
        if prefill:
            ranges["prefill"] = [(len(text), len(text) + len(prefill))]
            text += prefill
    if "user" in ranges:
        ranges["last_user"] = ranges["user"][-1:]
    spans = {name: tuple(found) for name, found in ranges.items()}
    return Prompt(text, spans, adds_special_tokens=False)


def _check_against_template(tokenizer, turns, prefill, prompt: Prompt) -> None:
    """A template that trims or rewrites messages would put every offset in the wrong place."""
    real = _apply(tokenizer, turns, prefill is not None) + (prefill or "")
    if real != prompt.text:
        raise EmolibError(
            "the chat template changes its messages (does one begin or end with white space?); "
            "strip them or use chat_template: plain"
        )
