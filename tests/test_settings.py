"""Settings: precedence, and messages that say what to change."""

from pathlib import Path

import pytest

from pointsman.schemas.settings import SettingsError, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.toml"
    path.write_text('strategy = "cost"\n[[tracks]]\nname = "local"\n[budget]\nusd_per_request = 0.1\nusd_per_hour = 2.0\n')
    return path


def test_flags_win_over_environment_over_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_BUDGET__USD_PER_REQUEST", "0.2")
    monkeypatch.setenv("POINTSMAN_STRATEGY", "latency")
    found = load(file, ["budget.usd_per_day=9", "strategy=quality"])
    budget = found.budget
    assert (found.strategy, budget.usd_per_request, budget.usd_per_hour, budget.usd_per_day) == ("quality", 0.2, 2.0, 9.0)
    assert found.optimization().tracks[0].name == "local"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budget]\nusd_per_requst = 1\n", "budget.usd_per_requst: unknown key; did you mean usd_per_request?"),
        ('strategy = "fast"\n', "strategy: Input should be"),
        ("strategy = \n", "not TOML"),
        ('[kafka]\nfeed = "x"\n', "kafka.feed"),
    ],
)
def test_a_message_names_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path)) and said in str(caught.value)


def test_a_message_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_BUDGET__USD_PER_HOUR", "-1")
    with pytest.raises(SettingsError, match="environment POINTSMAN_BUDGET__USD_PER_HOUR"):
        load()


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_KAFKA__SASL_PASSWORD", "hush")
    found = load()
    assert "hush" not in repr(found) + found.model_dump_json()
