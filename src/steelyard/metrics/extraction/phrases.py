"""The phrases by which a text picks an option or rejects one, as regular expressions.

A blank in the English ones stands for any white space.
"""

from __future__ import annotations

import re

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
EDGE = " \t\n*_`\"'.,;:!()[]"
"""What may stand around the text of an option."""

_OPEN = r"(?:[\s*_`\"'$(\[{<]|\\(?:text|mathrm|mathbf|textbf|boxed|\()){0,16}"
_LETTER = r"(?P<letter>[A-Z])(?![\w'’])"
_WORDY = r"(?:option|choice|answer|letter|statement)"
_WRONG = "(?:wrong|incorrect|false|not|eliminated|out|ruled out|impossible|unlikely|invalid)"
_SURELY = "(?:clearly|definitely|obviously|indeed|therefore|to be|most likely|probably|also|both|be)"


def _spaced(*lines: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile("".join(lines).replace(" ", r"\s+"), flags)


# "A dog" and "I think" are words; "A", "A because" and "A)" are options.
AFTER_OPTION = _spaced(
    r"(?=\s*(?:[.,;:!?)\]}*_`\"'\n<\\/$&—-]|\Z)| (?:because|since|as|with|and|or|due|given|which|–)\b)"
)
PICK = _spaced(
    rf"{_OPEN}(?:(?:the )?(?:(?:correct|best|right) )?{_WORDY}s?\b(?: (?:is|number))?[\s:*_]*)?",
    rf"{_OPEN}{_LETTER}",
    flags=re.I,
)
LEADING = _spaced(rf"{_OPEN}(?:(?:option|choice) )?{_OPEN}{_LETTER}", flags=re.I)
ENUMERATED = re.compile(r"^[\s*_\-•(\[]*(?P<letter>[A-Z])[*_]*[.):\]]", re.M)
SEVERAL = _spaced(
    r"(?:[\t\x20)*.\]]*\n\s*(?=\(?[A-Z][).]*\s*(?:\n|\Z))",
    r"|[\s)*.\]\"'`]*(?:,|/|&|\band\b|\bor\b|,\s*and\b|,\s*or\b))",
    r"\s*(?:also )?(?:(?:option|choice) )?[\s(*\[\"'`]*",
    rf"{_LETTER}(?! (?:is|are|was) {_WRONG})",
)
VERDICT = _spaced(
    r"(?P<so>\b(?:so|therefore|thus|hence|then)[,:]? (?:it's |it (?:is|must be|has to be) |that leaves ",
    r"|(?:we|I) (?:choose|pick|select|get) )?(?:definitely )?)",
    r"|(?P<choose>\b(?:I|we|I'd|I'll|let's|let me|to|would|will|must|should|and) (?:therefore )?",
    r"(?:choose|pick|select|go (?:with|for)|say|answer|guess|went with)(?:\s*:| ?)\s*",
    r"|\b(?:going with|leaning towards?|leaves(?: us with)?|my (?:choice|pick|guess) is",
    r"|it's|it is|(?:must|has to) be|points to) )",
    r"|(?P<option>\b(?:correct|right|best|only|final|most \w+) (?:(?:remaining|plausible) )?",
    r"(?:option|choice|one|statement|letter)\s*(?:is|would be|must be|:|=)\s*)",
    flags=re.I,
)
RIGHT = _spaced(
    rf"(?:\b(?i:{_WORDY}) )?[(\"'*\[]*{_LETTER}[)\"'*.\]:]*(?:\s*\([^)\n]*\))? ",
    rf"(?:is|seems|looks|must be|would be|appears) (?:{_SURELY} )*(?:the )?(?:most )?(?:only )?",
    r"(?:correct|right|best|true|answer|likely|accurate|appropriate|valid|one)\b",
)
REJECTED = _spaced(
    r"(?:\b(?i:not|rules? out|ruled out|eliminates?|eliminated|excludes?|discard|unlike|than|isn't|reject) ",
    r"(?:(?:option|choice) )?[(*]*(?P<before>[A-Z])(?![\w'])",
    r"|(?:(?P<first>[A-Z])(?![\w'])[)*]*,? (?:and|or|nor) |(?P<second>[A-Z]), (?P<third>[A-Z]),? (?:and )?)?",
    r"[(*]*(?P<after>[A-Z])(?![\w'])[)*.:]* ",
    r"(?:(?:is|are|was|can be|seems?|looks?|would be|can't be|cannot be|both) ",
    rf"(?:{_SURELY} )*{_WRONG}|(?:isn't|can't be|cannot be|doesn't|does not) ",
    rf"(?:{_SURELY} )*(?:correct|right|true|work|fit|make)))",
)
STANDALONE = re.compile(r"(?<![\w'’.-])(?P<letter>[A-Z])(?![\w'’-]|\.\w|\s*[+^=])")
LAST_SENTENCE = re.compile(r"[.!?:]\s+([(*\"']*[A-Z][)*\"'.]*)\Z")
EITHER_SIDE = re.compile(r"\b(?:not|if|whether|either|neither|nor)\s+\W*\Z", re.I)
WRAPPED = re.compile(r"\\(?:text|mathrm|mathbf)\{(\w)\}")
CALLED = re.compile(r"\A(?:option|choice)\s+", re.I)

# Chinese sets no blanks, so a letter there ends where no Latin letter follows.
_LATIN = r"(?<![A-Za-z])(?P<letter>[A-Z])(?![A-Za-z0-9'])"
CHOSEN = re.compile(
    r"(?:(?<!不)(?:选择|選擇|[选選])(?![项項])|(?:正确|正確|最佳)的?(?:[选選][项項]|答案)|答案应?|:\s*[选選][项項]"
    r"|(?<!不)(?:(?:正确|正確)的|认为|認為|应该|應該)(?=[是为為]))"
    rf"\s*(?:[是为為]|应[是为])?\s*(?:[选選][项項])?[\s:*(\[\"'【]*{_LATIN}"
)
CORRECT = re.compile(
    rf"{_LATIN}[)*\]\s]*(?:[选選]?[项項])?\s*(?:说法|是|最|为)?(?:正确|正確|对的|符合题意)(?!吗)"
)
BESIDE = re.compile(
    r"\s*(?:选项|项)?\s*(?:和|与|或|及|、)\s*(?P<letter>[A-Z])(?![A-Za-z0-9])(?!\s*(?:选项|项)?(?:错|不|都))"
)
