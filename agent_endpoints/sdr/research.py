"""What is known about a company: a bundled file, or an HTTP service at SDR_RESEARCH_URL."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from . import settings

BUNDLED = Path(__file__).with_name("companies.json")
TIMEOUT_S = 10.0
LARGEST_ANSWER = 1024 * 1024
_LEGAL_FORMS = {"inc", "llc", "ltd", "gmbh", "ag", "corp", "co", "plc", "sa", "bv", "srl", "oy", "ab"}


def lookup(company: str) -> dict[str, Any]:
    """`{source, industry, employees, facts}`; for an unknown company "", None and [], with the source that was asked.

    The service answers `GET URL?company=NAME` with an object of the last three, or with 404.
    """
    url = settings.SETTINGS.research_url
    if url is not None:
        return _facts(url.host or "research service", _ask(str(url), company))
    return _facts(BUNDLED.name, _companies().get(_normal(company)))


def _facts(source: str, answer: Any) -> dict[str, Any]:
    company = answer if isinstance(answer, dict) else {}
    employees = company.get("employees")
    facts = company.get("facts")
    return {
        "source": source,
        "industry": str(company.get("industry") or ""),
        "employees": employees if type(employees) is int and 0 <= employees < 2**31 else None,
        "facts": [str(fact) for fact in facts] if isinstance(facts, list) else [],
    }


def _ask(url: str, company: str) -> Any:
    """What the service answers, None where it does not know the company. Raises HTTPError, ValueError."""
    address = httpx2.URL(url).copy_merge_params({"company": company})
    with httpx2.stream("GET", address, timeout=TIMEOUT_S, trust_env=False) as response:
        if response.status_code == 404:
            return None
        response.raise_for_status()
        body = b""
        for part in response.iter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise ValueError(f"the research service answered with more than {LARGEST_ANSWER} bytes")
    return json.loads(body)


@cache
def _companies() -> dict[str, dict[str, Any]]:
    companies = json.loads(BUNDLED.read_bytes())
    return {_normal(name): facts for name, facts in companies.items()}


def _normal(company: str) -> str:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", company).casefold())
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return " ".join(words)
