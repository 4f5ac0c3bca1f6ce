"""Draws pages (invoices, receipts, letters, charts) and writes what can be asked about them.

python examples/vision/pages.py DIR --count 40

DIR then has the folder `scans` and a file of data for each task of the same name: vqa.jsonl, charts.jsonl,
fields.jsonl, pages.jsonl, page_order.jsonl, transcribe.jsonl. What is drawn is what is right. It is all
invented, and the same for the same seed. Each picture says in a text of its own (the PNG chunk "drawn",
which no model looks at) what is on it, so that a function can stand in for a model that sees:

    json.loads(PIL.Image.open("scans/0-invoice.png").text["drawn"])
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

WIDTH, HEIGHT, MARGIN = 620, 800, 48
NAMES = "Alder Birch Cedar Elm Hazel Juniper Larch Maple Rowan Willow".split()
TRADES = "Bakery Books Carpets Ceramics Garden Hardware Optics Paper Textiles Tools".split()
CITIES = "Ashford Brookton Clearwater Dunmore Eastvale Fernhill Glenrock Harwick".split()
GOODS = "Bolts Candles Cups Dowels Envelopes Folders Gloves Hooks Lamps Mats Needles Plates Ropes".split()
PEOPLE = "Ada Berg, Bruno Clay, Cora Dunn, Dario Eng, Edda Falk, Felix Gard".split(", ")
SUBJECTS = "the new roof, the summer fair, the library, the old bridge, the school garden".split(", ")
STEPS = "First, Second, Third, Fourth, Fifth, Sixth, Seventh, Eighth".split(", ")
KINDS = ("invoice", "receipt", "letter", "chart")


@dataclass
class Line:
    """A text at the left and one at the right; without a text it is a rule across the page."""

    text: str
    size: int = 17
    right: str = ""
    gap: int = 10


@dataclass
class Document:
    """Pages of lines, what is true of them, and what is asked: (question, answers, type of question)."""

    kind: str
    pages: list[list[Line]]
    fields: dict[str, Any]
    questions: list[tuple[str, list[str], str]]
    bars: list[tuple[str, int]] = field(default_factory=list)


def invoice(chance: random.Random) -> Document:
    """An invoice with its lines and total."""
    seller, buyer = f"{chance.choice(NAMES)} {chance.choice(TRADES)}", chance.choice(PEOPLE)
    city, number, day = chance.choice(CITIES), f"R-{chance.randint(1, 9999):04}", any_day(chance)
    items, total = goods(chance)
    rows = [Line(f"{one['quantity']} x {one['name']}", right=f"{one['price']:.2f}") for one in items]
    lines = [
        Line(seller, 26), Line(city, gap=28), Line("INVOICE", 24),
        Line(f"Invoice number: {number}"), Line(f"Date: {spell(day, chance)}"),
        Line(f"Bill to: {buyer}", gap=28),
        *rows, Line("", gap=6), Line("Total EUR", 20, right=f"{total:,.2f}"),
    ]  # fmt: skip
    questions = [
        ("What is the invoice number?", [number], "text"),
        ("What is the total?", [f"{total:,.2f}", f"EUR {total:,.2f}", f"{total:.2f}"], "number"),
        ("Who is to pay?", [buyer], "text"),
    ]
    truth = {
        "number": number, "date": day.isoformat(), "seller": {"name": seller, "city": city}, "buyer": buyer,
        "items": items, "total": total,
    }  # fmt: skip
    return Document("invoice", [lines], truth, questions)


def receipt(chance: random.Random) -> Document:
    """A receipt of a shop."""
    shop, day = f"{chance.choice(NAMES)} {chance.choice(TRADES)}", any_day(chance)
    items, total = goods(chance)
    paid = chance.choice(["cash", "card"])
    rows = [Line(f"{one['quantity']} {one['name']}", right=f"{one['price']:.2f}") for one in items]
    lines = [
        Line(shop, 24), Line(spell(day, chance), gap=24), *rows, Line("", gap=6),
        Line("TOTAL", 22, right=f"{total:,.2f}"), Line(f"Paid by {paid}"), Line("Thank you!"),
    ]  # fmt: skip
    questions = [
        ("What does it come to?", [f"{total:,.2f}", f"{total:.2f}"], "number"),
        ("Was it paid by cash or by card?", [paid], "choice"),
    ]
    truth = {"shop": shop, "date": day.isoformat(), "items": items, "total": total, "paid_by": paid}
    return Document("receipt", [lines], truth, questions)


def letter(chance: random.Random) -> Document:
    """A letter of two to four pages, whose order its words tell."""
    sender, reader = chance.sample(PEOPLE, 2)
    subject, day = chance.choice(SUBJECTS), any_day(chance)
    count = chance.randint(2, 4)
    steps = [
        f"{step}, we should ask {chance.choice(NAMES)} for {chance.choice(GOODS).lower()}."
        for step in STEPS[: 2 * count]
    ]
    pages = [[Line(text, gap=20) for text in steps[2 * page : 2 * page + 2]] for page in range(count)]
    head = [Line(sender, 22), Line(spell(day, chance), gap=28), Line(f"About {subject}", 20, gap=24)]
    pages[0] = [*head, Line(f"Dear {reader},", gap=20), *pages[0]]
    pages[-1] += [Line("That is all.", gap=28), Line("Yours,"), Line(sender)]
    truth = {"sender": sender, "reader": reader, "date": day.isoformat(), "subject": subject}
    questions = [
        ("Who wrote this letter?", [sender], "text"),
        ("How many pages does this letter have?", [str(count)], "number"),
    ]
    return Document("letter", pages, truth, questions)


def chart(chance: random.Random) -> Document:
    """A chart with bars, each with its value above it."""
    title = f"{chance.choice(TRADES)} sold in {chance.randint(2001, 2024)}"
    bars = list(zip(chance.sample(CITIES, 4), chance.sample(range(10, 100), 4)))
    name, value = chance.choice(bars)
    most = max(bars, key=lambda bar: bar[1])[0]
    questions = [
        (f"What is the value of {name}?", [str(value)], "number"),
        ("Which city has the highest bar?", [most], "text"),
        ("What do all bars add up to?", [str(sum(height for _, height in bars))], "sum"),
    ]
    truth = {"title": title, "bars": [{"city": name, "value": value} for name, value in bars]}
    return Document("chart", [[Line(title, 22)]], truth, questions, bars)


def goods(chance: random.Random) -> tuple[list[dict[str, Any]], float]:
    """What was bought, the price of each line, and the sum."""
    items = [
        {"name": name, "quantity": chance.randint(1, 9), "price": chance.randint(100, 90000) / 100}
        for name in chance.sample(GOODS, chance.randint(2, 5))
    ]
    return items, round(sum(item["price"] for item in items), 2)


def any_day(chance: random.Random) -> date:
    """A day of some years."""
    return date(2018, 1, 1) + timedelta(days=chance.randrange(2500))


def spell(day: date, chance: random.Random) -> str:
    """A day in one of the ways in which days are written."""
    month = "January February March April May June July August September October November December".split()
    return chance.choice([day.isoformat(), f"{day:%d.%m.%Y}", f"{day.day} {month[day.month - 1]} {day.year}"])


def draw(document: Document, page: int) -> Image.Image:
    """A page as a picture."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, top = ImageDraw.Draw(picture), MARGIN
    for line in document.pages[page]:
        font = ImageFont.load_default(size=line.size)
        pen.text((MARGIN, top), line.text, fill="black", font=font)
        if line.right:
            pen.text((WIDTH - MARGIN, top), line.right, fill="black", font=font, anchor="ra")
        if not line.text:
            pen.line((MARGIN, top, WIDTH - MARGIN, top), fill="black")
        top += (line.size if line.text else 0) + line.gap
    if document.bars:
        draw_bars(pen, document.bars)
    return picture


