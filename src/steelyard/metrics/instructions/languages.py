"""Which language a text is in: by its script, its letters and its commonest words.

>>> language_of("Der Hund ist nicht in dem Haus, und die Katze auch nicht.")
'de'
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

# Not by \w, which the vowel signs of Indian scripts are not.
_BETWEEN = re.compile(r"[\s.,;:!?()\[\]{}\"“”„«»*_#—–\-/|।۔،؟…<>=+]+")
_ENOUGH = 20_000

# A script that one language of many readers is written in.
_SCRIPTS = {
    "THAI": "th", "HEBREW": "he", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "GUJARATI": "gu",
    "KANNADA": "kn", "MALAYALAM": "ml", "GURMUKHI": "pa", "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja",
    "CJK": "zh", "GREEK": "el", "GEORGIAN": "ka", "ARMENIAN": "hy", "SINHALA": "si", "KHMER": "km",
    "LAO": "lo", "MYANMAR": "my", "ETHIOPIC": "am",
}  # fmt: skip
_SHARED = {
    "LATIN": {
        "en": "the and of to in is that it you for with are was this be have not on as they from but what we"
        " no my here there which would been them your some about our his into just how their only if very",
        "es": "el la de que y en los las un una es por con para no se del su al lo como más pero muy está",
        "pt": "o a de que e os as um uma é em do da no na para com não por mais se ao dos das você está são",
        "fr": "le la les de des et est un une du en que qui dans pour pas sur avec ce au il nous vous plus",
        "de": "der die das und ist nicht ein eine in zu den mit von auf für dem sich auch es ich wir sie im",
        "it": "il la di che e un una è per non in del della con i le gli sono da si al più come ma anche",
        "pl": "i w na nie się z do to jest że jak o ale po tak co dla od za przez są być może które tym",
        "vi": "là và của có không một những được trong cho các người với này đã đến khi tôi bạn để nhiều rất",
        "sw": "na ya wa ni kwa katika la za kuwa hii hiyo kama ili cha vya lakini pia watu sana yake wao",
        "fi": "ja on ei se että oli hän mutta kun niin mitä tämä ovat olla myös voi sekä tai joka minä sinä",
        "nl": "de het een en van is dat niet in op te zijn voor met die er aan ook maar als bij wij ik om",
        "sv": "och att det är en som på av för inte med den till har ett om jag var men de vi kan så när",
        "da": "og at det er en som på af for ikke med den til har et om jeg var men de vi kan så når der",
        "no": "og at det er en som på av for ikke med den til har et om jeg var men de vi kan så når",
        "tr": "ve bir bu da de için ile çok daha gibi ne olarak var ama olan en kadar değil sonra ben sen",
        "id": "yang dan di untuk dengan dari ini itu tidak adalah dalam pada ke akan juga saya kita bisa ada",
        "ro": "și în de la un o este nu cu pe că să din mai care pentru sunt ce dar au fost lui se",
        "cs": "a je se v na že to s z do i jako pro jsou ale za není který tak po jsem být nebo také",
        "hu": "a az és nem hogy egy is van de ez meg csak volt mint már még ha vagy nagyon lehet azt",
        "ca": "el la de que i en els les un una és per amb no es del al més però aquest també són com",
        "tl": "ang ng sa na mga at ay hindi ko ito para kung siya ako po namin ating isang mo ka",
    },
    "CYRILLIC": {
        "ru": "и в не на что я с он как это по но она из у за то все так его ы же был для мы вы",
        "uk": "і в не на що я з він як це до та але у за її його є ми ви був для також які бути",
        "bg": "и на да се в за не от са е с като по това че ще има към или как но той тя ние",
        "sr": "и у је да се на за не од са су као то што али или који би га ми ја они",
    },
    "DEVANAGARI": {
        "hi": "है के में की और का से को पर यह हैं नहीं एक भी कि ने वह तो था लिए हम आप कर",
        "mr": "आहे आणि च्या मध्ये हे ते नाही त्या आहेत या एक पण मी तो ती हा होते की साठी तर आपण",
        "ne": "छ र को मा हो छन् गर्न लागि भएको पनि यो एक हुन्छ गरेको थियो तर म हामी तपाईं छैन गर्छ",
    },
    "ARABIC": {
        "ar": "في من على إلى أن هذا هذه التي الذي لا ما كان مع هو هي عن كل أو ثم قد بين و",
        "fa": "در و از به که این است را با برای آن یک می ها هم خود تا بر شود کرد باشد ما شما",
        "ur": "کے میں ہے کی اور کا سے کو پر یہ ہیں نہیں ایک بھی کہ نے وہ تو تھا لیے ہم آپ کر",
    },
}  # fmt: skip
# Letters that of those who share a script only one writes.
_LETTERS = {
    "es": "ñ¿¡", "pt": "ãõ", "fr": "œùë", "de": "ßäöü", "it": "ìò", "pl": "łąęśźżń", "fi": "äö", "sv": "å",
    "vi": "ạảấầẩẫậắằẳẵặẹẻẽếềểễệơưđ", "da": "æø", "tr": "ığş", "ro": "șță", "cs": "řěů", "hu": "őű",
    "ru": "ыэё", "uk": "іїєґ", "bg": "ъ", "sr": "ђјљњћџ", "ar": "ةىيكأإ", "fa": "پچژگیک",
    "ur": "ٹڈڑںےہھ", "no": "æø",
}  # fmt: skip
_ALIKE = {"zh-cn": "zh", "zh-tw": "zh", "nb": "no", "nn": "no", "iw": "he", "fil": "tl", "in": "id"}


def is_in_language(text: str, language: str) -> bool:
    """Whether a text is in the language of a code; one without letters is in any."""
    wanted = language.lower().replace("_", "-")
    found = language_of(text)
    return found is None or found == _ALIKE.get(wanted, wanted.partition("-")[0])


def language_of(text: str) -> str | None:
    """The code of the language that a text is most likely in; None where it has no letters."""
    letters = Counter(text[:_ENOUGH].casefold())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha() and (script := _script_of(letter)):
            scripts[script] += count
    if not scripts:
        return None
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    # A Japanese text is half in Chinese characters; a word of kana in a Chinese one is not.
    if kana * 10 > scripts["CJK"] + kana:
        scripts["HIRAGANA"] += scripts["CJK"]
        scripts["CJK"] = 0
    (script, _), *_ = scripts.most_common(1)
    if script in _SHARED:
        return _by_words(text, script, letters)
    return _SCRIPTS.get(script, script.lower())


def _by_words(text: str, script: str, letters: Counter[str]) -> str:
    """The language, of those of one script, that the words and letters of a text speak for."""
    words = Counter(_BETWEEN.split(text[:_ENOUGH].casefold()))
    scores: dict[str, float] = {}
    for code, common in _common_words(script).items():
        score = float(sum(words[word] for word in common))
        # Letters of its own say as much as a word, however many words a text has.
        scores[code] = score + sum(letters[letter] for letter in _LETTERS.get(code, ""))
    best = max(scores, key=lambda code: scores[code])
    return best if scores[best] else next(iter(scores))


@lru_cache
def _common_words(script: str) -> dict[str, frozenset[str]]:
    return {code: frozenset(words.split()) for code, words in _SHARED[script].items()}


@lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].partition("-")[0]
