"""The names of everything that is deployed for one kind of credit.

All of them begin with the collection prefix of the settings. So two kinds of credit can be in one project. With the
default prefix the names are those of functions.toml and schedule.toml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.settings import PREFIX, Settings

DEFAULT_PREFIX = str(Settings.model_fields["collection_prefix"].default)
PREFIX_VARIABLE = f"{PREFIX}COLLECTION_PREFIX"
SLUG_CHARACTERS_MAX = 22  # the id of a service account has at most 30 characters, and ends with -runtime
LABEL = "credit-refresh-hash"  # every function that we deploy has this label


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credit. `prefix`: what the names of its collections begin with."""

    prefix: str

    @property
    def slug(self) -> str:
        """What names in the cloud begin with."""
        return self.prefix.lower().replace("_", "-")

    @property
    def is_default(self) -> bool:
        return self.prefix == DEFAULT_PREFIX

    @property
    def title(self) -> str:
        """The name that people read in the console."""
        return "Credit Refresh" if self.is_default else f"Credit Refresh ({self.prefix})"

    @property
    def metrics(self) -> str:
        """What the names of log-based metrics begin with."""
        return self.slug.replace("-", "_")

    def function(self, entry_point: str) -> str:
        return self.slug + entry_point.removeprefix(DEFAULT_PREFIX).replace("_", "-")

    def job(self, name: str) -> str:
        """The scheduler job of a row of schedule.toml."""
        if self.is_default:
            return name
        return f"{self.slug}-{name.removeprefix('credit-refresh').lstrip('-')}"

    def account(self, short_name: str, project: str) -> str:
        return f"{self.slug}-{short_name}@{project}.iam.gserviceaccount.com"

    def problems(self) -> list[str]:
        """Why this prefix can't name functions and accounts; empty if it can."""
        slug = self.slug
        if re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", slug) and "--" not in slug and len(slug) <= SLUG_CHARACTERS_MAX:
            return []
        problem = (
            f"{PREFIX_VARIABLE}={self.prefix}: functions and accounts are named {slug}-…, which has to be 2 to "
            f"{SLUG_CHARACTERS_MAX} letters, digits and single hyphens, and to end with a letter or digit"
        )
        return [problem]


def kind_of(function: Mapping[str, Any]) -> Kind:
    """The kind of a deployed function, from its environment."""
    environment = function.get("serviceConfig", {}).get("environmentVariables", {})
    return Kind(str(environment.get(PREFIX_VARIABLE) or DEFAULT_PREFIX))


def label_of(function: Mapping[str, Any]) -> str:
    """The hash in a function's label; empty if the function is not ours."""
    return str(function.get("labels", {}).get(LABEL, ""))


def name_of(resource: Mapping[str, Any]) -> str:
    """The last part of a resource's full name."""
    return str(resource["name"]).rpartition("/")[2]


def name_conflicts(kind: Kind, functions: Mapping[str, Mapping[str, Any]], names: list[str]) -> list[str]:
    """A problem for each function that has one of our names, but is not ours or belongs to another kind of credit."""
    found = {name: functions[name] for name in names if name in functions}
    problems = [
        f"function {name} exists and has no label {LABEL}: it is not ours; rename or remove it"
        for name, each in found.items()
        if not label_of(each)
    ]
    return problems + [
        f"function {name} exists and is of another kind of credit ({PREFIX_VARIABLE}={kind_of(each).prefix}): it is "
        f"not overwritten; choose another {PREFIX_VARIABLE}, or remove that kind first with deploy/teardown.sh"
        for name, each in found.items()
        if label_of(each) and kind_of(each) != kind
    ]


def field_conflicts(kind: Kind, settings: Settings, functions: Sequence[Mapping[str, Any]]) -> list[str]:
    """A problem for each field that another kind of credit writes on the same users. Otherwise a stamp of one kind
    would count as a grant of the other."""
    problems = set()
    for each in functions:
        other = kind_of(each)
        if not label_of(each) or other == kind or not _same_users(settings, each):
            continue
        for name in ("balance_field", "stamp_field", "purchased_field"):
            if getattr(settings, name) is not None and getattr(settings, name) == _setting(each, name):
                problems.add(
                    f"{PREFIX}{name.upper()}={_setting(each, name)} is what {PREFIX_VARIABLE}={other.prefix} uses for "
                    "the same users: two kinds of credit need fields of their own"
                )
    return sorted(problems)


def _same_users(settings: Settings, function: Mapping[str, Any]) -> bool:
    return all(getattr(settings, name) == _setting(function, name) for name in ("database", "users_collection"))


def _setting(function: Mapping[str, Any], name: str) -> str:
    """A setting of a deployed function, or its default."""
    environment = function.get("serviceConfig", {}).get("environmentVariables", {})
    return str(environment.get(PREFIX + name.upper()) or Settings.model_fields[name].default)
