"""`overnight doctor`: what is set, what is well, and what to do about the rest."""

import re
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from api.cli.checks import Level, examine
from api.cli.failure import ExitCode, Failure
from api.cli.output import show_json, show_table
from api.cli.place import api_url
from app.settings import Settings, load_settings

HIDDEN = "***"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check everything, and say what to do.

    Settings, data directory, store, master key, clock, broker, API and provider keys.

    Example: overnight doctor
    """
    settings = load_settings()
    findings = examine(settings)
    if as_json:
        show_json(
            {
                "settings": settings_shown(settings),
                "findings": [finding.as_json() for finding in findings],
            }
        )
    else:
        _show(settings, findings)
    broken = [finding.check for finding in findings if finding.level is Level.BROKEN]
    if broken:
        raise Failure(f"broken: {', '.join(broken)}", ExitCode.FAILED)


def settings_shown(settings: Settings) -> dict[str, str]:
    """Every setting with the value in force, without a secret."""
    in_force = {
        "database_url": settings.store_url,
        "redis_url": settings.broker_url,
        "url": api_url(settings),
        "trusted_hosts_raw": ", ".join(settings.trusted_hosts),
        "files_url": settings.files_base_url,
    }
    shown = {}
    for field, info in Settings.model_fields.items():
        value = in_force.get(field, getattr(settings, field))
        if isinstance(value, SecretStr):
            value = HIDDEN
        shown[str(info.validation_alias)] = "" if value is None else without_password(str(value))
    for name in sorted(settings.platform_credentials):
        shown[f"OVERNIGHT_PLATFORM_{name.upper()}_API_KEY"] = HIDDEN
    return shown


def without_password(url: str) -> str:
    """A URL without what lets in."""
    url = re.sub(r"(?<=://)([^/@:]*):([^/@]*)@", rf"\1:{HIDDEN}@", url)
    return re.sub(r"(?i)((?:password|secret|token|key)=)[^&\s]*", rf"\1{HIDDEN}", url)


def _show(settings: Settings, findings: list[Any]) -> None:
    show_table(("setting", "value"), settings_shown(settings).items())
    rows = ((finding.level, finding.check, finding.detail) for finding in findings)
    show_table(("", "check", "found"), rows)
    for finding in findings:
        if finding.advice is not None:
            print(f"{finding.check}: {finding.advice}")
