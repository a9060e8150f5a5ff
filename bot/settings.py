"""Reads the environment once into one frozen object, and lists everything that is wrong in one message."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from bot.errors import SettingsWrong

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """All settings. `.env.example` has a sentence for each; a test compares the two."""

    home: Path
    public_port: int
    console_port: int
    database_url: str
    redis_url: str  # empty: the supervisor starts an embedded Valkey and tells the children
    redis_prefix: str  # before every key and topic of ours in Redis
    rasa_url: str  # empty: no Rasa; only under `bot run` and in tests is it set
    secret_key: str
    public_url: str
    console_origins: tuple[str, ...]
    webchat_origins: tuple[str, ...]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    timezone: ZoneInfo
    hours: str
    callback_within_minutes: int
    longest_wait_minutes: int
    operator_zh: str
    operator_en: str
    hotline: str
    statutory_days: int
    privacy_url: str
    keep_days: int
    keep_raw_days: int
    telegram_token: str
    telegram_api_url: str
    telegram_mode: str
    telegram_name: str
    telegram_webhook_secret: str
    clamd: str
    session_hours: int
    turn_timeout: float  # seconds for one question to Rasa
    rasa_patience: float  # seconds without Rasa before a turn is given to a person
    lease_seconds: float
    log_level: str
    metrics_token: str
    least_disk_mb: int
    longest_backlog_minutes: int

    @property
    def embedded(self) -> bool:
        """Whether the truth is SQLite in the data directory."""
        return self.database_url.startswith("sqlite")

    @property
    def installation(self) -> str:
        """Names the database that this installation works on, without user and password, as a short hash."""
        address = urlsplit(self.database_url)
        where = f"{address.netloc.rpartition('@')[2]}{address.path}"
        return sha256(where.encode()).hexdigest()[:12]


class _Reader:
    """Collects problems instead of raising at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(f"TINGSU_{name}", default).strip()

    def parsed(self, name: str, default: str, parse: Callable[[str], T], expected: str) -> T:
        raw = self.text(name) or default
        try:
            return parse(raw)
        except (ValueError, KeyError):
            self.problems.append(f"TINGSU_{name} is {raw!r}: expected {expected}")
            return parse(default)

    def listed(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())


def _port(raw: str) -> int:
    port = int(raw)
    if not 0 < port < 65536:
        raise ValueError(raw)
    return port


def _positive(raw: str) -> int:
    value = int(raw)
    if value <= 0:
        raise ValueError(raw)
    return value


def _seconds(raw: str) -> float:
    value = float(raw)
    if not 0 < value < 86_400:
        raise ValueError(raw)
    return value


def _zone(raw: str) -> ZoneInfo:
    if raw not in available_timezones():
        raise ValueError(raw)
    return ZoneInfo(raw)


def _url(schemes: frozenset[str]) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        address = urlsplit(raw)
        if raw and (address.scheme not in schemes or not (address.netloc or address.scheme == "unix")):
            raise ValueError(raw)
        return raw.rstrip("/")

    return parse


def _clamd(raw: str) -> str:
    host, _, port = raw.rpartition(":")
    if raw and not raw.startswith("/") and not (host and port.isdigit()):
        raise ValueError(raw)
    return raw


def _networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in raw.split(",") if part.strip())


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(raw)
        return raw

    return parse


