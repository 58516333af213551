import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import DataError, OptionError
from tinyslm.text import clean, strip_html

MARKUP = st.text(alphabet="<>/!-?&;#=\"' abpxscriptyle[]é中", max_size=60)


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("un<b>believ</b>able", "unbelievable"),
        ("<p>never closed <b>bold", "never closed bold"),
        ("fish&nbsp;&amp;&nbsp;chips &copy; &#x4e2d;&#25991;", "fish & chips © 中文"),
        ("once &amp;lt;b&amp;gt;", "once &lt;b&gt;"),
        ("left<!-- a <b> comment -->right", "leftright"),
        ("kept <!-- never closed", "kept"),
        ("a<script>if (x < y) { z('</p>') }</script>b<style>p {}</style>c", "a b c"),
        ("a <script>never closed", "a"),
        ("2 < 3 and 5 > 4, I <3 you, x <y", "2 < 3 and 5 > 4, i <3 you, x <y"),
        ('<a title="x > <y>" href=z>link</a>', "link"),
        ("<!DOCTYPE html><?xml version='1'?><![CDATA[x]]>text", "text"),
        ("<![x[ odd <!odd>", "<![x[ odd"),
        ("one<br/>two<td>three", "one two three"),
        ("&lt;decimal&gt; stays", "<decimal> stays"),
        ("", ""),
        ("<>", "<>"),
    ],
)
def test_html(page, seen):
    assert clean(page) == seen


def test_html_stays_on_request():
    assert clean("<b>A</b> &amp;", html=False) == "<b>a</b> &amp;"


@given(MARKUP)
def test_no_markup_breaks_it(page):
    assert "\n" not in clean(page)
    strip_html(page)


def test_links_are_removed_kept_or_marked():
    text = "See https://a.org/x?y=1, mail me@x.co.uk. or @jo_1 (www.b.com)!"
    assert clean(text) == "see , mail . or ( )!"
    kept = clean(text, urls=False, emails=False, handles=False)
    assert kept == text.lower()
    marked = clean(text, urls="<url>", emails="\\1", handles="<user>")
    assert marked == "see <url> , mail \\1 . or <user> ( <url> )!"


def test_a_link_ends_where_chinese_begins():
    assert clean("见http://a.cn/x，很好") == "见 ，很好"


def test_mail_is_no_handle_and_a_lone_at_stays():
    assert clean("at 5 @ home, a@b", emails=False) == "at 5 @ home, a@b"


def test_invisible_characters_go_and_spaces_fold():
    assert clean("a\u200bb\x00c\ufeff \t\r\n\u3000d\u00ad\ud800") == "abc d"


def test_unicode_forms():
    assert clean("ＡＢＣ１２３ ﬁn", unicode="NFKC") == "abc123 fin"
    assert clean("ＡＢＣ") == "ａｂｃ"
    assert clean("e\u0301") == "é"
    assert clean("e\u0301", unicode=None) == "e\u0301"


@given(st.text(max_size=30), st.sampled_from(["NFC", "NFKC"]))
def test_cleaning_twice_changes_nothing(text, form):
    once = clean(text, html=False, unicode=form)
    assert clean(once, html=False, unicode=form) == once
    assert unicodedata.is_normalized(form, once)
    assert once == " ".join(once.split())


@pytest.mark.parametrize("value", [b"bytes", None, 3, ["a"]])
def test_only_text(value):
    with pytest.raises(DataError, match="Expected text as str"):
        clean(value)
    with pytest.raises(DataError):
        strip_html(value)


def test_bytes_are_told_how_to_become_text():
    with pytest.raises(DataError, match=r"decode\('utf-8'\)"):
        clean(b"x")


def test_wrong_options():
    with pytest.raises(OptionError, match="unicode"):
        clean("x", unicode="NFD")
    with pytest.raises(DataError, match="replacement"):
        clean("x", urls=3)
