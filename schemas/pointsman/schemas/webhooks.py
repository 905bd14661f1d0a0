"""The webhooks section of the settings: who is told of incidents and alerts, in which form, and of which of them."""

import base64
import binascii
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from .outputs import Severity

SECRET_PREFIX = "whsec_"
Told = Literal["incidents", "alerts", "members"]
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


def signing_key(secret: str) -> bytes:
    """The bytes of a `whsec_...` secret, as Standard Webhooks has them; raises `ValueError`.

    >>> signing_key("whsec_" + "A" * 32)
    b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("a secret is whsec_ and the base64 of 24 to 64 random bytes: whsec_$(openssl rand -base64 32)")
    return key


class WebhookSettings(BaseModel):
    """One target of `pointsman webhook`. Without `allow_http` it is https, or on loopback.

    `incidents` are opened, updated and resolved ones; `alerts` those that open no incident (constraints, budgets, forecasts, drift of our own models);
    `members` those that do (anomalies, burn rates, drift of a metric), which their incident tells already. What is known of our own models is `info`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    url: SecretStr
    secret: SecretStr | None = None
    form: Literal["json", "slack"] = "json"
    events: Annotated[tuple[Told, ...], Field(min_length=1)] = ("incidents", "alerts")
    updates: Literal["changes", "all"] = "changes"
    min_severity: Severity = "warning"
    flapping_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 1800.0
    scopes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1, max_length=64)] = ("*",)
    headers: Annotated[dict[Annotated[str, Field(pattern=_HEADER, max_length=256)], SecretStr], Field(max_length=16)] = {}
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    give_up_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    ssl_cafile: Path | None = None
    allow_http: bool = False

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("headers")
    @classmethod
    def _are_sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not value.get_secret_value().isascii() or not value.get_secret_value().isprintable():
                raise ValueError(f"the value of the header {name} has letters that no header may have")
            if name.lower() in ("content-type", "content-length", "host") or name.lower().startswith("webhook-"):
                raise ValueError(f"the header {name} is our own: leave it out")
        return headers

    @model_validator(mode="after")
    def _is_safe(self) -> "WebhookSettings":
        url = self.url.get_secret_value()
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or any(letter.isspace() for letter in url) or len(url) > 2000:
            raise ValueError("the url is no address: give https://host/path")
        if urlsplit(url).scheme == "http" and not self.allow_http and not _is_loopback(str(urlsplit(url).hostname)):
            raise ValueError(f"{self.shown()}: without https anyone on the way can read and change what is told: give https://, or set allow_http = true")
        return self

    def shown(self) -> str:
        """Scheme, host and port: what may be logged, since the rest of the address can be a secret."""
        parts = urlsplit(self.url.get_secret_value())
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"

    def key(self) -> bytes | None:
        """What signs, where there is a secret."""
        return signing_key(self.secret.get_secret_value()) if self.secret is not None else None

    def tls(self) -> Any:
        """The client's TLS context: the server's certificate and name are always checked. Raises `ValueError`."""
        import ssl

        try:
            return ssl.create_default_context(cafile=self.ssl_cafile)
        except OSError as error:
            raise ValueError(f"webhooks.ssl_cafile: {error}; give a readable PEM file") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["Told", "WebhookSettings", "signing_key"]
