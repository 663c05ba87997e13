"""leftovers: what processes that died left in file storage is deleted, now and then."""

from datetime import timedelta

import structlog

from app.domain.errors import UnavailableError
from app.files import Files
from app.pipeline.services import Services

log = structlog.get_logger(__name__)

#: No upload and no output takes longer to write.
_KEPT = timedelta(days=1)


def sweep_parts(services: Services) -> int:
    """Delete what was begun a day ago and never finished; answers how many there were."""
    try:
        parts = Files(services.settings.files_base_url).sweep_parts(_KEPT)
    except UnavailableError:
        return 0
    if parts:
        log.info("parts_swept", files=parts)
    return parts
