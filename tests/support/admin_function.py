"""A function that lets admins in like the monitor. It answers with the caller's id and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import unwrap

from flask import Flask, Request, Response, jsonify, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.edge import endpoint, instance
from shared.monitor import auth
from shared.monitor.same_site import check_same_site
from shared.settings import read_settings


@dataclass(frozen=True)
class AdminFunction:
    """Calls the function, with a token or other headers."""

    client: FlaskClient

    def call(self, token: str | None = None, **headers: str) -> TestResponse:
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.client.post("/", headers={**authorization, **headers})


def admin_function(monkeypatch, environ: Mapping[str, str]) -> AdminFunction:
    """The function as a new instance with that environment serves it."""
    settings = read_settings(environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # firebase_admin reads some of them itself
    monkeypatch.setattr(instance, "settings", lambda: settings)
    monkeypatch.setattr(instance, "project", instance.once(unwrap(instance.project)))
    monkeypatch.setattr(auth, "_tokens", instance.once(unwrap(auth._tokens)))
    app = Flask("admin_function")
    app.add_url_rule("/", view_func=lambda: endpoint.error_boundary(_who)(request), methods=["POST"])
    return AdminFunction(app.test_client())


def _who(asked: Request) -> Response:
    check_same_site(asked)
    admin = auth.admin_of(asked)
    return jsonify({"uid": admin.uid, "name": admin.name})
