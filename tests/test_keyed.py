"""The keyed predictor finds which fields matter, whatever they are called, and never grows."""

import json
import math
import random
from dataclasses import replace

import pytest
from benchmarks.keyed_service import Served, Service, events, renamed, simulate, stretched
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.keyed import KEYS, Kept, Keyed
from pointsman.models.keyed_windows import KeyedWindows
from pointsman.models.situation import Situation


def played(served: list[Served], keyed: Keyed, unit: float = 1.0) -> list[float]:
    """Every median, in order of start; failures teach nothing."""
    kept, medians = dict[int, Kept](), list[float]()
    for _, ended, one in events(served):
        if not ended:
            kept[one.number] = keyed.predict(one.situation)
            medians.append(kept[one.number].median or 0.0)
        elif one.latency_s is not None:
            keyed.learn(kept.pop(one.number), unit * one.latency_s)
    return medians


STREAM = simulate(Service(seed=7, requests=1500, models=20, workers=8, loaded=15))


def error(served: list[Served], medians: list[float]) -> float:
    late = [(one.latency_s, median) for one, median in zip(served, medians, strict=True) if one.latency_s is not None and one.number >= 1000]
    return sum(abs(actual - median) for actual, median in late) / sum(actual for actual, _ in late)


def test_a_question_gets_the_answer_of_a_start_and_is_not_noted() -> None:
    keyed = Keyed()
    for number, one in enumerate(STREAM[:600]):
        situation = replace(one.situation, attributes={**one.situation.attributes, "once": number})
        before = None if number % 40 else json.dumps(keyed.snapshot())
        asked = keyed.peek(situation)
        assert before is None or json.dumps(keyed.snapshot()) == before
        kept = keyed.predict(situation)
        assert kept.median == asked
        keyed.learn(kept, one.latency_s or 1.0)


def test_it_beats_the_median_of_the_last_eight_alike() -> None:
    served = simulate(Service(seed=7, requests=3000, models=20, workers=8, loaded=15))
    windows, alike = dict[object, list[float]](), list[float]()
    for _, ended, one in events(served):
        keys = ((one.situation.category, *one.situation.attributes.values()), one.situation.attributes["model"], None)
        if not ended:
            held = next((windows[key][-8:] for key in keys if key in windows), [0.0])
            alike.append(sorted(held)[len(held) // 2])
        elif one.latency_s is not None:
            for key in keys:
                windows.setdefault(key, []).append(one.latency_s)
    assert error(served, played(served, Keyed())) < 0.92 * error(served, alike)


def test_a_snapshot_continues_bit_for_bit() -> None:
    whole, first, kept = Keyed(), Keyed(), dict[int, Kept]()
    for place, (_, ended, one) in enumerate(events(STREAM)):
        if place == 1700:
            state = json.loads(json.dumps([first.snapshot(), {number: list(row) for number, row in kept.items()}]))
            first = Keyed.restore(state[0])
            assert first.snapshot() == state[0]
            kept = {int(number): Kept.read(row) for number, row in state[1].items()}
        if not ended:
            kept[one.number] = first.predict(one.situation)
            assert kept[one.number] == whole.predict(one.situation)
        elif one.latency_s is not None:
            whole.learn(kept[one.number], one.latency_s)
            first.learn(kept.pop(one.number), one.latency_s)
    assert first.snapshot() == whole.snapshot()


def test_other_names_change_nothing() -> None:
    same = [replace(one, situation=replace(one.situation, attributes=dict(list(one.situation.attributes.items())[::-1]))) for one in STREAM]
    assert played(renamed(STREAM, 3), Keyed()) == played(same, Keyed())


def test_another_time_changes_nothing() -> None:
    assert played(stretched(STREAM, 1.0, 2.0**20), Keyed()) == pytest.approx(played(STREAM, Keyed()), rel=1e-2)


def test_another_unit_changes_the_unit_only() -> None:
    plain, other = played(STREAM, Keyed()), played(STREAM, Keyed(), unit=1000.0)
    apart = sorted(abs(after / (1000.0 * before) - 1.0) for before, after in zip(plain, other, strict=True) if before)
    assert apart[len(apart) // 2] < 0.002
    assert apart[-len(apart) // 20] < 0.02


def test_nothing_is_expected_before_the_first_outcome() -> None:
    keyed = Keyed()
    kept = keyed.predict(Situation(now=0.0))
    assert kept.median is None
    keyed.learn(kept, 3.0)
    assert keyed.predict(Situation(now=1.0)).median == pytest.approx(3.0, rel=1e-3)


def test_quality_is_learned_as_it_is() -> None:
    keyed = Keyed(plain=True)
    for number in range(400):
        keyed.learn(keyed.predict(Situation(now=float(number), category="ab"[number % 2])), (0.2, 0.9)[number % 2])
    assert keyed.predict(Situation(now=400.0, category="a")).median == pytest.approx(0.2, abs=0.02)
    assert keyed.predict(Situation(now=401.0, category="b")).median == pytest.approx(0.9, abs=0.02)


def test_keys_are_bounded_and_the_least_recently_used_goes() -> None:
    windows = KeyedWindows(size=4, most=3)
    for now, tag in enumerate((1, 2, 3, 1, 4)):
        windows.touch(tag, float(now))
    assert len(windows) == 3 and windows.evicted == 1
    windows.touch(1, 9.0)
    assert windows.since == 6.0
    windows.touch(2, 10.0)
    assert windows.since == -1.0


def test_no_number_of_users_makes_it_grow() -> None:
    keyed, dice = Keyed(), random.Random(1)
    for number in range(3000):
        situation = Situation(now=float(number), attributes={"model": f"m{dice.randrange(1000)}", "user": f"u{number}", "size": dice.randrange(10**6)})
        keyed.learn(keyed.predict(situation), (1 + number % 1000) / 100.0)
    chain = keyed.snapshot()["chain"]
    assert all(len(level["_tags"]) <= 4 * most * 4 / 3 + 4 for level, most in zip(chain, KEYS, strict=False))
    assert len(json.dumps(keyed.snapshot())) < 128_000


AWKWARD = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, -1e308, 5e-324, 10**400, 3, 0.5, 1e6)


def awkward(dice: random.Random) -> Situation:
    """A situation of whatever comes; its time and load are numbers, as the events' are."""
    numbers = [float(one) for one in AWKWARD if one != 10**400]
    names = dice.sample("abcdefghijklmnopqrstuvwxyz", dice.randrange(26))
    return Situation(
        now=dice.choice((0.0, 1.0, 1e9, -5.0, math.nan)),
        input_tokens=dice.choice((None, 3, 10**9, -5)),
        category=dice.choice((None, "", "a")),
        attributes={name: dice.choice((*AWKWARD, "x", True)) for name in names},
        in_flight=dice.choice((-5, 0, 10**6)),
        pressure=dice.choice(numbers),
        drift=dice.choice(numbers),
        overdue=dice.choice(numbers),
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_nothing_that_comes_makes_a_prediction_of_no_number(seed: int, plain: bool) -> None:
    dice, keyed = random.Random(seed), Keyed(plain)
    for _ in range(70):
        kept = keyed.predict(awkward(dice))
        assert kept.median is None or math.isfinite(kept.median)
        assert all(map(math.isfinite, kept.near))
        keyed.learn(kept, float(dice.choice(AWKWARD[:8])))
    json.dumps(keyed.snapshot(), allow_nan=False)
