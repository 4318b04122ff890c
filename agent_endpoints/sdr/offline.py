"""Answers for the offline model: one deterministic function per agent, from facts to what the agent asks for.

No language model stands behind these texts. This module imports nothing of the app: the model server loads it alone.
"""

from __future__ import annotations

import math
import re
from typing import Any

Facts = dict[str, Any]

SENIOR = (
    "ceo cto cio cdo coo cfo chief founder co-founder owner vp president head director directora directeur partner "
    "geschäftsführer geschäftsführerin leiter leiterin jefe"
)
EXPERIENCED = "manager lead principal architect senior staff gerente responsable product"
PRACTITIONER = "engineer developer analyst scientist administrator consultant specialist ingeniero entwickler"
INTENT = (
    "demo pricing price quote offer pilot poc trial evaluate evaluating evaluation budget migrate migration replace "
    "replacing production deadline urgent asap quarter contract rollout shortlist vendor call meeting buy purchase"
)
EARLY = (
    "whitepaper newsletter learn learning curious exploring explore reading someday ebook tutorial blog webinar later "
    "overview basics research background inspiration"
)
SOURCES = (
    ("demo contact sales", 9),
    ("referral partner recommended", 8),
    ("conference event fair booth summit meetup", 4),
    ("webinar", 2),
    ("newsletter ebook whitepaper download blog social ad", -3),
)
STUDENT, SEEKER, RIVAL = "a student, not a buyer", "looks for a job", "a competitor"
SELLER, SPAM, PRIVATE = "wants to sell to us", "spam", "a private project"
OUT_BY_TITLE = (
    (STUDENT, "student pupil intern undergraduate schüler estudiante étudiant"),
    (SEEKER, "applicant recruiter jobseeker"),
    (RIVAL, "competitive competitor"),
    (PRIVATE, "hobbyist retired"),
)
OUT_BY_WORD = (
    (STUDENT, "thesis homework coursework dissertation"),
    (SELLER, "seo backlink backlinks telemarketing"),
    (SPAM, "casino lottery viagra inheritance giveaway"),
)
OUT_BY_PHRASE = (
    (STUDENT, "i am a student|i'm a student|for my studies|school project|class project|university project"),
    (SEEKER, "looking for a job|job application|open position|my cv|my resume|internship"),
    (RIVAL, "competitor of northgrid|your competitor|we compete with|competitive analysis|competitive research"),
    (SELLER, "guest post|our agency|link exchange|we offer our services|we can offer you|lead lists|list of leads"),
    (SPAM, "click here|make money|free money|earn money|invest in bitcoin|crypto investment|asdf|test test"),
    (PRIVATE, "personal project|hobby|just for fun|for my home|home automation"),
    ("has no need", "not interested|unsubscribe|wrong form|please ignore"),
)
ANGLES = (
    ("fraud payment payments bank banking risk transaction", "catching fraud while the payment is still open"),
    ("iot sensor sensors telemetry machine machines fleet vehicle vehicles", "reading machine data as it arrives"),
    ("cdc mongodb postgres oracle database databases replication", "moving database changes without nightly jobs"),
    ("agent agents ai llm genai model models ml machine-learning", "giving agents and models fresh data"),
    ("dashboard dashboards analytics reporting bi insight", "dashboards that show this minute, not last night"),
    ("compliance audit gdpr ancestors governance regulation", "knowing where each record came from"),
    ("order orders inventory stock retail shop ecommerce", "stock figures that every shop can trust"),
    ("kafka flink migration migrate cluster", "running Kafka and Flink with fewer people on call"),
)
DEFAULT_ANGLE = "acting on data when it arrives"
ENGAGE_FROM, NURTURE_FROM = 65, 22


def lead_ingestion(facts: Facts) -> Facts:
    research = facts["research"]
    who = f"{_name(facts)}, {_short(facts['title']) or 'title not given'} at {_company(facts)}"
    asks = f", came by {_short(facts['source']) or 'an unnamed way'} and asks about {_interest(facts)}."
    if research["facts"]:
        background = f"{' '.join(research['facts'])} (source: {research['source']})"
    else:
        background = f"{research['source']} knows nothing about this company."
    return {"summary": f"{who}{asks} {background}"}


