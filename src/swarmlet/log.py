"""The library's logger: structlog where the application has configured it, silence where it has not.

Unconfigured, structlog prints to stdout, which a library must not; so without a configuration the lines go to the standard
library's logger `swarmlet`, which nobody hears unless the application listens. structlog is imported when the first line is
written: it brings rich along where that is installed, and `import swarmlet` should not pay for that.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def somebody_listens() -> bool:
    """Whether log lines would reach anybody. An application that has configured structlog has imported it."""
    if "structlog" in sys.modules:
        import structlog

        if structlog.is_configured():
            return True
    return logging.getLogger("swarmlet").isEnabledFor(logging.INFO)


def get_logger() -> FilteringBoundLogger:
    """The logger `swarmlet`, as the application has configured it at this moment."""
    import structlog

    if structlog.is_configured():
        return cast("FilteringBoundLogger", structlog.get_logger("swarmlet"))
    return _standard()


@cache
def _standard() -> FilteringBoundLogger:
    import structlog

    logger = logging.getLogger("swarmlet")
    logger.addHandler(logging.NullHandler())
    wrapped = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("FilteringBoundLogger", wrapped)
