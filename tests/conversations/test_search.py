"""`GET /conversations?q=`: titles and texts, whole words, one's own rows only."""

import re
import unicodedata

import pytest

from conversations import word_splitting
from conversations.models import ConversationWords
from tests.conversations.test_calls import CALL


def conversation(api, *texts, title=None):
    made = api.send("POST", "/conversations", {"title": title})
    for text in texts:
        message = {"role": "user", "content": text}
        api.send("POST", f"/conversations/{made['id']}/messages", message)
    return made["id"]


def found(api, q, **query):
    return [row["id"] for row in api.read("/conversations", {"q": q, **query})]


def test_words_of_titles_and_messages_are_found(api):
    parser = conversation(api, "Write a GRAMMAR, please.", title="About parsers")
    other = conversation(api, "Nothing of the kind")
    assert found(api, "grammar") == found(api, "PARSERS") == [parser]
    assert found(api, "nothing") == [other]
    assert found(api, "gram") == found(api, "...") == []
    assert set(found(api, "")) == {parser, other}


def test_all_words_must_occur_but_not_in_one_message(api):
    both = conversation(api, "alpha", "beta", title="gamma")
    conversation(api, "alpha")
    assert found(api, "beta alpha gamma") == [both]
    assert found(api, '"alpha" -beta & delta') == []


@pytest.mark.parametrize("text", ["Übergröße", "данные", "数据", "naïve_name", "42"])
def test_words_of_any_script_are_found(api, text):
    id = conversation(api, f"before {text}, after")
    assert found(api, text.upper()) == [id]


@pytest.mark.parametrize(
    ("text", "typed", "absent"),
    [
        (
            "今天北京天气怎么样？",
            ["北京", "天气", "茶 今", "今天北京天气怎么样", "样"],
            ["京北", "明天"],
        ),
        (
            "東京タワーに行きたいです。",
            ["東京", "タワー", "行きたい", "東京 タワー"],
            ["京都", "ワタ"],
        ),
        ("ฉันชอบกรุงเทพมหานคร", ["กรุงเทพ", "ชอบ"], ["เชียงใหม่"]),
        ("한국어로 말해 주세요", ["한국어", "한국어로", "말"], ["국한"]),
        ("ខ្ញុំស្រលាញ់ភ្នំពេញ", ["ភ្នំពេញ"], ["សៀមរាប"]),
        ("我的iPhone15手机坏了", ["iphone15", "手机", "我的iPhone15手机"], ["iphone", "机手"]),
        ("𠮷野家で食べる", ["𠮷野家", "𠮷"], ["野𠮷"]),
    ],
    ids=["Chinese", "Japanese", "Thai", "Korean", "Khmer", "mixed", "beyond the BMP"],
)
def test_parts_of_texts_without_spaces_are_found(api, text, typed, absent):
    by_text = conversation(api, f"茶。{text}")
    by_title = conversation(api, title=f"{text}茶")
    conversation(api, "unrelated")
    for query in typed:
        assert set(found(api, query)) == {by_text, by_title}, query
    for query in absent:
        assert found(api, query) == [], query


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("ＧＰＴ－４ ｃｏｓｔｓ", "gpt"),
        ("gpt costs", "ｃｏｓｔｓ"),
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "CAFE\u0301"),
        ("\ufb01nal \ufb02ow", "final flow"),
        ("\u30ab\u3099", "\u30ac"),  # katakana ga, as macOS writes file names
        ("\uff76\uff9e", "\u30ac"),  # and in half width
        ("\u1100\u1161", "\uac00"),  # conjoining Hangul
        ("para\u00adgraph", "paragraph"),
        ("zero\u200bwidth", "zerowidth"),
        ("\u2167 x\u00b2", "viii X2"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u212bngstr\u00f6m", "\u00e5ngstro\u0308m"),
        (
            "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
            "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3",
        ),
    ],
)
def test_words_are_the_same_however_they_are_encoded(api, stored, typed):
    by_text = conversation(api, stored)
    by_title = conversation(api, title=stored)
    assert set(found(api, typed)) == {by_text, by_title}


