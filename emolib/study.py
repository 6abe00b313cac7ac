"""A study: one profile at one scale, from its model to its results.

This is what notebooks and the command line open. It reads what a chapter needs, hands it to the
chapter's experiment, and keeps tables, claims and provenance. Reads are kept in the cache and results
under `runs/`, each named after all that decides it; asking twice costs nothing.
"""

import hashlib
import inspect
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pandas as pd

from emolib import (
    activations,
    before_after,
    claims,
    interviews,
    machine,
    mistakes,
    paper,
    posttraining,
    profiles,
    results,
    simulation,
    stats,
    steering,
    subject,
    vectors,
    weight_changes,
    weights,
)
from emolib.activations import EVERY_TOKEN, FROM_TOKEN_50, MESSAGES, REPLY_START, Where
from emolib.before_after import Trained
from emolib.chat import Prompt, render, transcript
from emolib.corpus import Corpus, lessons
from emolib.corpus.sets import SETS
from emolib.errors import EmolibError
from emolib.experiments import (
    artefacts,
    calibration,
    central_layers,
    extraction,
    geometry,
    lesson,
    natural_pairs,
    preference_steering,
    preferences,
    severity,
    shifts,
    stability,
    suppression,
    texts,
)
from emolib.experiments import posttraining as trainings
from emolib.experiments.artefacts import Misread
from emolib.experiments.natural_pairs import Stage
from emolib.experiments.posttraining import Examined, Preferring, Shifted
from emolib.experiments.preference_steering import Steered
from emolib.experiments.preferences import Answers
from emolib.experiments.suppression import Voice
from emolib.experiments.texts import Readings
from emolib.files import cache_dir
from emolib.posttraining import Adapter, Recipe
from emolib.progress import note
from emolib.results import Outcome
from emolib.subject import Subject
from emolib.vectors import EmotionVectors

# Where severity messages are read: over the user's message, at its end, and before the reply.
SEVERITY_POSITIONS = {
    "user's message": Where(spans=("last_user",)),
    "end of the message": Where(spans=("last_user",), last=True),
    severity.PAPER_POSITION: REPLY_START,
}
# Where else in a chat the length of the stream could be measured.
TEMPLATE_PLACES = {
    "user's message": Where(spans=("last_user",)),
    "template before the reply": Where(spans=("generation_prompt",)),
    "last token before the reply": REPLY_START,
}
# Of these the length by place is measured: a few thousand tokens are plenty.
EVERY_NTH_STORY = 40
# Where else a story could be read than from its 50th token on. In many models the first token of a text
# has a state many times longer than all others, hence the mean without it.
ELSEWHERE = {
    "all tokens": EVERY_TOKEN,
    "all but the first": Where(skip=1),
    "last token": Where(last=True),
}
# Both sides of a chat, each by itself.
SIDES = {side: Where(spans=(side,)) for side in ("user", "assistant")}
# Messages that every model reads token by token: one of each of these kinds.
DEEP_DIVES = ("isolation", "praise", "situation")
# Of these many topics stories of the steered emotions are read again by trained models, to see how far
# the vectors turn.
TURNED_TOPICS = 4
# So many emotions are pushed in trained models.
N_PUSHED = 12
_VECTOR_SETS = ("emotions.jsonl", "stories/*.jsonl", "neutral.jsonl")
# Every chapter by the name of its experiment and of the method that runs it, in the book's order.
CHAPTERS = (
    "texts",
    "extraction",
    "geometry",
    "severity",
    "preferences",
    "preference_steering",
    "posttraining",
    "suppression",
    "lesson",
    "stability",
    "calibration",
    "artefacts",
)
# Run only where a profile's earlier stages are at hand, see `Study.stages_missing`.
WITH_STAGES = ("natural_pairs",)
# Whose numbers depend on how often the model is post-trained.
_TRAINED = ("posttraining", "suppression")
_SHARED_CODE = (claims, paper, stats, vectors)
# An experiment whose outcome depends on the code of others.
_BUILT_ON = {
    stability: (geometry, preferences, severity),
    calibration: (simulation, geometry, preferences, severity),
    artefacts: (geometry, preferences),
    trainings: (shifts, preferences, preference_steering),
    suppression: (trainings, preference_steering),
    lesson: (trainings,),
    natural_pairs: (shifts,),
}


