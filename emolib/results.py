"""Results on disk: tidy tables, claims and where they came from, whole or not at all.

`runs/<profile>/<scale>/<chapter>/` holds what was just computed and is never in git.
`results/<profile>/` holds what the project publishes, and only `publish` writes there.
"""

import io
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from emolib.claims import Claim, complete, ledger
from emolib.errors import EmolibError
from emolib.files import sha256_of, write_json, write_whole

SCHEMA = 2
_AGAIN = "run `make results` again"
_PACKAGES = ("torch", "transformers", "nnsight", "numpy", "scipy", "scikit-learn", "pandas", "tokenizers")


@dataclass(frozen=True)
class Outcome:
    """What an experiment returns: tidy tables by name, and judged claims."""

    tables: dict[str, pd.DataFrame]
    claims: list[Claim] = field(default_factory=list)

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.tables[table]


@dataclass(frozen=True)
class Results:
    """What a folder holds for one profile: each chapter's provenance, and one claim per ledger entry."""

    folder: Path
    chapters: dict[str, dict]
    claims: list[Claim]

    def setting(self, name: str) -> Any:
        """What all chapters have in common; raises EmolibError when they differ."""
        found = {chapter: record.get(name) for chapter, record in self.chapters.items()}
        if len(set(found.values())) > 1:
            each = ", ".join(f"{chapter} {value}" for chapter, value in found.items())
            raise EmolibError(f"the chapters in {self.folder} differ in {name} ({each}); {_AGAIN}")
        return next(iter(found.values()))

    def only(self, chapters: Collection[str]) -> "Results":
        """Some of the chapters, with their claims. Raises EmolibError for one without a judged claim."""
        judged = {claim.chapter for claim in self.claims if claim.verdict != "not run"}
        if missing := [chapter for chapter in chapters if chapter not in judged]:
            raise EmolibError(
                f"{self.folder} has no judged claim of a chapter {' or '.join(missing)}; it has some of "
                f"{', '.join(name for name in self.chapters if name in judged)}"
            )
        return Results(
            self.folder,
            {name: record for name, record in self.chapters.items() if name in chapters},
            [claim for claim in self.claims if claim.chapter in chapters],
        )

    def check_subject(self, fingerprint: str, dtype: str) -> None:
        """Raise EmolibError when these results are of other weights in the same precision."""
        own = self.setting("fingerprint")
        if dtype == self.setting("dtype") and fingerprint != own:
            raise EmolibError(
                f"the model has fingerprint {fingerprint}, the results in {self.folder} are of {own}; "
                "install the weights that the profile names and the versions in constraints.txt"
            )


def runs_dir() -> Path:
    """Where fresh results go: `$EMOLIB_RUNS`, or `runs/` in the working directory."""
    return Path(os.environ.get("EMOLIB_RUNS") or "runs")


def run_folder(profile: str, scale: str, corpus: Path | None = None) -> Path:
    """Where one study's fresh results go; with other texts than the project's, a folder of their own."""
    return runs_dir() / profile / (scale if corpus is None else f"{scale}+{corpus.resolve().name}")


def results_dir() -> Path:
    """Where published results lie: `$EMOLIB_RESULTS`, or `results/` in the working directory."""
    return Path(os.environ.get("EMOLIB_RESULTS") or "results")


def save(folder: Path, outcome: Outcome, provenance: dict) -> None:
    """Write an experiment's tables, claims and provenance; the provenance comes last and seals them."""
    (folder / "provenance.json").unlink(missing_ok=True)
    for name, table in outcome.tables.items():
        _write_table(folder / f"{name}.parquet", table)
    write_json(folder / "claims.json", [claim.model_dump() for claim in outcome.claims])
    write_json(folder / "provenance.json", {**provenance, "tables": sorted(outcome.tables)})


def load(folder: Path, key: str | None = None) -> Outcome | None:
    """Read an experiment's results, or None when there are none or they are of another key or schema."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        if provenance.get("schema") != SCHEMA or (key is not None and provenance.get("key") != key):
            return None
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in provenance["tables"]}
        return Outcome(tables, read_claims(folder / "claims.json"))
    except FileNotFoundError:
        return None


def read_claims(path: Path) -> list[Claim]:
    """Claims from a file. Raises EmolibError when it is not a list of claims."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["claims"] if isinstance(content, dict) else content
        return [Claim(**claim) for claim in found]
    except (ValueError, TypeError, KeyError) as error:
        raise EmolibError(f"{path} does not hold claims of schema {SCHEMA}") from error


