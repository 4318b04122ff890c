"""Words of a text, and when two of them are forms of one word."""

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STOP_WORDS = """
a an the of to and or for in on at by with as is are be been was were has have had this that these those it
its their his her your our whose which who what when where than then else from into any all every each one
next other needs need more
"""
_NEGATING_WORDS = "not no without never neither nor non isn aren doesn don cannot"
_WORD_ENDINGS = """
e s es d ed er ers ing ings ly y ies ied ment ments ion ions ation ations al als or ors ance able ive ively
"""
_STOP = frozenset(_STOP_WORDS.split())
_NEGATORS = frozenset(_NEGATING_WORDS.split())
_ENDINGS = frozenset(["", *_WORD_ENDINGS.split()])
_NEGATED_REACH = 2


def words(text: str) -> list[str]:
    """Lower-case words of `text`, camelCase and snake_case taken apart, filler words left out."""
    return [word for word in _split(text) if word not in _STOP]


def stated(text: str) -> dict[str, bool]:
    """Words of `text`; False for those it only denies ("not urgent", "without approval")."""
    stances: dict[str, bool] = {}
    denied = 0
    for word in _split(text):
        if word in _NEGATORS:
            denied = _NEGATED_REACH
        elif word not in _STOP:
            stances[word] = stances.get(word, False) or denied == 0
            denied = max(denied - 1, 0)
    return stances


@lru_cache(maxsize=100_000)
def same(one: str, other: str) -> bool:
    """Whether two words are forms of one: engage, engaged, engagement; disqualify, disqualified."""
    if one == other:
        return True
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    rests = (one[shared:], other[shared:])
    if shared < 3 or (shared == 3 and "" not in rests):
        return False
    return all(_is_ending(rest, one[shared - 1]) for rest in rests)


def _split(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]


def _is_ending(rest: str, before: str) -> bool:
    return rest in _ENDINGS or (rest[:1] == before and rest[1:] in _ENDINGS)
