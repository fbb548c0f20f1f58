"""The notification channels of the alerts. They are made for e-mail addresses, or exist and are named in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.kind import Kind
from deploy.setup import Setup

KIND_LABEL = "credit-refresh-kind"

Items = Sequence[Mapping[str, Any]]


def channels_to_create(setup: Setup, existing: Items) -> list[list[str]]:
    """The commands for e-mail addresses that have no channel of ours yet."""
    labels = {**setup.options.labels, KIND_LABEL: setup.kind.slug}
    return [
        [
            *("gcloud", "alpha", "monitoring", "channels", "create", "--type=email"),
            f"--display-name={setup.kind.title}: {address}",
            f"--channel-labels=email_address={address}",
            "--user-labels=" + ",".join(f"{key}={value}" for key, value in labels.items()),
        ]
        for address in dict.fromkeys(setup.options.notify)
        if "@" in address and channel_of(setup.kind, address, existing) is None
    ]


def channel_of(kind: Kind, notified: str, channels: Items) -> str | None:
    """The full name of a channel. An e-mail address stands for our channel with that address."""
    if "@" not in notified:
        return notified
    for each in channels:
        if is_ours(kind, each) and each.get("labels", {}).get("email_address") == notified:
            return str(each["name"])
    return None


def is_ours(kind: Kind, channel: Mapping[str, Any]) -> bool:
    return bool(channel.get("userLabels", {}).get(KIND_LABEL) == kind.slug)
