"""The library's logger: structlog where the application has configured it, silence where it has not.

Unconfigured, structlog prints to stdout, which a library must not; so without a configuration the lines go to the standard
library's logger `swarmlet`, which nobody hears unless the application listens.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def get_logger() -> FilteringBoundLogger:
    """The logger `swarmlet`, as the application has configured it at this moment."""
    if structlog.is_configured():
        return cast("FilteringBoundLogger", structlog.get_logger("swarmlet"))
    return _standard()


@cache
def _standard() -> FilteringBoundLogger:
    logger = logging.getLogger("swarmlet")
    logger.addHandler(logging.NullHandler())
    wrapped = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("FilteringBoundLogger", wrapped)
