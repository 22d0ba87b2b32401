"""The OpenAPI document is true: every route is in it, and answers to generated requests are as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ktx_daemon.app import create_app
from ktx_daemon.capabilities import CAPABILITIES
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from .conftest import TOKEN, Daemon, InProcess, Serve

load_all_checks()
# Starting processes and resolving names for every example is slow, and says little more.
FEW = {"/code/execute": 8, "/database/introspect": 20}
EXAMPLES = 40


@pytest.fixture(scope="module")
def document(daemon: Daemon) -> Any:
    return daemon.get("/openapi.json").json


def test_the_document_has_exactly_the_routes(document: Any, serve: Serve) -> None:
    own = {"/health", "/info", "/openapi.json", "/shutdown"}
    assert set(document["paths"]) == own | {row.route for row in CAPABILITIES}
    without_code = serve(token=TOKEN).get("/openapi.json").json
    assert set(document["paths"]) - set(without_code["paths"]) == {"/code/execute"}


def test_the_application_describes_itself_in_process() -> None:
    app = create_app()
    assert app.openapi()["openapi"].startswith("3.1")
    assert InProcess(app).get("/openapi.json").status_code == 404


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize("route", [row.route for row in CAPABILITIES])
def test_generated_requests_meet_no_500_and_no_undeclared_answer(
    daemon: Daemon, document: Any, route: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(document)[route]["POST"]
    strategy: Callable[..., Any] = operation.as_strategy

    @settings(
        max_examples=FEW.get(route, EXAMPLES),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def exercise(data: st.DataObject) -> None:
        case = data.draw(strategy(generation_mode=mode))
        response = case.call(base_url=f"http://127.0.0.1:{daemon.port}", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code != 500, response.text
        case.validate_response(response, checks=[status_code_conformance, response_schema_conformance])

    exercise()
    assert daemon.get("/health").status == 200
