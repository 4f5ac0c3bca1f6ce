"""A judge that is a function; any model will do in its place.

steelyard eval --model embedded --task arithmetic --limit 20 --metric judge model=examples/judge.py:brevity
"""

import re


def brevity(prompt):
    """Grade an answer by how short it is, in the form that is asked for."""
    found = re.search(r"<answer>\n(.*?)\n</answer>", prompt, re.S)
    length = len(found.group(1)) if found else 0
    return f"It has {length} characters.\nGrade: {5 if length < 20 else 3 if length < 100 else 1}"
