"""A visitor of the web chat API in tests. Every answer must be one that the OpenAPI document knows."""

import itertools
import re
from typing import Any, Self

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from werkzeug.test import TestResponse

_numbers = itertools.count(1)


def spec_of(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/chat/openapi.json").get_json()
    return found


def check(spec: dict[str, Any], response: TestResponse) -> None:
    """Status code and JSON body, as the document says for this path and method."""
    path = re.sub(r"/\d+$", "/{number}", response.request.path.removeprefix("/chat"))
    documented = spec["paths"][path][response.request.method.lower()]["responses"]
    assert str(response.status_code) in documented, (path, response.status_code)
    answer = documented[str(response.status_code)]
    if "$ref" in answer:
        answer = spec["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    for kind, content in answer["content"].items():
        assert response.mimetype == kind
        if kind == "application/json":
            schema = {**content["schema"], "components": spec["components"]}
            Draft202012Validator(schema).validate(response.get_json())


class Visitor:
    """Speaks with a bearer token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.spec = spec_of(client)
        self.token = ""

    def begin(self, language: str) -> Self:
        answer = self.post("sessions", {"language": language})
        assert answer.status_code == 201
        self.token = answer.get_json()["token"]
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def post(self, path: str, content: Any) -> TestResponse:
        response = self.client.post(f"/chat/v1/{path}", json=content, headers=self.headers)
        check(self.spec, response)
        return response

    def raw(self, body: bytes, content_type: str = "application/json") -> TestResponse:
        """A message as bytes."""
        headers = {**self.headers, "Content-Type": content_type}
        response = self.client.post("/chat/v1/messages", data=body, headers=headers)
        check(self.spec, response)
        return response

    def get(self, path: str, **headers: str) -> TestResponse:
        response = self.client.get(f"/chat/v1/{path}", headers={**self.headers, **headers})
        check(self.spec, response)
        return response

    def say(self, text: str, client_id: str = "") -> TestResponse:
        return self.post("messages", {"id": client_id or new_id(), "text": text})

    def tap(self, payload: str) -> TestResponse:
        return self.post("messages", {"id": new_id(), "tap": payload})

    def history(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("history").get_json()
        return found


def new_id() -> str:
    return f"client-{next(_numbers):06}"
