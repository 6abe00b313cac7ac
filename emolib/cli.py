"""The command line: `emolib --help`."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from emolib.errors import EmolibError

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Emotion vectors in open language models.",
)

ProfileOption = Annotated[
    str, typer.Option(help="Profile name or YAML file; NAME@ALTERNATIVE picks its weights.")
]
ScaleOption = Annotated[str, typer.Option(help="smoke, standard or paper.")]

CorpusOption = Annotated[Path | None, typer.Option(help="Folder with texts to use instead.")]

DEFAULT_PROFILE, DEFAULT_SCALE = "smollm2-135m-instruct", "standard"


class _Stopped(BaseException):
    """Ctrl-C; not a KeyboardInterrupt, which the command-line library would answer by itself."""


def _stop(*_) -> None:
    raise _Stopped


def main() -> None:
    """Run a command; an EmolibError becomes one line and exit status 1, Ctrl-C one and 130."""
    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except EmolibError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except _Stopped:
        print("stopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)


@app.command()
def profiles() -> None:
    """List the profiles and whether they can run here."""
    from emolib import profiles as known
    from emolib import weights

    def here(profile: known.Profile) -> str:
        from_hub = profile.weights.source == "hub"
        return weights.why_not_here(profile) or ("if the hub can be reached" if from_hub else "yes")

    table = Table(Column("profile", no_wrap=True), "about", "weights", "here")
    for name in known.names():
        profile = known.load(name)
        for each in (profile, *(profile.with_weights(other) for other in profile.alternatives)):
            table.add_row(each.name, each.about, each.weights.source, here(each))
        for stage in map(profile.at_stage, profile.stages):
            table.add_row(stage.name, "earlier stage", stage.weights.source, here(stage))
    Console().print(table)


@app.command()
def prepare(
    profile: ProfileOption = DEFAULT_PROFILE,
    scale: ScaleOption = DEFAULT_SCALE,
    layer: Annotated[str, typer.Option(help="Read-out layer; the profile's if left out.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    corpus: CorpusOption = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    training_seeds: Annotated[
        int | None, typer.Option(help="Seeds to post-train with; the scale's number if left out.")
    ] = None,
) -> None:
    """Convert the weights, read and train everything the chapters need, with progress; resumes."""
    from emolib import study

    study.open(profile, scale, seed, study.check_layer(layer), device, corpus, training_seeds).prepare()


@app.command()
def scorecard(
    profile: ProfileOption = DEFAULT_PROFILE,
    scale: ScaleOption = DEFAULT_SCALE,
    corpus: CorpusOption = None,
    published: Annotated[bool, typer.Option(help="Show the published results instead.")] = False,
    untested: Annotated[bool, typer.Option(help="List the claims that were not run as well.")] = False,
) -> None:
    """Print the claims with their verdicts."""
    from emolib import profiles as known
    from emolib import results

    name = known.load(profile).name
    claims = results.published_claims(name) if published else results.fresh_claims(name, scale, corpus)
    unrun = [claim for claim in claims if claim.verdict == "not run"]
    rows = results.scorecard(claim for claim in claims if untested or claim not in unrun)
    table = Table(
        *rows.columns, title=f"{name}, {'published' if published else f'computed at scale {scale}'}"
    )
    for row in rows.itertuples(index=False):
        table.add_row(*row)
    # A log has no width of its own, and 80 columns would break every claim's name.
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    if unrun and not untested:
        print(f"{len(unrun)} of {len(claims)} claims have not been run; --untested lists them")


@app.command()
def publish(profile: ProfileOption = DEFAULT_PROFILE, scale: ScaleOption = DEFAULT_SCALE) -> None:
    """Copy fresh results to results/<profile>/, replacing what is published."""
    from emolib import profiles as known
    from emolib import results

    print(results.publish(known.load(profile).name, scale))


@app.command()
def verify(
    profile: ProfileOption = DEFAULT_PROFILE,
    scale: Annotated[str, typer.Option(help="Scale of the re-run; the published one if left out.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    chapter: Annotated[
        list[str] | None, typer.Option(help="Only this chapter; may be given more than once.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare this run or results folder instead of running again.")
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Folder of published results; results/PROFILE if left out.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the table as JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table as Markdown.")] = None,
) -> None:
    """Run everything again from scratch and compare it with what is published; exits 1 where it differs.

    The re-run has a cache and results of its own in a temporary folder, which is removed at the end.
    """
    from emolib import files, results, verification
    from emolib import profiles as known

    name = known.load(profile).name
    before = results.read_published(published or results.results_dir() / name)
    before = before.only(chapter) if chapter else before

    def compared(again: results.Results) -> verification.Comparison:
        return verification.compare(before, again.only(chapter) if chapter else again)

    if against is not None:
        found = compared(results.read(against))
    else:
        from emolib import study

        try:
            with tempfile.TemporaryDirectory(prefix="emolib-verify-") as place:
                scale = scale or before.setting("scale")
                found = compared(study.run_again(before, profile, scale, device, Path(place)))
        except _Stopped:
            print("stopped; a check starts from scratch, so nothing of it is kept", file=sys.stderr)
            raise typer.Exit(130) from None
    for line in found.about:
        print(line)
    rows = verification.rows(found.claims)
    table = Table(*rows.columns, title=f"{name}, published and re-run")
    for row, problem in zip(rows.itertuples(index=False), found.claims.problem, strict=True):
        table.add_row(*row, style="red" if problem else None)
    Console(width=None if sys.stdout.isatty() else 170).print(table)
    for line in [*found.tables, found.summary]:
        print(line)
    if junit:
        files.write_text(junit, verification.junit(found))
    if markdown:
        files.write_text(markdown, verification.markdown(found))
    if not found.agrees:
        raise typer.Exit(1)


@app.command()
def corpus(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with texts; the package's own if left out.")
    ] = None,
) -> None:
    """List the texts and check them: schema, design, lengths, forbidden words, repetition."""
    from emolib.corpus import Corpus
    from emolib.corpus.sets import SETS

    texts = Corpus(folder)
    problems = texts.problems()
    table = Table("set", "records", "from", "hash")
    for name, source in texts.sources().items():
        table.add_row(
            name, str(len(texts.read(name))), "own" if source["own"] else str(folder), source["hash"]
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    for problem in problems:
        print(problem)
    print(f"{len(SETS)} sets: {len(problems)} problems")
    if problems:
        raise typer.Exit(1)
