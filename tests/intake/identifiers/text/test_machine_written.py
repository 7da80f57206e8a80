"""What programs write is judged by its form as it is letter by letter."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from functools import cache

import pytest

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.text.machine_written import categories_of_references, of_machine, reference_kind
from core.intake.identifiers.text.remembered import search_under_way

KINDS = ("", "urn:uuid:", "Patient/", "Encounter/", "Claim/", "Location/", "Organization/", "#")
BEGINNINGS = ("urn:uuid:", "Patient/", "Account/", "Room/", "#", "o", "mr", "pt", "no", "sn", "id-", "x")
WORDS = ("bed", "dec", "feb", "acc", "ace", "ada", "dee", "face", "2019", "1950", "0312")
STAMPS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f+01:00", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S-05:00")


@cache
def judged(text: str) -> frozenset[str]:
    return frozenset(in_free_text(text))


def stamp(rng: random.Random) -> str:
    moment = datetime(1900, 1, 1) + timedelta(seconds=rng.randrange(6_300_000_000), microseconds=rng.randrange(10**6))
    return moment.strftime(rng.choice(STAMPS))


def reference(rng: random.Random) -> str:
    signs = [rng.choice("0123456789" * rng.randint(1, 3) + "abcdef") for _ in range(32)]
    for word in rng.sample(WORDS, rng.randrange(3)):
        place = rng.choice((0, 8, 12, 16, 20, rng.randrange(28)))
        signs[place : place + len(word)] = word
    text = "".join(signs)
    return rng.choice(KINDS) + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def numbered(rng: random.Random) -> str:
    digits = rng.choice((str(rng.randrange(10 ** rng.randint(1, 7))), "1950", "0312", "095", "200101", "9001"))
    return rng.choice(BEGINNINGS) + digits


@pytest.mark.parametrize("make", [stamp, reference, numbered])
def test_the_form_tells_what_every_letter_tells(make) -> None:
    rng, known = random.Random(7), 0
    with search_under_way():
        for _ in range(2500):
            text = make(rng)
            found = of_machine(text, judged)
            known += found is not None
            assert found is None or found == frozenset(in_free_text(text)), text
            if (kind := reference_kind(text)) is not None:
                assert frozenset(in_free_text(text)) <= categories_of_references(kind, judged), text
    assert known > 1000


def test_the_patients_own_words_are_looked_for_in_what_programs_write() -> None:
    text = "urn:uuid:3d85c4b2-ebc2-4ed8-83c1-45793e70c6c9"
    assert Judge().categories(text) >= {"identifier"}
    own = Judge().knowing(frozenset({"45793e70c6c9"}))
    assert own.categories(text) == frozenset(in_free_text(text, {"45793e70c6c9"}))
    plain = Judge()
    assert plain.categories("Zorblat seen") == frozenset(in_free_text("Zorblat seen"))
    assert "name" in plain.knowing(frozenset({"zorblat"})).categories("Zorblat seen"), "though judged before"


def test_a_long_text_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "core.intake.identifiers.text.judge.in_free_text",
        lambda text, words, **given: asked.append(text) or in_free_text(text, words, **given),
    )
    judge, note = Judge(), "No complaints. " * 40
    assert judge.categories(note) == judge.categories(note)
    assert len(asked) == 1
