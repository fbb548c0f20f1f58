"""The settings: one table of names, types, ranges and defaults, read from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.core.errors import ConfigurationError
from shared.core.plans import PlanTable, parse_plans
from shared.core.schedule import Schedule
from shared.core.stagger import Stagger

PREFIX = "CREDIT_REFRESH_"
BUNDLE = Path(__file__).resolve().parent.parent
UNPREFIXED = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "emulator_host": "FIRESTORE_EMULATOR_HOST",
    "auth_emulator_host": "FIREBASE_AUTH_EMULATOR_HOST",
}
EMULATOR_PROJECT = "demo-credit-refresh"

_RESERVED = re.compile(r"__.*__")
_USER_FIELDS = ("balance_field", "plan_field", "stamp_field", "created_at_field", "purchased_field")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The two joiners, U+200C and U+200D, belong into emoji and into words of some scripts, but not to an end.
_UNSEEN = re.compile(
    r"[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]|^[\u200c\u200d]|[\u200c\u200d]$"
)
# These have a meaning in the path pattern of a trigger, or for gcloud.
_NOT_IN_COLLECTIONS = re.compile(r"[\x00-\x1f\x7f,={}*\[\]()<>\"'`\\|;&$?#%]|^[\s-]|\s$")


def zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last two are raised for texts that can't be names
        raise ValueError(f"{name!r} is not an IANA time zone such as UTC or Europe/Berlin") from None
    return name


def _refuse_unseen(names: Sequence[str]) -> None:
    """Raise ValueError for a character that nobody sees: no document has a field or a collection with it."""
    for name in names:
        if found := _UNSEEN.search(name):
            raise ValueError(f"it holds U+{ord(found[0]):04X}, which nobody sees; type the name anew")


def _collection(path: str) -> str:
    segments = path.split("/")
    _refuse_unseen(segments)
    bad = any(not segment or segment in (".", "..") or _RESERVED.fullmatch(segment) for segment in segments)
    odd = any(map(_NOT_IN_COLLECTIONS.search, segments))
    if bad or odd or len(segments) % 2 == 0:
        raise ValueError(f"{path!r} is not the path of a collection such as users or tenants/acme/users")
    return path


def _collection_prefix(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(f"{name!r} must be 1 to 64 letters, digits, _ or -, beginning with a letter")
    return name


def _field_path(path: str) -> str:
    names = path.split(".")
    _refuse_unseen(names)
    if _CONTROL.search(path) or any(not name or _RESERVED.fullmatch(name) for name in names):
        raise ValueError(f"{path!r} is not a field, or a path of fields joined by dots")
    if any(name != name.strip() for name in names):
        raise ValueError("a name begins or ends with white space; leave it out")
    if re.fullmatch("""(["']).*\\1""", path):
        raise ValueError("the quotes around it would be part of the name; leave them out")
    return path


def _domain(name: str) -> str:
    """A host name and nothing else, because it goes into the page's Content-Security-Policy."""
    if not re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise ValueError(f"{name!r} is not a domain such as acme.firebaseapp.com, in lower case, without https://")
    return name


def _api_key(key: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", key):
        raise ValueError("not an API key: it is letters, digits, _ and -, as Firebase's project settings show it")
    return key


def _project(name: str) -> str:
    """The id of a project. On the emulator any name is allowed that fits into a path."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", name):
        raise ValueError(f"{name!r} is not the id of a project such as acme-prod")
    return name


def _host_and_port(address: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", address):
        raise ValueError(f"{address!r} is not an address such as 127.0.0.1:9099, without http://")
    return address


FieldPath = Annotated[str, AfterValidator(_field_path)]
Dollars = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Settings(BaseModel):
    """The settings of an instance. Names say the unit: seconds, days, dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    project: Annotated[str, AfterValidator(_project)] | None = None
    emulator_host: Annotated[str, AfterValidator(_host_and_port)] | None = None
    database: Annotated[str, Field(pattern=r"^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$")] = "(default)"
    plans_file: Path = BUNDLE / "plans.toml"
    timezone: Annotated[str, AfterValidator(zone_name)] = "UTC"
    window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    window_start_seconds: Annotated[int, Field(ge=0, le=86_399)] = 0
    slot_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    stagger: Literal["hash", "quiet"] = "hash"
    job_size: Annotated[int, Field(ge=1, le=500)] = 300
    lease_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    breaker_reset_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    users_collection: Annotated[str, AfterValidator(_collection)] = "users"
    balance_field: FieldPath = "credits"
    plan_field: FieldPath = "plan"
    stamp_field: FieldPath = "creditRefresh"
    created_at_field: FieldPath = "createdAt"
    purchased_field: FieldPath | None = None
    zone_field: FieldPath | None = None
    sign_up: Literal["grant", "stamp"] = "grant"
    collection_prefix: Annotated[str, AfterValidator(_collection_prefix)] = "credit_refresh"
    full_scan_days: Annotated[int, Field(ge=1, le=3650)] = 7
    full_scan_below: Annotated[int, Field(ge=0, le=10_000_000)] = 20_000
    proof_tolerance: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    merge_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    environment: Annotated[str, Field(max_length=40)] | None = None
    standing_failures_max: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    price_read: Dollars = 0.03
    price_write: Dollars = 0.09
    auth: Literal["on", "off"] | None = None
    auth_emulator_host: Annotated[str, AfterValidator(_host_and_port)] | None = None
    firebase_api_key: Annotated[str, AfterValidator(_api_key)] | None = None
    firebase_auth_domain: Annotated[str, AfterValidator(_domain)] | None = None

    # Fields that must fit together. The later field reports the problem. A bad earlier field is not in `data`.

    @field_validator("plan_field")
    @classmethod
    def _is_not_the_balance(cls, value: str, info: ValidationInfo) -> str:
        if "balance_field" in info.data and _overlap(value, info.data["balance_field"]):
            raise ValueError("the plan must be apart from the balance")
        return value

    @field_validator("stamp_field")
    @classmethod
    def _is_apart(cls, value: str, info: ValidationInfo) -> str:
        if any(_overlap(value, info.data[name]) for name in ("balance_field", "plan_field") if name in info.data):
            raise ValueError("the stamp must be apart from the balance and the plan")
        return value

    @field_validator("created_at_field", "purchased_field", "zone_field")
    @classmethod
    def _is_apart_from_the_rest(cls, value: str | None, info: ValidationInfo) -> str | None:
        ours = {name: info.data[name] for name in _USER_FIELDS if name in info.data and name != info.field_name}
        for name, other in ours.items():
            if value is not None and other is not None and _overlap(value, other):
                raise ValueError(f"it must be apart from {PREFIX}{name.upper()}={other}")
        return value

    @field_validator("collection_prefix")
    @classmethod
    def _is_apart_from_the_users(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("users_collection") in {f"{value}_{ours}" for ours in ("jobs", "runs", "control", "activity")}:
            raise ValueError(f"the users must be apart from our own {info.data['users_collection']}")
        return value

    @field_validator("auth")
    @classmethod
    def _is_off_on_the_emulator_only(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "off" and not info.data.get("emulator_host"):
            raise ValueError("for the emulator only; set FIRESTORE_EMULATOR_HOST or leave it on")
        return value

    @field_validator("auth_emulator_host")
    @classmethod
    def _is_beside_the_emulator_only(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Tokens of the Auth emulator have no signature, so anybody could make one for real data."""
        if value and not info.data.get("emulator_host"):
            raise ValueError(
                "for the emulator only, as its tokens are unsigned; unset it or set FIRESTORE_EMULATOR_HOST"
            )
        return value

    @cached_property
    def schedule(self) -> Schedule:
        return Schedule(
            ZoneInfo(self.timezone),
            self.window_seconds,
            self.slot_seconds,
            self.window_start_seconds,
            Stagger(self.stagger),
        )

    @property
    def learns_activity(self) -> bool:
        """True if grants write at which hours a user is active."""
        return self.schedule.stagger is Stagger.QUIET

    @property
    def project_id(self) -> str | None:
        """The project; on the emulator a default if none is set."""
        return self.project or (EMULATOR_PROJECT if self.emulator_host else None)

    @property
    def auth_on(self) -> bool:
        """True if the monitor requires a sign-in: the default, except on the emulator."""
        return (self.auth or ("off" if self.emulator_host else "on")) == "on"


def setting_names() -> dict[str, str]:
    """The environment variable of each field."""
    return {field: UNPREFIXED.get(field, PREFIX + field.upper()) for field in Settings.model_fields}


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from the environment. An empty variable counts as not set.

    Raises ConfigurationError that names every problem, those of the plans file included.
    """
    names = setting_names()
    values = {field: environ[name] for field, name in names.items() if environ.get(name)}
    problems, plans_file = _unknown_settings(environ, names), values.get("plans_file", BUNDLE / "plans.toml")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        bad = {str(error["loc"][0]): error for error in exc.errors()}
        problems += [f"{names[field]}={error['input']!r}: {_message(error['msg'])}" for field, error in bad.items()]
        raise ConfigurationError(problems + ([] if "plans_file" in bad else _plans_problems(Path(plans_file)))) from exc
    if problems:
        raise ConfigurationError(problems + _plans_problems(settings.plans_file))
    return settings


def _unknown_settings(environ: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    """A problem for each variable with our prefix that is no setting. With a misspelt name the default would hold."""
    return [
        f"{name}: there is no such setting{_meant(name, names)}"
        for name, value in environ.items()
        if name.startswith(PREFIX) and value and name not in names.values()
    ]


def _meant(name: str, names: Mapping[str, str]) -> str:
    """The setting that was probably meant, for a message."""
    field = name.removeprefix(PREFIX).lower()
    if field in UNPREFIXED:
        return f"; {UNPREFIXED[field]} is the name"
    close = get_close_matches(field, names, n=1)
    return f"; did you mean {names[close[0]]}?" if close else "; remove it"


def read_plans(settings: Settings) -> PlanTable:
    """The plans in the file that the settings name. Raises ConfigurationError."""
    return _plans_at(settings.plans_file)


def _plans_problems(path: Path) -> list[str]:
    try:
        _plans_at(path)
    except ConfigurationError as exc:
        return list(exc.problems)
    return []


def _plans_at(path: Path) -> PlanTable:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError([f"{PREFIX}PLANS_FILE: {path.name} can't be read: {exc.__class__.__name__}"]) from exc
    return parse_plans(text, path.name)


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _message(message: str) -> str:
    return message.removeprefix("Value error, ")