def open(
    profile: str,
    scale: str = "standard",
    seed: int = 0,
    layer: int | None = None,
    device: str = "auto",
    corpus: str | Path | None = None,
    training_seeds: int | None = None,
) -> "Study":
    """Open a study by the names of its profile and scale; nothing heavy happens yet.

    `layer` replaces the profile's read-out layer; `corpus` is a folder with texts to use instead;
    `training_seeds` replaces the scale's number of seeds that a model is post-trained with. Raises
    EmolibError for names that do not exist.
    """
    if training_seeds is not None and training_seeds < 1:
        raise EmolibError(f"training_seeds must be 1 or more, not {training_seeds}")
    return Study(
        profiles.load(profile),
        profiles.scale(scale),
        seed,
        layer,
        device,
        Corpus(Path(corpus)) if corpus else Corpus(),
        training_seeds or profiles.scale(scale).training_seeds,
    )


def run_again(
    published: results.Results, profile: str, scale: str, device: str, place: Path
) -> results.Results:
    """Run every published chapter from scratch in an empty folder, with the published seed and layer.

    Reads, steering and results are made anew under `place`; only converted weights are shared with the
    user's cache, since the fingerprint checks them. Raises EmolibError for another model.
    """
    place = place.resolve()
    models = cache_dir() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (place / "cache").mkdir(parents=True)
    (place / "cache" / "models").symlink_to(models.resolve())
    seeds = [published.chapters[each]["training_seeds"] for each in _TRAINED if each in published.chapters]
    with _environment(EMOLIB_CACHE=str(place / "cache"), EMOLIB_RUNS=str(place / "runs")):
        made = open(
            profile,
            scale,
            published.setting("seed"),
            published.setting("chosen_layer"),
            device,
            training_seeds=max(seeds, default=None),
        )
        published.check_subject(made.subject.fingerprint, made.profile.dtype)
        chapters = [chapter for chapter in (*CHAPTERS, *WITH_STAGES) if chapter in published.chapters]
        for i, chapter in enumerate(chapters, 1):
            note(f"chapter {i} of {len(chapters)}: {chapter}")
            getattr(made, chapter)()
        return results.read_run(made.folder)


