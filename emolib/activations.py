"""Reading the residual stream: in batches, pooled inside the trace, stopping after the last layer.

`read` gives one vector per text and layer, `read_tokens` one per token. Both run the model through
nnsight and never keep more of the stream than was asked for.
"""

import inspect
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emolib import chat
from emolib.chat import Prompt
from emolib.errors import EmolibError
from emolib.files import cache_dir, digest, write_whole
from emolib.progress import progress
from emolib.subject import Subject

BATCHES_PER_SHARD = 4


@dataclass(frozen=True)
class Where:
    """Which tokens of a prompt are read, and averaged if they are several.

    `spans` are names of the prompt's parts, or empty for every token of the text. Of the tokens
    found, the first `skip` are left out; `last` keeps only the last one. The tokenizer's own special
    tokens never count when `spans` is empty.
    """

    spans: tuple[str, ...] = ()
    skip: int = 0
    last: bool = False

    def select(self, prompt: Prompt, offsets: np.ndarray, special: np.ndarray) -> np.ndarray:
        """Indices of the tokens read; `offsets` is (n_tokens, 2), `special` (n_tokens,).

        Raises EmolibError when the prompt has no such part or no token is left.
        """
        start, end = offsets[:, 0], offsets[:, 1]
        if self.spans:
            chosen = np.zeros(len(offsets), dtype=bool)
            known = [name for name in self.spans if name in prompt.spans]
            if not known:
                raise EmolibError(
                    f"no part called {' or '.join(self.spans)} in a prompt with "
                    f"{', '.join(prompt.spans) or 'no named parts'}"
                )
            for name in known:
                for low, high in prompt.spans[name]:
                    chosen |= (start < high) & (end > low)
        else:
            chosen = ~special
        indices = np.flatnonzero(chosen)[self.skip :]
        if len(indices) == 0:
            raise EmolibError(
                f"no token to read after the first {self.skip} in the text {prompt.text[:60]!r}…"
            )
        return indices[-1:] if self.last else indices


EVERY_TOKEN = Where()
FROM_TOKEN_50 = Where(skip=49)
REPLY_START = Where(spans=("generation_prompt",), last=True)
MESSAGES = Where(spans=("user", "assistant"))


def read(subject: Subject, prompts: Sequence[Prompt], layers: Sequence[int], where: Where) -> np.ndarray:
    """Mean residual stream over the tokens that `where` selects.

    Returns float32 of shape (n_prompts, n_layers, width), layers in rising order. See `read_many`.
    """
    return read_many(subject, prompts, layers, {"where": where})["where"]


def read_many(
    subject: Subject,
    prompts: Sequence[Prompt],
    layers: Sequence[int],
    wheres: Mapping[str, Where],
    label: str = "reading",
    keep: bool = False,
) -> dict[str, np.ndarray]:
    """Read several places of every prompt in one forward pass each.

    Prompts are sorted by length and run in batches of the profile's size, which is halved when
    memory runs out. With `keep`, finished shards stay in the cache, so that an interrupted read
    goes on where it was and a repeated one costs nothing.
    Returns, per name in `wheres`, float32 of shape (n_prompts, n_layers, width).
    """
    layers = subject.check_layers(layers)
    rows = [encode(subject, prompt, list(wheres.values())) for prompt in prompts]
    if not rows:
        return {name: np.zeros((0, len(layers), subject.width), np.float32) for name in wheres}
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    size = BATCHES_PER_SHARD * subject.profile.batch_size
    shards = [order[i : i + size] for i in range(0, len(order), size)]
    folder = _shard_folder(subject, prompts, layers, wheres) if keep else None
    out = np.empty((len(rows), len(wheres), len(layers), subject.width), np.float32)
    with progress(label, sum(len(row.ids) for row in rows)) as advance:
        for number, members in enumerate(shards):
            path = folder / f"shard-{number:05d}.npy" if folder else None
            pooled = load_shard(path, (len(members), *out.shape[1:]))
            if pooled is None:
                pooled = _read_batches(subject, [rows[i] for i in members], layers, advance)
                save_shard(path, pooled)
            else:
                advance(sum(len(rows[i].ids) for i in members))
            out[members] = pooled
    return {name: out[:, i] for i, name in enumerate(wheres)}


def read_tokens(
    subject: Subject, prompts: Sequence[Prompt], layers: Sequence[int]
) -> list[tuple[list[str], np.ndarray]]:
    """The residual stream at every token of the text, special tokens left out.

    Returns per prompt the text of each token and float32 of shape (n_tokens, n_layers, width).
    """
    layers = subject.check_layers(layers)
    found = []
    for prompt in prompts:
        row = encode(subject, prompt, [EVERY_TOKEN])
        positions = row.selected[0]
        single = [Row(row.ids, row.offsets, [np.array([i]) for i in positions])]
        states = _read_batches(subject, single, layers, advance=lambda n: None)[0]
        pieces = [prompt.text[low:high] for low, high in row.offsets[positions]]
        found.append((pieces, states))
    return found