def lead_scoring(facts: Facts) -> Facts:
    score, reasons = _score(facts)
    out = _not_a_buyer(facts)
    if out:
        score, reasons = max(1, score // 6), [f"Not a lead for us: {out}.", reasons[0]]
    engage, nurture = score >= ENGAGE_FROM, score >= NURTURE_FROM
    next_step = "disqualify" if out or not nurture else "actively_engage" if engage else "nurture"
    points = [f"{_angle(facts)[:1].upper()}{_angle(facts)[1:]}", f"Its interest: {_interest(facts)}"]
    points += facts["research"]["facts"][:1]
    return {
        "score": score,
        "next_step": next_step,
        "reasons": reasons[:4],
        "talking_points": [] if next_step == "disqualify" else points,
    }


def active_outreach(facts: Facts) -> Facts:
    company, interest = _company(facts), _interest(facts)
    title = _short(facts["title"])
    research = facts["talking_points"][2:3]
    first = [
        f"Hello {_first_name(facts)},",
        f"you asked about {interest}. "
        + (f"As {title} at {company} " if title else f"At {company} ")
        + f"you will care about {_angle(facts)}; that is what our customers use Northgrid for.",
        *([f"What I read about you: {research[0]}"] if research else []),
        "Would twenty minutes this week suit you? I will bring an example close to yours.",
        "Ada Keller, Northgrid",
    ]
    second = [
        f"Hello {_first_name(facts)},",
        f"a short note after my mail on {interest}: I can show {_angle(facts)} on data like that of {company}.",
        "Is there a better time, or somebody else I should ask?",
        "Ada Keller, Northgrid",
    ]
    subjects = f"{company}: {interest}", f"Twenty minutes on {interest}?"
    return {"emails": [_email(0, subjects[0], first), _email(3, subjects[1], second)]}


def nurture_campaign(facts: Facts) -> Facts:
    interest, angle, source = _interest(facts), _angle(facts), _short(facts["source"])
    hello, bye = f"Hello {_first_name(facts)},", "Ada Keller, Northgrid"
    came = f"thank you for finding us by {source}." if source else "thank you for your interest."
    steps = [
        (0, f"A start on {interest}", f"{came} Here is a ten-minute read on {interest}, without a sales page."),
        (3, f"How others do it: {angle}", f"a team of about your size writes how it went about {angle}."),
        (7, f"{interest}: a checklist", f"before {_company(facts)} picks anything, these seven questions help."),
    ]
    if facts["score"] >= 45:
        steps.append((14, "Try it on your own data", f"a sandbox is ready, should you want to try {interest}."))
    return {"emails": [_email(day, subject, [hello, text, bye]) for day, subject, text in steps]}


def _score(facts: Facts) -> tuple[int, list[str]]:
    employees, title = facts["research"]["employees"], _words(facts["title"])
    need = _words(f"{facts['interest']} {facts['message']}")
    size = 8 if employees is None else round(4.5 * math.log10(employees + 1))
    rank = 20 if title & _set(SENIOR) else 12 if title & _set(EXPERIENCED) else 6 if title & _set(PRACTITIONER) else 2
    intent, early = need & _set(INTENT), need & _set(EARLY)
    wanting = min(6 * len(intent), 24) - min(5 * len(early), 15) + min(len(facts["message"]) // 80, 4)
    source = next((points for terms, points in SOURCES if _words(facts["source"]) & _set(terms)), 0)
    nothing = 0 if need else -12
    score = min(max(24 + size + rank + wanting + source + nothing, 0), 100)
    reasons = [
        f"Company size: {'unknown' if employees is None else f'{employees} people'} ({size:+d}).",
        f"Title: {_short(facts['title']) or 'none'} ({rank:+d}).",
        f"Need: {', '.join(sorted(intent | early)) or 'nothing concrete'} ({wanting + nothing:+d}).",
        f"Source: {_short(facts['source']) or 'none'} ({source:+d}).",
    ]
    return score, reasons


def _not_a_buyer(facts: Facts) -> str | None:
    parts = [facts["title"], facts["interest"], facts["message"], *facts["research"]["facts"]]
    text = " ".join(" ".join(parts).casefold().split())
    title, words = _words(facts["title"]), _words(f"{facts['interest']} {facts['message']}")
    reasons = [why for why, terms in OUT_BY_TITLE if title & _set(terms)]
    reasons += [why for why, terms in OUT_BY_WORD if words & _set(terms)]
    reasons += [why for why, phrases in OUT_BY_PHRASE if any(phrase in text for phrase in phrases.split("|"))]
    return reasons[0] if reasons else None


def _angle(facts: Facts) -> str:
    words = _words(f"{facts['interest']} {facts['message']}")
    return max(ANGLES, key=lambda a: len(words & _set(a[0])))[1] if _any_angle(words) else DEFAULT_ANGLE


def _any_angle(words: set[str]) -> bool:
    return any(words & _set(terms) for terms, _ in ANGLES)


def _email(day: int, subject: str, paragraphs: list[str]) -> Facts:
    return {"day": day, "subject": _short(subject, 120), "body": "\n\n".join(paragraphs) + "\n"}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text.casefold()))


def _set(terms: str) -> set[str]:
    return set(terms.split())


def _short(text: str, longest: int = 80) -> str:
    """One line; cut at a word where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rsplit(" ", 1)[0] + "…"


def _name(facts: Facts) -> str:
    return _short(facts["name"]) or "Somebody without a name"


def _first_name(facts: Facts) -> str:
    names = [part for part in facts["name"].split() if part.casefold().strip(".") not in _set("dr prof mr mrs ms")]
    return _short(names[0], 40) if names else "there"


def _company(facts: Facts) -> str:
    return _short(facts["company"]) or "your company"


def _interest(facts: Facts) -> str:
    return _short(facts["interest"]) or "streaming data"
