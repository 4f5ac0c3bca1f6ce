"""Small data sets that come with the package, written by us.

{"question": "Tom has 3 pens and buys 4 more. …", "answer": "3 + 4 = 7\n#### 7"}
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_FOLDER = Path(str(files(__name__)))

ARITHMETIC = _FOLDER / "arithmetic.jsonl"
CHOICE = _FOLDER / "choice.jsonl"
SENTENCES = _FOLDER / "sentences.jsonl"
TRAIN = _FOLDER / "train.jsonl"
