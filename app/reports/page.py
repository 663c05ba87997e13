"""A report as one page that needs nothing else, and in which all that models wrote is only text."""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from app.reports import grids
from app.reports.charts import charts
from app.reports.details import Details
from app.reports.grids import Grid
from app.reports.proof import proof_lines
from app.reports.report_views import ReportView
from app.reports.sentence import in_one_sentence

#: Nothing runs, and nothing is loaded but the images that are in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
#: Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def as_page(view: ReportView, details: Details) -> str:
    """The report as HTML.

    Raises:
        InvalidRequestError: what draws charts is not installed here.
    """
    return template("report.html").render(
        policy=POLICY,
        title=view.name or view.batch_id,
        view=view,
        details=details,
        sentence=in_one_sentence(view),
        charts=charts(view, details.latencies),
        proof=list(proof_lines(view.blend)) if view.blend else [],
        grids={name: make(view) for name, make in grids.ALL.items()},
        trust_lines=list(grids.trust_lines(view)),
        made=Grid(
            ["label", "model", "as returned", "parameters", "role"],
            [[one.label, one.model, one.returned, one.params, one.role] for one in details.made],
            names=4,
        ),
        facts=Grid(["what", "is"], list(details.facts.items()), names=2),
    )


@cache
def template(name: str) -> Template:
    """One of the pages; in it, whatever is put in is text."""
    environment = Environment(
        loader=PackageLoader("app.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=inert,
    )
    return environment.get_template(name)


def inert(value: Any) -> Any:
    """A value without characters that a reader does not see; escaping is the template's."""
    if type(value) is str:
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value
