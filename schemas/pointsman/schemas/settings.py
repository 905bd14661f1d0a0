"""Settings: the configuration and the Kafka section, from TOML, environment and flags, in that order from low to high."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from .config import Capacity, OptimizationConfig
from .envelope import Identifier
from .outputs import Severity
from .webhooks import WebhookSettings

DEFAULT_FILE = Path("pointsman.toml")


class SettingsError(ValueError):
    """Settings that cannot be used; the message names the source, the key and what to change."""


class KafkaSettings(BaseModel):
    """How to reach Kafka, and how often the worker leaves snapshots and commits."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    topic_prefix: str = "pointsman."
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8
    replication_factor: Annotated[int, Field(ge=1, le=10)] = 1
    instance_id: str | None = None
    feed: Literal["slices", "events"] = "slices"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: SecretStr | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    session_timeout_s: Annotated[float, Field(ge=6, le=300)] = 10.0
    commit_interval_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    snapshot_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    status_host: str = "127.0.0.1"
    status_port: Annotated[int, Field(ge=0, le=65_535)] = 6066

    def at(self, address: str) -> "KafkaSettings":
        """The same with the brokers that `kafka://host:port/...` names, where it names any."""
        servers = urlsplit(address).netloc
        return self.model_copy(update={"bootstrap_servers": servers}) if servers else self


class ServeSettings(BaseModel):
    """Where the HTTP server listens, and how much it takes: bytes and events in one body, events a second, subscribers, what is kept for them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    max_body_bytes: Annotated[int, Field(ge=1_000, le=1_000_000_000)] = 8_000_000
    max_batch: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_waiting: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    events_per_s: Annotated[float, Field(gt=0, le=1e7)] = 50_000.0
    burst: Annotated[float, Field(ge=1, le=1e7)] = 50_000.0
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    max_subscribers: Annotated[int, Field(ge=0, le=10_000)] = 200
    kept_mb: Annotated[float, Field(gt=0, le=10_000)] = 16.0
    heartbeat_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    stall_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    body_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    head_s: Annotated[float, Field(gt=0, le=3600)] = 10.0


class AlertmanagerSettings(BaseModel):
    """Which Alertmanagers are told of alerts, how they are reached, and what every alert is labelled with beside its own labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    urls: Annotated[tuple[Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=1000)], ...], Field(max_length=8)] = ()
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    incidents: Literal["beside", "instead", "off"] = "beside"
    min_severity: Severity = "warning"
    resend_s: Annotated[float, Field(ge=0.1, le=240)] = 60.0
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    labels: Annotated[dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")], Annotated[str, Field(max_length=256)]], Field(max_length=16)] = {}
    generator_url: Annotated[str, Field(pattern=r"^https?://", max_length=1000)] | None = None

    def tls(self) -> Any:
        """The client's TLS context: the server's certificate and name are always checked. Raises `SettingsError`."""
        import ssl

        if self.username is not None and self.token is not None:
            raise SettingsError("alertmanager.username and alertmanager.token are both set: keep one of them")
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except OSError as error:
            raise SettingsError(f"alertmanager.ssl_cafile, ssl_certfile, ssl_keyfile: {error}; give readable PEM files") from None
        return context


class OperatorSettings(BaseModel):
    """The scope that is told of the incidents of all others; none is where it is not set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    scope: Identifier | None = None


class LiteLLMSettings(BaseModel):
    """What LiteLLM's callback does, and where Pointsman is: a database's path, `kafka://host:port` or `http://host:port`.

    A call that names no scope is of that of its proxy's `team` or `key`, where `scope_from` has these, else of `scope`.
    `tracks` names deployments: by `model_info.id`, by `model_name`, or by `litellm_params.model`. At most `max_waiting` reports wait; at the end of the process
    `close_s` seconds are given to those that still do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    place: Annotated[str, Field(min_length=1)] = "pointsman.db"
    mode: Literal["observe", "apply", "off"] = "observe"
    scope: Annotated[str, Field(min_length=1, max_length=256)] = "litellm"
    scope_from: tuple[Literal["team", "key"], ...] = ()
    tracks: dict[str, Annotated[str, Field(min_length=1, max_length=256)]] = {}
    apply_timeout: bool = True
    max_waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_scopes: Annotated[int, Field(ge=1, le=10_000)] = 64
    close_s: Annotated[float, Field(ge=0, le=60)] = 2.0


class OtelTrack(BaseModel):
    """Spans whose model, provider and server match every pattern given here (`*` and `?` stand for anything) belong to this track."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    track: Identifier
    model: Identifier | None = None
    provider: Identifier | None = None
    server_address: Identifier | None = None


class OtelSettings(BaseModel):
    """How spans find their track: the first rule that matches, else their model's name, or provider and model."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    tracks: Annotated[tuple[OtelTrack, ...], Field(max_length=256)] = ()
    name: Literal["model", "provider/model"] = "model"


def security(settings: KafkaSettings) -> dict[str, Any]:
    """The client's TLS and SASL arguments, by `security_protocol`; raises `SettingsError` where what it needs is missing or cannot be read."""
    given: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if "SSL" in settings.security_protocol:
        given["ssl_context"] = _tls(settings)
    if settings.security_protocol.startswith("SASL"):
        missing = [f"kafka.{name}" for name in ("sasl_mechanism", "sasl_username", "sasl_password") if getattr(settings, name) is None]
        if missing or settings.sasl_password is None:
            raise SettingsError(f"kafka.security_protocol is {settings.security_protocol}: set {', '.join(missing)}, too")
        password = settings.sasl_password.get_secret_value()
        given |= {"sasl_mechanism": settings.sasl_mechanism, "sasl_plain_username": settings.sasl_username, "sasl_plain_password": password}
    return given


def _tls(settings: KafkaSettings) -> Any:
    """A client's TLS context: the broker's certificate and name are always checked."""
    import ssl

    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path = getattr(settings, name)
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise SettingsError(f"kafka.{name}: {path}: {error.strerror or error}; give a readable PEM file") from None
    if settings.ssl_keyfile is not None and settings.ssl_certfile is None:
        raise SettingsError("kafka.ssl_keyfile is set: set kafka.ssl_certfile, the certificate of this key, too")
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ssl_cafile)
    except ssl.SSLError:
        raise SettingsError(f"kafka.ssl_cafile: {settings.ssl_cafile}: no certificate in it; give a PEM file") from None
    if settings.ssl_certfile is not None:
        # An empty password instead of none: OpenSSL would ask for one at the terminal.
        password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else ""
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
        except ssl.SSLError as error:
            said = (error.reason or str(error)).lower().replace("_", " ")
            advice = "both are PEM, belong together, and a locked key needs kafka.ssl_key_password"
            raise SettingsError(f"kafka.ssl_certfile, kafka.ssl_keyfile: {said}; see that {advice}") from None
    return context


