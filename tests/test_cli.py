"""Bad input on the command line: one clear line, a non-zero exit, nothing half-written."""

import signal
import subprocess
import sys

import pytest

from emolib import corpus


def emolib(*arguments):
    command = [sys.executable, "-c", "from emolib.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "--profile", "smollm-135m"], "error: no profile 'smollm-135m'; did you mean"),
        (["prepare", "--scale", "big"], "error: no scale 'big'"),
        (["prepare", "--layer", "x"], "error: layer must be a whole number"),
        (["publish", "--scale", "smoke"], "error: nothing was run"),
        (["corpus", "nowhere"], "error: no folder nowhere"),
    ],
)
def test_mistake_is_one_line_and_exit_one(arguments, message, tmp_path):
    run = emolib(*arguments)
    assert run.returncode == 1
    assert run.stderr.startswith(message)
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr + run.stdout
    assert not list(tmp_path.iterdir())


def test_profiles_lists_the_default_and_its_alternative():
    listed = emolib("profiles").stdout
    assert "smollm2-135m-instruct" in listed
    assert "hub" in listed


def test_corpus_passes_its_checks():
    run = emolib("corpus")
    assert run.returncode == 0
    assert run.stdout.endswith("0 problems\n")


def test_corpus_with_a_forbidden_word_exits_one(tmp_path):
    (tmp_path / "stories").mkdir()
    for path in (corpus.OWN / "stories").glob("*.jsonl"):
        text = path.read_text(encoding="utf-8")
        # The first story of every topic is about "afraid".
        (tmp_path / "stories" / path.name).write_text(
            text.replace('."}', ' in dread."}', 1), encoding="utf-8"
        )
    run = emolib("corpus", str(tmp_path))
    assert run.returncode == 1
    assert "story.afraid.meal text says 'dread', which names 'afraid'" in run.stdout


def test_ctrl_c_is_one_line_and_exit_130(tmp_path):
    """Interrupted while it reads; the stand-in for the reading is a long sleep."""
    code = (
        "import time; from emolib import cli, study; "
        "study.Study.prepare = lambda self: (print('reading', flush=True), time.sleep(60)); cli.main()"
    )
    command = [sys.executable, "-c", code, "prepare"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "reading\n"
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert said.startswith("stopped; what was finished is kept")
    assert said.count("\n") == 1
