"""Instructions of IFEval: every kind with texts that follow it and texts that do not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard import Response, Sample
from steelyard.errors import DataError, UnknownName
from steelyard.metrics.instructions.counts import count_sentences
from steelyard.metrics.instructions.following import (
    ifeval,
    instruction_kinds,
    instructions_loose,
    instructions_strict,
)
from steelyard.metrics.instructions.kinds import KINDS, follows, follows_loosely
from steelyard.metrics.instructions.languages import is_in_language, language_of

PARAGRAPHS = 'Once upon a time.\n\n"Weekend, he said.\n\nThe end.'
HUNDRED = "word " * 100

# kind, options, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["red", "Sea"]}, ["The RED sea", "seared"], ["the sea", "ed"]),
    ("keywords:frequency", {"keyword": "flow", "frequency": 2, "relation": "at least"},
     ["Flow and flower"], ["flow"]),
    ("keywords:frequency", {"keyword": "flow", "frequency": 2, "relation": "less than"},
     ["flow", "none"], ["Flow and flower"]),
    ("keywords:forbidden_words", {"forbidden_words": ["no", "never"]}, ["I know it"], ["No.", "I never do"]),
    ("keywords:letter_frequency", {"letter": "a", "let_frequency": 3, "let_relation": "at least"},
     ["Banana", "AAA"], ["band"]),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 2, "let_relation": "less than"},
     ["Oh!"], ["Oh!!"]),
    ("language:response_language", {"language": "de"},
     ["Das ist der Hund und die Katze."], ["This is the dog and the cat."]),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "at least"},
     ["One. Two! Three?", "It is 3.5 m. Dr. Lee came. She left."],
     ["One. Two.", "Mr. J. Lee, e.g. me, came."]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"},
     ["Only one", "He said (etc. and so on) that."], ["One. Two."]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["One\n***\nTwo", "One\n\n***\n\nTwo\n***"], ["One\n\nTwo", "One *** *** Two"]),
    ("length_constraints:number_words", {"num_words": 100, "relation": "at least"},
     [HUNDRED], [HUNDRED[5:]]),
    ("length_constraints:number_words", {"num_words": 100, "relation": "less than"}, ["few"], [HUNDRED]),
    ("length_constraints:number_words", {"num_words": 6, "relation": "less than"},
     ["यह एक हिन्दी वाक्य है।"], ["one two three four five six"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "weekend"},
     [PARAGRAPHS], [PARAGRAPHS + "\n\nMore.", PARAGRAPHS.replace("Week", "Some"), "weekend"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     ["Dear [name], at [place]"], ["[name]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     ["Bye.\nP.S. More", "Bye. p. s. x"], ["Bye.", "P.P.X"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["Bye.\nP.P.S more"], ["P.S. more"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n* b", "- a\n  - b", "Two:\n* a\n- b"], ["* a", "* a\n* b\n* c", "**a**\n**b**"]),
    ("detectable_format:constrained_response", {},
     ["My answer is maybe.", "Well. My answer is no."], ["Maybe."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*one* and *two*", "**one** *two*"], ["*one*", "* *", "** **"]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
     ["SECTION 1\na\nSECTION 2\nb"], ["SECTION 1\na", "Section 1 Section 2"]),
    ("detectable_format:json_format", {},
     ['{"a": 1}', '```json\n{"a": [1]}\n```', "[]"], ["{'a': 1}", "so: {}"]),
    ("detectable_format:title", {}, ["<<Ode>>\nO joy"], ["<Ode>", "<< >>"]),
    ("combination:two_responses", {}, ["One\n******\nTwo", "******\nOne ****** Two"],
     ["One", "One ****** One", "1 ****** 2 ****** 3", "1 ****** ****** 2"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Write a poem. "},
     ["write a poem.\nO joy"], ["O joy. Write a poem."]),
    ("startend:end_checker", {"end_phrase": "Is there anything else?"},
     ['"Yes. Is there anything else?"', "is there anything ELSE?\n"], ["Is there anything else? Bye."]),
    ("startend:quotation", {}, ['"All of it."', ' "x" '], ['"x', 'x"', '"', "'x'"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["The USA and NATO", "WELL-KNOWN, A fact"], ["The USA", "Usa Nato"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["NASA and IBM"], ["P.P.S more", "U.S.A", "U.S.A.", "WELL-KNOWN", "A/B", "A_B"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "less than"},
     ["The USA"], ["The USA and NATO"]),
    ("change_case:english_capital", {},
     ["THIS IS THE END OF IT."], ["This is THE END.", "DAS IST NICHT DER HUND"]),
    ("change_case:english_lowercase", {},
     ["this is the end of it."], ["This is it.", "das ist nicht der hund"]),
    ("punctuation:no_comma", {}, ["One and two"], ["One, two"]),
]  # fmt: skip

LANGUAGES = {
    "en": "The weather is nice today and we went to the park. I don't know what they think.",
    "es": "El perro está en la casa y no quiere salir porque hace mucho frío. ¿Qué piensas?",
    "pt": "O cachorro está em casa e não quer sair porque faz muito frio. O que você acha?",
    "fr": "Le chien est dans la maison et ne veut pas sortir parce qu'il fait froid.",
    "de": "Der Hund ist im Haus und will nicht nach draußen, weil es kalt ist.",
    "it": "Il cane è in casa e non vuole uscire perché fa molto freddo. Anche il gatto.",
    "pl": "Pies jest w domu i nie chce wyjść, ponieważ jest bardzo zimno.",
    "vi": "Con chó ở trong nhà và không muốn ra ngoài vì trời rất lạnh.",
    "sw": "Mbwa yuko ndani ya nyumba na hataki kutoka kwa sababu kuna baridi sana.",
    "fi": "Koira on talossa eikä halua mennä ulos, koska ulkona on kylmä. Se on niin.",
    "ru": "Собака в доме и не хочет выходить, потому что очень холодно.",
    "uk": "Собака в будинку і не хоче виходити, тому що дуже холодно.",
    "bg": "Кучето е в къщата и не иска да излезе, защото е много студено.",
    "hi": "कुत्ता घर में है और बाहर नहीं जाना चाहता क्योंकि बहुत ठंड है।",
    "mr": "कुत्रा घरात आहे आणि बाहेर जाऊ इच्छित नाही कारण खूप थंडी आहे.",
    "ne": "कुकुर घरमा छ र बाहिर जान चाहँदैन किनभने धेरै चिसो छ।",
    "ar": "الكلب في البيت ولا يريد الخروج لأن الجو بارد جدا.",
    "fa": "سگ در خانه است و نمی‌خواهد بیرون برود چون هوا خیلی سرد است.",
    "ur": "کتا گھر میں ہے اور باہر نہیں جانا چاہتا کیونکہ بہت سردی ہے۔",
    "ja": "犬は家の中にいて、とても寒いので外に出たがりません。",
    "zh": "狗在家里，因为天气很冷，所以不想出去。",
    "ko": "개는 집에 있고 너무 추워서 나가고 싶어하지 않는다.",
    "th": "สุนัขอยู่ในบ้านและไม่อยากออกไปข้างนอกเพราะหนาวมาก",
    "he": "הכלב בבית ולא רוצה לצאת כי קר מאוד.",
    "bn": "কুকুরটি বাড়িতে আছে এবং বাইরে যেতে চায় না কারণ খুব ঠান্ডা।",
    "ta": "நாய் வீட்டில் உள்ளது, வெளியே செல்ல விரும்பவில்லை.",
    "te": "కుక్క ఇంట్లో ఉంది మరియు బయటకు వెళ్లడానికి ఇష్టపడదు.",
    "kn": "ನಾಯಿ ಮನೆಯಲ್ಲಿದೆ ಮತ್ತು ಹೊರಗೆ ಹೋಗಲು ಬಯಸುವುದಿಲ್ಲ.",
    "gu": "કૂતરો ઘરમાં છે અને બહાર જવા માંગતો નથી.",
    "pa": "ਕੁੱਤਾ ਘਰ ਵਿੱਚ ਹੈ ਅਤੇ ਬਾਹਰ ਨਹੀਂ ਜਾਣਾ ਚਾਹੁੰਦਾ।",
    "ml": "നായ വീട്ടിലാണ്, പുറത്തു പോകാൻ ആഗ്രഹിക്കുന്നില്ല.",
    "nl": "De hond is in het huis en wil niet naar buiten, want het is koud.",
}


@pytest.mark.parametrize(("kind", "options", "followed", "broken"), CASES)
def test_every_kind(kind: str, options: dict[str, Any], followed: list[str], broken: list[str]) -> None:
    for text in followed:
        assert follows(text, [kind], [options]) == [True], text
    for text in [*broken, "", "  \n"]:
        assert follows(text, [kind], [options]) == [False], text


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, *_ in CASES} == set(KINDS)
    assert len(KINDS) == 25


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_told_apart(language: str) -> None:
    assert language_of(LANGUAGES[language]) == language
    assert language_of(LANGUAGES[language].upper()) == language
    assert is_in_language(LANGUAGES[language], language)
    assert not is_in_language(LANGUAGES[language], "en" if language != "en" else "de")


def test_a_few_english_words_are_english() -> None:
    assert language_of("no commas here; really") == "en"
    assert language_of("hi there!\nno caps here\n\nbye") == "en"
    assert language_of("No hay nada en la casa.") == "es"


def test_languages_by_other_codes() -> None:
    assert is_in_language(LANGUAGES["zh"], "zh-cn") and is_in_language(LANGUAGES["pt"], "pt_BR")
    assert is_in_language("1 + 1 = 2", "fr")
    assert language_of("") is None


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        ("no commas here", True, True),
        ("Sure, here it is:\nno commas here", False, True),
        ("no commas here\nHope this helps, friend!", False, True),
        ("Sure, so:\nno commas here\nAs you wished, I hope.", False, True),
        ("one, two\nthree, four\nfive, six", False, False),
        ("", False, False),
    ],
)
def test_loosely_means_without_the_first_or_last_line(text: str, strict: bool, loose: bool) -> None:
    assert follows(text, ["punctuation:no_comma"], [{}]) == [strict]
    assert follows_loosely(text, ["punctuation:no_comma"], [{}]) == [loose]


def test_loosely_means_without_asterisks() -> None:
    asked = ["startend:end_checker"], [{"end_phrase": "The end."}]
    assert (follows("**The end.**", *asked), follows_loosely("**The end.**", *asked)) == ([False], [True])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two. Three.", 3),
        ("What?! No... Yes.", 3),
        ('He said "Stop." Then he left.', 2),
        ("Dr. A. Smith of the U.S. Army paid $3.50 at 5 p.m. on Fig. 2.", 1),
        ("First line.\nSecond line.\n\nThird", 3),
        ("第一句。第二句！", 2),
        ("1. One\n2. Two", 1),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert count_sentences(text) == count


def sample(*names: str) -> Sample:
    return Sample("1", "Go.", meta={"instruction_id_list": list(names), "kwargs": [{} for _ in names]})


def test_metrics_of_answers_and_of_the_set() -> None:
    asked = sample("punctuation:no_comma", "detectable_format:title")
    said = Response("<think>a, b</think>Yes, so:\n<<Ode>>")
    assert ifeval(asked, said) == {"strict": False, "loose": True}
    assert ifeval.parts(asked) == ["strict", "loose"]
    assert instructions_strict(asked, said) == [1, 2]
    assert instructions_loose(asked, said) == [2, 2]
    assert instruction_kinds(asked, said) == {"punctuation:no_comma": False, "detectable_format:title": True}
    assert instruction_kinds.parts(asked) == ["punctuation:no_comma", "detectable_format:title"]
    failed = instructions_strict(sample("punctuation:no_comma"), Response(error="no answer"))
    assert failed == [0, 1]
    assert instructions_strict.combine([[1, 2], failed]) == pytest.approx(1 / 3)
    assert instructions_strict.combine([]) is None


def test_what_is_no_instruction() -> None:
    with pytest.raises(UnknownName, match="did you mean punctuation:no_comma"):
        ifeval(sample("punctuation:no_commas"), Response("x"))
    with pytest.raises(DataError, match="has no keywords"):
        ifeval(sample("keywords:existence"), Response("x"))
    with pytest.raises(DataError, match="no relation 'more than'"):
        follows("x", ["length_constraints:number_words"], [{"num_words": 1, "relation": "more than"}])
    with pytest.raises(DataError, match="no instructions"):
        ifeval(Sample("1", "Go."), Response("x"))


def test_numbers_of_tables_are_whole() -> None:
    options = {"num_paragraphs": 3.0, "nth_paragraph": 2.0, "first_word": "weekend"}
    assert follows(PARAGRAPHS, ["length_constraints:nth_paragraph_first_word"], [options]) == [True]


@given(st.text(max_size=200))
def test_any_text_is_survived(text: str) -> None:
    for kind, options, *_ in CASES:
        assert follows_loosely(text, [kind], [options])[0] in (True, False)
    for piece in ("*", "[", "<<", "p.s", "a. ", "***\n", "******"):
        follows(piece * 2000, [kind for kind, *_ in CASES[:1]], [CASES[0][1]])
