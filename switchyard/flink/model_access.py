"""The model of a job, as a TaskManager reaches it."""

from __future__ import annotations

from switchyard.core.job_config import JobConfig
from switchyard.core.model import CallListener, OpenAIModel, Prices, api_key
from switchyard.environment import read_own_access


def model_client(config: JobConfig, listener: CallListener | None = None) -> OpenAIModel:
    """The client; its key comes from this process's own environment. Raises MissingKey."""
    access = read_own_access()
    key = api_key(access.openai_api_key, config.model_base_url, embedded=config.embedded_model)
    return OpenAIModel(
        config.model_base_url,
        key,
        config.model,
        deadline_s=config.model_deadline_s,
        allow_remote=access.allow_remote_model,
        namespace=config.namespace,
        listener=listener,
    )


def prices_of(config: JobConfig) -> Prices | None:
    """What tokens cost, where the settings say so."""
    if config.price_prompt is None or config.price_completion is None:
        return None
    return Prices(config.price_prompt, config.price_completion)
