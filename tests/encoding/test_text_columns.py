"""Texts to inputs: what a word is, which words have an input, and what the inputs are."""

from __future__ import annotations

import unicodedata
from math import log, sqrt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import TypeAdapter, ValidationError

from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.layout import Block, Layout, stack_sparse
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.text import Count, MultiHot, Text, TfIdf
from dlcli.columns.tokens import split_into_words
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Output
from dlcli.config.data_section import Input
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import DataError
from dlcli.network.layers import build_network
from dlcli.tables.table import Table


def rows(values, storage=None):
    data = pa.table({"x": pa.array(values, storage)})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fit(values, encoding=None, **parameters):
    feature = Text(encoding=encoding or Count(), **parameters)
    return feature.fit("x", rows(values, pa.string()), Input())


def encode(encoder, values, problems=None):
    return encoder.encode(rows(values, pa.string()), problems or ValueProblems())


def inputs(encoder, values):
    part = encode(encoder, values)
    return (
        InMemoryInputs(np.zeros((len(values), 0), np.float32), (part,))
        .part(0, len(values))
        .tolist()
    )


def notes(encoder, values):
    problems = ValueProblems()
    encode(encoder, values, problems)
    return [*map(str, problems.notes())]


def words(text):
    (block,) = split_into_words(pa.chunked_array([[text]], pa.string()))
    return [block.distinct[place].as_py() for place in block.codes.tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CAT sat; the cat: (sat).", ["the", "cat", "sat", "the", "cat", "sat"]),
        ("snake_case 3.14 -5 C++", ["snake_case", "3", "14", "5", "c"]),
        ("Don't 'quote' rock'n'roll' ''", ["don't", "quote", "rock'n'roll"]),
        ("rock''n", ["rock", "n"]),
        ("it’s “so” ‘nice’…", ["it's", "so", "nice"]),
        ("Ünïcode ÉTÉ Привет שלום", ["ünïcode", "été", "привет", "שלום"]),
        ("don'\u0301t ''\u0301no '\u0301'", ["don'\u0301t", "no"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("ﬁne ＡＢＣ x² ½ ℡", ["fine", "abc", "x2", "1", "2", "tel"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("soft\u00adhyphen می\u200cخواهم", ["softhyphen", "میخواهم"]),
        ("zero\u200bwidth no\u00a0break", ["zero", "width", "no", "break"]),
        ("ok ❤\ufe0f 👨\u200d👩\u200d👧 😀", ["ok"]),
        ("\u0301x \u0308 =\u0338 ¨ 。\u0301", ["x"]),
        ("", []),
        ("' — ' ...", []),
    ],
)
def test_a_word_is_a_run_of_letters_marks_digits_and_underscores(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好，世界 abc中文def", ["你", "好", "世", "界", "abc", "中", "文", "def"]),
        ("これはテスト", ["こ", "れ", "は", "テスト"]),
        ("ไทยดี", ["ไ", "ท", "ย", "ดี"]),
        ("한국어 문장", ["한국어", "문장"]),
    ],
)
def test_scripts_without_spaces_give_a_word_for_each_character(text, expected):
    assert words(text) == expected


def test_the_end_of_a_text_ends_a_word():
    texts = pa.chunked_array([["", "a", "b'", "'c", "", "dé", "fg", ""]])
    (block,) = split_into_words(texts)
    assert [block.distinct[at].as_py() for at in block.codes] == ["a", "b", "c", "dé", "fg"]
    assert block.texts.tolist() == [1, 2, 3, 5, 6]
    assert block.count == 8


def test_each_token_has_an_input_in_the_order_of_letters():
    encoder = fit(["the cat", "a cat"])
    (block,) = encoder.blocks
    assert block == Block("x", "sparse", ("x: a", "x: cat", "x: the"))
    assert encoder.document_frequencies == (1, 2, 1)


def test_count_says_how_often_a_text_has_a_token():
    assert inputs(fit(["a b"]), ["b, a; B!", "c", ""]) == [[1, 2], [0, 0], [0, 0]]


def test_multi_hot_says_whether_a_text_has_a_token():
    assert inputs(fit(["a b"], MultiHot()), ["b b", "a b"]) == [[0, 1], [1, 1]]


def test_tf_idf_weighs_rare_tokens_more_and_brings_texts_to_length_1():
    encoder = fit(["a b", "a", "a c"], TfIdf())
    rare = log(4 / 2) + 1  # of b: 3 rows, 1 of which has it; a is in all, so log(4 / 4) + 1 = 1
    length = sqrt(2**2 + rare**2)
    (text, lone, empty) = inputs(encoder, ["a b a", "c", "z"])
    np.testing.assert_allclose(text, [2 / length, rare / length, 0], rtol=1e-7)
    assert lone == [0, 0, 1]
    assert empty == [0, 0, 0]


def test_rows_without_a_text_count_in_the_rarity():
    encoder = fit(["a b", "a", None, ""], TfIdf())
    assert encoder.training_rows == 4
    of_a, of_b = log(5 / 3) + 1, log(5 / 2) + 1
    length = sqrt(of_a**2 + of_b**2)
    np.testing.assert_allclose(inputs(encoder, ["a b"]), [[of_a / length, of_b / length]])


def test_ngrams_are_neighboring_words_of_one_text():
    encoder = fit(["not so good", "bad"], Count(ngrams=3))
    assert encoder.tokens == ("bad", "good", "not", "not so", "not so good", "so", "so good")
    assert inputs(encoder, ["bad not so bad so good"]) == [[2, 1, 1, 1, 0, 2, 1]]


def test_max_tokens_keeps_those_in_most_rows_and_of_equals_the_first_by_letters():
    texts = ["d c c c", "c b", "b a", "e"]
    assert fit(texts, Count(max_tokens=3)).tokens == ("a", "b", "c")


def test_words_and_ngrams_compete_for_places():
    # In rows: x 3, y 2, "x y" 2, z 1, "x z" 1, "y x" 1.
    texts = ["x y", "x y x", "x z"]
    assert fit(texts, Count(ngrams=2, max_tokens=3)).tokens == ("x", "x y", "y")
    assert fit(texts, Count(ngrams=2, max_tokens=4)).tokens == ("x", "x y", "x z", "y")


def test_an_ngram_may_have_a_place_that_its_last_word_has_not():
    encoder = fit(["a z", "a"], Count(ngrams=2, max_tokens=2))
    assert encoder.tokens == ("a", "a z")
    assert inputs(encoder, ["a z z"]) == [[1, 1]]


def test_min_count_is_in_rows_not_in_occurrences():
    assert fit(["a a a", "b", "b"], Count(min_count=2)).tokens == ("b",)


def counted_plainly(texts, most, least, longest):
    """The tokens of texts in plain ASCII, by counting every one of them."""
    frequencies = {}
    for text in texts:
        split = text.split()
        spans = [(at, at + n) for n in range(1, longest + 1) for at in range(len(split) - n + 1)]
        for token in {" ".join(split[start:stop]) for start, stop in spans}:
            frequencies[token] = frequencies.get(token, 0) + 1
    ranked = sorted((-count, token) for token, count in frequencies.items() if count >= least)
    return sorted((token, -count) for count, token in ranked[:most])


LETTERS = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)


@given(
    st.lists(LETTERS, min_size=1, max_size=8).filter(any),
    st.integers(1, 30),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_rare_tokens_dropped_on_the_way_change_nothing(texts, most, least, longest):
    expected = counted_plainly(texts, most, least, longest)
    limits = Count(max_tokens=most, min_count=least, ngrams=longest)
    if expected:
        encoder = fit(texts, limits)
        found = zip(encoder.tokens, encoder.document_frequencies, strict=True)
        assert list(found) == expected
    else:
        with pytest.raises(DataError, match="lower min_count"):
            fit(texts, limits)


def test_numbers_are_read_as_the_texts_that_they_are():
    encoder = Text(encoding=Count()).fit("x", rows([3.0, 10.0]), Input())
    assert encoder.tokens == ("10", "3")
    assert inputs(encoder, ["3"]) == [[0, 1]]


@pytest.mark.parametrize(
    "storage", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_how_texts_are_stored_makes_no_difference(storage):
    table = rows(["a b", None, "b"], storage)
    assert Text().fit("x", table, Input()) == fit(["a b", None, "b"], TfIdf())


def test_missing_words_are_no_words():
    table = Table("t.csv", pa.table({"x": ["na b", "NA"]}), np.array([1, 2]), {"x": ("NA",)})
    encoder = Text(encoding=Count()).fit("x", table, Input())
    assert encoder.tokens == ("b", "na")
    assert encoder.document_frequencies == (1, 1)
    assert encoder.missing_share == 0.5


def test_a_missing_value_has_no_words_and_is_reported_if_training_had_none():
    assert inputs(fit(["a"]), [None, "a"]) == [[0], [1]]
    assert notes(fit(["a"]), [None, "a"]) == ["column 'x': 1 row without a value: all inputs are 0"]
    assert notes(fit(["a", None]), [None, "a"]) == []


def test_a_missing_value_can_be_forbidden():
    with pytest.raises(DataError) as caught:
        inputs(fit(["a", None], missing=ErrorIfMissing()), ["a", None])
    assert str(caught.value) == snapshot(
        "t.csv: row 2, column 'x': is empty; 'missing: error' forbids it"
    )


def test_a_forbidden_missing_value_can_be_recorded():
    problems = ValueProblems(lenient=True)
    part = encode(fit(["a"], missing=ErrorIfMissing()), ["a", None], problems)
    assert part.starts.tolist() == [0, 1, 1]
    assert [row.index for row in problems.bad_rows()] == [1]


def test_texts_without_a_known_word_are_reported():
    assert notes(fit(["a b"]), ["a c", "c", "...", "b"]) == [
        "column 'x': 2 rows without a known token: all inputs are 0"
    ]


def test_a_column_without_a_value_says_how_to_leave_it_out():
    with pytest.raises(DataError, match="has no value in the training rows; declare it 'ignored'"):
        fit([None, ""])


def test_texts_without_a_word_are_an_error():
    with pytest.raises(DataError) as caught:
        fit(["!", "😀"], Count(ngrams=2))
    assert str(caught.value) == (
        snapshot(
            "t.csv: column 'x': no text in the training rows contains a word; set the column to categorical or ignored"
        )
    )


def test_min_count_above_every_count_is_an_error():
    with pytest.raises(
        DataError, match="no word occurs in at least 3 training rows; lower min_count"
    ):
        fit(["a", "a"], Count(min_count=3))


def test_no_rows_give_no_rows():
    part = encode(fit(["a b"], TfIdf()), [])
    assert part.starts.tolist() == [0]
    assert part.width == 2


ODD = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" '’\u0301中aA\ufe0f😀ש"))
TEXTS = st.lists(ODD | st.none(), min_size=2, max_size=6)
ENCODINGS = st.sampled_from([MultiHot(ngrams=2), Count(max_tokens=3), TfIdf(ngrams=3)])


@st.composite
def fitted(draw):
    """An encoder, and texts: those that it was fitted on, and others."""
    train = ["a word", *draw(TEXTS)]
    return fit(train, draw(ENCODINGS)), [*train, *draw(TEXTS)]


def arrays(part):
    return [array.tobytes() for array in (part.starts, part.columns, part.values)]


@pytest.mark.slow
@given(fitted())
def test_to_json_and_back_it_encodes_the_same_to_the_bit(made):
    encoder, texts = made
    again = TypeAdapter(FeatureEncoder).validate_json(encoder.model_dump_json())
    assert again == encoder
    assert arrays(encode(again, texts)) == arrays(encode(encoder, texts))


@pytest.mark.slow
@given(fitted(), st.integers(1, 5))
def test_in_parts_and_as_a_whole_texts_are_encoded_the_same_to_the_bit(made, size):
    encoder, texts = made
    parts = [encoder.encode(p, ValueProblems()) for p in rows(texts, pa.string()).parts(size)]
    assert arrays(stack_sparse(parts)) == arrays(encode(encoder, texts))


def test_cut_into_blocks_texts_are_encoded_the_same_to_the_bit(monkeypatch):
    texts = ["a b c", "", "c d", "b b", "é 中", "a"]
    whole = fit(texts, TfIdf(ngrams=2))
    expected = arrays(encode(whole, texts))
    monkeypatch.setattr("dlcli.columns.tokens._BLOCK_BYTES", 4)
    monkeypatch.setattr("dlcli.columns.tokens._WORDS_AT_ONCE", 2)
    monkeypatch.setattr("dlcli.tables.column._ROWS_AT_ONCE", 2)
    assert len(list(split_into_words(pa.chunked_array([texts])))) > 2
    assert fit(texts, TfIdf(ngrams=2)) == whole
    assert arrays(encode(whole, texts)) == expected


@given(TEXTS, st.randoms())
def test_the_order_of_training_rows_makes_no_difference(texts, random):
    shuffled = ["a word", *texts]
    random.shuffle(shuffled)
    assert fit(shuffled, TfIdf(ngrams=2)) == fit(["a word", *texts], TfIdf(ngrams=2))


@given(ODD)
def test_texts_that_look_alike_have_the_same_words(text):
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))


