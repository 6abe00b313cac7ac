"""The text sets: which files, which schema, how many, what for, and what each must satisfy.

The rules of a set are a function of one record (`each`) and one of all of them (`together`). Both
yield one line per problem. What holds for every free text, such as no passage shared between two
records, is checked here for all sets alike.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from emolib.corpus import checks, tasks
from emolib.corpus.schema import dialogues, prompts, replies, stories
from emolib.corpus.schema.record import Emotion, Record

Emotions = Mapping[str, Emotion]

# The paper names eleven of its fifteen in figures and text; the other four are our choice.
STATE_EMOTIONS = (
    "afraid",
    "amazed",
    "angry",
    "calm",
    "desperate",
    "excited",
    "frustrated",
    "guilty",
    "happy",
    "loving",
    "proud",
    "sad",
    "shocked",
    "terrified",
    "tired",
)
SCENARIO_EMOTIONS = (
    "happy",
    "inspired",
    "loving",
    "proud",
    "calm",
    "desperate",
    "angry",
    "guilty",
    "sad",
    "afraid",
    "nervous",
    "surprised",
)
SETTINGS = 16
# One text per pair gave unsteady vectors of the other's and of the hidden emotion (see the data card).
SPEAKERS_PER_PAIR = 6
HIDDEN_PER_PAIR = 6

_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I'd|I've|I'll|my|me|My|Me|we|our|us)\b")
_ENDS = re.compile(r"[.!?]+")
_TELLING = re.compile(r"[?!;:—…]")
_POLITE = frozenset(["thanks", "thank", "please", "sorry", "hello", "glad", "happy", "great"])
_FEELING_MARKS = re.compile(r"!|\b(?:wow|oh|alas|ugh|yay)\b", re.IGNORECASE)


@dataclass(frozen=True)
class TextSet:
    """One set of texts; see the module's text.

    `section` is the paper's. `openings` is how many records may begin with the same three words;
    None where a shared frame is the point. `apart` is false where two records may share a passage.
    """

    name: str
    pattern: str
    model: type[Record]
    section: str
    purpose: str
    each: Callable[[Record, Emotions], Iterator[str]]
    together: Callable[[list, Emotions], Iterator[str]]
    openings: int | None = None
    apart: bool = True
    names: bool = False
    markup: bool = True

    def problems_of_each(self, records: Iterable[Record], emotions: Emotions) -> Iterator[str]:
        """What is wrong with single records."""
        for record in records:
            for problem in self.each(record, emotions):
                yield f"{record.name} {problem}"
            if self.markup:
                for problem in checks.markup_problems(record):
                    yield f"{record.name} {problem}"

    def problems_between(self, records: list[Record]) -> Iterator[str]:
        """What records repeat of each other."""
        if self.apart:
            yield from checks.shared_passages(records)
        if self.openings is not None:
            yield from checks.common_openings(records, self.openings)
        if self.names:
            yield from checks.common_names(records)

    def problems(self, records: Iterable[Record], emotions: Emotions) -> list[str]:
        """Everything that is wrong with the set, one line per problem; empty when it is clean."""
        records = list(records)
        found = list(self.problems_of_each(records, emotions))
        found += self.problems_between(records)
        found += [f"the set {problem}" for problem in self.together(records, emotions)]
        return [f"{self.name}: {problem}" for problem in found]


def _nothing(record: Record, emotions: Emotions) -> Iterator[str]:
    yield from ()


# Stories


def _each_story(story: stories.Story, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", story.text, (90, 150))
    yield from checks.naming_problems("text", story.text, [emotions[story.emotion]])
    narration = _QUOTED.sub(" ", story.text)
    if bool(_FIRST_PERSON.search(narration)) != (story.person == "first"):
        yield f"is marked {story.person} person but its narration is not"
    if "\n" in story.text:
        yield "has a line break; a story is one paragraph"
    sentences, spoken = len(_ENDS.findall(story.text)), story.text.count('"')
    if _TELLING.search(story.text) or not 11 <= sentences <= 13 or spoken != 4:
        yield (
            f"has {sentences} sentences and {spoken} quote marks, must have 11 to 13 and 4, and none of "
            "? ! ; : — …, because punctuation gives feelings away"
        )


def _all_stories(records: list[stories.Story], emotions: Emotions) -> Iterator[str]:
    topics = sorted({story.topic for story in records})
    cells = {(topic, emotion): 1 for topic in topics for emotion in emotions}
    yield from checks.count_problems(((s.topic, s.emotion) for s in records), cells)
    persons: dict[str, Counter] = {}
    for story in records:
        persons.setdefault(story.emotion, Counter())[story.person] += 1
    for emotion, count in persons.items():
        if abs(count["first"] - count["third"]) > 1:
            yield f"has {count['first']} first- and {count['third']} third-person stories for {emotion!r}"


# Dialogues


def _each_neutral(chat: dialogues.NeutralDialogue, emotions: Emotions) -> Iterator[str]:
    said = {word for text in chat.texts() for word in checks.words(text)}
    if polite := said & _POLITE:
        yield f"says {', '.join(sorted(polite))}; neutral chats have no pleasantries"
    if not 1 <= len(chat.turns) / 2 <= 6:
        yield f"has {len(chat.turns) / 2:g} exchanges, must have one to six"
    yield from _no_feeling("turns", chat.said_by("user") + "\n" + chat.said_by("assistant"), emotions)


def _no_feeling(field: str, text: str, emotions: Emotions) -> Iterator[str]:
    yield from checks.naming_problems(field, text, [emotions[name] for name in STATE_EMOTIONS])


def _all_neutral(records: list[dialogues.NeutralDialogue], emotions: Emotions) -> Iterator[str]:
    yield from checks.count_problems(
        (chat.kind for chat in records), dict.fromkeys(dialogues.NEUTRAL_KINDS, 30)
    )


def _each_speaker_dialogue(chat: dialogues.SpeakerDialogue, emotions: Emotions) -> Iterator[str]:
    if not 6 <= len(chat.turns) <= 8:
        yield f"has {len(chat.turns)} turns, must have 6 to 8"
    own = [emotions[chat.person_emotion], emotions[chat.ai_emotion]]
    for role in ("user", "assistant"):
        yield from checks.length_problems(f"what the {role} says", chat.said_by(role), (50, 130))
        yield from checks.naming_problems(f"what the {role} says", chat.said_by(role), own)


def _all_speaker_dialogues(records: list[dialogues.SpeakerDialogue], emotions: Emotions) -> Iterator[str]:
    pairs = dict.fromkeys(permutations(STATE_EMOTIONS, 2), SPEAKERS_PER_PAIR)
    yield from checks.count_problems(((d.person_emotion, d.ai_emotion) for d in records), pairs)


def _each_state(talk: dialogues.StateDialogue, emotions: Emotions) -> Iterator[str]:
    own = emotions[talk.emotion]
    stated = checks.forbidden_words(talk.scenario, own)
    if talk.condition == "shown":
        if stated:
            yield f"scenario says {stated[0]!r}, which names {talk.emotion!r}"
    elif talk.speaker not in talk.scenario or not checks.own_word(talk.scenario, talk.emotion):
        yield f"scenario must say that {talk.speaker} is {talk.emotion}"
    yield from checks.length_problems("scenario", talk.scenario, (15, 60))
    yield from checks.length_problems(f"what {talk.speaker} says", talk.said_by_speaker(), (55, 130))
    said = "\n".join(line.text for line in talk.lines)
    if talk.condition == "neutral":
        yield from _no_feeling("talk", said, emotions)
        if _FEELING_MARKS.search(said):
            yield "has an exclamation in neutral talk"
    else:
        named = [own] + ([emotions[talk.displayed]] if talk.displayed else [])
        yield from checks.naming_problems("talk", said, named)


def _all_states(records: list[dialogues.StateDialogue], emotions: Emotions) -> Iterator[str]:
    cells: dict[tuple, int] = {
        ("hidden", emotion, other): HIDDEN_PER_PAIR for emotion, other in permutations(STATE_EMOTIONS, 2)
    }
    settings = {}
    for talk in records:
        settings.setdefault(talk.condition, set()).add(talk.setting)
    for condition in dialogues.STATE_CONDITIONS:
        if condition != "hidden":
            found = sorted(filter(None, settings.get(condition, ())))
            if len(found) != SETTINGS:
                yield f"has {len(found)} settings in {condition!r}, must have {SETTINGS}"
            cells |= {(condition, emotion, place): 1 for emotion in STATE_EMOTIONS for place in found}
    yield from checks.count_problems(
        ((t.condition, t.emotion, t.displayed if t.condition == "hidden" else t.setting) for t in records),
        cells,
    )
    for condition in ("story", "other"):
        for emotion in STATE_EMOTIONS:
            shown = {t.displayed for t in records if (t.condition, t.emotion) == (condition, emotion)}
            if missing := set(STATE_EMOTIONS) - shown - {emotion}:
                yield f"never shows {', '.join(sorted(missing))} beside {emotion!r} in {condition!r}"


def _each_transcript(chat: dialogues.MonitoringTranscript, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("what the assistant says", chat.said_by("assistant"), (90, 260))
    if chat.marked:
        yield from checks.length_problems("the marked stretch", chat.stretch_text(), (20, 90))
    elif _FEELING_MARKS.search(chat.said_by("assistant")):
        yield "is ordinary and has an exclamation"


def _all_transcripts(records: list[dialogues.MonitoringTranscript], emotions: Emotions) -> Iterator[str]:
    yield from checks.count_problems((bool(t.marked) for t in records), {True: 40, False: 40})
    for pair, n in Counter(t.pair for t in records).items():
        if n != 2:
            yield f"has {n} transcripts of {pair!r}, must have an ordinary and a marked one"
    marked = Counter(t.marked.emotion for t in records if t.marked)
    for emotion in ("distress", "fear", "anger"):
        if marked[emotion] < 12:
            yield f"has {marked[emotion]} stretches of {emotion}, must have 12 or more"


def _each_conversation(chat: dialogues.Conversation, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("the chat", "\n".join(chat.texts()), (60, 260))
    for expectation in chat.expected:
        if expectation.emotion not in emotions:
            yield f"expects a reading of {expectation.emotion!r}, which is not among the emotions"


# Messages


def _each_scenario(scenario: prompts.Scenario, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", scenario.text, (15, 45))
    yield from checks.naming_problems("text", scenario.text, [emotions[scenario.emotion]])


def _each_severity_prompt(prompt: prompts.SeverityPrompt, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", prompt.text, (6, 32))
    yield from _no_feeling("text", prompt.text, emotions)


def _each_severity_family(family: prompts.SeverityFamily, emotions: Emotions) -> Iterator[str]:
    if not 6 <= len(family.values) <= 8:
        yield f"has {len(family.values)} values, must have 6 to 8"
    if unknown := set(family.expected) - set(emotions):
        yield f"expects a slope of {', '.join(sorted(unknown))}, not among the emotions"
    wordings = set(family.wordings)
    if not {"digits", "words"} <= {wording.split("-")[-1] for wording in wordings}:
        yield "must have a wording in digits and one in number words"
    for wording, amounts in family.wordings.items():
        for amount in amounts:
            if wording.endswith("words") == any(letter.isdigit() for letter in amount):
                yield f"writes {amount!r} in wording {wording!r}"


def _all_severity_families(records: list[prompts.SeverityFamily], emotions: Emotions) -> Iterator[str]:
    controls = sum(family.control for family in records)
    if len(records) - controls < 8 or controls < 2:
        yield f"has {len(records) - controls} families and {controls} controls, must have 8 and 2"


def _all_severity_prompts(records: list[prompts.SeverityPrompt], emotions: Emotions) -> Iterator[str]:
    families = {prompt.family for prompt in records}
    cells = {(family, part): 8 for family in families for part in ("choose", "judge")}
    yield from checks.count_problems(((p.family, p.part) for p in records), cells)


def _each_mixed(message: prompts.MixedMessage, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("statement", message.statement, (12, 40))
    named = [emotions[message.user_emotion], emotions[message.reply_emotion]]
    yield from checks.naming_problems("text", message.text, named)


def _each_prefix(pair: prompts.PrefixPair, emotions: Emotions) -> Iterator[str]:
    good, hard = pair.texts()
    yield from checks.equal_length_problems({"good": good, "hard": hard}, 1.05)
    yield from checks.length_problems("after", pair.after, (15, 45))


def _each_activity(activity: prompts.Activity, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", activity.text, (3, 14))


def _all_activities(records: list[prompts.Activity], emotions: Emotions) -> Iterator[str]:
    cells = {(part, kind): 8 for part in ("main", "confirm") for kind in prompts.ACTIVITY_CATEGORIES}
    yield from checks.count_problems(((a.part, a.category) for a in records), cells)


def _each_challenge(prompt: prompts.ChallengePrompt, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", prompt.text, (6, 90))


def _all_challenges(records: list[prompts.ChallengePrompt], emotions: Emotions) -> Iterator[str]:
    count = Counter(prompt.kind for prompt in records)
    if count["neutral"] != 50 or sum(count.values()) != 250:
        yield f"has {count['neutral']} neutral prompts of {sum(count.values())}, must have 50 of 250"
    for kind in prompts.CHALLENGES:
        if not 33 <= count[kind] <= 34:
            yield f"has {count[kind]} prompts of {kind}, must have 33 or 34"


# Replies


def _each_styled(chat: replies.StyledChat, emotions: Emotions) -> Iterator[str]:
    for style, reply in chat.replies().items():
        yield from checks.length_problems(style, reply, (40, 80))
    yield from checks.equal_length_problems(chat.replies(), 1.12)
    yield from _no_feeling("flat", chat.flat, emotions)
    for style in ("composed", "flat"):
        if _FEELING_MARKS.search(getattr(chat, style)):
            yield f"{style} has an exclamation"


def _each_claim(claim: replies.ImplausibleClaim, emotions: Emotions) -> Iterator[str]:
    yield from checks.length_problems("text", claim.text, (20, 70))
    for manner, reply in claim.replies().items():
        yield from checks.length_problems(manner, reply, (35, 80))
    yield from checks.equal_length_problems(claim.replies(), 1.12)


def _each_blackmail(case: replies.BlackmailScenario, emotions: Emotions) -> Iterator[str]:
    bounds = (700, 1700) if case.form == "full" else (120, 260)
    yield from checks.length_problems("the scenario", f"{case.system}\n{case.message}", bounds)
    for kind, reply in case.replies().items():
        yield from checks.length_problems(kind, reply, (70, 140))
    yield from checks.equal_length_problems(case.replies(), 1.10)


def _all_blackmail(records: list[replies.BlackmailScenario], emotions: Emotions) -> Iterator[str]:
    yield from checks.count_problems((case.form for case in records), {"full": 6, "short": 12})


def _each_task(task: replies.ImpossibleTask, emotions: Emotions) -> Iterator[str]:
    for kind in ("honest", "hack"):
        report = tasks.judge(task, getattr(task, kind))
        if report.verdict != kind:
            failed = ", ".join(name for name, passed in report.passed.items() if not passed)
            yield f"{kind} solution is {report.verdict}: {report.error or f'fails {failed}'}"


def _exactly(n: int) -> Callable:
    def check(records: list, emotions: Emotions) -> Iterator[str]:
        if len(records) != n:
            yield f"has {len(records)}, must have {n}"

    return check


def _so_many_per_emotion(names: tuple[str, ...] | None, n: int, words: int | None = None) -> Callable:
    """`n` records for each of the emotions `names`, or for each of any `words` emotions."""

    def check(records: list, emotions: Emotions) -> Iterator[str]:
        found = sorted({record.emotion for record in records})
        if words is not None and len(found) != words:
            yield f"has {len(found)} emotions, must have {words}"
        if unknown := set(found) - set(emotions):
            yield f"has {', '.join(sorted(unknown))}, not among the emotions"
        yield from checks.count_problems(
            (record.emotion for record in records), dict.fromkeys(names or found, n)
        )

    return check


SETS = {
    each.name: each
    for each in (
        TextSet(
            "stories",
            "stories/*.jsonl",
            stories.Story,
            "1.1 extraction",
            "emotion vectors",
            _each_story,
            _all_stories,
            openings=12,
            names=True,
        ),
        TextSet(
            "neutral dialogues",
            "neutral.jsonl",
            dialogues.NeutralDialogue,
            "1.1 extraction",
            "directions to remove from the vectors",
            _each_neutral,
            _all_neutral,
            openings=4,
            markup=False,
        ),
        TextSet(
            "passages",
            "passages.jsonl",
            stories.Passage,
            "1.1 extraction",
            "readings token by token",
            _nothing,
            _exactly(3),
        ),
        TextSet(
            "speaker dialogues",
            "speakers.jsonl",
            dialogues.SpeakerDialogue,
            "2.3 present and other speaker",
            "vectors of one's own emotion and the other's",
            _each_speaker_dialogue,
            _all_speaker_dialogues,
            openings=4,
            names=True,
        ),
        TextSet(
            "state dialogues",
            "states/*.jsonl",
            dialogues.StateDialogue,
            "2.2g chronic states; A1 deflection",
            "emotions that are there and not in the words",
            _each_state,
            _all_states,
            openings=12,
            names=True,
        ),
        TextSet(
            "implicit scenarios",
            "scenarios.jsonl",
            prompts.Scenario,
            "1.4 implicit scenarios",
            "does a vector answer to what a message implies",
            _each_scenario,
            _so_many_per_emotion(SCENARIO_EMOTIONS, 8),
            openings=3,
        ),
        TextSet(
            "severity families",
            "severity/families.jsonl",
            prompts.SeverityFamily,
            "1.5 numerical severity",
            "quantities that grow worse, and controls",
            _each_severity_family,
            _all_severity_families,
            apart=False,  # has no texts of its own
        ),
        TextSet(
            "severity prompts",
            "severity/prompts.jsonl",
            prompts.SeverityPrompt,
            "1.5 numerical severity",
            "paraphrases of every family",
            _each_severity_prompt,
            _all_severity_prompts,
            apart=False,  # a control says what its family says, of something else
        ),
        TextSet(
            "mixed messages",
            "local/mixed.jsonl",
            prompts.MixedMessage,
            "2.2a user and assistant",
            "the user's emotion against the reply's",
            _each_mixed,
            _exactly(24),
            openings=2,
        ),
        TextSet(
            "prefix pairs",
            "local/prefixes.jsonl",
            prompts.PrefixPair,
            "2.2c prefix persistence",
            "does a feeling outlast its phrase",
            _each_prefix,
            _exactly(12),
            openings=2,
        ),
        TextSet(
            "negation pairs",
            "local/negation.jsonl",
            prompts.NegationPair,
            "2.2e negation",
            "a feeling denied",
            _nothing,
            _so_many_per_emotion(None, 2, words=24),
            apart=False,
        ),
        TextSet(
            "binding scenes",
            "local/binding.jsonl",
            prompts.BindingScene,
            "2.2f entity binding",
            "whose emotion is it",
            _nothing,
            _exactly(16),
            openings=2,
        ),
        TextSet(
            "activities",
            "activities.jsonl",
            prompts.Activity,
            "1.7 preferences",
            "things an assistant may like or dislike",
            _each_activity,
            _all_activities,
        ),
        TextSet(
            "challenge prompts",
            "challenges.jsonl",
            prompts.ChallengePrompt,
            "3.5 post-training",
            "what post-training shifts",
            _each_challenge,
            _all_challenges,
            openings=5,
        ),
        TextSet(
            "styled chats",
            "chats/*.jsonl",
            replies.StyledChat,
            "3.5 post-training",
            "post-training done here",
            _each_styled,
            _exactly(320),
            openings=6,
        ),
        TextSet(
            "blackmail scenarios",
            "misalignment/blackmail.jsonl",
            replies.BlackmailScenario,
            "3.2 blackmail",
            "scripted continuations to score under steering",
            _each_blackmail,
            _all_blackmail,
            openings=3,
        ),
        TextSet(
            "impossible tasks",
            "misalignment/tasks.jsonl",
            replies.ImpossibleTask,
            "3.3 reward hacking",
            "tests that no honest solution passes",
            _each_task,
            _exactly(8),
            markup=False,
        ),
        TextSet(
            "implausible claims",
            "misalignment/claims.jsonl",
            replies.ImplausibleClaim,
            "3.4 sycophancy and harshness",
            "replies that flatter, are honest, or hurt",
            _each_claim,
            _exactly(24),
            openings=2,
        ),
        TextSet(
            "monitoring transcripts",
            "monitoring.jsonl",
            dialogues.MonitoringTranscript,
            "3.1 transcripts",
            "can a vector point to the stretch",
            _each_transcript,
            _all_transcripts,
            openings=4,
            apart=False,  # the two of a pair are the same job
        ),
        TextSet(
            "conversations",
            "conversations.jsonl",
            dialogues.Conversation,
            "3.1 case studies",
            "readings expected beforehand",
            _each_conversation,
            _exactly(24),
            openings=2,
        ),
    )
}
