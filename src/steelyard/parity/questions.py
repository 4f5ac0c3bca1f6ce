"""What both sides are asked: texts, chats, long prompts, and choices whose likelihood is wanted.

Chats come in cells, with and without a system turn, of one, two and three questions: what a template
adds to each turn, and what it adds to a chat, shows in how the tokens of a prompt grow from cell to cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from steelyard.types import Message, Prompt, Sample

TEXT, CHAT = "text", "chat"
DOT, LONG = "chat-system-short", "chat-system-long"

_TEXTS = {
    "word": "Paris",
    "letter": "a",
    "sum": "17 + 25 =",
    "sentence": "The capital of France is",
    "question": "Question: How many legs has a spider?\nAnswer:",
    "code": "def add(a, b):\n    return",
    "accents": "Où est la bibliothèque ? Elle est",
    "script": "日本の首都は",
    "smileys": "I liked it 🙂🙂 because",
    "markup": "<p>First</p>\n<p>Second</p>\n",
    "lists": "1. apples\n2. pears\n3.",
    "lines": "Write each on a line of its own.\n\nOne\n\nTwo\n\n### Three\n\nQuestion: four\nUser: five\n",
}
_SPACED = {"space-behind": "The sum of 2 and 3 is ", "space-before": "\n Once upon a time"}
_ONE = "Name a fruit."
_LONG_SYSTEM = "Answer in one short sentence, and never mention the weather."
_TALK = (
    ("What is the largest planet?", "Jupiter."),
    ("And the smallest?", "Mercury."),
    ("Which of them has rings?", ""),
)
_SAYING = (
    "Repeat these lines as they are:\nOne\n\nTwo\n### Three\nQuestion: four\nUser: five",
    "Write a function in Python that reverses a list, and say in two sentences how it works.",
    "Qu'est-ce que c'est que ça ? 这是什么？ 🙂",
)
STORIES = (
    "Write the beginning of a story about a lighthouse.",
    "Invent a name for a new planet and describe who lives there.",
)
COUNTS = (
    "Write the numbers from 1 to 400, each on a line of its own, and nothing else.",
    "Write a very long poem about rivers, of at least one hundred verses.",
)
_FILLER = "The river ran on past the mill and the old stone bridge. "
_WORDS_OF_FILLER = 13
_NAMES = ("copper", "violet")
PARTS = ("beginning", "middle", "end")


@dataclass(frozen=True)
class Question:
    """One prompt, and what of it is known that says something about an answer."""

    id: str
    prompt: Prompt
    spaced: bool = False
    system: bool = False
    turns: int = 1
    choices: Sequence[str] | None = None

    @property
    def form(self) -> str:
        """Whether it is a text or a chat."""
        return TEXT if isinstance(self.prompt, str) else CHAT

    @property
    def size(self) -> int:
        """How many characters it has."""
        if isinstance(self.prompt, str):
            return len(self.prompt)
        return sum(len(str(turn["content"])) for turn in self.prompt if not isinstance(turn, str))

    @property
    def cell(self) -> tuple[bool, int]:
        """What of its form the tokens that a template adds depend on."""
        return self.system, self.turns


def texts() -> list[Question]:
    """Texts to go on with."""
    plain = [Question(f"text-{name}", text) for name, text in _TEXTS.items()]
    return [*plain, *(Question(f"text-{name}", text, spaced=True) for name, text in _SPACED.items())]


def chats() -> list[Question]:
    """Chats of every cell."""
    saying = [Question(f"chat-{n}", [_user(text)]) for n, text in enumerate((_ONE, *_SAYING), 1)]
    return [
        *saying,
        Question("chat-space-behind", [_user("What comes after 2, 3, 5? ")], spaced=True),
        *(Question(f"chat-of-{n}", _talk(n), turns=n) for n in (2, 3)),
        Question(DOT, [_system("."), _user(_ONE)], system=True),
        Question(LONG, [_system(_LONG_SYSTEM), _user(_ONE)], system=True),
        Question("chat-system-code", [_system(_LONG_SYSTEM), _user(_SAYING[1])], system=True),
        *(
            Question(f"chat-system-of-{n}", [_system(_LONG_SYSTEM), *_talk(n)], system=True, turns=n)
            for n in (2, 3)
        ),
    ]


def in_form(id: str, text: str, form: str) -> Question:  # noqa: A002 - what a question has is called so
    """A text, or the same as a chat of one turn."""
    return Question(id, text if form == TEXT else [_user(text)])


def with_system(question: Question) -> Question:
    """A chat with a system turn before it."""
    if isinstance(question.prompt, str):
        return question
    return Question(question.id, [_system(_LONG_SYSTEM), *question.prompt], system=True)


def long_prompts(length: int, form: str) -> list[Question]:
    """About so many tokens: as they are, and with one part of them another one."""
    half = _FILLER * max(1, length // (2 * _WORDS_OF_FILLER))
    said, other = _NAMES
    questions = []
    for place, part in enumerate(("", *PARTS)):
        first, second, third = (other if place == n else said for n in (1, 2, 3))
        text = (
            f"The first word is {first}. {half}The second word is {second}. {half}The third word is {third}. "
        )
        name = f"long-{length}-{part}" if part else f"long-{length}"
        questions.append(in_form(name, f"{text}The three words are", form))
    return questions


def likely_choices(form: str) -> list[Question]:
    """Prompts with choices behind them; their first letters stand for themselves in every tokenizer."""
    asked = [
        ("A spider has eight legs, an ant has", (" six legs.", " nine wheels.", " a house on the hill.")),
        ("2 + 2 =", (" 4", " 5 apples", " blue")),
        (_ONE, ("Apple", "The bridge is long.", "42")),
    ]
    questions = []
    for number, (text, choices) in enumerate(asked, 1):
        question = in_form(f"likely-{number}", text, form)
        questions.append(Question(question.id, question.prompt, choices=choices))
    return questions


def own_questions(samples: Iterable[Sample], form: str) -> list[Question]:
    """The inputs of somebody's own data: texts, or turns where they are such."""
    questions = []
    for place, sample in enumerate(samples):
        given = sample.input
        if isinstance(given, (list, tuple)) and form == CHAT:
            system = bool(given) and given[0].get("role") == "system"
            turns = sum(turn.get("role") == "user" for turn in given)
            questions.append(Question(f"own-{place + 1}", given, system=system, turns=turns))
        elif isinstance(given, str):
            question = in_form(f"own-{place + 1}", given, form)
            questions.append(Question(question.id, question.prompt, spaced=given != given.strip()))
    return questions


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _talk(count: int) -> list[Message]:
    """The last of so many questions, with the answers to those before it."""
    said: list[Message] = []
    for question, told in _TALK[:count]:
        said += [_user(question), {"role": "assistant", "content": told}]
    return said[:-1]
