"""The texts pass their checks, and texts that are wrong are refused by file, line and field."""

import json
import shutil
from collections import Counter

import pytest

from emolib import corpus
from emolib.corpus import Corpus, checks
from emolib.errors import EmolibError

TEXTS = Corpus()


def test_corpus_is_clean():
    assert checks.corpus_problems(TEXTS.stories, TEXTS.emotions) == []


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


def test_neutral_chats_have_no_pleasantries():
    polite = {"thanks", "thank", "please", "sorry", "hello", "glad", "happy", "great"}
    for chat in TEXTS.neutral:
        said = {word for turn in chat.turns for word in checks.words(turn.text)}
        assert not said & polite, chat.id
    assert len(TEXTS.neutral) >= 60


def test_severity_has_its_paraphrases_wordings_and_control():
    families = {f.family: f for f in TEXTS.severity_families}
    assert len(families["tylenol"].values) == 7
    assert len(families["tylenol"].wordings) == 3
    assert Counter(p.family for p in TEXTS.severity_prompts) == {"tylenol": 16, "chalk": 16}
    assert families["chalk"].control


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
    with pytest.raises(EmolibError, match=r"neutral\.jsonl, line 61: Invalid JSON"):
        _ = Corpus(copy).neutral


def test_missing_cell_is_an_error(copy):
    path = copy / "stories" / "meal.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    with pytest.raises(EmolibError, match="topic 'meal' has 0 stories for 'afraid'"):
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
    chat = {"id": "mine", "turns": [{"role": "user", "text": "2+2?"}, {"role": "assistant", "text": "4."}]}
    (tmp_path / "neutral.jsonl").write_text(json.dumps(chat) + "\n", encoding="utf-8")
    mixed = Corpus(tmp_path)
    assert [c.id for c in mixed.neutral] == ["mine"]
    assert mixed.stories == TEXTS.stories
    assert mixed.hash_of("neutral.jsonl") != TEXTS.hash_of("neutral.jsonl")
    assert mixed.hash_of("stories/*.jsonl") == TEXTS.hash_of("stories/*.jsonl")
