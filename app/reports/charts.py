"""Charts of a report: Vega-Lite drawn to SVG here, each an image that can do nothing.

As an image, a chart runs no script and loads nothing, whatever a label says. What measures its text
ends the whole process at a control character, and fails where it cuts a character in two: so a
label is short here, and plain.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.money import NANOS_PER_DOLLAR
from app.reports.report_views import ContestantView, ReportView

_Spec = dict[str, Any]
_WIDTH, _ROW, _HEIGHT = 620, 28, 300
_LABEL_CHARS = 40
_LIGHT = {"ink": "#1c2330", "line": "#d9dee6", "mark": "#2867b2", "front": "#c2571a"}
_DARK = {"ink": "#e6e9ef", "line": "#333c4a", "mark": "#7fb2f0", "front": "#f0a068"}


class Chart(NamedTuple):
    """A chart as two images, each the address of its own data."""

    title: str
    light: str
    dark: str


def charts(view: ReportView, latencies: Mapping[str, Sequence[int]]) -> list[Chart]:
    """The charts there is something to show in.

    Raises:
        InvalidRequestError: what draws them is not installed here.
    """
    names = plain_names([row.label for row in view.leaderboard])
    rows = [msgspec.structs.replace(row, label=names[row.label]) for row in view.leaderboard]
    latencies = {names[label]: of for label, of in latencies.items() if label in names}
    return [
        *_draw("Mean score with its 95 % interval", *_scores(rows)),
        *_draw("Cost of an answer against mean score; the front is joined", *_costs(rows)),
        *_draw("Latency in seconds: 5 to 95 %, 25 to 75 %, and the median", *_latencies(latencies)),
    ]


def plain_names(labels: Sequence[str]) -> dict[str, str]:
    """Each label as a chart shows it; one that is changed has its place in the list before it."""
    return {label: _plain(label, place) for place, label in enumerate(labels, 1)}


def _plain(label: str, place: int) -> str:
    shown = "".join(char if " " <= char <= "~" else "?" for char in label[:_LABEL_CHARS])
    return shown if shown == label else f"{place}: {shown}"


def _draw(title: str, values: Sequence[_Spec], layers: Sequence[_Spec]) -> list[Chart]:
    if not values:
        return []
    return [Chart(title, *(_image(values, layers, colours) for colours in (_LIGHT, _DARK)))]


def _image(values: Sequence[_Spec], layers: Sequence[_Spec], colours: Mapping[str, str]) -> str:
    try:
        import altair as alt  # noqa: PLC0415 - an extra: large, and not everybody's
        import vl_convert  # noqa: PLC0415 - the same
    except ImportError:
        raise InvalidRequestError(
            "format: html needs the extra `report` where the API runs "
            "(pip install 'overnight[report]'); or ask for md",
            param="format",
        ) from None
    rows = len({value["label"] for value in values})
    spec = {
        "width": _WIDTH,
        "height": _HEIGHT if any("cost" in value for value in values) else _ROW * rows + 12,
        "background": "transparent",
        "data": {"values": list(values)},
        "layer": [_coloured(layer, colours) for layer in layers],
        "config": _config(colours),
    }
    # What is no Vega-Lite fails here, by the schema, and not as a chart with something missing.
    chart = alt.LayerChart.from_dict(spec)
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=version)
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _coloured(layer: _Spec, colours: Mapping[str, str]) -> _Spec:
    mark = layer["mark"]
    return layer | {"mark": mark | {"color": colours[mark.get("color", "mark")]}}


def _config(colours: Mapping[str, str]) -> _Spec:
    ink, line = colours["ink"], colours["line"]
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": line, "domainColor": line}
    return {
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": axis | {"tickColor": line, "labelLimit": 0, "labelFontSize": 12},
    }


def _q(field: str, title: str | None = None) -> _Spec:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True},
        "axis": {"tickCount": 8},
    }


_BY_LABEL = {"field": "label", "type": "nominal", "sort": None, "title": None}


def _scores(rows: Sequence[ContestantView]) -> tuple[list[_Spec], list[_Spec]]:
    values = [
        {
            "label": row.label,
            "value": row.score.value,
            "low": row.score.low if row.score.low is not None else row.score.value,
            "high": row.score.high if row.score.high is not None else row.score.value,
        }
        for row in rows
        if row.score is not None
    ]
    reach = {"y": _BY_LABEL, "x": _q("low", "mean score, of 10"), "x2": {"field": "high"}}
    return values, [
        {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.6}, "encoding": reach},
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"y": _BY_LABEL, "x": _q("value")},
        },
    ]


def _costs(rows: Sequence[ContestantView]) -> tuple[list[_Spec], list[_Spec]]:
    values: list[_Spec] = [
        {
            "label": row.label,
            "value": row.score.value,
            "cost": row.cost_per_answer_nanos / NANOS_PER_DOLLAR,
        }
        for row in rows
        if row.score is not None and row.cost_per_answer_nanos is not None
    ]
    front = pareto_front([(one["cost"], one["value"]) for one in values])
    for value in values:
        value["front"] = (value["cost"], value["value"]) in front
    at = {"x": _q("cost", "dollars for an answer"), "y": _q("value", "mean score, of 10")}
    return values, [
        {
            "mark": {"type": "line", "color": "front", "interpolate": "step-after"},
            "transform": [{"filter": {"field": "front", "equal": True}}],
            "encoding": at,
        },
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": at},
        {
            "mark": {"type": "text", "dy": -12, "color": "ink", "limit": 0},
            "encoding": at | {"text": {"field": "label", "type": "nominal"}},
        },
    ]


def pareto_front(points: Sequence[tuple[float, float]]) -> set[tuple[float, float]]:
    """Of points of (cost, quality) those that no other beats in one without losing in the other."""
    front: set[tuple[float, float]] = set()
    best = float("-inf")
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if quality > best:
            front.add((cost, quality))
            best = quality
    return front


def _latencies(found: Mapping[str, Sequence[int]]) -> tuple[list[_Spec], list[_Spec]]:
    names = ("least", "low", "value", "high", "most")
    values = [
        {"label": label, **{name: ms / 1000 for name, ms in zip(names, of_label, strict=True)}}
        for label, of_label in found.items()
    ]
    whole = {"y": _BY_LABEL, "x": _q("least", "seconds"), "x2": {"field": "most"}}
    half = {"y": _BY_LABEL, "x": _q("low"), "x2": {"field": "high"}}
    return values, [
        {"mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.6}, "encoding": whole},
        {"mark": {"type": "bar", "size": 12, "opacity": 0.6}, "encoding": half},
        {
            "mark": {"type": "tick", "thickness": 3, "color": "ink"},
            "encoding": {"y": _BY_LABEL, "x": _q("value")},
        },
    ]