def draw_bars(pen: ImageDraw.ImageDraw, bars: list[tuple[str, int]]) -> None:
    """Bars with their names below and their values above them."""
    font, foot, step = ImageFont.load_default(size=15), HEIGHT - 120, (WIDTH - 2 * MARGIN) // len(bars)
    pen.line((MARGIN, foot, WIDTH - MARGIN, foot), fill="black")
    for place, (name, value) in enumerate(bars):
        left = MARGIN + place * step + 20
        pen.rectangle((left, foot - 5 * value, left + step - 40, foot), fill="steelblue")
        middle = left + (step - 40) // 2
        pen.text((middle, foot + 8), name, fill="black", font=font, anchor="ma")
        pen.text((middle, foot - 5 * value - 20), str(value), fill="black", font=font, anchor="ma")


def text_of(document: Document, page: int) -> str:
    """All that stands on a page, line by line."""
    lines = [f"{line.text} {line.right}".rstrip() for line in document.pages[page] if line.text]
    if document.bars:
        lines += [" ".join(str(value) for _, value in document.bars)]
        lines += [" ".join(name for name, _ in document.bars)]
    return "\n".join(lines)


def save(document: Document, page: int, file: Path, number: int) -> None:
    """Write a page, with what is on it as a text that no model looks at."""
    drawn = {
        "kind": document.kind, "document": number, "page": page + 1, "of": len(document.pages),
        "fields": document.fields, "text": text_of(document, page),
        "answers": {question: answers[0] for question, answers, _ in document.questions},
    }  # fmt: skip
    notes = PngInfo()
    notes.add_text("drawn", json.dumps(drawn))
    draw(document, page).save(file, pnginfo=notes)


