# Which notebook needs what. `make book` runs this; by hand:
#   snakemake --cores 2 --config profile=smollm2-135m-instruct scale=standard seed=0
# A cluster needs nothing of ours: snakemake --executor slurm …
from pathlib import Path

PROFILE = config.get("profile", "smollm2-135m-instruct")
SCALE = config.get("scale", "standard")
SEED = config.get("seed", 0)
LAYER = "" if config.get("layer") is None else config["layer"]
DEVICE = config.get("device", "auto")
CORPUS = config.get("corpus") or ""
TRAINING_SEEDS = config.get("training_seeds") or ""

RUNS = f"runs/{Path(PROFILE).name.removesuffix('.yaml')}/{SCALE}"
if CORPUS:
    RUNS += f"+{Path(CORPUS).resolve().name}"
CHAPTERS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
TRAINS = {name for name in CHAPTERS if "training_seeds = " in Path(f"notebooks/{name}.ipynb").read_text()}
LIBRARY = sorted(str(path) for path in Path("emolib").rglob("*") if path.suffix in (".py", ".yaml", ".csv", ".json"))
TEXTS = sorted(str(path) for root in ("emolib/corpus", CORPUS) if root for path in Path(root).rglob("*.jsonl"))


rule all:
    input:
        expand(f"{RUNS}/notebooks/{{chapter}}.ipynb", chapter=CHAPTERS),


# The long reading, in a process that may show its progress in the terminal.
rule prepare:
    input:
        LIBRARY,
        TEXTS,
    output:
        touch(f"{RUNS}/prepared"),
    # Without all cores here, Snakemake would hold torch to a single thread.
    threads: workflow.cores
    params:
        layer=LAYER,
        device=DEVICE,
        corpus=f"--corpus '{CORPUS}'" if CORPUS else "",
        seed=SEED,
        training_seeds=f"--training-seeds {TRAINING_SEEDS}" if TRAINING_SEEDS else "",
    shell:
        "emolib prepare --profile {PROFILE} --scale {SCALE} --device {params.device} --seed {params.seed}"
        " --layer '{params.layer}' {params.corpus} {params.training_seeds}"


rule chapter:
    input:
        notebook="notebooks/{chapter}.ipynb",
        prepared=rules.prepare.output,
    output:
        f"{RUNS}/notebooks/{{chapter}}.ipynb",
    threads: workflow.cores
    params:
        seed=SEED,
        layer=f"-p layer {LAYER}" if LAYER != "" else "",
        corpus=f"-r corpus '{CORPUS}'" if CORPUS else "",
        training_seeds=lambda wildcards: (
            f"-p training_seeds {TRAINING_SEEDS}" if TRAINING_SEEDS and wildcards.chapter in TRAINS else ""
        ),
    shell:
        "papermill {input.notebook} {output} --cwd . --kernel python3"
        " -r profile {PROFILE} -r scale {SCALE} -p seed {params.seed} {params.layer} {params.corpus}"
        " {params.training_seeds}"
