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
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pandas as pd

from emolib.claims import Claim, complete
from emolib.errors import EmolibError
from emolib.files import sha256_of, write_json, write_whole

SCHEMA = 1
_PACKAGES = ("torch", "transformers", "nnsight", "numpy", "scipy", "scikit-learn", "pandas", "tokenizers")


@dataclass(frozen=True)
class Outcome:
    """What an experiment returns: tidy tables by name, and judged claims."""

    tables: dict[str, pd.DataFrame]
    claims: list[Claim] = field(default_factory=list)

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.tables[table]


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
    """Read an experiment's results, or None when there are none or they are of another key."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        if key is not None and provenance.get("key") != key:
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
    chapters = sorted(run_folder(profile, scale, corpus).glob("*/provenance.json"))
    return complete(c for path in chapters for c in read_claims(path.parent / "claims.json"))


def published_claims(profile: str) -> list[Claim]:
    """Every ledger claim as published for a profile; `not run` where nothing is published."""
    path = results_dir() / profile / "claims.json"
    return complete(read_claims(path) if path.is_file() else [])


def published_profiles() -> list[str]:
    """Profiles that have published results."""
    return sorted(path.parent.name for path in results_dir().glob("*/claims.json"))


def provenance(**about) -> dict:
    """A record of what made a result: the arguments, the versions, the commit and the machine class."""
    return {
        "schema": SCHEMA,
        **about,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "commit": _commit(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def publish(profile: str, scale: str) -> Path:
    """Copy a profile's fresh results to where the published ones lie, replacing them as a whole.

    Raises EmolibError when nothing was run at this scale, or a claim that a chapter tests is missing.
    """
    source = run_folder(profile, scale)
    chapters = sorted(path.parent for path in source.glob("*/provenance.json"))
    if not chapters:
        raise EmolibError(f"nothing was run for {profile} at scale {scale}; run `make book` first")
    claims = fresh_claims(profile, scale)
    unrun = [claim.id for claim in claims if claim.chapter and claim.verdict == "not run"]
    if unrun:
        raise EmolibError(
            f"{len(unrun)} claims have not been run, {unrun[0]} among them; run `make book` first"
        )
    target = results_dir() / profile
    staging = target.with_name(f".{profile}.part")
    shutil.rmtree(staging, ignore_errors=True)
    record = {}
    for chapter in chapters:
        record[chapter.name] = json.loads((chapter / "provenance.json").read_text(encoding="utf-8"))
        for table in record[chapter.name]["tables"]:
            path = chapter / f"{table}.parquet"
            write_whole(
                staging / chapter.name / path.name,
                lambda file, path=path: file.write(path.read_bytes()),
            )
            record[chapter.name].setdefault("sha256", {})[table] = sha256_of(path)
    write_json(staging / "claims.json", {"schema": SCHEMA, "claims": [c.model_dump() for c in claims]})
    write_json(staging / "provenance.json", {"schema": SCHEMA, "scale": scale, "chapters": record})
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
