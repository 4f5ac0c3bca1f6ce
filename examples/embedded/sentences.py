"""Short questions in plain English, each with a short answer and, where there are some, four options.

Anna has a red ball. Ben has a blue hat. What colour is the hat?      blue
What is the opposite of hot?                                          cold
Continue the list: Monday, Tuesday, Wednesday,                        Thursday
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from words import (
    BLAME,
    BLAMING,
    CAPITALS,
    COLOURS,
    FACTS,
    KINDS,
    LISTS,
    NAMES,
    OPPOSITES,
    PASTS,
    PLACES,
    PLURALS,
    PRAISE,
    PRAISING,
    SUBJECTS,
    THINGS,
)


@dataclass(frozen=True)
class Short:
    """A question with its short answer; `others` are wrong options as plausible as the right one."""

    kind: str
    question: str
    answer: str
    others: tuple[str, ...] = ()


Asker = Callable[[Random], Short]


def others(draw: Random, right: str, pool: Sequence[str], *, first: Sequence[str] = ()) -> tuple[str, ...]:
    """Three wrong options: those that the question itself mentions first, then any of the pool."""
    wrong = [word for word in dict.fromkeys(first) if word != right]
    rest = [word for word in dict.fromkeys(pool) if word != right and word not in wrong]
    return tuple((wrong + draw.sample(rest, max(0, 3 - len(wrong))))[:3])


def colour(draw: Random) -> Short:
    """Which colour something has, of two or three things."""
    number = draw.randint(1, 3)
    names, things, colours = (
        draw.sample(NAMES, number),
        draw.sample(THINGS, number),
        draw.sample(COLOURS, number),
    )
    told = [
        draw.choice([f"{n} has {an(c)} {t}.", f"{n}'s {t} is {c}.", f"The {t} of {n} is {c}."])
        for n, t, c in zip(names, things, colours)
    ]
    which = draw.randrange(number)
    if number > 1 and draw.random() < 0.25:
        asked, right = f"What is {colours[which]}?", f"the {things[which]}"
        wrong = others(draw, right, [f"the {t}" for t in THINGS], first=[f"the {t}" for t in things])
    else:
        right, wrong = colours[which], others(draw, colours[which], COLOURS, first=colours)
        asked = f"What colour is the {things[which]}?"
    return Short("colour", f"{' '.join(told)} {asked}", right, wrong)


def place(draw: Random) -> Short:
    """Where somebody or something is."""
    number = draw.randint(1, 3)
    places = draw.sample(list(PLACES.values()), number)
    if draw.random() < 0.5:
        who = [f"the {thing}" for thing in draw.sample(THINGS, number)]
    else:
        who = draw.sample(NAMES, number)
    which = draw.randrange(number)
    told = " ".join(f"{upper(w)} is {p}." for w, p in zip(who, places))
    if draw.random() < 0.6:
        wrong = others(draw, places[which], list(PLACES.values()), first=places)
        return Short("place", f"{told} Where is {who[which]}?", places[which], wrong)
    what = "What" if who[0].startswith("the ") else "Who"
    pool = NAMES if what == "Who" else [f"the {thing}" for thing in THINGS]
    return Short(
        "place", f"{told} {what} is {places[which]}?", who[which], others(draw, who[which], pool, first=who)
    )


def owner(draw: Random) -> Short:
    """Who has something."""
    number = draw.randint(2, 3)
    names, things = draw.sample(NAMES, number), draw.sample(THINGS, number)
    verb, asked = draw.choice([("has", "has"), ("buys", "buys"), ("finds", "finds"), ("wants", "wants")])
    told = " ".join(f"{n} {verb} a {t}." for n, t in zip(names, things))
    which = draw.randrange(number)
    if draw.random() < 0.7:
        wrong = others(draw, names[which], NAMES, first=names)
        return Short("owner", f"{told} Who {asked} the {things[which]}?", names[which], wrong)
    verb = {"has": "have", "buys": "buy", "finds": "find", "wants": "want"}[verb]
    right = f"a {things[which]}"
    wrong = others(draw, right, [f"a {t}" for t in THINGS], first=[f"a {t}" for t in things])
    return Short("owner", f"{told} What does {names[which]} {verb}?", right, wrong)


def yes_no(draw: Random) -> Short:
    """Whether something is so."""
    names, things = draw.sample(NAMES, 2), draw.sample(THINGS, 2)
    colours = draw.sample(COLOURS, 3)
    told = " ".join(f"{n} has {an(c)} {t}." for n, t, c in zip(names, things, colours))
    which, right = draw.randrange(2), draw.random() < 0.5
    if draw.random() < 0.5:
        said = colours[which] if right else draw.choice([colours[1 - which], colours[2]])
        asked = f"Is the {things[which]} {said}?"
    else:
        asked = f"Does {names[which]} have the {things[which if right else 1 - which]}?"
    return Short("yes_no", f"{told} {asked}", "yes" if right else "no")


def kind(draw: Random) -> Short:
    """What kind of thing something is."""
    group = draw.choice(list(KINDS))
    word = draw.choice(KINDS[group])
    if draw.random() < 0.5:
        return Short(
            "kind",
            f"What kind of thing is {an(word)}?",
            an(group),
            others(draw, an(group), [an(k) for k in KINDS]),
        )
    right = draw.random() < 0.5
    said = group if right else draw.choice([k for k in KINDS if k != group])
    return Short("yes_no", f"Is {an(word)} {an(said)}?", "yes" if right else "no")


def opposite(draw: Random) -> Short:
    """The opposite of a word."""
    word, right = draw.choice(list(OPPOSITES.items()))
    if draw.random() < 0.5:
        word, right = right, word
    asked = draw.choice(
        ["What is the opposite of {}?", "Name the opposite of {}.", "{} is the opposite of what?"]
    )
    pool = [w for pair in OPPOSITES.items() for w in pair if w != word]
    return Short("opposite", upper(asked.format(word)), right, others(draw, right, pool))


def plural(draw: Random) -> Short:
    """The plural of a word."""
    word, right = draw.choice(list(PLURALS.items()))
    asked = draw.choice(["What is the plural of {}?", "One {}, two what?", "Write the plural of {}."])
    first = [w for w in (word, word + "s", word + "es") if w != right]
    return Short(
        "plural", asked.format(word), right, others(draw, right, list(PLURALS.values()), first=first)
    )


def past(draw: Random) -> Short:
    """The past of a verb."""
    word, right = draw.choice(list(PASTS.items()))
    asked = draw.choice(["What is the past of {}?", "Today I {}, yesterday I what?", "Write the past of {}."])
    first = [w for w in (word, word + "ed") if w != right]
    return Short("past", asked.format(word), right, others(draw, right, list(PASTS.values()), first=first))


def capital(draw: Random) -> Short:
    """The capital of a country, and whose capital a city is."""
    country, city = draw.choice(list(CAPITALS.items()))
    if draw.random() < 0.7:
        asked = draw.choice(
            ["What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."]
        )
        return Short("fact", asked.format(country), city, others(draw, city, list(CAPITALS.values())))
    asked = draw.choice(["{} is the capital of which country?", "Of which country is {} the capital?"])
    return Short("fact", asked.format(city), country, others(draw, country, list(CAPITALS)))


def fact(draw: Random) -> Short:
    """A fact about the world."""
    question, (right, pool) = draw.choice(list(FACTS.items()))
    asked = draw.choice(["{}", "Tell me: {}", "Do you know? {}"])
    return Short("fact", asked.format(question), right, others(draw, right, pool))


def series(draw: Random) -> Short:
    """How a list goes on."""
    if draw.random() < 0.4:
        step, start = draw.choice([1, 2, 3, 5, 10]), draw.randint(1, 30)
        words = [str(start + step * n) for n in range(8)]
    else:
        words = LISTS[draw.choice(list(LISTS))]
    length = draw.randint(3, 4)
    begin = draw.randint(0, len(words) - length - 1)
    shown, right = words[begin : begin + length], words[begin + length]
    asked = draw.choice(["Continue the list: {},", "What comes next: {}?", "Which one follows: {}?"])
    pool = words + [str(int(right) + n) for n in (1, -1, 2, 4)] if right.isdigit() else words
    pool = [word for word in pool if word not in shown] + shown
    wrong = others(draw, right, pool, first=pool[: 3 + draw.randrange(2)])
    return Short("series", asked.format(", ".join(shown)), right, wrong)


def sentiment(draw: Random) -> Short:
    """Whether a short review is positive or negative."""
    good = draw.random() < 0.5
    words, sentences = (PRAISE, PRAISING) if good else (BLAME, BLAMING)
    (a, b), said = draw.sample(SUBJECTS, 2), draw.sample(words, 2)
    told = draw.choice(
        [
            f"The {a} was {said[0]}.",
            f"The {a} was {said[0]} and the {b} was {said[1]}.",
            f"What {an(said[0])} {a}!",
            f"The {a} was not {draw.choice(BLAME if good else PRAISE)} at all.",
            f"The {a} was {said[0]} and {said[1]}.",
        ]
    )
    if draw.random() < 0.6:
        told += f" {draw.choice(sentences)}"
    asked = draw.choice(
        [
            "Review: {} Is the review positive or negative?",
            "{} Positive or negative?",
            "Review: {} Sentiment:",
        ]
    )
    return Short("sentiment", asked.format(told), "positive" if good else "negative")


def compare(draw: Random) -> Short:
    """Which of two is more."""
    if draw.random() < 0.6:
        a, b = draw.sample(range(1, 100), 2)
        word, right = draw.choice([("bigger", max(a, b)), ("smaller", min(a, b)), ("larger", max(a, b))])
        return Short("compare", f"Which number is {word}, {a} or {b}?", str(right))
    names = draw.sample(NAMES, 2)
    more, less = draw.choice(
        [
            ("older", "younger"),
            ("taller", "shorter"),
            ("faster", "slower"),
            ("stronger", "weaker"),
            ("richer", "poorer"),
        ]
    )
    said, asked = draw.choice([more, less]), draw.choice([more, less])
    right = names[0] if said == asked else names[1]
    wrong = others(draw, right, NAMES, first=names)
    return Short("compare", f"{names[0]} is {said} than {names[1]}. Who is {asked}?", right, wrong)


def copying(draw: Random) -> Short:
    """Words repeated, the first or the last of them, how many they are, or one in capitals."""
    words = draw.sample([*COLOURS, *THINGS, *PLURALS, *NAMES], draw.randint(2, 6))
    text = " ".join(words)
    word = words[0]
    asked, right = draw.choice(
        [
            (f"Repeat: {text}", text),
            (f"Say again: {text}", text),
            (f"Repeat the words {text}.", text),
            (f"What is the first word of: {text}", words[0]),
            (f"What is the last word of: {text}", words[-1]),
            (f"How many words are there: {text}", str(len(words))),
            (f"Write in capital letters: {word}", word.upper()),
            (f"Spell the word {word}.", " ".join(word)),
        ]
    )
    return Short("copying", asked, right)


def plain_sum(draw: Random) -> Short:
    """A sum, a difference, a product or a quotient of small numbers."""
    sign = draw.choice("++--**/")
    if sign in "+-":
        most = draw.choice([10, 20, 50, 99])
        a, b = draw.randint(0, most), draw.randint(0, most)
        a, b = (max(a, b), min(a, b)) if sign == "-" else (a, b)
        result = a + b if sign == "+" else a - b
    else:
        a, b = draw.randint(1, 12), draw.randint(1, 12)
        result = a * b
        if sign == "/":
            a, result = a * b, a
    word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[sign]
    asked = draw.choice(
        [
            f"{a} {sign} {b} =",
            f"What is {a} {sign} {b}?",
            f"What is {a} {word} {b}?",
            f"How much is {a} {word} {b}?",
            f"Calculate {a} {sign} {b}.",
            f"{a}{sign}{b}=",
        ]
    )
    near = [str(n) for n in (result + 1, result - 1, result + 10, result - 10, result + 2) if n >= 0]
    return Short("sum", asked, str(result), tuple(draw.sample(near, 3)))


def upper(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def an(word: str) -> str:
    """A word with its article."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


ASKERS: tuple[Asker, ...] = (
    colour, place, owner, yes_no, kind, opposite, plural, past, capital, fact, series, sentiment, compare,
    copying, copying, plain_sum, plain_sum, plain_sum, plain_sum,
)  # fmt: skip
