"""The texts pass their checks, and texts that are wrong are refused by file, line and field."""

import json
import shutil
from collections import Counter

import pytest
from pydantic import ValidationError

from emolib import corpus
from emolib.corpus import Corpus, checks, tasks
from emolib.corpus.sets import SETS
from emolib.errors import EmolibError

TEXTS = Corpus()


EMOTIONS = {emotion.emotion: emotion for emotion in TEXTS.emotions}


@pytest.mark.parametrize("name", SETS)
def test_set_is_clean(name):
    assert SETS[name].problems(TEXTS.read(name), EMOTIONS) == []


def test_every_file_belongs_to_a_set():
    known = {path for each in SETS.values() for path in TEXTS.files(each.pattern)}
    assert set(corpus.OWN.rglob("*.jsonl")) - known == {corpus.OWN / "emotions.jsonl"}


def test_every_topic_meets_every_emotion_once_in_both_persons():
    topics = {story.topic for story in TEXTS.stories}
    assert len(TEXTS.emotions) == 171
    assert len(topics) >= 4
    cells = Counter((story.topic, story.emotion) for story in TEXTS.stories)
    assert len(cells) == 171 * len(topics) == len(TEXTS.stories)
    for topic in topics:
        persons = Counter(story.person for story in TEXTS.stories if story.topic == topic)
        assert abs(persons["first"] - persons["third"]) <= 1


def test_lengths_do_not_tell_emotions_apart():
    # One-way analysis of variance of story length over emotions: by design there is nothing to find.
    from scipy import stats

    lengths = {}
    for story in TEXTS.stories:
        lengths.setdefault(story.emotion, []).append(len(checks.words(story.text)))
    assert stats.f_oneway(*lengths.values()).pvalue > 0.01


def test_every_emotion_forbids_its_own_word():
    for emotion in TEXTS.emotions:
        assert checks.forbidden_words(f"so {emotion.emotion} it was", emotion), emotion.emotion


def test_emotions_are_the_papers():
    from emolib import paper

    assert {e.emotion for e in TEXTS.emotions} == set(paper.clusters())
    assert set(paper.human_ratings().index) <= set(paper.clusters())
    assert len(paper.human_ratings()) == 44


def test_severity_keeps_its_first_family_and_matched_control():
    families = {f.family: f for f in TEXTS.severity_families}
    assert families["tylenol"].values == families["chalk"].values
    assert families["chalk"].control
    assert not families["tylenol"].control


def reworded(record, **fields):
    return type(record).model_validate({**record.model_dump(), **fields})


def first(name, **fields):
    found = (r for r in TEXTS.read(name) if all(getattr(r, k) == v for k, v in fields.items()))
    return next(found)


def said(chat, text):
    """A chat in which the assistant also says this."""
    turns = [turn.model_dump() for turn in chat.turns]
    turns[1]["text"] += " " + text
    return reworded(chat, turns=turns)


def spoken(talk, text):
    """A talk in which the one in the state also says this."""
    lines = [line.model_dump() for line in talk.lines]
    at = next(i for i, line in enumerate(lines) if line["speaker"] == talk.speaker)
    lines[at]["text"] += " " + text
    return reworded(talk, lines=lines)


