"""The language model: one question, one checked JSON answer, from any OpenAI-compatible server."""

from switchyard.core.model.access import MissingKey, RemoteModelRefused, api_key
from switchyard.core.model.blocking import BlockingModel
from switchyard.core.model.client import OpenAIModel
from switchyard.core.model.reply import AnswerCheck, CallListener, ModelClient, ModelFailure, Prices, Reply, Usage, cost

__all__ = [
    "AnswerCheck",
    "BlockingModel",
    "CallListener",
    "MissingKey",
    "ModelClient",
    "ModelFailure",
    "OpenAIModel",
    "Prices",
    "RemoteModelRefused",
    "Reply",
    "Usage",
    "api_key",
    "cost",
]
