"""The sketch is the same on every machine, in every version, and in any language that follows docs/sketch.md."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sketch_reference import folded, reference

from pointsman.models.categories import KEYWORDS, Categories
from pointsman.models.sketch import count_tokens, embed, sketch

DOCUMENT = Path(__file__).parent.parent / "docs" / "sketch.md"
TEXTS = ("", "Summarise this mail", "Übersetze: Grüezi mitenand 你好", "def f(x):\n    return x + 1\n" * 400)
GOLDEN = "4436a9c5291cd1479adfc87241ece0dfbe11dade2a4380a3b17cc96c51e82c37"
BITS = ("the", "der", "le", "el", "o", "il", "de", "und", "is", "en", "que", "A7", "Ж", "שלום", "你好", "?", "(", "\n", "\t", "\v", "\x85", "\ud800")
WORDS = st.sampled_from([*(word for words in KEYWORDS.values() for word in words), *BITS])
ANY = st.text(st.characters(exclude_categories=()), max_size=300) | st.lists(WORDS, max_size=60).map(" ".join)
LONG = st.builds(lambda text, times, tail: text * times + tail, ANY, st.integers(10, 300), ANY)


def fields(text: str) -> dict[str, object]:
    """The sketch in use as the wire has it."""
    return dict(sketch(text).model_dump(mode="json", exclude_none=True))


def digest() -> str:
    return hashlib.sha256("\n".join(sketch(text).model_dump_json() for text in TEXTS).encode()).hexdigest()


def test_sketches_equal_the_golden_ones() -> None:
    assert digest() == GOLDEN


def test_other_processes_with_other_hash_seeds_give_the_golden_ones() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_sketch as t; print(t.digest())"
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    for seed in ("1", "77"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip() == GOLDEN


def test_a_sketch_cannot_be_read() -> None:
    assert "mail" not in sketch("Summarise this mail").model_dump_json()


@settings(deadline=None)
@given(ANY)
@example("")
@example("\ud800\udc00")
@example("one two three four")
@example("the of 你好 der die")
def test_any_text_has_the_sketch_that_the_specification_gives_it(text: str) -> None:
    assert fields(text) == reference(text)


@settings(deadline=None, max_examples=15)
@given(LONG)
@example("é" * 2048)
@example("é" * 2049)
@example("x" + "é" * 4000)
def test_long_texts_have_the_sketch_that_the_specification_gives_them(text: str) -> None:
    assert fields(text) == reference(text)


@given(st.lists(st.floats(-1e300, 1e300) | st.integers(-3, 3), min_size=1, max_size=200))
@example([1.0, 1.0, 1.0, 1.0])
@example([0.0])
def test_any_embedding_has_the_features_that_the_specification_gives_it(vector: list[float]) -> None:
    assert list(embed(vector)) == folded(vector)


def test_the_documents_examples_are_true() -> None:
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]
    assert examples == [fields(text) for text in ("Hi you, hi me!", "Das ist gut 你好", "ab " * 2000)]


def test_the_document_lists_every_keyword() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE))
    for name, words in KEYWORDS.items():
        assert [word for word in words if word != "```"] == re.findall("`([^`]+)`", rows[name])


@pytest.mark.parametrize(
    "bad", [[], [float("nan")], [1.0, float("inf")], ["0.5"], ["a"], [None], [[1.0]], [[1.0], [2.0, 3.0]], [True], "abc", {"a": 1.0}, 3.0, [0.5] * 10_000]
)
def test_what_is_no_embedding_is_refused_in_one_sentence(bad: object) -> None:
    with pytest.raises(ValueError, match=r"^an embedding is a list of 1 to 8192 finite numbers$"):
        embed(bad)  # type: ignore[arg-type]


def test_the_size_of_an_embedding_says_nothing() -> None:
    assert embed([3e300, -4e300]) == embed([3e-300, -4e-300]) == embed([3, -4])


def test_a_text_of_n_bytes_has_a_quarter_as_many_tokens() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "你好")] == [0, 1, 1, 2, 2]


def test_lists_of_ones_own_make_the_category() -> None:
    assert sketch("refund for order 7", Categories({"shop": ["Refund", "order"], "other": ["for"]})).category == "shop"
    assert sketch("refund", Categories({})).category is None