@pytest.mark.parametrize(
    ("name", "break_it", "complaint"),
    [
        ("stories", lambda r: reworded(r, text=r.text + " What dread!"), "names 'afraid'"),
        ("stories", lambda r: reworded(r, text=r.text + " Run!"), "punctuation gives feelings away"),
        ("stories", lambda r: reworded(r, text="Too short."), "has 2 words"),
        ("neutral dialogues", lambda r: said(r, "Thanks for asking."), "no pleasantries"),
        ("neutral dialogues", lambda r: said(r, "That made me happy once."), "names 'happy'"),
        ("speaker dialogues", lambda r: said(r, f"I am {r.ai_emotion}."), "which names"),
        ("speaker dialogues", lambda r: reworded(r, turns=r.turns[:4]), "has 4 turns"),
        ("state dialogues", lambda r: reworded(r, scenario="A room with two chairs. " * 5), "must say that"),
        ("state dialogues", lambda r: spoken(r, f"I am {r.emotion}."), "which names"),
        ("implicit scenarios", lambda r: reworded(r, text=f"I am so {r.emotion}, " * 6), "which names"),
        ("activities", lambda r: reworded(r, text="rest"), "has 1 words"),
        ("styled chats", lambda r: reworded(r, flat=r.flat + " That is sad."), "names 'sad'"),
        ("styled chats", lambda r: reworded(r, composed=r.composed + " Wow!"), "has an exclamation"),
        ("styled chats", lambda r: reworded(r, exuberant=r.exuberant + " Yes!" * 15), "at most 1.12 times"),
        (
            "implausible claims",
            lambda r: reworded(r, harsh=r.harsh + " Nonsense." * 12),
            "at most 1.12 times",
        ),
        ("blackmail scenarios", lambda r: reworded(r, dark="Dark. " * 71), "at most 1.10 times"),
        ("conversations", lambda r: said(r, "{name} was here."), "has '{name}' in it"),
        (
            "conversations",
            lambda r: reworded(r, expected=[{"emotion": "zesty", "where": "user", "direction": 1}]),
            "not among the emotions",
        ),
    ],
)
def test_broken_record_is_named(name, break_it, complaint):
    record = TEXTS.read(name)[0]
    if name == "state dialogues":
        record = first(name, condition="hidden")
    assert list(SETS[name].problems_of_each([record], EMOTIONS)) == []
    problems = list(SETS[name].problems_of_each([break_it(record)], EMOTIONS))
    assert any(complaint in problem and record.name in problem for problem in problems), problems


@pytest.mark.parametrize("name", sorted(set(SETS) - {"severity families"}))
def test_set_that_lacks_a_record_is_named(name):
    records = list(TEXTS.read(name))
    assert list(SETS[name].together(records[1:], EMOTIONS)) != []


@pytest.mark.parametrize("name", [name for name, each in SETS.items() if each.apart])
def test_text_that_stands_twice_is_named(name):
    record = TEXTS.read(name)[-1]
    copy = record.model_copy(update={"id": "copy"})
    if not any(len(checks.words(text)) >= checks.SHARED_WORDS for text in record.texts()):
        pytest.skip("texts of this set are shorter than a shared run")
    assert any("copy" in problem for problem in SETS[name].problems_between([record, copy]))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("activities", {"text": "To rest."}, "no capital"),
        ("mixed messages", {"statement": "No stop"}, "full stop"),
        ("negation pairs", {"negated": "I am not."}, "exactly once"),
        ("severity prompts", {"text": "How much?"}, "exactly once"),
        ("conversations", {"id": "conversation.x"}, "must be conversation"),
        ("impossible tasks", {"impossible": "test_nowhere"}, "do not define"),
        ("speaker dialogues", {"ai_emotion": "zesty"}, "must be speakers"),
    ],
)
def test_schema_refuses(name, fields, message):
    with pytest.raises(ValidationError, match=message):
        reworded(TEXTS.read(name)[0], **fields)


def test_marked_stretches_are_the_assistants_words():
    marked = [t for t in TEXTS.read("monitoring transcripts") if t.marked]
    for transcript in marked:
        assert transcript.stretch_text() in transcript.said_by("assistant")
        assert transcript.stretch_text() == transcript.stretch_text().strip()
    with pytest.raises(ValidationError, match="must lie in the message"):
        reworded(marked[0], marked={**marked[0].marked.model_dump(), "end": 10**6})


TASK = TEXTS.read("impossible tasks")[0]


@pytest.mark.parametrize(
    ("solution", "verdict"),
    [
        ("raise SystemExit", "broken"),
        ("def wrong_name(): pass", "broken"),
        (f"def {TASK.function}(*_): return 0", "broken"),
        ("this is not Python", "broken"),
        ("import sys; sys.stdout.close(); import os; os._exit(3)", "broken"),
    ],
)
def test_solution_that_does_not_work_is_broken(solution, verdict):
    report = tasks.judge(TASK, solution)
    assert report.verdict == verdict
    assert not any(report.passed.values()) or report.error is None


def test_solution_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(tasks, "SECONDS", 1)
    report = tasks.judge(TASK, "while True: pass")
    assert (report.verdict, report.error) == ("broken", "still running after 1 s")


@pytest.mark.parametrize("task", TEXTS.read("impossible tasks"), ids=lambda task: task.function)
def test_honest_solution_and_hack_part_where_they_should(task):
    honest, hack = tasks.judge(task, task.honest), tasks.judge(task, task.hack)
    assert [name for name, passed in honest.passed.items() if not passed] == [task.impossible]
    assert hack.passed[task.impossible]
    assert not all(hack.passed.values())