SCRIPTS = [
    "It\u2019s a sentence, of course: with 3/4 of e\u0301 and na\u00efve words.\n",
    "\u6f22\u5b57\u3068\u4eee\u540d\u3002\u534a\u89d2\uff76\uff9e\u3001\u5168\u89d2\uff27\uff30\uff34\u3002",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u3000\u0434\u0430\u043d\u043d\u044b\u0435 "
    "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u0645\u0643\u062a\u0628\u0629 ",
    "para\u00adgraph \u24b6\u24b7 \ufb01nal x\u00b2 = \u00bd \u2260 =\u0338 " + "-" * 40 + "\r\n",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_words_of_a_long_text_are_those_of_the_text_in_one_piece(text):
    text = "".join(f"{text}{number} " for number in range(3_000))
    folded = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    words = set()
    for word in re.findall(
        r"[^\W\u3040-\uffff]+|[^\W\0-\u303f]+", unicodedata.normalize("NFKC", folded)
    ):
        is_spaced = word[0] < "\u3040"
        words |= {word} if is_spaced else {*word, *map("".join, zip(word, word[1:], strict=False))}
    indexed = word_splitting.index_texts([text])
    assert {word for part in indexed for word in part.split(" ")} == words


# Unicode orders each run of them in quadratic time: of this one in a second.
MARKS = "\u0301" * 12_000 + "\u0327" * 12_000


@pytest.mark.parametrize("marks", [MARKS, "\u0301\uff9e" * 12_000, "\u0301\u200b\u0f73" * 8_000])
def test_nothing_orders_many_combining_marks_at_once(api, monkeypatch, marks):
    texts = []
    monkeypatch.setattr(word_splitting, "unicodedata", _Watched(texts))
    id = conversation(api, f"cafe{marks} noir")
    assert found(api, "noir") == [id]
    assert api.read("/conversations", {"q": f"cafe{marks[:500]} noir"})
    assert texts and max(map(len, texts)) < 100


class _Watched:
    """The module `unicodedata`, whose `normalize` notes its texts."""

    combining = staticmethod(unicodedata.combining)

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def normalize(self, form: str, text: str) -> str:
        self._texts.append(text)
        return unicodedata.normalize(form, text)


def test_texts_of_multimodal_content_and_calls_are_found(api):
    parts = [{"type": "text", "text": "a zebra"}, {"type": "image", "data": "lion"}]
    id = conversation(api, parts)
    assert (found(api, "zebra"), found(api, "lion")) == ([id], [])
    logged = api.send("POST", "/conversations/log", CALL)["conversation_id"]
    assert found(api, "fast brief") == [logged]


def test_newest_change_comes_first_and_pages(api):
    ids = [conversation(api, "same", f"only{n}") for n in range(3)]
    assert found(api, "same") == ids[::-1]
    assert found(api, "same", limit=1, offset=1) == [ids[1]]
    assert found(api, "same", limit=1, offset=5) == []


def test_changed_title_is_found_and_the_former_is_not(api):
    id = conversation(api, "text", title="former")
    api.send("PATCH", f"/conversations/{id}", {"title": "later"})
    assert (found(api, "former"), found(api, "later"), found(api, "text")) == ([], [id], [id])
    api.send("PATCH", f"/conversations/{id}", {"title": None})
    assert found(api, "later") == []


def test_strangers_words_are_not_found(api, other_api):
    conversation(api, "secret", title="hidden")
    assert found(other_api, "secret") == found(other_api, "hidden") == []


@pytest.mark.slow
def test_words_beyond_one_index_entry_are_found(api):
    """A tsvector holds a megabyte at most."""
    words = [f"w{n:07}" for n in range(200_000)]
    id = conversation(api, " ".join(words))
    assert ConversationWords.objects.count() > 5
    assert found(api, f"{words[0]} {words[-1]}") == [id]


def test_words_beyond_the_most_that_are_indexed_are_left_out(api, monkeypatch):
    monkeypatch.setattr(word_splitting, "MAX_WORDS", 3)
    piece = "a few different words "
    id = conversation(api, piece * 2_000 + "late")
    assert found(api, "different") == [id]
    assert found(api, "late") == []


def test_overlong_words_and_quotes_do_no_harm(api):
    id = conversation(api, "x" * 5000 + " it's \\ 'quoted' & !")
    assert found(api, "x" * 5000) == found(api, "it's 'quoted'") == [id]