def rows_of(document: Document, number: int, scans: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What can be asked about a document, each with the task that asks it."""
    own = {"doc_type": document.kind}
    task = "charts" if document.kind == "chart" else "vqa"
    for place, (question, answers, kind) in enumerate(document.questions):
        asked = {"question": question, "images": scans, "answers": answers, "question_type": kind}
        yield task, {"id": f"{number}.{place}", **asked, **own}
    for place, scan in enumerate(scans):
        name = f"{number}.{place}"
        yield "pages", {"id": name, "image": scan, "label": document.kind}
        yield "transcribe", {"id": name, "image": scan, "target": text_of(document, place), **own}
    yield "fields", {"id": str(number), "images": scans, "target": document.fields, **own}
    if len(scans) > 1:
        yield "page_order", {"id": str(number), "pages": scans, **own}


def make(folder: Path, *, count: int, seed: int = 0) -> dict[str, int]:
    """Draw so many documents, write the files of data, and say how many rows each has."""
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("vqa", "charts", "fields", "pages", "page_order", "transcribe")
    }
    kinds = {"invoice": invoice, "receipt": receipt, "letter": letter, "chart": chart}
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        document = kinds[kind](random.Random(f"{seed}:{number}"))
        several = len(document.pages) > 1
        scans = [
            f"scans/{number}-{kind}{f'-{page + 1}' if several else ''}.png"
            for page in range(len(document.pages))
        ]
        for page, scan in enumerate(scans):
            save(document, page, folder / scan, number)
        for task, row in rows_of(document, number, scans):
            rows[task].append(row)
    for task, told in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in told)
        (folder / f"{task}.jsonl").write_text(text, encoding="utf-8")
    return {task: len(told) for task, told in rows.items()}


def main() -> None:
    """Draw, and say what there is."""
    parser = argparse.ArgumentParser(description="Draw pages and write what can be asked about them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=12, help="how many documents")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for task, count in make(given.folder, count=given.count, seed=given.seed).items():
        print(f"{given.folder / task}.jsonl: {count} rows")


if __name__ == "__main__":
    main()
