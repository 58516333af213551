"""Reading tables: what is right is read, and what is wrong is named by file and line."""

import csv
import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.data import read_csv
from tinyslm.data.encodings import decode, guess
from tinyslm.errors import DataError, OptionError

GOOD = "text,label\ngood,p\nbad,n\n"
CHINESE = "text,label\n房间很小，早餐不错,p\n服务太差，不会再来,n\n"


@pytest.fixture
def table_file(tmp_path):
    def write(content, name="rows.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def fault(path, **options):
    with pytest.raises(DataError) as caught:
        read_csv(path, **options)
    return str(caught.value)


def test_reads_texts_labels_extra_columns_and_lines(table_file):
    table = read_csv(table_file('id,text,label\n1,"a, b\nc",p\n2,"say ""x""",n\n'))
    assert table.texts == ["a, b\nc", 'say "x"']
    assert table.labels == ["p", "n"]
    assert table.extra == {"id": ["1", "2"]}
    assert table.lines == [2, 4]
    assert (table.warnings, table.skipped, table.duplicates, len(table)) == ([], 0, 0, 2)


def test_line_ends_blank_lines_and_spaces_in_the_header(table_file):
    table = read_csv(table_file(" text , label\r\n\r\ngood, p\r\n\r\nbad,n"))
    assert (table.texts, table.labels, table.lines) == (["good", "bad"], ["p", "n"], [3, 5])


def test_other_columns_and_none_for_the_label(table_file):
    path = table_file("review,score\nfine,1\n")
    assert read_csv(path, text="review", label="score").labels == ["1"]
    assert read_csv(path, text="review", label=None).labels is None


def test_tabs_by_suffix_or_by_name(table_file):
    rows = "text\tlabel\na, b\tp\n"
    assert read_csv(table_file(rows, "rows.tsv")).texts == ["a, b"]
    assert read_csv(table_file(rows), delimiter="\t").texts == ["a, b"]


def test_quotes_as_ordinary_characters_and_no_header(table_file):
    path = table_file('ham\the said "hi\nspam\t"win" now\n')
    table = read_csv(path, delimiter="\t", quoting="none", columns=["label", "text"])
    assert (table.texts, table.lines) == (['he said "hi', '"win" now'], [1, 2])


@given(st.lists(st.tuples(st.text().filter(str.strip), st.sampled_from("pn")), min_size=1, max_size=8))
def test_what_csv_writes_comes_back(rows):
    rows = [(text.replace("\0", ""), label) for text, label in rows]
    rows = [row for row in rows if row[0].strip()] or [("x", "p")]
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stream.getvalue().encode("utf-8", "replace")))
    try:
        table = read_csv("-")
    finally:
        sys.stdin = before
    expected = [(text.encode("utf-8", "replace").decode(), label) for text, label in rows]
    assert list(zip(table.texts, table.labels, strict=True)) == expected


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    table = read_csv("-")
    assert (table.texts, table.source) == (["good", "bad"], "standard input")


def test_missing_file_lists_the_tables_that_are_there(table_file):
    path = table_file(GOOD, "real.csv")
    assert "real.csv" in fault(path.with_name("reel.csv"))
    assert "does not exist either" in fault(path.parent / "no" / "x.csv")
    assert "Got a folder" in fault(path.parent)


@pytest.mark.parametrize("content", ["", "\n\n  \n", "\ufeff"])
def test_empty_file(table_file, content):
    assert "Got an empty file" in fault(table_file(content))


def test_header_alone(table_file):
    assert "the header alone" in fault(table_file("text,label\n"))


def test_missing_column_names_the_columns_and_the_way_out(table_file):
    message = fault(table_file("review,label\nfine,p\n"))
    assert "'review', 'label'" in message
    assert "--text-column" in message and "columns=[" in message and "add one, such as text,label" in message
    assert "delimiter=';'" in fault(table_file("text;label\nfine;p\n"))
    assert r"delimiter='\t'" in fault(table_file("text\tlabel\nfine\tp\n"))


def test_repeated_column(table_file):
    assert "'text' more than once" in fault(table_file("text,text,label\na,b,c\n"))


def test_wrong_number_of_fields(table_file):
    message = fault(table_file("text,label\nfine,p\nfar, too many,p\n"))
    assert "rows.csv, line 3" in message
    assert "Expected 2 fields (text, label). Got 3: a text that contains the delimiter" in message
    assert "Got 1." in fault(table_file("text,label\nalone\n"))


def test_nul_character(table_file):
    assert "line 2" in fault(table_file(b"text,label\na\x00b,p\n"))


def test_quotes_that_do_not_match(table_file):
    assert "never closed" in fault(table_file('text,label\nfine,p\n"open,p\nmore,n\n'))
    message = fault(table_file('text,label\n"he said "hi" to me",p\n'))
    assert "line 2" in message
    assert "quoting='none'" in message


