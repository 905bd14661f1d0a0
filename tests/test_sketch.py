"""The sketch is the same on every machine and in every version."""

import hashlib

from pointsman.models.sketch import sketch

TEXTS = ("", "Summarise this mail", "Übersetze: Grüezi mitenand 你好", "def f(x):\n    return x + 1\n" * 400)


def test_sketches_equal_the_golden_ones() -> None:
    digest = hashlib.sha256("\n".join(sketch(text).model_dump_json() for text in TEXTS).encode()).hexdigest()
    assert digest == "d9ce5c42763c4d3954e078565e16062a32cf901fc8718798fbc7cbc25abe564b"


def test_a_sketch_cannot_be_read() -> None:
    assert "mail" not in sketch("Summarise this mail").model_dump_json()