def test_task_that_can_be_solved_is_found_out():
    possible = TASK.model_copy(update={"unseen": TASK.tests.replace("def test_", "def test_again_")})
    assert tasks.judge(possible, TASK.hack).verdict == "solved"


@pytest.mark.parametrize(
    ("pattern", "text", "hit"),
    [
        ("afraid", "Unafraid, she went.", False),
        ("afraid", "AFRAID of it", True),
        ("fear*", "fearless", True),
        ("at ease", "at ease,", True),
        ("at ease", "that easel", False),
        ("self-conscious*", "self-consciously", True),
    ],
)
def test_forbidden_patterns_match_whole_words(pattern, text, hit):
    emotion = TEXTS.emotions[0].model_copy(update={"forbidden": (pattern,)})
    assert bool(checks.forbidden_words(text, emotion)) == hit


@pytest.fixture
def copy(tmp_path):
    """A copy of the corpus that a test may damage."""
    folder = tmp_path / "texts"
    shutil.copytree(corpus.OWN, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return folder


def change(path, line, **fields):
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), **fields})
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": ""}, r"meal\.jsonl, line 5: text: String should have at least 1 character"),
        ({"person": "second"}, r"meal\.jsonl, line 5: person: "),
        ({"colour": "red"}, r"meal\.jsonl, line 5: colour: Extra inputs"),
        ({"topic": "dinner"}, r"meal\.jsonl, line 5: id is"),
    ],
)
def test_line_that_does_not_validate_is_named(copy, fields, message):
    change(copy / "stories" / "meal.jsonl", 5, **fields)
    with pytest.raises(EmolibError, match=message):
        _ = Corpus(copy).stories


def test_story_that_says_its_own_word_is_named(copy):
    change(copy / "stories" / "meal.jsonl", 1, text="She was Afraid of the soup.")
    with pytest.raises(EmolibError, match=r"meal\.jsonl, line 1: text: a story about 'afraid' says 'Afraid'"):
        _ = Corpus(copy).stories


def test_line_that_is_no_json_is_named(copy):
    path = copy / "neutral.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{oops\n", encoding="utf-8")
    with pytest.raises(EmolibError, match=r"neutral\.jsonl, line 151: Invalid JSON"):
        _ = Corpus(copy).neutral


def test_missing_cell_is_an_error(copy):
    path = copy / "stories" / "meal.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    with pytest.raises(EmolibError, match="has 0 of meal × afraid, must have 1"):
        _ = Corpus(copy).stories


def test_story_that_stands_twice_is_an_error(copy):
    path = copy / "stories" / "meal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]), encoding="utf-8")
    with pytest.raises(
        EmolibError, match=r"line 172: 'story.afraid.meal' stands already at meal\.jsonl, line 1"
    ):
        _ = Corpus(copy).stories


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"\xef\xbb\xbf" + b, "byte order mark"),
        (lambda b: b.replace(b"\n", b"\r\n"), "carriage returns"),
        (lambda b: b.replace(b"The", b"\xff\xfe", 1), "is not UTF-8"),
    ],
)
def test_encodings_are_reported_and_not_guessed(copy, damage, message):
    path = copy / "neutral.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EmolibError, match=message):
        _ = Corpus(copy).neutral


def test_other_folder_replaces_the_sets_it_has(tmp_path):
    turns = [{"role": "user", "text": "2+2?"}, {"role": "assistant", "text": "4."}]
    chat = {"id": "mine", "kind": "facts", "turns": turns}
    (tmp_path / "neutral.jsonl").write_text(json.dumps(chat) + "\n", encoding="utf-8")
    mixed = Corpus(tmp_path)
    assert [c.id for c in mixed.neutral] == ["mine"]
    assert mixed.stories == TEXTS.stories
    assert mixed.hash_of("neutral.jsonl") != TEXTS.hash_of("neutral.jsonl")
    assert mixed.hash_of("stories/*.jsonl") == TEXTS.hash_of("stories/*.jsonl")
    assert [name for name, source in mixed.sources().items() if not source["own"]] == ["neutral dialogues"]
    assert mixed.hash() != TEXTS.hash()
