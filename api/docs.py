"""The API's documentation as one page: no script, and nothing fetched from anywhere."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2rem 0 .25rem; font-size: 1.05rem } code { font-family: ui-monospace, monospace }
table { border-collapse: collapse } td, th { padding: .1rem 1rem .1rem 0; text-align: left;
vertical-align: top } .method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
"""


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """Every route, with what it takes and answers."""
    page = _page(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _page(schema: dict[str, Any]) -> str:
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    operations = "".join(
        _operation(path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    shapes = "".join(
        _shape(name, shape) for name, shape in sorted(schema["components"]["schemas"].items())
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(schema['info']['description'])}</p>"
        f"<p>The same for programs: <a href='/openapi.json'>/openapi.json</a></p>"
        f"{operations}<h1>Shapes</h1>{shapes}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    title = f"<span class='method'>{method.upper()}</span><code>{escape(path)}</code>"
    words = escape(operation.get("description", "")).replace("\n\n", "<br>")
    takes = [(one["name"], one["schema"]) for one in operation.get("parameters", ())]
    parts = [("body", operation.get("requestBody", {})), *operation["responses"].items()]
    takes += [
        (name, content["schema"])
        for name, part in parts
        for content in part.get("content", {}).values()
    ]
    rows = [(name, _type_of(one)) for name, one in takes]
    for scopes in operation.get("security", ()):
        rows.insert(0, ("scope", escape(", ".join(scopes["apiKey"]))))
    return f"<h2>{title}</h2><p>{words}</p>{_table(rows)}"


def _shape(name: str, shape: dict[str, Any]) -> str:
    fields = [(field, _type_of(one)) for field, one in shape.get("properties", {}).items()]
    words = escape(shape.get("description", ""))
    return f"<h2 id='{escape(name)}'><code>{escape(name)}</code></h2><p>{words}</p>{_table(fields)}"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td></tr>" for name, kind in rows
    )
    return f"<table>{cells}</table>" if cells else ""


def _type_of(schema: dict[str, Any]) -> str:
    """A schema in a few words, as HTML."""
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(_type_of(one) for one in choices)
    if values := schema.get("enum"):
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in values)
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if items := schema.get("items"):
        return f"list of {_type_of(items)}"
    return escape(str(schema.get("type", "anything")))
