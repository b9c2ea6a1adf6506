"""Columns of text as bags of words: one sparse input for each token of the vocabulary.

`tokens` splits texts into words.
"""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic import PositiveInt as PositiveInteger

from dlcli.arrays import Array, Floats, Indices, Mask, np, pc
from dlcli.columns import column_exports, column_type
from dlcli.columns.category import MOST_CATEGORIES
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.layout import Block, SparseRows, stack_sparse
from dlcli.columns.scaling import LargeInputs
from dlcli.errors import DataError, plural
from dlcli.schema.section import Choice, Expected, OneOf, PositiveInt, Section

if TYPE_CHECKING:
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.type_inference import ColumnView
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


Ngrams = Annotated[int, Field(gt=0, le=5), Expected("an integer from 1 to 5")]


class Vocabulary(Choice):
    """The tokens with an input: words of letters, digits and underscores, in lower case.

    A word may contain an apostrophe (`don't`). In scripts without spaces between words, such as
    Chinese, each character is a word.
    """

    max_tokens: PositiveInt = 5000
    """Maximum number of tokens. Tokens that occur in the most training rows are kept."""
    min_count: PositiveInt = 1
    """Minimum number of training rows in which a token occurs."""
    ngrams: Ngrams = 1
    """Maximum number of adjacent words in a token, up to 5. With 2, the tokens are single words and
    pairs of adjacent words."""


class MultiHot(Vocabulary, name="multi_hot"):
    """For each token, 1 if it occurs in the text, else 0."""


class Count(Vocabulary, name="count"):
    """For each token, the number of its occurrences in the text."""


class TfIdf(Vocabulary, name="tf_idf"):
    """For each token, its count times its inverse document frequency, as in scikit-learn.

    The inverse document frequency is ln((1 + n)/(1 + d)) + 1, where n is the number of training
    rows and d the number of training rows with the token. The values of a text are divided by their
    Euclidean norm.
    """


TextEncoding = Annotated[MultiHot | Count | TfIdf, OneOf("encoding")]


class EmptyText(Choice, name="no_words"):
    """A missing value becomes a text without words."""


TextMissing = Annotated[EmptyText | column_type.ErrorIfMissing, OneOf("policy")]


