"""Progress in the terminal, and never in a notebook's output."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress(label: str, total: int) -> Iterator:
    """Show how far a task is and how long is left; yields `advance(n)`.

    Draws a bar on a terminal, prints a line per tenth where standard error is a file, and keeps
    quiet inside a notebook.
    """
    if "ipykernel" in sys.modules or total == 0:
        yield lambda n=1: None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda n=1: bar.advance(task, n)
    else:
        yield _Lines(label, total)


def note(text: str) -> None:
    """Say in the terminal what is going on; quiet inside a notebook."""
    if "ipykernel" not in sys.modules:
        print(text, file=sys.stderr, flush=True)


class _Lines:
    """A line for every tenth of the way, for logs."""

    def __init__(self, label: str, total: int):
        self.label, self.total, self.done, self.tenth = label, total, 0, 0
        self.start = time.monotonic()

    def __call__(self, n: int = 1) -> None:
        self.done += n
        tenth = 10 * self.done // self.total
        if tenth > self.tenth:
            self.tenth = tenth
            seconds = time.monotonic() - self.start
            left = seconds * (self.total - self.done) / self.done
            print(
                f"{self.label}: {10 * tenth} %, {seconds:.0f} s, about {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