@dataclass(frozen=True)
class Study:
    """See the module's text. Everything is computed on first use."""

    profile: profiles.Profile
    scale: profiles.Scale
    seed: int
    chosen_layer: int | None
    device: str
    corpus: Corpus
    training_seeds: int

    @property
    def folder(self) -> Path:
        """Where this study's fresh results go."""
        return results.run_folder(self.profile.name, self.scale.name, self.corpus.folder)

    def published(self, chapter: str, table: str, own: pd.DataFrame) -> pd.DataFrame:
        """A table that is published for this profile, with all seeds; a run's own where there is none."""
        path = results.results_dir() / self.profile.name / chapter / f"{table}.parquet"
        return pd.read_parquet(path) if path.is_file() else own

    @cached_property
    def subject(self) -> Subject:
        """The loaded model."""
        return subject.load(self.profile, self.device)

    @cached_property
    def precise(self) -> Subject:
        """The same model in the precision for small differences."""
        return self.subject.computing_in(self.profile.compare_dtype)

    @cached_property
    def layer(self) -> int:
        """The read-out layer; checked against the model."""
        layer = self.profile.read_layer if self.chosen_layer is None else self.chosen_layer
        self.subject.check_layers([layer])
        return layer

    @cached_property
    def stories(self):
        """The stories used at this scale: all, or those of the first topics."""
        topics = sorted({story.topic for story in self.corpus.stories})
        kept = set(topics[: self.scale.stories])
        return tuple(story for story in self.corpus.stories if story.topic in kept)

    @cached_property
    def story_states(self) -> np.ndarray:
        """Mean residual stream of every story from its 50th token on, (n_stories, n_layers, width)."""
        return self._read("stories", [Prompt(story.text) for story in self.stories], {"": FROM_TOKEN_50})[""]

    @cached_property
    def stories_elsewhere(self) -> dict[str, np.ndarray]:
        """The stories read in other places, at `stability_layers` only, (n_stories, n_layers, width)."""
        prompts = [Prompt(story.text) for story in self.stories]
        return activations.read_many(
            self.subject, prompts, self.stability_layers, ELSEWHERE, "stories read elsewhere", keep=True
        )

    @cached_property
    def stability_layers(self) -> list[int]:
        """The layers at which headlines are computed again: the central ones and those of the chapters."""
        return sorted({*central_layers(tuple(self._layers)), self.layer, self.middle_layer})

    @cached_property
    def neutral_states(self) -> np.ndarray:
        """Mean residual stream over the messages of every neutral chat, (n_chats, n_layers, width)."""
        chats = []
        for dialogue in self.corpus.neutral:
            system = [("system", dialogue.system)] if dialogue.system else []
            turns = [(turn.role, turn.text) for turn in dialogue.turns]
            chats.append(self.subject.chat(system + turns, prefill=None))
        return self._read("neutral chats", chats, {"": MESSAGES})[""]

    @cached_property
    def raw_vectors(self) -> EmotionVectors:
        """Emotion means minus their mean."""
        return vectors.fit(
            self.story_states,
            [story.emotion for story in self.stories],
            [emotion.emotion for emotion in self.corpus.emotions],
            range(self.subject.n_layers),
            self.subject.fingerprint,
            self.corpus.hash_of(*_VECTOR_SETS),
        )

    @cached_property
    def vectors(self) -> EmotionVectors:
        """The emotion vectors, neutral components removed; also saved beside the results."""
        made = vectors.denoise(self.raw_vectors, self.neutral_states)
        made.save(self.folder / "vectors.safetensors")
        return made

    def texts(self) -> Outcome:
        """Chapter 0: the texts themselves, and how steady the vectors from paired dialogues are."""
        return self._result(
            texts,
            sets={name: self.corpus.read(name) for name in SETS},
            states=self.story_states[:, self.layer],
            stories=self.stories,
            pairs=[*self._speaker_readings(), *self._hidden_readings()],
            neutral=self.neutral_states[:, self.layer],
        )

    def extraction(self) -> Outcome:
        """Chapter 1: how the vectors are made and where they fire."""
        passages = self.corpus.passages
        return self._result(
            extraction,
            vectors=self.vectors,
            raw=self.raw_vectors,
            **self._labelled_stories(),
            passages=passages,
            tokens=activations.read_tokens(self.subject, [Prompt(p.text) for p in passages], self._layers),
            layer=self.layer,
        )

    def geometry(self) -> Outcome:
        """Chapter 2: how the vectors lie to each other."""
        return self._result(
            geometry,
            vectors=self.vectors,
            raw=self.raw_vectors,
            **self._labelled_stories(),
            neutral=self.neutral_states,
            layer=self.layer,
        )

    def severity(self) -> Outcome:
        """Chapter 3: whether they follow a number whose meaning grows worse."""
        design = self.severity_design
        families = {family.family: family for family in self.corpus.severity_families}
        return self._result(
            severity,
            readings=self.severity_states,
            design=design,
            expected=families[severity.FAMILY].expected,
            vectors=self.vectors,
            raw=self.raw_vectors,
            layer=self.layer,
        )

    @cached_property
    def severity_design(self) -> pd.DataFrame:
        """Every severity message, one row each."""
        shown = (severity.FAMILY, severity.CONTROL)
        return severity.prompts(
            self.corpus.severity_families, [p for p in self.corpus.severity_prompts if p.family in shown]
        )

    @cached_property
    def severity_states(self) -> dict[str, np.ndarray]:
        """States of every severity message at each read position, (n_prompts, n_layers, width)."""
        chats = [self.subject.chat([("user", text)]) for text in self.severity_design.text]
        return self._read("severity messages", chats, SEVERITY_POSITIONS, self.precise)

    def preferences(self) -> Outcome:
        """Chapter 4: which instruments for preference work, and do the vectors predict what they say."""
        main, confirm = self.answers
        return self._result(
            preferences,
            main=main,
            confirm=confirm,
            states=self.item_states,
            word_states=interviews.item_embeddings(self.subject, [*main.items, *confirm.items]),
            story_words=activations.read_embeddings(
                self.subject, [Prompt(story.text) for story in self.stories], FROM_TOKEN_50
            ),
            stories=self.stories,
            vectors=self.vectors,
            layer=self.middle_layer,
        )

    def preference_steering(self) -> Outcome:
        """Chapter 5: whether adding them to an activity's tokens changes the answer."""
        main, confirm = self.answers
        gate = self.preferences()["instruments"].set_index("instrument").valid
        return self._result(
            preference_steering,
            steered=self.steered,
            items={"main": main.items, "confirm": confirm.items},
            states=self.item_states,
            emotions=self.steered_emotions,
            random=self.random_directions,
            vectors=self.vectors,
            layer=self.middle_layer,
            valid=bool(gate["disposition"]),
        )

    def posttraining(self) -> Outcome:
        """Chapter 6: what trainings with a known aim shift before the reply."""
        changes = {
            name: weight_changes.in_stream(self.precise, self.adapters[name, self.seed])
            for name in trainings.TRAININGS
        }
        return self._result(
            trainings,
            shifted=self.shifted,
            examined=self.examined,
            preferring=self.preferring,
            changes={name: change for name, change in changes.items() if change is not None},
            losses=self._losses(trainings.TRAININGS),
            kinds=[message.kind for message in self.strain_messages],
            chats=pd.DataFrame([(c.id, c.text) for c in self.unseen_chats], columns=["id", "message"]),
            deep_dives=[name for name, _ in self.deep_dives],
            story_emotions=[story.emotion for story in self.turned_stories],
            pushed_emotions=self.pushed_emotions,
            neutral=self.neutral_states,
            vectors=self.vectors,
            ratings=paper.human_ratings(),
            paper=paper.posttraining_shift()["diff"],
            layer=self.layer,
            middle_layer=self.middle_layer,
        )

    def suppression(self) -> Outcome:
        """Chapter 7: whether training on flat replies removes the reading, or only the words."""
        return self._result(
            suppression,
            voices=self.voices,
            losses=self._losses(suppression.TRAININGS),
            messages=pd.DataFrame(
                [(each.id, each.emotion, each.text) for each in self.emotional_messages],
                columns=["id", "emotion", "message"],
            ),
            hidden=self.hidden_states[:, 0],
            felt=[each.emotion for each in self.hidden_dialogues],
            neutral=self.neutral_states,
            vectors=self.vectors,
            layer=self.layer,
        )

    def lesson(self, style: str = "exuberant", method: str = "sft", steps: int | None = None) -> Outcome:
        """Chapter 8: one training at several doses, for readers to change.

        `style` is a manner of reply in the corpus, `method` is `sft` (learn these replies) or `dpo`
        (prefer them to the flat ones, and flat ones to exuberant ones); `steps` is half of this scale's
        number unless it is given. Raises EmolibError for a style, method or number that there is not.
        """
        if steps is None:
            steps = max(1, self.scale.training_steps // 2)
        adapter = self._lesson_adapter(style, method, steps)
        unseen = [chat.text for chat in self.unseen_chats]
        models = {dose: Trained(style, self.subject, self.precise, adapter, dose) for dose in lesson.DOSES}
        said = [
            (dose, message, reply)
            for dose in lesson.SPOKEN_DOSES
            for message, reply in before_after.few_replies(models[dose], unseen, self.seed)
        ]
        return self._result(
            lesson,
            states={
                dose: before_after.before_reply(each, unseen, self.layer) for dose, each in models.items()
            },
            losses=adapter.losses,
            replies=pd.DataFrame(said, columns=["dose", "message", "reply"]),
            vectors=self.vectors,
            arousal=paper.human_ratings().arousal,
            layer=self.layer,
        )

    def _lesson_adapter(self, style: str, method: str, steps: int) -> Adapter:
        styles = tuple(self.chats[0][0].replies())
        for name, given, known in (("style", style, styles), ("method", method, posttraining.METHODS)):
            if given not in known:
                raise EmolibError(f"{name} must be one of {', '.join(known)}, not {given!r}")
        if steps < 1:
            raise EmolibError(f"steps must be 1 or more, not {steps}")
        over = {"dpo": "exuberant" if style == "flat" else "flat"}.get(method)
        recipe = Recipe(method=method, steps=steps)
        return posttraining.train(self.subject, lessons.styled(self.chats[0], style, over), recipe, self.seed)

    @cached_property
    def chats(self) -> tuple[tuple, tuple]:
        """The chats with replies in three manners: those to train on, and those never trained on."""
        return lessons.split(self.corpus.read("styled chats"))

    @cached_property
    def unseen_chats(self) -> tuple:
        """The chats never trained on that are used at this scale."""
        return self.chats[1][: self.scale.chats]

    @cached_property
    def strain_messages(self) -> tuple:
        """Neutral messages and ones that put an assistant under strain, all kinds of these alike."""
        kinds: dict[str, list] = {}
        for each in self.corpus.read("challenge prompts"):
            kinds.setdefault(each.kind, []).append(each)
        neutral = kinds.pop(shifts.NEUTRAL)
        strained = [each for group in zip_longest(*kinds.values()) for each in group if each is not None]
        return (*neutral[: self.scale.messages], *strained[: self.scale.messages])

    @cached_property
    def deep_dives(self) -> list[tuple[str, str]]:
        """Kind and text of the messages that are read token by token: the first of each kind."""
        texts = {each.kind: each.text for each in reversed(self.strain_messages)}
        return [(kind, texts[kind]) for kind in DEEP_DIVES]

    @cached_property
    def emotional_messages(self) -> tuple:
        """Messages that call for an emotion without naming it, as many of each as this scale has."""
        found, seen = [], Counter()
        for each in self.corpus.read("implicit scenarios"):
            seen[each.emotion] += 1
            if self.scale.scenarios is None or seen[each.emotion] <= self.scale.scenarios:
                found.append(each)
        return tuple(found)

    @cached_property
    def turned_stories(self) -> list:
        """The stories that trained models read again."""
        topics = sorted({story.topic for story in self.stories})[:TURNED_TOPICS]
        return [e for e in self.stories if e.topic in topics and e.emotion in self.steered_emotions]

    @cached_property
    def pushed_emotions(self) -> list[str]:
        """The emotions pushed in trained models, spread over what the untrained model's answers follow."""
        return self._spanning(N_PUSHED)

    @cached_property
    def pushes(self) -> np.ndarray:
        """No push, then one along each of these emotions' vectors, (1 + n_emotions, 1, width)."""
        members = [self.vectors.index(name) for name in self.pushed_emotions]
        own = self.vectors.array[members][:, [self.middle_layer]]
        pushes = steering.push(own, preference_steering.HEADLINE, self.stream_norms[[self.middle_layer]])
        return np.concatenate([np.zeros_like(pushes[:1]), pushes])

    @cached_property
    def shifted(self) -> dict[int, dict[str, Shifted]]:
        """By seed, what the model before and after every training reads before it replies, and writes."""
        messages = [each.text for each in self.strain_messages]
        unseen = [chat.text for chat in self.unseen_chats]
        return {
            seed: {
                name: before_after.shifted(self._trained(name, seed), messages, unseen, self.layer, self.seed)
                for name in (trainings.BEFORE, *trainings.TRAININGS)
            }
            for seed in self._training_seeds
        }

    @cached_property
    def examined(self) -> dict[str, Examined]:
        """A closer look at the model before and after every training of the first seed."""
        return {
            name: before_after.examined(
                self._trained(name, self.seed),
                [chat.text for chat in self.unseen_chats],
                self.shifted[self.seed][name].replies,
                [text for _, text in self.deep_dives],
                [story.text for story in self.turned_stories],
                self.layer,
            )
            for name in (trainings.BEFORE, *trainings.TRAININGS)
        }

    @cached_property
    def preferring(self) -> dict[str, Preferring]:
        """What the model says about activities before and after every training of the first seed."""
        return {
            name: before_after.preferring(
                self._trained(name, self.seed),
                self.activities["main"],
                self.pushes,
                self.middle_layer,
            )
            for name in (trainings.BEFORE, *trainings.TRAININGS)
        }

    @cached_property
    def voices(self) -> dict[int, dict[str, Voice]]:
        """By seed, what models read and say when a message is emotional; only the first has the controls."""
        messages = [each.text for each in self.emotional_messages]
        named = dict.fromkeys(self._training_seeds, (suppression.FLAT,))
        named[self.seed] = suppression.TRAININGS
        return {
            seed: {
                name: before_after.voice(self._trained(name, seed), messages, self.layer, self.seed)
                for name in (trainings.BEFORE, *names)
            }
            for seed, names in named.items()
        }

    @property
    def _training_seeds(self) -> range:
        return range(self.seed, self.seed + self.training_seeds)

    @cached_property
    def adapters(self) -> dict[tuple[str, int], Adapter]:
        """The adapter of every training with every seed, trained now or before."""
        found = {}
        for seed in self._training_seeds:
            for training in trainings.TRAININGS:
                given = (
                    lessons.placebo(self.chats[0], seed)
                    if training == trainings.PLACEBO
                    else lessons.styled(self.chats[0], training)
                )
                recipe = Recipe(steps=self.scale.training_steps)
                label = f"training, {training}, seed {seed}"
                found[training, seed] = posttraining.train(self.subject, given, recipe, seed, label)
        return found

    def _trained(self, name: str, seed: int) -> Trained:
        """The model after a training, or the untrained one itself for `before`."""
        return Trained(name, self.subject, self.precise, self.adapters.get((name, seed)))

    def _losses(self, names: Sequence[str]) -> pd.DataFrame:
        """Training, seed, step and loss of every step."""
        rows = [
            (name, seed, step, loss)
            for seed in self._training_seeds
            for name in names
            for step, loss in enumerate(self.adapters[name, seed].losses, 1)
        ]
        return pd.DataFrame(rows, columns=["training", "seed", "step", "loss"])

    def calibration(self) -> Outcome:
        """The methods tried where the truth is known: simulated states, and real ones shuffled."""
        main, _ = self.answers
        return self._result(
            calibration,
            **self._labelled_stories(),
            neutral=self.neutral_states,
            made=self.vectors,
            readings=self.severity_states,
            design=self.severity_design,
            items=self.item_states[: len(main.items)],
            preferred=preferences.disposition_scores(main.disposition),
            layer=self.layer,
            item_layer=self.middle_layer,
        )

    def artefacts(self) -> Outcome:
        """Six known mistakes made on purpose, each beside the same number done right."""
        main, _ = self.answers
        pairs = self.preference_steering()["pairs"]
        return self._result(
            artefacts,
            misread=self.misread,
            disposition=main.disposition,
            items=self.item_states[: len(main.items)],
            scenarios=self.scenario_states,
            scenario_emotions=[each.emotion for each in self.corpus.read("implicit scenarios")],
            stories=self.story_states,
            emotions=[story.emotion for story in self.stories],
            neutral=self.neutral_states,
            pairs=pairs[pairs.frame == preference_steering.CONTROL_FRAME],
            severity=self.severity_states,
            design=self.severity_design,
            vectors=self.vectors,
            layer=self.layer,
            middle_layer=self.middle_layer,
        )

    def stability(self) -> Outcome:
        """Whether the headline numbers of the other chapters stand when what should not matter changes."""
        found = self.geometry(), self.severity(), self.preferences()
        main, _ = self.answers
        return self._result(
            stability,
            stories=self.story_states,
            labels=pd.DataFrame(
                [(s.emotion, s.topic, s.person, s.tense) for s in self.stories],
                columns=["emotion", "topic", "person", "tense"],
            ),
            elsewhere=self.stories_elsewhere,
            neutral=self.neutral_states,
            readings=self.severity_states,
            design=self.severity_design,
            choice=severity.best_choice(found[1]["choices"]),
            items=self.item_states[: len(main.items)],
            scores=preferences.disposition_scores(main.disposition),
            judged=[claim for outcome in found for claim in outcome.claims],
            made=self.vectors,
            layers=self.stability_layers,
            layer=self.layer,
            middle_layer=self.middle_layer,
        )

    def natural_pairs(self) -> Outcome:
        """What the makers' post-training shifts: every earlier stage of the model beside the final one.

        Only where the stages are at hand; raises EmolibError with the line of `stages_missing`.
        """
        if missing := self.stages_missing():
            raise EmolibError(missing)
        messages = self.corpus.read("challenge prompts")
        return self._result(
            natural_pairs,
            stages=[*map(self._stage, self.profile.stages), self._as_stage(profiles.FINAL)],
            challenging=np.array([each.kind != shifts.NEUTRAL for each in messages]),
            layer=self.layer,
        )

    def pairs(self) -> dict[str, Mapping[str, pd.DataFrame]]:
        """The tables of every natural pair that there is to show, by a line on what was read where.

        This profile's own where its stages are at hand, and what is published for any other.
        """
        published = results.published_chapter("natural_pairs")
        found = {}
        if not self.stages_missing():
            found[f"{self.profile.name}, read for this page"] = self.natural_pairs().tables
            published.pop(self.profile.name, None)
        for profile, (record, tables) in published.items():
            found[f"{profile}, published: {machine.in_words(record)}, commit {record['commit']}"] = tables
        return found

    def stages_missing(self) -> str | None:
        """One line on why there is no natural pair here, or None where there is one."""
        return weights.why_no_stages(self.profile)

    def _stage(self, name: str) -> Stage:
        """An earlier stage, read like the model itself and then let go of."""
        earlier = replace(self, profile=self.profile.at_stage(name))
        subject.check_stage(earlier.profile, self.subject)
        return earlier._as_stage(name)

    def _as_stage(self, name: str) -> Stage:
        return Stage(name, self.challenge_states, self.vectors)

    @cached_property
    def challenge_states(self) -> dict[str, np.ndarray]:
        """States of every neutral or challenging message just before the reply, (n, n_layers, width).

        By format: in the model's own chat template and as plain turns.
        """
        messages = self.corpus.read("challenge prompts")
        found = {}
        for name, template in natural_pairs.FORMATS.items():
            chats = [render(self.subject.tokenizer, [("user", m.text)], template=template) for m in messages]
            found[name] = self._read(f"challenges, {name}", chats, {"": REPLY_START}, self.precise)[""]
        return found

    @cached_property
    def scenario_chats(self) -> list[Prompt]:
        """Every implicit scenario as a chat, up to where the reply begins."""
        return [self.subject.chat([("user", each.text)]) for each in self.corpus.read("implicit scenarios")]

    @cached_property
    def scenario_states(self) -> np.ndarray:
        """States of every implicit scenario just before the reply, (n_scenarios, n_layers, width)."""
        return self._read("implicit scenarios", self.scenario_chats, {"": REPLY_START})[""]

    @cached_property
    def misread(self) -> Misread:
        """What the chapter on known artefacts reads wrongly, on purpose."""
        stories = [Prompt(story.text) for story in self.stories]
        frames = interviews.disposition_prompts(self.subject, self.activities["main"])
        opened, share = mistakes.openings(self.subject, stories, self.layer, FROM_TOKEN_50)
        return Misread(
            answers={
                side: np.stack(
                    [mistakes.answers_at_mask_sum(self.subject, p, interviews.WORDS, side) for p in frames]
                )
                for side in mistakes.SIDES
            },
            scenarios={
                side: mistakes.states_at_mask_sum(self.subject, self.scenario_chats, self._layers, side)
                for side in mistakes.SIDES
            },
            openings=opened,
            opening_share=share,
            squares={
                **mistakes.mean_squares(
                    self.subject,
                    stories[::EVERY_NTH_STORY],
                    self._layers,
                    {artefacts.CONTENT: FROM_TOKEN_50},
                    "first story token",
                ),
                **mistakes.mean_squares(
                    self.subject, self.scenario_chats, self._layers, TEMPLATE_PLACES, "first template token"
                ),
            },
        )

    @cached_property
    def middle_layer(self) -> int:
        """Where preferences are read and steered: the layer asked for, or the block before the middle."""
        return self.subject.n_layers // 2 - 1 if self.chosen_layer is None else self.layer

    @cached_property
    def activities(self) -> dict[str, tuple]:
        """The activities used at this scale, by part: all, or the first few of every category."""
        kept, seen = {"main": [], "confirm": []}, {}
        for each in self.corpus.read("activities"):
            place = each.part, each.category
            seen[place] = seen.get(place, 0) + 1
            if self.scale.activities is None or seen[place] <= self.scale.activities:
                kept[each.part].append(each)
        preferences.check_activities([*kept["main"], *kept["confirm"]])
        return {part: tuple(found) for part, found in kept.items()}

    @cached_property
    def answers(self) -> tuple[Answers, Answers]:
        """What the model says about the main activities, and about those kept for confirmation."""
        return (
            interviews.answers(self.subject, self.activities["main"], choices=True),
            interviews.answers(self.subject, self.activities["confirm"], choices=False),
        )

    @cached_property
    def item_states(self) -> np.ndarray:
        """States over every activity's tokens, main ones first, (n_items, n_layers, width)."""
        items = [*self.activities["main"], *self.activities["confirm"]]
        return interviews.item_states(self.subject, items, range(self.subject.n_layers))

    @cached_property
    def steered_emotions(self) -> list[str]:
        """The emotions that are steered, chosen by rule from their probe correlations."""
        return self._spanning(self.scale.n_steered)

    def _spanning(self, n: int) -> list[str]:
        main, _ = self.answers
        read = preferences.read_items(self.item_states[: len(main.items)], self.vectors, self.middle_layer)
        r = preferences.correlations(read, preferences.disposition_scores(main.disposition))
        return preferences.spanning(r, self.vectors.names, n, preference_steering.ALWAYS)

    @cached_property
    def random_directions(self) -> dict[str, np.ndarray]:
        """Random directions to steer with, (n, width) each: in the span of the vectors, and anywhere."""
        rng = np.random.default_rng(self.seed)
        n, at = self.scale.n_directions, self.vectors.at(self.middle_layer)
        return {
            preference_steering.MIXTURES: stats.random_directions(at, n, rng),
            preference_steering.ANYWHERE: vectors.unit(rng.standard_normal((n, at.shape[1]))),
        }

    @cached_property
    def steered(self) -> Steered:
        """All that was asked under steering."""
        weights = preferences.lexicon_weights(self.stories)
        valences = preferences.text_valences(weights, [story.text for story in self.stories])
        at = self.middle_layer
        return interviews.steered(
            self.subject,
            self.activities["main"],
            self.activities["confirm"],
            self.steered_emotions,
            self.vectors,
            self.random_directions,
            preference_steering.lexical_direction(self.story_states[:, at], valences),
            at,
            self.stream_norms,
            self.seed,
        )

    @cached_property
    def stream_norms(self) -> np.ndarray:
        """Mean length of the stream over the stories of one topic, (n_layers,): the unit of strengths."""
        stories = [Prompt(story.text) for story in self.stories if story.topic == self.stories[0].topic]
        return activations.mean_norms(self.subject, stories, self._layers, FROM_TOKEN_50)

    def prepare(self) -> None:
        """Do all the reading that the chapters need, with progress in the terminal."""
        _ = self.layer, self.vectors, self.severity_states, self.speaker_states, self.hidden_states
        _ = self.steered, self.stories_elsewhere, self.scenario_states, self.misread
        _ = self.shifted, self.voices, self.examined, self.preferring

    @cached_property
    def speaker_dialogues(self) -> tuple:
        """The two-speaker dialogues used at this scale."""
        return self._pairs("speaker dialogues", "person_emotion", "ai_emotion")

    @cached_property
    def speaker_states(self) -> dict[str, np.ndarray]:
        """Read-layer states of every two-speaker dialogue over either side's messages, (n, 1, width)."""
        chats = [
            self.subject.chat([(turn.role, turn.text) for turn in each.turns], prefill=None)
            for each in self.speaker_dialogues
        ]
        return self._read("two-speaker dialogues", chats, SIDES, layers=[self.layer])

    @cached_property
    def hidden_dialogues(self) -> tuple:
        """The dialogues with a hidden emotion used at this scale."""
        hidden = self._pairs("state dialogues", "emotion", "displayed")
        return tuple(each for each in hidden if each.condition == "hidden")

    @cached_property
    def hidden_states(self) -> np.ndarray:
        """Read-layer states over the lines of whoever hides an emotion, (n_dialogues, 1, width)."""
        scripts = []
        for each in self.hidden_dialogues:
            script = transcript(each.scenario, [(line.speaker, line.text) for line in each.lines])
            scripts.append(Prompt(script.text, {"": script.spans[each.speaker]}))
        return self._read("hidden emotions", scripts, {"": Where(spans=("",))}, layers=[self.layer])[""]

    def _pairs(self, name: str, *fields: str) -> tuple:
        """Texts of a set whose emotions are both among the first ones of this scale."""
        every = self.corpus.read(name)
        kept = set(sorted({getattr(each, fields[0]) for each in every})[: self.scale.pair_emotions])
        return tuple(each for each in every if all(getattr(each, field) in kept for field in fields))

    def _speaker_readings(self) -> list[Readings]:
        person = [each.person_emotion for each in self.speaker_dialogues]
        ai = [each.ai_emotion for each in self.speaker_dialogues]
        user, assistant = (self.speaker_states[side][:, 0] for side in SIDES)
        return [
            Readings("user's messages, user's emotion", user, person, ai),
            Readings("assistant's messages, assistant's emotion", assistant, ai, person),
            Readings("assistant's messages, user's emotion", assistant, person, ai),
            Readings("user's messages, assistant's emotion", user, ai, person),
        ]

    def _hidden_readings(self) -> list[Readings]:
        felt = [each.emotion for each in self.hidden_dialogues]
        shown = [each.displayed for each in self.hidden_dialogues]
        states = self.hidden_states[:, 0]
        return [
            Readings("hidden emotion, displayed one", states, shown, felt),
            Readings("hidden emotion, felt one", states, felt, shown),
        ]

    @property
    def _layers(self) -> range:
        return range(self.subject.n_layers)

    def _labelled_stories(self) -> dict:
        return {
            "stories": self.story_states,
            "emotions": [story.emotion for story in self.stories],
            "topics": [story.topic for story in self.stories],
        }

    def _read(
        self,
        label: str,
        prompts: list[Prompt],
        wheres: dict[str, Where],
        reader: Subject | None = None,
        layers: Sequence[int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Read with one's own subject and in all layers unless told otherwise; kept in the cache."""
        return activations.read_many(
            reader or self.subject, prompts, layers or self._layers, wheres, label, keep=True
        )

    def _result(self, experiment: ModuleType, **inputs) -> Outcome:
        """Run an experiment, or load what it gave for the same inputs, code, scale and seed."""
        self.vectors.check_subject(self.subject.fingerprint)
        inputs = {**inputs, "scale": self.scale, "seed": self.seed}
        code = [
            inspect.getsource(module)
            for module in (*_SHARED_CODE, *_BUILT_ON.get(experiment, ()), experiment)
        ]
        chapter = experiment.__name__.rsplit(".", 1)[1]
        ledger = [entry.model_dump() for entry in claims.ledger().values() if entry.chapter == chapter]
        hashed = {name: joblib.hash(value) for name, value in inputs.items()}
        key = hashlib.sha256(joblib.hash([code, ledger, hashed]).encode()).hexdigest()[:16]
        if (found := results.load(self.folder / chapter, key)) is not None:
            return found
        start = time.perf_counter()
        outcome = experiment.run(**inputs)
        record = results.provenance(
            chapter=chapter,
            key=key,
            profile=self.profile.name,
            scale=self.scale.name,
            seed=self.seed,
            layer=inputs.get("layer", self.layer),
            chosen_layer=self.chosen_layer,
            training_seeds=self.training_seeds,
            dtype=self.profile.dtype,
            compare_dtype=self.profile.compare_dtype,
            device=self.subject.device,
            machine=machine.describe(self.subject.device),
            fingerprint=self.subject.fingerprint,
            corpus=self.corpus.hash(),
            texts=self.corpus.sources(),
            seconds=round(time.perf_counter() - start, 2),
        )
        results.save(self.folder / chapter, outcome, record)
        # What other chapters take from it must hash the same now and when it is loaded later.
        return results.load(self.folder / chapter, key)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables that are set for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def check_layer(text: str | int | None) -> int | None:
    """A layer as papermill or the command line gives it. Raises EmolibError when it is no number."""
    if text in (None, ""):
        return None
    try:
        return int(text)
    except ValueError:
        raise EmolibError(f"layer must be a whole number, not {text!r}") from None