class Text(column_type.ColumnType):
    """A column of texts, encoded as bags of words with one input for each token.

    A token is a word in lower case or, with `ngrams`, a sequence of adjacent words.
    """

    type: Literal["text"] = "text"
    encoding: TextEncoding = TfIdf()
    """Value of the input of each token."""
    missing: TextMissing = EmptyText()
    """Treatment of missing values."""

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "TextEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a column without a sufficiently frequent word.
        """
        from dlcli.columns.tokens import choose_tokens, join_words, split_into_words

        words = join_words(list(split_into_words(train.column(column).canonical_texts())))
        column_type.require_values(words.count, column, train)
        frequencies = choose_tokens(
            words, self.encoding.max_tokens, self.encoding.min_count, self.encoding.ngrams
        )
        if not frequencies:
            fewest = self.encoding.min_count
            message = (
                "no text in the training rows contains a word; set the column to categorical or "
                "ignored"
            )
            if fewest > 1:
                message = f"no word occurs in at least {fewest} training rows; lower min_count"
            raise DataError(message, file=train.file, column=column)
        return TextEncoder(
            column=column,
            missing_share=1 - words.count / train.rows,
            encoding=self.encoding.name,
            tokens=tuple(frequencies),
            document_frequencies=tuple(frequencies.values()),
            training_rows=train.rows,
            missing=self.missing.name,
        )

    # Advice and starter configs.

    has_common_values = False

    @property
    def has_words(self) -> bool:
        """True except for lists of names, which need few inputs."""
        return not isinstance(self.encoding, MultiHot)

    def large_inputs(self, block: Block, defaults: Defaults) -> LargeInputs | None:
        """Return the encoding `count`, whose inputs may be large."""
        return LargeInputs("encoding", "count", "tf_idf") if self.encoding.name == "count" else None


# Inference.


FEWEST_WORDS = 3
"""Minimum average number of words in texts; names of categories mostly have fewer."""


_VALUES_SAMPLED = 1_000


_ASCII_WORD = r"\S*[A-Za-z]\S*"
"""`ANY_WORD` for ASCII texts, which compiles faster than Unicode classes."""


_LIST_SIGNS = (r"\|", ";", ",")
"""Separators between the items of a list, as patterns."""


_FEWEST_REPEATS = 5


def decide_lists(view: "ColumnView") -> Decision | None:
    """Decide for text with an input for each word if the values are lists, such as `drama|comedy`.

    The conditions exclude addresses and pairs of names, which have more different items:

    - There are more distinct lists than categories that would be kept. (In a table of 5,000 movies
      with decades and genres, categories gave a 2 % larger error; with few lists, the error was the
      same.)
    - At least half of the distinct values contain a separator.
    - Items are names without digits, and an item occurs in five values on average.
    - There are at most half as many items as values.
    """
    if view.column.kind != "text" or view.summary.distinct <= MOST_CATEGORIES:
        return None
    some = view.distinct.first(_VALUES_SAMPLED)
    for sign in _LIST_SIGNS:
        which = some.matches(sign)
        if 2 * which.sum() < len(which):
            continue
        items = pc.utf8_trim_whitespace(pc.split_pattern_regex(some.texts, sign).flatten())
        distinct = items.unique()
        repeats = len(items) / len(distinct)
        is_few = 2 * len(distinct) <= len(which) and repeats >= _FEWEST_REPEATS
        if is_few and not pc.any(pc.match_substring_regex(distinct, "[0-9]")).as_py():
            reason = f"lists of {len(distinct)} names, such as '{view.example(which)}'"
            return Decision(Text(encoding=MultiHot()), reason)
    return None


def decide_text(view: "ColumnView") -> Decision | None:
    """Decide for text.

    Texts have at least three words on average, and either at least half of them are distinct, or
    there are more distinct texts than categories that would be kept.
    """
    if view.column.kind != "text":
        return None
    from dlcli.columns.tokens import ANY_WORD

    distinct, present = view.summary.distinct, view.summary.present
    if 2 * distinct >= present or distinct > MOST_CATEGORIES:
        some = view.distinct.first(_VALUES_SAMPLED)
        word = _ASCII_WORD if some.matches(r"^[\x00-\x7f]*$").all() else ANY_WORD
        words = float(some.count_matches(word).mean())
        if words >= FEWEST_WORDS:
            reason = f"text of {words:.0f} words on average, {plural(distinct, 'value')}"
            return Decision(Text(), reason)
    return None


# Encoding.


Token = Annotated[str, Field(pattern=r"^\S+( \S+){0,4}$")]
"""One word, or up to `ngrams` words joined by spaces."""
_NO_INPUT = "all inputs are 0"


_ODD_TEXTS = (
    "",
    " ",
    "don’t STOP -- don't!!",
    "ＦＵＬＬ width ﬁ ½ Å",
    "漢字かな交じり文 ภาษาไทย",
    "Größe ΣΟΦΟΣ İstanbul e\u0301tude",
    "so\u00adft\u200bhyphen \U0001f600 'quoted' a''b",
    "line\nbreak\ttab",
)


class TextEncoder(column_type.SparseEncoder):
    """One input for each token; a token is a word or several consecutive words.

    With ``multi_hot``, an input is 1 if the text contains the token; with ``count``, it is the
    number of occurrences. With ``tf_idf``, it is count · (ln((1 + n) / (1 + d)) + 1), where d of
    the n training rows have the token, divided by the Euclidean norm √Σx² of the row, as in
    scikit-learn's ``TfidfVectorizer``.
    """

    encoding: Literal["multi_hot", "count", "tf_idf"]
    type: Literal["text"] = "text"
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    """The tokens with an input, sorted; spaces join the words of a token."""
    document_frequencies: tuple[PositiveInteger, ...]
    """Number of training rows that contain each token."""
    training_rows: PositiveInteger
    """Number of training rows."""
    missing: Literal["no_words", "error"]
    """Encoding of a missing text: as a text without tokens, or an error."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("a token occurs twice")
        if len(self.document_frequencies) != len(self.tokens):
            raise ValueError("expected one document frequency for each token")
        if max(self.document_frequencies) > self.training_rows:
            raise ValueError("a document frequency exceeds the number of training rows")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        names = tuple(f"{self.column}: {token}" for token in self.tokens)
        return (Block(self.column, "sparse", names),)

    @property
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""
        return self.missing != "error"

    def encode(self, rows: "Rows", problems: "ValueProblems") -> SparseRows:
        """Return the column's inputs."""
        from dlcli.columns.tokens import count_tokens, count_tokens_of_few

        texts = rows.few_texts(self.column)
        if texts is None:
            missing = rows.table.missing(self.column)
            blocks = count_tokens(rows.table.column(self.column).canonical_texts(), self.tokens)
            counted = stack_sparse([self._count(*block) for block in blocks])
        else:
            missing = np.array([text is None for text in texts])
            present = [text for text in texts if text is not None]
            counted = self._count(*count_tokens_of_few(present, *self._vocabulary))
        if self.missing == "error":
            column_type.refuse_missing(missing, rows, self.column, problems)
        return self._with_missing(counted, missing, problems)

    def _count(self, keys: Indices, counts: Indices, texts: int) -> SparseRows:
        """Encode some texts, given their tokens.

        Args:
            keys: text · len(tokens) + token for each token in each text, ascending, (entries,).
            counts: the number of occurrences of the token in the text, (entries,).
            texts: number of texts.
        """
        rows, columns = np.divmod(keys, len(self.tokens))
        return SparseRows(
            rows.searchsorted(np.arange(texts + 1)),
            columns.astype(np.int32),
            self._values(rows, columns, counts).astype(np.float32),
            len(self.tokens),
        )

    def _with_missing(
        self, texts: SparseRows, missing: Mask, problems: "ValueProblems"
    ) -> SparseRows:
        """Add the rows with a missing text, and record rows with a missing text or without a token.

        Args:
            texts: the inputs of the rows with a text.
            missing: mask of missing texts, (rows,).
            problems: records these rows.
        """
        from dlcli.columns.value_problems import ColumnProblems

        entries = texts.entries
        if not entries.all():
            count = int(np.count_nonzero(entries == 0))
            found = ColumnProblems(without_tokens=count, without_tokens_encoding=_NO_INPUT)
            without = np.zeros(len(missing), bool)
            without[~missing] = entries == 0
            problems.add(self.column, found, without)
        if not missing.any():
            return texts
        is_unmarked = self.missing != "error" and not self.missing_share
        encoding = _NO_INPUT if is_unmarked else ""
        count = int(np.count_nonzero(missing))
        problems.add(self.column, ColumnProblems(missing=count, missing_encoding=encoding))
        starts = np.zeros(len(missing) + 1, dtype=np.int64)
        starts[1:][~missing] = entries
        return replace(texts, starts=np.cumsum(starts))

    @cached_property
    def _vocabulary(self) -> tuple[dict[str, int], int]:
        """The number of each token, and the maximum number of words in a token."""
        from dlcli.columns.tokens import longest_of

        numbers = {token: number for number, token in enumerate(self.tokens)}
        return numbers, longest_of(self.tokens)

    @cached_property
    def rarity(self) -> "array[float]":
        """The inverse document frequency of each token, (tokens,).

        It is not a NumPy array, so `==` can compare models.
        """
        frequencies = np.array(self.document_frequencies)
        return array("d", np.log((1 + self.training_rows) / (1 + frequencies)) + 1)

    def _values(self, texts: Indices, columns: Indices, counts: Indices) -> Floats:
        """Return the value of each entry, (entries,)."""
        if self.encoding == "multi_hot":
            return np.ones(len(counts))
        if self.encoding == "count":
            return counts.astype(np.float64)
        values: Floats = counts * np.frombuffer(self.rarity)[columns]
        values /= np.sqrt(np.bincount(texts, values**2))[texts]
        return values

    # Exported models.

    def model_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        words = (
            "Text; empty for a missing value. If it may contain characters beyond ASCII, first "
            "apply unicodedata.normalize('NFKC', text), then remove invisible characters "
            "(category Cf except U+200B, and U+FE00 to U+FE0F). Write a text that is only an "
            "integer without a decimal point."
        )
        return column_exports.ModelInput(self.column, "string", (words, *self.missing_advice))

    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, (rows,)."""
        return np.array(
            [*map(column_exports.plain_text, column_exports.sent_texts(table.column(self.column)))],
            dtype=object,
        )

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, see `ColumnEncoder`."""
        from dlcli.tables.column import missing_texts

        counts = ops.counts(x, self.tokens)
        words = [word for word in missing_texts(missing) if word]
        if words:
            present = ops.codes(ops.trimmed(x), dict.fromkeys(words, 0), 1)
            counts = counts * ops.as_column(ops.cast(present, "float32"))
        return self.number_graph(ops, counts, missing)

    def number_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the counts that a client sends."""
        advice = f"How often each of the `tokens` of {column_exports.RECIPE} occurs in the text."
        return column_exports.ModelInput(self.column, "float32", (advice,), (len(self.tokens),))

    def number_values(self, table: "Table", problems: "ValueProblems") -> Array:
        """Return the counts that a client sends for the rows of a table, (rows, tokens)."""
        counts = self.model_copy(update={"encoding": "count"}).encode(table, problems)
        found = np.zeros((table.rows, len(self.tokens)), np.float32)
        counts.write(np.arange(table.rows), found)
        return found

    def number_graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the number of occurrences of each token, float32 (rows, tokens)."""
        if self.encoding == "count":
            return x
        if self.encoding == "multi_hot":
            return ops.apply("minimum", x, 1.0)
        weighted = x * ops.constant(np.array([self.rarity], np.float32))
        norm = ops.apply("sqrt", ops.sum_last(weighted * weighted, keep=True))
        return weighted / ops.apply("maximum", norm, 1e-30)

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return the conversion of texts to counts, see `ColumnEncoder`."""
        from dlcli.columns.tokens import WORD

        return {
            "steps": [
                "apply Unicode's NFKC, remove invisible characters, convert to lower case, replace "
                "’ by ' and ς by σ",
                "find all matches of `word` (an RE2 pattern); a token is a word, or several "
                "consecutive words joined by spaces",
                "send how often each of `tokens` occurs in the text; all 0 for a missing text",
            ],
            "word": WORD,
            "tokens": [*self.tokens],
            "missing_words": [*missing],
        }

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values for checks."""
        tokens = [*self.tokens[:: max(1, len(self.tokens) // 40)]]
        typical = [" ".join(tokens[at : at + 7]) for at in range(0, len(tokens), 3)]
        shouted = [f"  {text.upper()}! {text}, and " for text in typical[:3]]
        return typical, [None, *_ODD_TEXTS, *shouted, *missing[:3]]

    # Scripts.

    script_code: ClassVar = column_exports.ScriptCode(
        "text", "fit_text", ("import re", "import unicodedata")
    )

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        assert isinstance(section, Text)
        encoding = section.encoding
        return {"type": "text", "encoding": encoding.name, **encoding.model_dump(exclude={"name"})}

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in requests, see `ColumnEncoder`."""
        return ClientColumn(
            self.column,
            ("string", "number", "boolean"),
            known.frequent[0] if known.frequent else self.tokens[0],
            "A text.",
            is_long=True,
            is_required=not self.accepts_missing,
        )