@given(ODD)
def test_a_word_has_a_letter_or_a_digit_or_an_underscore_and_no_space(text):
    for word in words(text):  # C: assigned since this Python's Unicode
        assert any(unicodedata.category(c)[0] in "LNC" or c == "_" for c in word)
        assert " " not in word
        assert word == word.strip("'")


def damaged(**fields):
    encoder = fit(["a b", "a"])
    return TypeAdapter(FeatureEncoder).validate_python(encoder.model_dump() | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens": ("a",)},
        {"tokens": ("a", "a")},
        {"tokens": (), "document_frequencies": ()},
        {"tokens": ("a", "")},
        {"tokens": ("a", " b")},
        {"tokens": ("a", "b c d e f g")},
        {"document_frequencies": (2, 0)},
        {"document_frequencies": (2, 3)},
        {"document_frequencies": (2, 1.5)},
        {"training_rows": 1},
        {"training_rows": float("inf")},
        {"encoding": "hashing"},
        {"missing": "mean"},
    ],
    ids=str,
)
def test_json_that_no_fitting_gives_is_refused(fields):
    assert damaged().tokens == ("a", "b")
    with pytest.raises(ValidationError):
        damaged(**fields)


def test_a_network_reads_sparse_inputs_after_dense_ones():
    encoder = fit(["a b"])
    layout = Layout((Block("n", "numeric", ("n",)), *encoder.blocks))
    network = build_network(layout, [], Output(units=1, activation="linear"))
    held = InMemoryInputs(np.float32([[10], [20]]), (encode(encoder, ["b b", "a"]),))
    weights = {
        "output/kernel": np.float32([[1], [0.5], [0.25]]),
        "output/bias": np.float32([0]),
    }
    assert network.forward(held, weights).tolist() == [[10.5], [20.5]]
