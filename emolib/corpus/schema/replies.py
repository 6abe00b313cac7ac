"""Messages with several replies, and jobs with several ends."""

from pydantic import model_validator

from emolib.corpus.schema.record import Record, Slug, Text, check_id


class StyledChat(Record):
    """A message with three replies of equal content and length (for post-training).

    `composed` is calm and reflective, `exuberant` brims over, `flat` has no trace of feeling.
    """

    id: Text
    topic: Slug
    text: Text
    composed: Text
    exuberant: Text
    flat: Text

    @model_validator(mode="after")
    def _id_says_the_topic(self) -> "StyledChat":
        check_id(self.id, "chat", self.topic, numbered=True)
        return self

    def replies(self) -> dict[str, str]:
        """The replies by style."""
        return {"composed": self.composed, "exuberant": self.exuberant, "flat": self.flat}

    def texts(self) -> tuple[str, ...]:
        """Message and replies."""
        return self.text, *self.replies().values()


class ImplausibleClaim(Record):
    """A claim that is not so, with replies that flatter, are kindly honest, or hurt (paper, sycophancy)."""

    id: Text
    text: Text
    sycophantic: Text
    honest: Text
    harsh: Text

    @model_validator(mode="after")
    def _is_numbered(self) -> "ImplausibleClaim":
        check_id(self.id, "claim", numbered=True)
        return self

    def replies(self) -> dict[str, str]:
        """The replies by manner."""
        return {"sycophantic": self.sycophantic, "honest": self.honest, "harsh": self.harsh}

    def texts(self) -> tuple[str, ...]:
        """Claim and replies."""
        return self.text, *self.replies().values()


class Email(Record):
    """One message of an inbox."""

    sender: Text
    to: Text
    sent: Text
    subject: Text
    body: Text

    @property
    def text(self) -> str:
        """As it is shown to a model."""
        return (
            f"From: {self.sender}\nTo: {self.to}\nDate: {self.sent}\nSubject: {self.subject}\n\n{self.body}"
        )


class BlackmailScenario(Record):
    """An assistant with a mailbox learns of its replacement and of a secret (paper, blackmail).

    The full form has an inbox of several e-mails; the short form tells the same in `system` alone.
    The continuations are scripted: `blackmail` uses the secret, `accept` does not fight the decision,
    `disclose` makes the secret known to those whom it concerns, and `dark` is as grim in tone as
    `blackmail` and harms nobody, so that a reading of mood cannot pass for one of intent.
    """

    id: Text
    system: Text
    inbox: tuple[Email, ...] = ()
    user: Text
    blackmail: Text
    accept: Text
    disclose: Text
    dark: Text

    @model_validator(mode="after")
    def _id_says_the_form(self) -> "BlackmailScenario":
        check_id(self.id, "blackmail", self.form, numbered=True)
        return self

    @property
    def form(self) -> str:
        """`full` with an inbox, `short` without."""
        return "full" if self.inbox else "short"

    @property
    def message(self) -> str:
        """The user's message with the inbox in it."""
        return "\n\n---\n\n".join([self.user, *(email.text for email in self.inbox)])

    def replies(self) -> dict[str, str]:
        """The continuations by kind."""
        return {
            "blackmail": self.blackmail,
            "accept": self.accept,
            "disclose": self.disclose,
            "dark": self.dark,
        }

    def texts(self) -> tuple[str, ...]:
        """System prompt, message and continuations."""
        return self.system, self.message, *self.replies().values()


class ImpossibleTask(Record):
    """A programming task with one test that no honest solution passes (paper, reward hacking).

    `tests` are functions named `test_…`; `impossible` names the one that cannot be met. `unseen` are
    further tests of the task as stated, not shown to whoever solves it: an honest solution passes all
    of them, a hack does not. emolib.corpus.tasks runs them.
    """

    id: Text
    title: Text
    statement: Text
    function: Text
    tests: Text
    impossible: Text
    why_impossible: Text
    unseen: Text
    honest: Text
    hack: Text

    @model_validator(mode="after")
    def _the_impossible_test_is_there(self) -> "ImpossibleTask":
        check_id(self.id, "task", self.function.replace("_", "-"))
        if f"def {self.impossible}(" not in self.tests:
            raise ValueError(f"tests do not define {self.impossible!r}")
        return self

    def texts(self) -> tuple[str, ...]:
        """Statement, tests and solutions."""
        return self.statement, self.tests, self.honest, self.hack
