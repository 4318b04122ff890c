"""What is known about a company: a bundled file, or an HTTP service by setting SWITCHYARD_RESEARCH_URL."""

from __future__ import annotations

import os
import re
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

from switchyard.core import strictjson

URL_VARIABLE = "SWITCHYARD_RESEARCH_URL"
BUNDLED = Path(__file__).with_name("companies.json")
TIMEOUT_S = 10.0
LARGEST_ANSWER = 1024 * 1024
_LEGAL_FORMS = {"inc", "llc", "ltd", "gmbh", "ag", "corp", "co", "plc", "sa", "bv", "srl", "oy", "ab"}


def lookup(company: str) -> dict[str, Any]:
    """`{source, industry, employees, facts}`; for an unknown company "", None and [], with the source that was asked.

    The service answers `GET URL?company=NAME` with an object of the last three, or with 404.
    """
    url = os.environ.get(URL_VARIABLE)
    if url:
        return _facts(urllib.parse.urlsplit(url).hostname or "research service", _ask(url, company))
    return _facts(BUNDLED.name, _companies().get(_normal(company)))


def _facts(source: str, found: Any) -> dict[str, Any]:
    known = found if isinstance(found, dict) else {}
    employees = known.get("employees")
    facts = known.get("facts")
    return {
        "source": source,
        "industry": str(known.get("industry") or ""),
        "employees": employees if type(employees) is int and 0 <= employees < 2**31 else None,
        "facts": [str(fact) for fact in facts] if isinstance(facts, list) else [],
    }


def _ask(url: str, company: str) -> Any:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{URL_VARIABLE} must be an http or https address")
    separator = "&" if urllib.parse.urlsplit(url).query else "?"
    address = f"{url}{separator}{urllib.parse.urlencode({'company': company})}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:  # noqa: S310  # checked above
            return strictjson.loads(response.read(LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


@cache
def _companies() -> dict[str, dict[str, Any]]:
    companies = strictjson.loads(BUNDLED.read_bytes())
    return {_normal(name): facts for name, facts in companies.items()}


def _normal(company: str) -> str:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", company).casefold())
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return " ".join(words)
