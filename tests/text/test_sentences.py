import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import DataError, OptionError
from tinyslm.text import detect_language, sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith paid $3.50 to Mrs. Hill. Good.", ["Dr. Smith paid $3.50 to Mrs. Hill.", "Good."]),
        ("J. R. Hill wrote it. It was I. Yes.", ["J. R. Hill wrote it.", "It was I.", "Yes."]),
        ("At 5 p.m. he left. At 6 p.m. She came.", ["At 5 p.m. he left.", "At 6 p.m.", "She came."]),
        ("Pears, etc. were sold. No. 5 won. So: no. Then", ["Pears, etc. were sold.", "No. 5 won.", "So: no.", "Then"]),
        ('"Stop!" he said. "Why?" She ran.', ['"Stop!" he said.', '"Why?"', "She ran."]),
        ("Well... maybe. Wait... What?!", ["Well... maybe.", "Wait...", "What?!"]),
        ("a title\n\na text", ["a title", "a text"]),
        ("lower case. also fine.", ["lower case.", "also fine."]),
        ("no end", ["no end"]),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_english(text, parts):
    assert sentences(text, "en") == parts


def test_chinese():
    assert sentences("他说：“你好！”然后走了。真的吗？！是的……好；行\n尾巴") == [
        "他说：“你好！”", "然后走了。", "真的吗？！", "是的……", "好；", "行", "尾巴",
    ]  # fmt: skip


@given(st.text(alphabet='.!?…。！？；" ”\nAbc中文5', max_size=60), st.sampled_from(["en", "zh", "auto"]))
def test_nothing_is_lost(text, lang):
    parts = sentences(text, lang)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in parts)


@pytest.mark.parametrize(
    ("text", "lang"),
    [("hello", "en"), ("你好", "zh"), ("", "en"), ("123 !", "en"), ("我用 iPhone 拍照", "zh"), ("the word 好", "en")],
)
def test_language(text, lang):
    assert detect_language(text) == lang


def test_wrong_input():
    with pytest.raises(DataError):
        sentences(None)
    with pytest.raises(DataError):
        detect_language(b"x")
    with pytest.raises(OptionError, match="lang"):
        sentences("x", "fr")