def read_embeddings(subject: Subject, prompts: Sequence[Prompt], where: Where) -> np.ndarray:
    """Mean input embedding of the tokens that `where` selects, float32 (n_prompts, width)."""
    table = subject.model._module.get_input_embeddings().weight
    found = []
    for prompt in prompts:
        row = encode(subject, prompt, [where])
        chosen = torch.from_numpy(row.ids[row.selected[0]]).to(table.device)
        found.append(table[chosen].detach().float().mean(dim=0).cpu().numpy())
    return np.stack(found)


def mean_norms(
    subject: Subject, prompts: Sequence[Prompt], layers: Sequence[int], where: Where
) -> np.ndarray:
    """Mean length of the residual stream per layer over all selected tokens, (n_layers,).

    The mean is over tokens, not over texts. It is the unit of steering strengths.
    """
    layers = subject.check_layers(layers)
    rows = sorted((encode(subject, p, [where]) for p in prompts), key=lambda row: -len(row.ids))
    sizes = np.array([len(row.selected[0]) for row in rows])

    def norm_batch(members: slice) -> np.ndarray:
        inputs, mean = _pad(subject, rows[members], subject.tokenizer.padding_side)
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False) as tracer:
            lengths = list().save()  # noqa: C408 - nnsight saves a call's value, not a literal
            for layer in layers:
                lengths.append((mean[:, 0] * subject.layers[layer].output.float().norm(dim=-1)).sum(1))
            tracer.stop()
        return torch.stack(lengths, dim=1).cpu().numpy()

    per_text = np.concatenate(list(in_batches(len(rows), subject.profile.batch_size, norm_batch)))
    return (sizes / sizes.sum()) @ per_text


def next_tokens(subject: Subject, prompt: Prompt, words: Sequence[str]) -> list[int]:
    """The token that begins each word when it follows the prompt.

    Raises EmolibError when two words begin with the same token, or when a word would change the
    tokens of the prompt itself, as the log-probability of a token would then not be the word's.
    """
    ids = _ids(subject, prompt, prompt.text)
    found: dict[int, str] = {}
    for word in words:
        longer = _ids(subject, prompt, prompt.text + word)
        if longer[: len(ids)] != ids or len(longer) == len(ids):
            raise EmolibError(f"{word!r} merges with the end of the prompt {prompt.text[-20:]!r}")
        token = longer[len(ids)]
        if token in found:
            raise EmolibError(f"{word!r} and {found[token]!r} begin with the same token")
        found[token] = word
    return list(found)


def log_probabilities(
    subject: Subject, prompts: Sequence[Prompt], words: Sequence[str], label: str = "answers"
) -> np.ndarray:
    """Log-probability of each word as the next one after each prompt, float32 (n_prompts, n_words).

    Finished shards stay in the cache. Raises EmolibError for words that cannot be told apart (see
    `next_tokens`) and for a prompt whose log-probabilities are not finite.
    """
    rows = [encode(subject, prompt, []) for prompt in prompts]
    tokens = [next_tokens(subject, prompt, words) for prompt in prompts]
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    size = BATCHES_PER_SHARD * subject.profile.batch_size
    folder = _shard_folder(subject, prompts, [], {}, words)
    out = np.empty((len(rows), len(words)), np.float32)
    with progress(label, len(rows)) as advance:
        for number, start in enumerate(range(0, len(order), size)):
            members = order[start : start + size]
            path = folder / f"shard-{number:05d}.npy"
            found = load_shard(path, (len(members), len(words)))
            if found is None:
                found = _answers(subject, [rows[i] for i in members], [tokens[i] for i in members])
                for i, each in zip(members, found, strict=True):
                    check_finite(each, prompts[i])
                save_shard(path, found)
            out[members] = found
            advance(len(members))
    return out


def check_finite(values: np.ndarray, prompt: Prompt) -> None:
    """Raise EmolibError, naming the prompt, when a log-probability is not a finite number."""
    if not np.isfinite(values).all():
        raise EmolibError(f"log-probabilities are not finite after the prompt {prompt.text!r}")


def _ids(subject: Subject, prompt: Prompt, text: str) -> list[int]:
    return subject.tokenizer(text, add_special_tokens=prompt.adds_special_tokens)["input_ids"]


def _answers(subject: Subject, rows: Sequence["Row"], tokens: Sequence[list[int]]) -> np.ndarray:
    """Log-probabilities (n_rows, n_words); padded on the left, so that every row ends at the end."""

    def answer_batch(members: slice) -> np.ndarray:
        inputs, _ = _pad(subject, rows[members], "left")
        with torch.no_grad(), subject.model.trace(**inputs, use_cache=False, logits_to_keep=1):
            logits = subject.model.output.logits.save()
        wanted = torch.tensor(tokens[members], device=logits.device)
        return logits[:, -1].float().log_softmax(dim=-1).gather(1, wanted).cpu().numpy()

    return np.concatenate(list(in_batches(len(rows), subject.profile.batch_size, answer_batch)))