class Settings(BaseSettings, OptimizationConfig):  # pyright: ignore[reportIncompatibleVariableOverride]
    """Everything an entry point reads, once, and passes down; `POINTSMAN_BUDGET__USD_PER_REQUEST` sets `budget.usd_per_request`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="POINTSMAN_", env_nested_delimiter="__", allow_inf_nan=False, hide_input_in_errors=True
    )
    kafka: KafkaSettings = KafkaSettings()
    serve: ServeSettings = ServeSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=16)] = ()
    litellm: LiteLLMSettings = LiteLLMSettings()
    otel: OtelSettings = OtelSettings()
    operator: OperatorSettings = OperatorSettings()
    token: SecretStr | None = None
    capacity: Annotated[tuple[Capacity, ...], Field(max_length=16)] = ()

    @field_validator("capacity")
    @classmethod
    def _tracks_differ(cls, capacity: tuple[Capacity, ...]) -> tuple[Capacity, ...]:
        if len({one.track for one in capacity}) < len(capacity):
            raise ValueError("two capacities are of the same track: give each track one")
        return capacity

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def optimization(self) -> OptimizationConfig:
        """The part that the core takes."""
        return OptimizationConfig.model_validate({name: getattr(self, name) for name in OptimizationConfig.model_fields})


def load(path: Path | None = None, flags: Sequence[str] = ()) -> Settings:
    """Read `path` (or `pointsman.toml` where there is one), the environment and flags like `budget.usd_per_hour=2`."""
    chosen = path or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    table = _table(chosen) if chosen else {}
    overrides = _nested(flags)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=chosen)

    try:
        loaded = FromFile(**overrides)
    except SourceError as error:
        raise SettingsError(f"environment: {error}; write lists and tables as JSON") from None
    except ValidationError as error:
        raise SettingsError(_explained(error, chosen, table, overrides)) from None
    return Settings.model_construct(**{name: getattr(loaded, name) for name in Settings.model_fields})


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}; give a readable TOML file with --config") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not TOML: byte {error.start} is not UTF-8 text; give a TOML file with --config") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}; correct that line") from None


def _nested(flags: Sequence[str]) -> dict[str, Any]:
    """`a.b=1` as `{"a": {"b": 1}}`; values are TOML, and text without quotes is text."""
    result: dict[str, Any] = {}
    for flag in flags:
        key, equals, text = flag.partition("=")
        *tables, name = key.strip().split(".")
        if not equals or not name:
            raise SettingsError(f"--set {flag}: write it as key=value, for example budget.usd_per_hour=2")
        target = result
        for table in tables:
            target = target.setdefault(table, {})
            if not isinstance(target, dict):
                raise SettingsError(f"--set {flag}: {table} is set to a value already; set only its keys")
        target[name] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _explained(error: ValidationError, path: Path | None, table: Mapping[str, Any], overrides: Mapping[str, Any]) -> str:
    """Every problem with the source it came from, its key, and what to change."""
    said = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]:
        keys = problem["loc"]
        name = ".".join(str(key) for key in keys) or "settings"
        if _has(overrides, keys):
            source = "--set"
        elif _has(EnvSettingsSource(Settings)(), keys):
            source = "environment POINTSMAN_" + "__".join(str(key) for key in keys).upper()
        else:
            source = str(path) if path and _has(table, keys) else "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown key; {_hint(keys)}"
        said.append(f"{source}: {name}: {message}")
    return "; ".join(said)


def _has(values: Any, keys: Sequence[str | int]) -> bool:
    for key in keys:
        if isinstance(values, list | tuple):
            values = dict(enumerate(values))
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True


def _hint(keys: Sequence[str | int]) -> str:
    """The key that was probably meant."""
    names: list[str] = []
    pending: list[Any] = [Settings]
    while pending:
        for name, field in pending.pop().model_fields.items():
            names.append(name)
            for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    pending.append(inner)
    close = difflib.get_close_matches(str(keys[-1]), names, n=1)
    return f"did you mean {close[0]}?" if close else "remove it or correct its spelling"


__all__ = [
    "AlertmanagerSettings",
    "KafkaSettings",
    "LiteLLMSettings",
    "OtelSettings",
    "OtelTrack",
    "ServeSettings",
    "Settings",
    "SettingsError",
    "WebhookSettings",
    "load",
    "security",
]
