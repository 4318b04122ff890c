"""Which parts of a request a server takes: learnt from what it refuses, and from what it makes of the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

LIMITS = ("max_tokens", "max_completion_tokens", None)
"""Names of the parameter that bounds an answer, in the order they are tried: the one that nearly all servers know, and
the one that OpenAI's reasoning models want instead. None where the server takes neither, or not so many tokens."""

_NAMES_LIMIT = re.compile(r"max_(?:completion_)?tokens|in the completion")
_NAMES_SCHEMA = re.compile(r"response.?format|schema|grammar|guided|structured|json.?object")


@dataclass(frozen=True)
class RequestShape:
    """What a request holds besides its messages. `stated`: the schema stands in the prompt."""

    temperature: bool
    limit: str | None
    constrained: bool
    stated: bool


@dataclass
class ServerFeatures:
    """What a server turned out to take; shared by all asks of one client. Schemas are kept by name, for a server may
    take one and not another."""

    temperature: bool = True
    limit: str | None = LIMITS[0]
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unenforced: set[str] = field(default_factory=set)

    def shape(self, name: str) -> RequestShape:
        """How to ask for an answer that meets the schema of this name."""
        refused = name in self.refused
        return RequestShape(self.temperature, self.limit, not refused, refused or name in self.unenforced)

    def without(self, shape: RequestShape, name: str, said: str) -> RequestShape | None:
        """What to try after a request was rejected with the words `said`; None where nothing else is to be tried.

        A server that names nothing, and has never taken the schema, may mean the schema.
        """
        said = said.lower()
        if shape.temperature and "temperature" in said:
            return replace(shape, temperature=False)
        if shape.limit is not None and _NAMES_LIMIT.search(said):
            return replace(shape, limit=LIMITS[LIMITS.index(shape.limit) + 1])
        if shape.constrained and (name not in self.taken or _NAMES_SCHEMA.search(said)):
            return replace(shape, constrained=False, stated=True)
        return None

    def learn(self, shape: RequestShape, name: str) -> None:
        """The server has answered a request of this shape."""
        self.temperature &= shape.temperature
        if LIMITS.index(shape.limit) > LIMITS.index(self.limit):
            self.limit = shape.limit
        (self.taken if shape.constrained else self.refused).add(name)

    def not_enforced(self, name: str) -> None:
        """An answer breaks the schema that it was to be constrained by: from now on the prompt states it, too."""
        self.unenforced.add(name)