def fresh_claims(profile: str, scale: str, corpus: Path | None = None) -> list[Claim]:
    """Every ledger claim with what the last runs at this scale found; `not run` where there is none."""
    folder = run_folder(profile, scale, corpus)
    return complete(c for claims in _claims_by_chapter(folder, _run_records(folder)).values() for c in claims)


def published_claims(profile: str) -> list[Claim]:
    """Every ledger claim as published for a profile; `not run` where nothing is published."""
    folder = results_dir() / profile
    return read_published(folder).claims if folder.is_dir() else complete([])


def read(folder: Path) -> Results:
    """The results in a folder, be it a run's or what `publish` wrote. Raises EmolibError as these two do."""
    if not folder.is_dir():
        raise EmolibError(f"no folder {folder}; name one below runs/ or results/")
    return read_published(folder) if (folder / "claims.json").is_file() else read_run(folder)


def read_run(folder: Path) -> Results:
    """What was just computed in a run folder. Raises EmolibError when nothing was."""
    chapters = _run_records(folder)
    if not chapters:
        raise EmolibError(f"nothing was run in {folder}; run `make book` first")
    by_chapter = _claims_by_chapter(folder, chapters)
    return Results(folder, chapters, complete(c for claims in by_chapter.values() for c in claims))


def read_published(folder: Path) -> Results:
    """What `publish` wrote into a folder, every file checked against its hash.

    Raises EmolibError for another schema, a file that is missing or altered, a claim that the ledger
    does not have, and a judged claim without an interval.
    """
    seal = folder / "provenance.json"
    if not seal.is_file():
        raise EmolibError(f"no published results in {folder}: {seal.name} is missing; run `make results`")
    record = _read_json(seal)
    if record.get("schema") != SCHEMA:
        commits = {each.get("commit") for each in record.get("chapters", {}).values()} - {None}
        raise EmolibError(
            f"{folder} is of schema {record.get('schema')}, this version reads schema {SCHEMA}; check out "
            f"the version that wrote it ({', '.join(sorted(commits)) or 'not recorded'}), or {_AGAIN}"
        )
    hashes = {
        f"{chapter}/{table}.parquet": sha
        for chapter, made in record["chapters"].items()
        for table, sha in made["sha256"].items()
    }
    for name, sha in {**record["sha256"], **hashes}.items():
        _check_file(folder / name, sha)
    claims = read_claims(folder / "claims.json")
    _check_claims(folder / "claims.json", claims, record["chapters"])
    return Results(folder, record["chapters"], complete(claims))


def published_profiles() -> list[str]:
    """Profiles that have published results."""
    return sorted(path.parent.name for path in results_dir().glob("*/claims.json"))


def published_chapter(chapter: str) -> dict[str, tuple[dict, dict[str, pd.DataFrame]]]:
    """A chapter's provenance and tables by profile, wherever it is published."""
    found = {}
    for profile in published_profiles():
        folder = results_dir() / profile
        if record := read_published(folder).chapters.get(chapter):
            tables = {
                name: pd.read_parquet(folder / chapter / f"{name}.parquet") for name in record["tables"]
            }
            found[profile] = record, tables
    return found


def provenance(**about) -> dict:
    """A record of what made a result: the arguments, the versions and the commit."""
    return {
        "schema": SCHEMA,
        **about,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "commit": _commit(),
    }


