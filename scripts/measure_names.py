"""How many names of people and places pass both the search and the vocabulary, by the form in which they are written.

    python -m scripts.measure_names [--each 40] [--seed 7]

Names come from Faker's lists for every country and language that has its own. A
name passes where a text with it would stay in a record after "Strip and go on".
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping

from faker import Faker
from faker.config import AVAILABLE_LOCALES

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.unknown_words import are_known_words


def texts_with_names(each: int, seed: int) -> Iterator[tuple[str, str]]:
    """(form, text) with `each` people of every locale of Faker, every text once: locales without names of their own
    have those of the United States, the same for the same seed."""
    return iter(dict.fromkeys(_drawn(each, seed)))


def _drawn(each: int, seed: int) -> Iterator[tuple[str, str]]:
    for locale in sorted(AVAILABLE_LOCALES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            people = Faker(locale)
        people.seed_instance(seed)
        if not all(hasattr(people, part) for part in ("first_name", "last_name", "city")):
            continue
        for _ in range(each):
            given, family = people.first_name(), people.last_name()
            yield "given and family name", f"{given} {family}"
            yield "family name, given name", f"{family}, {given}"
            yield "in lower case", f"{given} {family}".lower()
            yield "in capitals", f"{given} {family}".upper()
            yield "within words", f"seen by {given} {family} today"
            yield "family name alone", f"told {family}"
            yield "given name alone", f"{given} visited"
            yield "town", f"from {people.city()}"


def passes(text: str) -> bool:
    """Whether a text would stay."""
    return not in_free_text(text) and are_known_words(text)


def shares(each: int, seed: int) -> Mapping[str, tuple[int, int]]:
    """Form -> (texts that pass, texts)."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for form, text in texts_with_names(each, seed):
        counts[form].append(passes(text))
    return {form: (sum(passed), len(passed)) for form, passed in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=40, help="people of every locale")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for form, (passed, count) in shares(options.each, options.seed).items():
        print(f"{form:26} {passed:5} of {count} pass, {100 * passed / count:.1f}%")


if __name__ == "__main__":
    main()
