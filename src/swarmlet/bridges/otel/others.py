"""Other instrumentations of model calls, which would make a second span of a call that has one.

Each has a key in the context by which it is told to be silent, and the keys are set while a call is made. The one that
OpenInference heeds silences whatever else heeds it, HTTP clients too, so it is set only where OpenInference's instrumentation
of the SDK is loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from opentelemetry import context

if TYPE_CHECKING:
    from opentelemetry.context import Context

_OPENINFERENCE: Final = "openinference.instrumentation.openai"
_GENAI: Final = "opentelemetry.util.genai.invocation"
"""The module of what OpenTelemetry's own instrumentations of models are made with."""
_GENERAL: Final = (str(getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "")), "suppress_instrumentation")
"""OpenTelemetry's key for everything, which it has made private, and its older spelling."""
_LANGUAGE_MODELS: Final = "suppress_language_model_instrumentation"
"""OpenLLMetry's key."""


def silenced(current: Context) -> Context:
    """The context for a model call that has a span already."""
    current = context.set_value(_LANGUAGE_MODELS, True, current)
    if _OPENINFERENCE in sys.modules:
        for key in filter(None, _GENERAL):
            current = context.set_value(key, True, current)
    genai = sys.modules.get(_GENAI)
    if genai is not None and hasattr(genai, "InferenceData"):
        current = context.set_value(genai.CLIENT_INFERENCE_CONTEXT_KEY, genai.InferenceData(), current)
    return current