def test_empty_texts_are_skipped_and_counted(table_file):
    table = read_csv(table_file("text,label\nfine,p\n,n\n  ,\nbad,n\n"))
    assert (table.texts, table.skipped, table.lines) == (["fine", "bad"], 2, [2, 5])
    assert table.warnings == ["2 rows with an empty text skipped (the first in line 3)."]
    assert "all of them empty" in fault(table_file("text,label\n,p\n"))


def test_empty_label(table_file):
    message = fault(table_file("text,label\nfine,p\nbad,\nworse, \n"))
    assert "line 3" in message
    assert "2 rows in all" in message


def test_repeats_and_contradictions_are_counted(table_file):
    table = read_csv(table_file("text,label\na,p\na,p\nb,p\nb,n\n"))
    assert table.duplicates == 1
    assert "1 row repeated" in table.warnings[0]
    assert "1 text with more than one label" in table.warnings[1]


def test_a_line_of_ten_megabytes(table_file):
    before = csv.field_size_limit()
    long = "word " * 2_000_000
    assert len(read_csv(table_file(f"text,label\n{long},p\n")).texts[0]) == 10_000_000
    assert csv.field_size_limit() == before


def test_a_field_over_the_limit(table_file, monkeypatch):
    monkeypatch.setattr("tinyslm.data.csvfile.FIELD_LIMIT", 100)
    message = fault(table_file(f"text,label\nfine,p\n{'x' * 101},p\n"))
    assert "line 3" in message
    assert "at most 100 characters" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_in_its_encoding(table_file, encoding):
    path = table_file(CHINESE, encoding=encoding)
    wanted = "utf-8" if encoding == "utf-8-sig" else encoding
    assert read_csv(path, encoding=wanted).texts[0] == "房间很小，早餐不错"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_wrong_encoding_says_what_to_pass(table_file, encoding):
    message = fault(table_file(CHINESE, encoding=encoding))
    assert "rows.csv, line" in message
    assert f"--encoding {encoding}" in message


def test_western_and_damaged_files(table_file):
    assert "--encoding cp1252" in fault(table_file("text,label\ncafé à la crème,p\n", encoding="cp1252"))
    damaged = (CHINESE + "房间很小，早餐不错".join("xyz")).encode() + b"\xff"
    assert "line 4: Expected text in utf-8. Got the byte 0xff" in fault(table_file(damaged))
    assert "repair it" in fault(table_file(damaged))
    assert "--encoding utf-8" in fault(table_file("text,label\n好,p\n"), encoding="ascii")


def test_utf16_without_a_mark(table_file):
    assert "utf-16" in fault(table_file(GOOD.encode("utf-16-le")))
    assert guess(GOOD.encode("utf-16-le")) == "utf-16"


def test_unusable_options(table_file):
    path = table_file(GOOD)
    for options in ({"delimiter": ";;"}, {"quoting": "all"}, {"encoding": "utf-9"}, {"encoding": "rot13"}):
        with pytest.raises(OptionError, match="Expected"):
            read_csv(path, **options)
    with pytest.raises(OptionError, match="two different columns"):
        read_csv(path, text="text", label="text")


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-32", "gb18030"]))
def test_decode_undoes_encode(text, encoding):
    text = text.encode("utf-8", "replace").decode().lstrip("\ufeff")
    assert decode(text.encode(encoding), encoding) == text


def test_table_take_where_classes(table_file):
    table = read_csv(table_file("text,label,split\na,p,train\nb,n,test\nc,n,train\n"))
    assert table.where("split", "train").texts == ["a", "c"]
    assert table.take([2, 0]).labels == ["n", "p"]
    assert table.classes() == {"n": 2, "p": 1}
    with pytest.raises(OptionError, match="split"):
        table.where("kind", "x")


def test_a_header_in_capitals_is_told(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("Text,Label\nfine,good\n", encoding="utf-8")
    told = r"Only the capitals differ: pass text='Text', label='Label' \(--text-column Text --label-column Label\)\. "
    with pytest.raises(DataError, match=told):
        read_csv(file)
    file.write_text("text,Label\nfine,good\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"differ: pass label='Label' \(--label-column Label\)\. "):
        read_csv(file)
    file.write_text("words,kind\nfine,good\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_csv(file)
    assert "Only the capitals" not in str(caught.value)


def test_random_bytes_are_probably_no_text():
    data = np.random.default_rng(0).integers(0, 256, 2000, dtype="uint8").tobytes()
    with pytest.raises(DataError, match="probably no text file"):
        decode(data)
    for text, encoding in (("déjà vu " * 50, "cp1252"), ("电影很好看\n" * 50, "gb18030"), ("电影" * 9, "utf-16")):
        with pytest.raises(DataError, match=f"looks like {encoding}"):
            decode(text.encode(encoding))
