"""The offline router: chooses among the candidates of a request by comparing words. It knows no app.

What an event says (its enum values above all) is held against the candidates' descriptions; the fewer options
share a word, the more it counts. Names of agents are not looked at: renaming one changes nothing. Thresholds on
numbers are not understood: a description must name a value that an earlier agent has put into the event.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from switchyard.local.model_server.evidence import SYMBOL, Clue, clues
from switchyard.local.model_server.words import same, stated, words

_FIELD_NAMED_TOO = 1.5
_OTHER_SYMBOL = 0.5
_HAS_ANSWERED = 0.5
_MOST_WITHOUT_SYMBOLS = SYMBOL / 2


@dataclass
class _Option:
    name: str
    words: dict[str, bool]
    ends: bool = False
    score: float = 0.0
    because: str = ""
    stances: dict[str, float] = field(default_factory=dict)


def choose(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{agents, reason, confidence}` for the router's request: one candidate, `complete` or `none`."""
    event = _mapping(request.get("event"))
    event_type = str(event.get("type", ""))
    options = _options(request)
    evidence = clues(event_type, event.get("data"), request.get("contract"))
    for option in options:
        gains = [(clue.is_symbol, _gain(option, clue, options)) for clue in evidence]
        soft = sum(gain for is_symbol, gain in gains if not is_symbol)
        option.score = sum(gain for is_symbol, gain in gains if is_symbol)
        option.score += min(soft, _MOST_WITHOUT_SYMBOLS)
        if option.name in _names(request.get("answered")):
            option.score -= _HAS_ANSWERED
    agents = [option for option in options if not option.ends]
    ends = [option for option in options if option.ends and option.score > 0]
    if not agents and not ends:
        return _decision("none", f"No agent is left that can take {event_type}.", 1.0)
    ranked = sorted([*agents, *ends], key=lambda option: -option.score)
    best = ranked[0]
    if len(ranked) == 1:
        return _decision(best.name, best.because or f"The only agent that can take {event_type}.", 1.0)
    margin = max(best.score - max(ranked[1].score, 0.0), 0.0)
    reason = best.because or f"Nothing in {event_type} speaks for one agent; the first that can take it is chosen."
    return _decision(best.name, reason, round(0.5 + 0.5 * margin / (max(best.score, 0.0) + 1), 2))


def _options(request: Mapping[str, Any]) -> list[_Option]:
    left_out = _names(request.get("failed"))
    options = []
    for candidate in request.get("candidates") or []:
        name = str(_mapping(candidate).get("name", ""))
        if name and name not in left_out:
            options.append(_Option(name, _stated_by(candidate)))
    if isinstance(complete := request.get("complete"), str) and complete.strip():
        options.append(_Option("complete", stated(complete), ends=True))
    return options


def _stated_by(candidate: Mapping[str, Any]) -> dict[str, bool]:
    stances = stated(str(candidate.get("description", "")))
    for part in ("accepts", "emits"):
        for word in words(" ".join(_texts(candidate.get(part)))):
            stances.setdefault(word, True)
    return stances


def _gain(option: _Option, clue: Clue, options: list[_Option]) -> float:
    """What one clue says for the option, or against it."""
    if option.ends and not (clue.is_symbol and all(_stance(option, word) for word in clue.words)):
        return 0.0
    gain = sum(_stance(option, word) * _rarity(word, options) for word in clue.words) / len(clue.words)
    if clue.is_symbol:
        gain *= 1.0 if clue.holds else -1.0
        whole = all(_stance(option, word) for word in clue.words)
        if gain > 0 and any(_stance(option, word) for word in words(clue.field)):
            gain *= _FIELD_NAMED_TOO
        if not whole and any(_names_whole(option, other, clue) for other in clue.others):
            gain -= _OTHER_SYMBOL
    gain *= clue.weight
    if gain > 0 and (clue.is_symbol or not option.because):
        reason = f"{clue.field} is {clue.value}" if clue.is_symbol else f"words of {clue.field}"
        option.because = f"The description fits: {reason}."
    return gain


def _names_whole(option: _Option, symbol: tuple[str, ...], clue: Clue) -> bool:
    """Whether the option speaks of another symbol than the event's, by words the two symbols do not share."""
    own = [word for word in symbol if not any(same(word, mine) for mine in clue.words)]
    return bool(own) and all(_stance(option, word) > 0 for word in own)


def _stance(option: _Option, word: str) -> float:
    """1 where the option says the word, -1 where it denies it, else 0."""
    if word not in option.stances:
        stated_by = [holds for other, holds in option.words.items() if same(other, word)]
        option.stances[word] = 0.0 if not stated_by else (1.0 if any(stated_by) else -1.0)
    return option.stances[word]


def _rarity(word: str, options: list[_Option]) -> float:
    """0 for a word that all of several options share, 1 for a word of one option only."""
    having = sum(1 for option in options if _stance(option, word) > 0)
    if len(options) == 1 or having <= 1:
        return 1.0
    return math.log(len(options) / having) / math.log(len(options))


def _decision(name: str, reason: str, confidence: float) -> dict[str, Any]:
    return {"agents": [name], "reason": reason, "confidence": confidence}


def _names(value: Any) -> set[str]:
    """Agents' names in a list of names or of objects with an `agent`."""
    items = value if isinstance(value, list) else []
    return {str(_mapping(item).get("agent", "") if isinstance(item, Mapping) else item) for item in items}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