@dataclass(frozen=True)
class Row:
    """One tokenised prompt: ids (n,), character offsets (n, 2), and the tokens read per place."""

    ids: np.ndarray
    offsets: np.ndarray
    selected: list[np.ndarray]


def encode(subject: Subject, prompt: Prompt, wheres: Sequence[Where]) -> Row:
    """Tokenise a prompt and find the tokens of each place."""
    encoding = subject.tokenizer(
        prompt.text,
        add_special_tokens=prompt.adds_special_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    offsets = np.array(encoding["offset_mapping"], dtype=int).reshape(-1, 2)
    # A token without characters (a special one, or a continuation of one) belongs to no span.
    special = np.array(encoding["special_tokens_mask"], dtype=bool) | (offsets[:, 0] == offsets[:, 1])
    selected = [where.select(prompt, offsets, special) for where in wheres]
    return Row(np.array(encoding["input_ids"]), offsets, selected)


def _read_batches(subject: Subject, rows: Sequence[Row], layers: list[int], advance) -> np.ndarray:
    """Pooled states (n_rows, n_wheres, n_layers, width) of rows in the order given."""

    def read_batch(members: slice) -> np.ndarray:
        found = _read_batch(subject, rows[members], layers)
        advance(sum(len(row.ids) for row in rows[members]))
        return found

    return np.concatenate(list(in_batches(len(rows), subject.profile.batch_size, read_batch)))


def in_batches(n: int, size: int, run: Callable[[slice], np.ndarray]) -> Iterator[np.ndarray]:
    """What `run` gives for each batch of `n` items; the batch is halved when memory runs out."""
    start = 0
    while start < n:
        batch = slice(start, min(start + size, n))
        try:
            yield run(batch)
        except RuntimeError as error:
            if not _is_out_of_memory(error) or size == 1:
                raise
            size = max(1, size // 2)
            torch.cuda.empty_cache()
            continue
        start = batch.stop


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or "not enough memory" in str(error)


def _read_batch(subject: Subject, rows: Sequence[Row], layers: list[int]) -> np.ndarray:
    inputs, mean = _pad(subject, rows, subject.tokenizer.padding_side)
    with torch.no_grad(), subject.model.trace(**inputs, use_cache=False) as tracer:
        pooled = list().save()  # noqa: C408 - nnsight saves a call's value, not a literal
        for layer in layers:
            # Averaging in the stream's own precision would lose digits over a long text.
            pooled.append(mean @ subject.layers[layer].output.float())
        tracer.stop()
    return torch.stack(pooled, dim=2).cpu().numpy()


def _pad(subject: Subject, rows: Sequence[Row], side: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Model inputs, and the averaging matrix (n_rows, n_wheres, n_tokens).

    Position ids come from the mask, because models with absolute
    positions would otherwise count the padding.
    """
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), subject.tokenizer.pad_token_id)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    mean = torch.zeros(len(rows), len(rows[0].selected), longest)
    for i, row in enumerate(rows):
        n = len(row.ids)
        first = longest - n if side == "left" else 0
        ids[i, first : first + n] = torch.from_numpy(row.ids)
        mask[i, first : first + n] = 1
        for j, chosen in enumerate(row.selected):
            mean[i, j, torch.from_numpy(chosen) + first] = 1 / len(chosen)
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
    }
    return {name: t.to(subject.device) for name, t in inputs.items()}, mean.to(subject.device)


def _shard_folder(subject, prompts, layers, wheres, words=()) -> Path:
    """A folder named after everything that decides what a read returns."""
    key = digest(
        {
            "model": subject.fingerprint,
            "dtype": subject.dtype,
            "device": subject.device,
            "batch_size": subject.profile.batch_size,
            "layers": layers,
            "words": list(words),
            "wheres": {name: [where.spans, where.skip, where.last] for name, where in wheres.items()},
            "prompts": [
                [p.text, {k: list(v) for k, v in p.spans.items()}, p.adds_special_tokens] for p in prompts
            ],
            "code": inspect.getsource(sys.modules[__name__]) + inspect.getsource(chat),
            "torch": torch.__version__,
        }
    )
    return cache_dir() / "activations" / key


def load_shard(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """A kept array, or None when there is none of this shape."""
    if path is None or not path.is_file():
        return None
    shard = np.load(path)
    return shard if shard.shape == shape else None


def save_shard(path: Path | None, pooled: np.ndarray) -> None:
    """Keep an array, whole or not at all; no path keeps nothing."""
    if path is None:
        return
    buffer = io.BytesIO()
    np.save(buffer, pooled)
    write_whole(path, lambda file: file.write(buffer.getbuffer()))
