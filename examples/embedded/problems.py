"""Arithmetic word problems of one to three steps, with worked answers in the GSM8K format.

    Sofia has 12 shells. She finds 5 more shells. Then she gives 4 shells to Ben. How many shells …?
    Sofia has 12 + 5 = 17 shells. Then she has 17 - 4 = 13 shells.
    #### 13

A plot draws its numbers and words from a random generator; its key (the plot and its numbers) decides
on which side of the split it falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from words import ANIMALS, BOXES, COUNTED, FEMALE, GOODS, NAMES


@dataclass(frozen=True)
class Problem:
    """A question with its worked answer; `key` is what the split holds apart."""

    question: str
    working: str
    result: int
    key: str
    steps: int

    @property
    def answer(self) -> str:
        """The working and, marked, the result."""
        return f"{self.working}\n#### {self.result}"


Plot = Callable[[Random], Problem]


def solve(a: int, sign: str, b: int) -> tuple[str, int]:
    """A calculation written out, and what comes out."""
    results = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}
    return f"{a} {sign} {b} = {results[sign]}", results[sign]


def pronoun(name: str) -> str:
    """He or she."""
    return "she" if name in FEMALE else "he"


def count(number: int, one: str, many: str) -> str:
    """A number of things."""
    return f"{number} {one if number == 1 else many}"


def changes(draw: Random) -> Problem:
    """Somebody has things, gets some, loses some, in one to three steps."""
    name, other = draw.sample(NAMES, 2)
    one, many = draw.choice(list(COUNTED.items()))
    she = pronoun(name)
    total = start = draw.randint(3, 40)
    told, worked, key = [f"{name} has {start} {many}."], [], [start]
    steps = draw.randint(1, 3)
    for place in range(steps):
        who = name if place == 0 and draw.random() < 0.5 else she.capitalize()
        then = f"Then {who if who == name else she}" if place else who
        most = min(total - 1, 20)
        if most >= 1 and draw.random() < 0.5:
            n = draw.randint(1, most)
            how = draw.choice(
                [
                    f"gives {count(n, one, many)} to {other}",
                    f"loses {n} of them",
                    f"sells {count(n, one, many)}",
                ]
            )
            sign = "-"
        else:
            n = draw.randint(2, 20)
            how = draw.choice([f"finds {n} more {many}", f"buys {n} more", f"gets {n} {many} from {other}"])
            sign = "+"
        told.append(f"{then} {how}.")
        sum_, total = solve(total, sign, n)
        worked.append(
            f"{'Then ' if place else ''}{she if place else name} has {sum_} {one if total == 1 else many}."
        )
        key += [ord(sign), n]
    told.append(
        draw.choice([f"How many {many} does {name} have now?", f"How many {many} are left for {name}?"])
    )
    return Problem(" ".join(told), " ".join(worked), total, f"changes {key}", steps)


def boxes(draw: Random) -> Problem:
    """Equal groups, and perhaps some taken out or added."""
    name = draw.choice(NAMES)
    _, many = draw.choice(list(COUNTED.items()))
    box, several = draw.choice(list(BOXES.items()))
    a, b = draw.randint(2, 9), draw.randint(2, 10)
    sum_, total = solve(a, "*", b)
    told = draw.choice(
        [
            f"{name} has {a} {several} with {b} {many} in each {box}.",
            f"There are {a} {several}. Each {box} holds {b} {many}.",
            f"{name} buys {a} {several} of {many}. There are {b} {many} in every {box}.",
        ]
    )
    worked = [f"There are {sum_} {many}."]
    key, steps = f"boxes {a} {b}", draw.randint(1, 2)
    if steps == 2:
        n = draw.randint(1, min(total - 1, 15))
        sign = draw.choice("+-")
        told += f" {name} takes {n} of them." if sign == "-" else f" {name} adds {n} more {many}."
        sum_, total = solve(total, sign, n)
        worked.append(f"Then there are {sum_} {many}.")
        key += f" {sign} {n}"
    asked = f"How many {many} are there {'in all' if steps == 1 else 'now'}?"
    return Problem(f"{told} {asked}", " ".join(worked), total, key, steps)


def sharing(draw: Random) -> Problem:
    """Things divided equally, perhaps after some were added."""
    name = draw.choice(NAMES)
    _, many = draw.choice(list(COUNTED.items()))
    parts, each = draw.randint(2, 9), draw.randint(2, 10)
    total = parts * each
    key, worked, steps = f"sharing {parts} {each}", [], draw.randint(1, 2)
    told = f"{name} has {total} {many}."
    if steps == 2:
        more = draw.randint(1, total - 1)
        told = f"{name} has {total - more} {many} and gets {more} more."
        worked.append(f"{name} has {solve(total - more, '+', more)[0]} {many}.")
        key += f" + {more}"
    sum_, each = solve(total, "/", parts)
    box, several = draw.choice(list(BOXES.items()))
    she = pronoun(name).capitalize()
    told += draw.choice(
        [
            f" {she} shares them equally among {parts} friends. How many {many} does each friend get?",
            f" {she} puts them into {parts} {several}, the same number in each."
            f" How many {many} are in each {box}?",
        ]
    )
    worked.append(f"Each gets {sum_} {many}.")
    return Problem(told, " ".join(worked), each, key, steps)


def shopping(draw: Random) -> Problem:
    """Prices times numbers, added up, or taken from what one has."""
    name = draw.choice(NAMES)
    (one, many), (other, others) = draw.sample(list(GOODS.items()), 2)
    n, price = draw.randint(2, 9), draw.randint(2, 10)
    sum_, first = solve(n, "*", price)
    worked = [f"The {many} cost {sum_} dollars."]
    kind = draw.choice(["one", "two", "change"])
    if kind == "one":
        told = f"A {one} costs ${price}. {name} buys {n} {many}. How much does {name} pay?"
        return Problem(told, worked[0], first, f"shopping {n} {price}", 1)
    if kind == "change":
        money = draw.randint(first + 1, 100)
        told = f"{name} has ${money}. {pronoun(name).capitalize()} buys {n} {many} for ${price} each."
        told += f" How much money does {name} have left?"
        sum_, total = solve(money, "-", first)
        worked.append(f"{name} has {sum_} dollars left.")
        return Problem(told, " ".join(worked), total, f"change {n} {price} {money}", 2)
    m, cost = draw.randint(2, 6), draw.randint(2, 9)
    told = f"A {one} costs ${price} and a {other} costs ${cost}. {name} buys {n} {many} and {m} {others}."
    told += f" How much does {pronoun(name)} pay?"
    sum_, second = solve(m, "*", cost)
    worked.append(f"The {others} cost {sum_} dollars.")
    sum_, total = solve(first, "+", second)
    worked.append(f"Together that is {sum_} dollars.")
    return Problem(told, " ".join(worked), total, f"two {n} {price} {m} {cost}", 3)


def comparing(draw: Random) -> Problem:
    """One has more, fewer or times as many as the other; and both together."""
    name, other = draw.sample(NAMES, 2)
    _, many = draw.choice(list(COUNTED.items()))
    a = draw.randint(4, 30)
    kind = draw.choice(["more", "fewer", "twice", "times"])
    if kind == "more":
        n = draw.randint(2, 20)
        how, (sum_, b) = f"{n} more {many} than {name}", solve(a, "+", n)
    elif kind == "fewer":
        n = draw.randint(1, a - 1)
        how, (sum_, b) = f"{n} fewer {many} than {name}", solve(a, "-", n)
    elif kind == "twice":
        n, a = 2, draw.randint(2, 20)
        how, (sum_, b) = f"twice as many {many} as {name}", solve(a, "*", 2)
    else:
        n, a = draw.randint(3, 5), draw.randint(2, 10)
        how, (sum_, b) = f"{n} times as many {many} as {name}", solve(a, "*", n)
    told = f"{name} has {a} {many}. {other} has {how}."
    worked = f"{other} has {sum_} {many}."
    if draw.random() < 0.4:
        return Problem(f"{told} How many {many} does {other} have?", worked, b, f"{kind} {a} {n}", 1)
    sum_, total = solve(a, "+", b)
    told += f" How many {many} do they have together?"
    return Problem(told, f"{worked} Together they have {sum_} {many}.", total, f"{kind} both {a} {n}", 2)


def rates(draw: Random) -> Problem:
    """So many a day for so many days, perhaps with a goal."""
    name = draw.choice(NAMES)
    verb, doing, what = draw.choice(
        [("reads", "read", "pages"), ("walks", "walk", "miles"), ("writes", "write", "letters"),
         ("bakes", "bake", "cakes"), ("paints", "paint", "cards"), ("plants", "plant", "trees")]
    )  # fmt: skip
    a, b = draw.randint(2, 10), draw.randint(2, 9)
    unit, units = draw.choice([("day", "days"), ("week", "weeks"), ("hour", "hours")])
    sum_, total = solve(a, "*", b)
    told = f"{name} {verb} {a} {what} every {unit}."
    worked = f"In {b} {units} {name} can {doing} {sum_} {what}."
    if draw.random() < 0.5:
        return Problem(f"{told} How many {what} is that in {b} {units}?", worked, total, f"rates {a} {b}", 1)
    goal = draw.randint(total + 1, min(total + 40, 120))
    told += f" {pronoun(name).capitalize()} wants to {doing} {goal} {what}."
    told += f" How many {what} are left after {b} {units}?"
    sum_, left = solve(goal, "-", total)
    return Problem(told, f"{worked} Then {sum_} {what} are left.", left, f"goal {a} {b} {goal}", 2)


def farms(draw: Random) -> Problem:
    """Two or three kinds of animals, counted, or their legs."""
    kinds = draw.sample(["cat", "dog", "hen", "cow", "goat", "duck", "horse", "rabbit", "bird"], 3)
    numbers = [draw.randint(2, 25) for _ in kinds]
    many = [ANIMALS[kind] for kind in kinds]
    where = draw.choice(["On a farm", "In a park", "In a field", "At the market"])
    if draw.random() < 0.3:
        legs = 2 if kinds[0] in ("hen", "duck", "bird") else 4
        sum_, total = solve(numbers[0], "*", legs)
        told = f"{where} there are {numbers[0]} {many[0]}. How many legs do they have?"
        working = f"Every {kinds[0]} has {legs} legs. They have {sum_} legs."
        return Problem(told, working, total, f"legs {legs} {numbers[0]}", 1)
    sum_, total = solve(numbers[0], "+", numbers[1])
    steps = draw.randint(1, 2)
    if steps == 1:
        told = f"{where} there are {numbers[0]} {many[0]} and {numbers[1]} {many[1]}."
        working = f"There are {sum_} animals."
    else:
        told = f"{where} there are {numbers[0]} {many[0]}, {numbers[1]} {many[1]} and {numbers[2]} {many[2]}."
        working = f"The {many[0]} and {many[1]} are {sum_} animals."
        sum_, total = solve(total, "+", numbers[2])
        working += f" With the {many[2]} there are {sum_} animals."
    told += " How many animals are there?"
    return Problem(told, working, total, f"farms {numbers[: steps + 1]}", steps)


def ages(draw: Random) -> Problem:
    """How old somebody is, was or will be."""
    name, other = draw.sample(NAMES, 2)
    a, n = draw.randint(5, 40), draw.randint(2, 15)
    kind = draw.choice(["older", "later", "ago"])
    if kind == "older":
        sum_, b = solve(a, "+", n)
        told = f"{name} is {a} years old. {other} is {n} years older than {name}. How old is {other}?"
        return Problem(told, f"{other} is {sum_} years old.", b, f"older {a} {n}", 1)
    if kind == "later":
        sum_, b = solve(a, "+", n)
        told = f"{name} is {a} years old. How old will {pronoun(name)} be in {n} years?"
        return Problem(told, f"{name} will be {sum_} years old.", b, f"later {a} {n}", 1)
    n = min(n, a - 1)
    sum_, b = solve(a, "-", n)
    told = f"{name} is {a} years old. How old was {pronoun(name)} {n} years ago?"
    return Problem(told, f"{name} was {sum_} years old.", b, f"ago {a} {n}", 1)


PLOTS: tuple[Plot, ...] = (changes, changes, boxes, sharing, shopping, comparing, rates, farms, ages)