def publish(profile: str, scale: str) -> Path:
    """Copy a profile's fresh results to where the published ones lie, replacing them as a whole.

    Raises EmolibError when nothing was run at this scale, or a claim that a chapter tests is missing,
    unless the ledger says that testing it takes something which is not everywhere at hand.
    """
    source = run_folder(profile, scale)
    chapters = _run_records(source)
    if not chapters:
        raise EmolibError(f"nothing was run for {profile} at scale {scale}; run `make book` first")
    by_chapter = _claims_by_chapter(source, chapters)
    claims = complete(claim for found in by_chapter.values() for claim in found)
    unrun = [c.id for c in claims if c.chapter and not c.missing and c.verdict == "not run"]
    if unrun:
        raise EmolibError(
            f"{len(unrun)} claims have not been run, {unrun[0]} among them; run `make book` first"
        )
    target = results_dir() / profile
    staging = target.with_name(f".{profile}.part")
    shutil.rmtree(staging, ignore_errors=True)
    for chapter, record in chapters.items():
        for table in record["tables"]:
            path = source / chapter / f"{table}.parquet"
            write_whole(
                staging / chapter / path.name,
                lambda file, path=path: file.write(path.read_bytes()),
            )
        record["sha256"] = {
            table: sha256_of(staging / chapter / f"{table}.parquet") for table in record["tables"]
        }
        record["claims"] = [claim.id for claim in by_chapter[chapter]]
    write_json(staging / "claims.json", {"schema": SCHEMA, "claims": [c.model_dump() for c in claims]})
    hashes = {"claims.json": sha256_of(staging / "claims.json")}
    write_json(
        staging / "provenance.json",
        {"schema": SCHEMA, "scale": scale, "sha256": hashes, "chapters": chapters},
    )
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    return target


def scorecard(claims: Iterable[Claim]) -> pd.DataFrame:
    """One row per claim, as the scorecard shows them: paper, ours, interval, n, null, verdict."""
    return pd.DataFrame(
        [
            {
                "claim": claim.id,
                "paper": claim.paper_says,
                "ours": _number(claim.estimate),
                "95 % interval": _interval(claim.ci),
                "n": f"{claim.n}\u00a0{claim.n_of}" if claim.n else "",
                "null 95 %": _interval((claim.null.low, claim.null.high)) if claim.null else "",
                "verdict": claim.verdict,
            }
            for claim in claims
        ]
    )


def _run_records(folder: Path) -> dict[str, dict]:
    """Provenance by chapter of a run folder; what another schema wrote counts as not run."""
    records = {path.parent.name: _read_json(path) for path in sorted(folder.glob("*/provenance.json"))}
    return {chapter: record for chapter, record in records.items() if record.get("schema") == SCHEMA}


def _claims_by_chapter(folder: Path, chapters: Iterable[str]) -> dict[str, list[Claim]]:
    return {chapter: read_claims(folder / chapter / "claims.json") for chapter in chapters}


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmolibError(f"{path} is not valid JSON; restore it, or {_AGAIN}") from error
    if not isinstance(content, dict):
        raise EmolibError(f"{path} holds no record of results; restore it, or {_AGAIN}")
    return content


def _check_file(path: Path, sha: str) -> None:
    restore = f"restore it with `git checkout`, or {_AGAIN}"
    if not path.is_file():
        raise EmolibError(f"{path} is missing; {restore}")
    if (found := sha256_of(path)) != sha:
        raise EmolibError(
            f"{path} was altered after it was published (sha256 {found[:12]}…, recorded {sha[:12]}…); "
            f"{restore}"
        )


def _check_claims(path: Path, claims: list[Claim], chapters: dict[str, dict]) -> None:
    """Every claim known and with an interval, and every one there that a chapter tested."""
    judged = {claim.id for claim in claims if claim.verdict != "not run"}
    for claim in claims:
        if claim.id not in ledger():
            raise EmolibError(f"unknown metric {claim.id!r} in {path}: it is not in the ledger; {_AGAIN}")
        if claim.id in judged and (claim.estimate is None or claim.ci is None):
            raise EmolibError(
                f"no tolerance can be computed for {claim.id!r}: {path} gives it no interval; {_AGAIN}"
            )
    for chapter, record in chapters.items():
        for missing in sorted(set(record["claims"]) - judged):
            raise EmolibError(f"{path} lacks {missing!r}, which chapter {chapter} tested; {_AGAIN}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.2f}\u00a0…\u00a0{bounds[1]:.2f}"


def _write_table(path: Path, table: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_whole(path, lambda file: file.write(buffer.getbuffer()))


def _commit() -> str | None:
    try:
        run = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
