"""The description of the API: what FastAPI knows, and the shapes that it does not see."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.account_views import (
    AccountView,
    ApiKeyPage,
    AuditPage,
    NewApiKeyView,
    OwnPriceList,
)
from api.errors import ErrorAnswer
from api.health import Health, ReadyView
from api.openai.errors import OpenAIError
from api.v1.account import PurgeView
from api.v1.api_keys import ApiKeyBody
from api.v1.prices import PricesBody
from api.v1.privacy import PrivacyBody
from api.v1.provider_keys import KeyBody
from api.views import (
    BatchPage,
    CreditsView,
    FileView,
    KeyList,
    KeyView,
    ResultPage,
    TransactionPage,
    WebhookSecretView,
)
from api.webhook_views import SHAPES as WEBHOOK_SHAPES
from app.accounts.privacy import Privacy
from app.domain.spec import BatchBody, JobLine
from app.pipeline.estimated import Estimate
from app.pipeline.keys import KeyCheck
from app.pipeline.offers import Offers
from app.reports.against_views import AgainstView
from app.reports.report_views import ReportView
from app.reports.usage import UsageReport
from app.reports.views import BatchView, JobView

_REF = "#/components/schemas/{name}"
_SHAPES: tuple[type, ...] = (
    AccountView,
    AgainstView,
    ApiKeyBody,
    ApiKeyPage,
    AuditPage,
    BatchPage,
    BatchView,
    CreditsView,
    ErrorAnswer,
    Estimate,
    FileView,
    Health,
    JobLine,
    JobView,
    KeyBody,
    KeyCheck,
    KeyList,
    KeyView,
    NewApiKeyView,
    Offers,
    OwnPriceList,
    PricesBody,
    OpenAIError,
    Privacy,
    PrivacyBody,
    PurgeView,
    ReadyView,
    ReportView,
    ResultPage,
    TransactionPage,
    UsageReport,
    WebhookSecretView,
    *WEBHOOK_SHAPES,
)
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "JSONL or CSV in UTF-8, or Parquet.",
        },
        "retention": {"type": "string", "enum": ["keep"]},
    },
}


_EXAMPLE = {
    "name": "nightly",
    "mode": "compare",
    "models": ["simulated/gold", {"model": "simulated/tin", "params": {"temperature": 0.2}}],
    "params": {"max_tokens": 64},
    "jobs": [{"custom_id": "sky", "prompt": "Why is the sky blue?"}],
    "budget_usd": 1,
    "metadata": {"team": "search"},
}


def install(app: FastAPI) -> None:
    """Have `/openapi.json` answer with the whole description, made once."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    # FastAPI's own way to change it: fastapi.tiangolo.com/how-to/extending-openapi.
    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    _, shapes = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
    schemas.update(shapes)
    schemas.update(_submission())
    for one in found["paths"]["/v1/batches"]["get"]["parameters"]:
        if one["name"] == "metadata":
            one |= {"style": "deepObject", "explode": True}
    upload = found["paths"]["/v1/files"]["post"]
    upload["requestBody"] = {
        "required": True,
        "content": {"multipart/form-data": {"schema": _FORM}},
    }
    return found


def _submission() -> dict[str, Any]:
    """The settings of a batch, with its jobs beside them."""
    schema = BatchBody.model_json_schema(ref_template=_REF.replace("{name}", "{model}"))
    definitions: dict[str, Any] = schema.pop("$defs", {})
    schema["properties"]["jobs"] = {
        "type": "array",
        "minItems": 1,
        "items": {"$ref": _REF.format(name="JobLine")},
    }
    schema["examples"] = [_EXAMPLE]
    return {**definitions, "BatchSubmission": schema}
