"""`agents.yaml`: every key that it may have, with what it means."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from switchyard.core.topics import OWN

AGENT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,180}")
EVENT_TYPE = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")
RESERVED_NAMES = ("complete", "none")
REFERENCE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
"""`module:object` in the app's folder."""

Weight = Annotated[float, Field(ge=0)]
LONGEST_S = 10 * 366 * 86_400.0
"""Ten years: no time limit is longer."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Agent(_Strict):
    """One capability: what it is for, which events it takes, which it emits."""

    name: str = Field(description="lower-case words joined by dashes")
    description: str = Field(min_length=1, description="what it does; the router chooses by it")
    accepts: tuple[str, ...] = Field(min_length=1, description="event types that it may be given")
    emits: tuple[str, ...] = Field(min_length=1, description="event types that it may answer with")
    handler: str | None = Field(default=None, description="`module:function`; `handlers:<name>` if not given")
    deadline: float = Field(default=300.0, gt=0, le=LONGEST_S, description="seconds for an answer")
    attempts: int = Field(default=3, ge=1, le=20, description="attempts at one event, before another is asked")
    backoff: float = Field(default=1.0, ge=0, description="seconds before the second attempt, doubled for each further")
    approval: Literal["required", "never"] | None = Field(
        default=None, description="`required`: a person must approve each event for it"
    )
    approval_timeout: float | None = Field(default=None, gt=0, le=LONGEST_S, description="seconds to approve")
    open_dispatches: int | None = Field(default=None, ge=1, description="most events it has at once")
    sends: Literal["mail"] | None = Field(
        default=None, description="`mail`: it sends mails; with SWITCHYARD_SMTP set, `approval` must be said"
    )

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not AGENT_NAME.fullmatch(name) or len(name) > 64 or name in RESERVED_NAMES:
            raise ValueError(f"an agent's name is lower-case words joined by dashes, not {' or '.join(RESERVED_NAMES)}")
        return name

    @property
    def function(self) -> str:
        """`module:function` of the handler, in the app's folder."""
        return self.handler or f"handlers:{self.name.replace('-', '_')}"


class Limits(_Strict):
    """What an app may use before it is stopped, or made to wait (ADR 5). None is no limit."""

    hops: int | None = Field(default=None, ge=1, description="longest causal chain; the number of agents + 1")
    dispatches: int = Field(default=100, ge=1, description="of one workflow, further attempts not counted")
    tokens: int = Field(default=1_000_000, ge=1, description="of one workflow")
    cost: float | None = Field(default=None, gt=0, description="of one workflow, in the currency of the prices")
    deadline: float = Field(default=86_400.0, gt=0, le=LONGEST_S, description="seconds a workflow may take")
    tokens_per_hour: int | None = Field(default=None, ge=1, description="of the app")
    cost_per_hour: float | None = Field(default=None, gt=0, description="of the app")
    open_workflows: int = Field(default=10_000, ge=1, description="of the app; more wait")
    open_dispatches: int = Field(default=1_000, ge=1, description="of each agent; more wait")
    workflow_bytes: int = Field(
        default=4 * 1024 * 1024, ge=64 * 1024, description="of one workflow: what was read, is open, and waits"
    )
    state_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1024 * 1024, description="of the app: all that is open and waits; more is refused"
    )
    event_bytes: int = Field(default=256 * 1024, ge=1024, description="largest event that is accepted; at most 491520")


class Gather(_Strict):
    """How the answers of agents that got one event together are put into one (ADR 6)."""

    on: str = Field(description="event type whose decision opens a gather")
    policy: str = Field(
        default="all",
        pattern=rf"^(?:all|quorum|first|weighted|{REFERENCE})$",
        description="all, quorum, first or weighted: when it is complete; or `module:function`, one's own policy",
    )
    quorum: int | None = Field(default=None, ge=1, description="answers that must agree")
    weights: dict[str, Weight] = Field(default_factory=dict, description="weight of an agent's vote; 1 if not given")
    vote: str | None = Field(default=None, description="field of the answers that holds the vote")
    confidence: str | None = Field(default=None, description="field that holds the confidence, 0 to 1")
    deadline: float = Field(default=60.0, gt=0, le=LONGEST_S, description="seconds")
    on_missing: Literal["partial", "fail"] = Field(default="partial", description="what becomes of it without all")

    @property
    def own_policy(self) -> bool:
        """Whether `policy` names a function of the app's."""
        return ":" in self.policy

    @property
    def result(self) -> str:
        """The event type of its result."""
        return f"{self.on}.gathered"


class MemoryLimits(_Strict):
    """How much an agent remembers about a subject before the oldest is trimmed (ADR 6)."""

    entries: int = Field(default=200, ge=1, description="most memories")
    days: float = Field(default=90.0, gt=0, le=LONGEST_S / 86_400, description="how long anything is remembered")
    tokens: int = Field(default=20_000, ge=1, description="estimated; four bytes of text are one")
    summarise: str | None = Field(default=None, description="`module:function` of what may be kept of the trimmed")


class InputTopic(_Strict):
    """A topic of plain data objects that SQL copies into agent-messages as events of one type."""

    topic: str = Field(description="the topic's name, without the namespace")
    type: str = Field(description="event type of its objects, one of `starts`")

    @field_validator("topic")
    @classmethod
    def _topic(cls, topic: str) -> str:
        if not TOPIC_NAME.fullmatch(topic) or topic in OWN or topic.startswith("agent."):
            raise ValueError(
                "an input topic's name is letters, digits, dots, dashes and underscores (at most 180), and is none of "
                f"the topics that every app has: {', '.join(OWN)}, agent.<name>"
            )
        return topic


class AgentsFile(_Strict):
    """The content of `agents.yaml`, before the app is checked as a whole."""

    app: str = Field(description="its name, also the prefix of its topics")
    description: str = Field(default="", description="what the app is for; the router's model reads it")
    starts: tuple[str, ...] = Field(min_length=1, description="event types that may begin a workflow")
    ends: tuple[str, ...] = Field(default=(), description="event types that end their branch without a decision")
    complete: str | None = Field(default=None, description="when nothing more is needed; the router's model reads it")
    fallback: str | None = Field(default=None, description="the agent for what nobody could decide or do")
    router: str | None = Field(
        default=None, pattern=rf"^{REFERENCE}$", description="`module:function` that decides before a model is asked"
    )
    limits: Limits = Field(default=Limits(), description="what is used before a workflow is stopped, or made to wait")
    sequence: tuple[str, ...] = Field(default=(), description="agents in a strict order")
    gathers: tuple[Gather, ...] = Field(default=(), description="whose answers are put into one")
    inputs: tuple[InputTopic, ...] = Field(default=(), description="topics of plain objects that become events")
    background: tuple[str, ...] = Field(default=(), description="`module:function` run beside a worker's handlers")
    forget: str | None = Field(
        default=None,
        pattern=rf"^{REFERENCE}$",
        description="`module:function` that finds and removes what the app's own tables hold about somebody",
    )
    memory: MemoryLimits = Field(default=MemoryLimits(), description="how much agents remember")
    agents: tuple[Agent, ...] = Field(min_length=1, description="the agents")

    @field_validator("app")
    @classmethod
    def _app(cls, app: str) -> str:
        if not AGENT_NAME.fullmatch(app) or len(app) > 40:
            raise ValueError("an app's name is lower-case words joined by dashes, at most 40 characters")
        return app