def _prefix(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", raw):
        raise ValueError(raw)
    return raw


_WEB = _url(frozenset({"http", "https"}))
_REDIS = _url(frozenset({"redis", "rediss", "unix"}))


def _database(raw: str) -> str:
    """postgresql:// is taken as psycopg 3; SQLite is for the embedded default only."""
    scheme, _, rest = raw.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg") and rest:
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("/"):
        return raw
    raise ValueError(raw)


def secret_key(home: Path) -> str:
    """The installation's secret, made on the first run and kept in the data directory (mode 0600)."""
    path = home / "secret.key"
    try:
        with open(path, "x", encoding="ascii", opener=_private) as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return path.read_text(encoding="ascii").strip()


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def read(environ: Mapping[str, str]) -> Settings:
    """Raises SettingsWrong with every problem at once."""
    r = _Reader(environ)
    home = Path(r.text("HOME", "var")).expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        home=home,
        public_port=r.parsed("PUBLIC_PORT", "8000", _port, "a port number"),
        console_port=r.parsed("CONSOLE_PORT", "8001", _port, "a port number"),
        database_url=r.parsed(
            "DATABASE_URL", f"sqlite:///{home / 'tingsu.sqlite3'}", _database, "postgresql://user@host/database"
        ),
        redis_url=r.parsed("REDIS_URL", "", _REDIS, "redis://host:port/number"),
        redis_prefix=r.parsed("REDIS_PREFIX", "tingsu", _prefix, "at most 40 letters, digits, dots, dashes"),
        rasa_url=r.parsed("RASA_URL", "", _WEB, "http://host:port"),
        secret_key=r.text("SECRET_KEY") or secret_key(home),
        public_url=r.parsed("PUBLIC_URL", "", _WEB, "https://host"),
        console_origins=r.listed("CONSOLE_ORIGINS"),
        webchat_origins=r.listed("WEBCHAT_ORIGINS"),
        trusted_proxies=r.parsed(
            "TRUSTED_PROXIES", "127.0.0.0/8, ::1", _networks, "addresses or networks, separated by commas"
        ),
        timezone=r.parsed("TIMEZONE", "Asia/Shanghai", _zone, "a time zone such as Asia/Shanghai"),
        hours=r.text("HOURS", "Mon-Sun 00:00-24:00"),
        longest_wait_minutes=r.parsed("LONGEST_WAIT_MINUTES", "60", _positive, "minutes"),
        callback_within_minutes=r.parsed("CALLBACK_WITHIN_MINUTES", "120", _positive, "minutes"),
        operator_zh=r.text("OPERATOR_ZH", "听诉示例通信"),
        operator_en=r.text("OPERATOR_EN", "Tingsu Example Telecom"),
        hotline=r.text("HOTLINE"),
        statutory_days=r.parsed("STATUTORY_DAYS", "15", _positive, "days"),
        privacy_url=r.parsed("PRIVACY_URL", "", _WEB, "https://host/page"),
        keep_days=r.parsed("KEEP_DAYS", "730", _positive, "days"),
        keep_raw_days=r.parsed("KEEP_RAW_DAYS", "30", _positive, "days"),
        telegram_token=r.text("TELEGRAM_TOKEN"),
        telegram_api_url=r.parsed("TELEGRAM_API_URL", "https://api.telegram.org", _WEB, "https://host"),
        telegram_mode=r.parsed("TELEGRAM_MODE", "polling", _one_of("polling", "webhook"), "polling or webhook"),
        telegram_name=r.text("TELEGRAM_NAME").removeprefix("@"),
        telegram_webhook_secret=r.text("TELEGRAM_WEBHOOK_SECRET"),
        clamd=r.parsed("CLAMD", "", _clamd, "host:port, or the path of a socket"),
        session_hours=r.parsed("SESSION_HOURS", "12", _positive, "hours"),
        turn_timeout=r.parsed("TURN_TIMEOUT", "20", _seconds, "seconds"),
        rasa_patience=r.parsed("RASA_PATIENCE", "120", _seconds, "seconds"),
        lease_seconds=r.parsed("LEASE_SECONDS", "45", _seconds, "seconds"),
        metrics_token=r.text("METRICS_TOKEN"),
        least_disk_mb=r.parsed("LEAST_DISK_MB", "512", _positive, "MiB"),
        longest_backlog_minutes=r.parsed("LONGEST_BACKLOG_MINUTES", "30", _positive, "minutes"),
        log_level=r.parsed(
            "LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error"), "debug, info, warning or error"
        ),
    )
    _cross_check(settings, r.problems)
    if r.problems:
        raise SettingsWrong(r.problems)
    return settings


def _cross_check(settings: Settings, problems: list[str]) -> None:
    from bot.hours import Calendar

    try:
        Calendar.parse(settings.hours, settings.timezone)
    except ValueError as error:
        problems.append(f"TINGSU_HOURS is {settings.hours!r}: {error}")
    if settings.public_port == settings.console_port:
        problems.append("TINGSU_PUBLIC_PORT and TINGSU_CONSOLE_PORT are the same")
    if len(settings.secret_key) < 32:
        problems.append("TINGSU_SECRET_KEY is shorter than 32 characters")
    if settings.telegram_token and ":" not in settings.telegram_token:
        problems.append("TINGSU_TELEGRAM_TOKEN does not look like 123456:ABC…")
    if settings.telegram_mode == "webhook" and settings.telegram_token and not settings.public_url:
        problems.append("TINGSU_TELEGRAM_MODE=webhook needs TINGSU_PUBLIC_URL")
    if settings.lease_seconds <= settings.turn_timeout:
        problems.append("TINGSU_LEASE_SECONDS must be longer than TINGSU_TURN_TIMEOUT")
