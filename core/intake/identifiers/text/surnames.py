"""Common surnames: those that are words of medicine or of every day as well, and those that are nothing else."""

from __future__ import annotations

from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word

_COMMON = frozenset(
    """
    adams ahmed albrecht alexander allen alvarez andersen anderson arnold bailey baker barnes bauer baumann beck
    becker bennett berger bergmann bianchi böhm brandt braun brooks bryant butler campbell carter castillo castro
    chavez chen christensen clark collins colombo cooper costa cox cruz davies davis diaz dietrich dubois dupont
    edwards engel evans fernandez ferrari fischer flores foster franke friedrich fuchs garcia gomez gonzales
    gonzalez graf griffin gupta gutierrez günther haas hahn hall hamilton hansen harris hartmann hayes
    heinrich henderson hernandez herrmann hoffman hoffmann hofmann howard huber huang hughes ivanov ivanova ito
    jackson jansen jenkins jensen jimenez johnson jones jung kaiser kato kaya keller kelly khan kim klein kobayashi
    koch kowalski köhler könig kraus krause krüger kuhn kumar kühn lambert lang larsen lee lefebvre lehmann leroy
    lewis li liu lopez lorenz ludwig maier martinez mayer mcdonald meier mendoza meyer miller mitchell mohamed
    molina moore morales moreau moreno morgan morris möller murphy murray müller myers nakamura nelson neumann
    nguyen nielsen novak nowak o'brien o'connor olsen ortega ortiz otto parker patel patterson pereira perez perry
    peters petersen peterson petrov petrova pfeiffer phillips pohl popov popova powell price ramirez ramos reed
    reyes reynolds rivera roberts robinson rodriguez rogers romero rossi roth ruiz russo sanchez sanders santos sato
    sauer schäfer schmid schmidt schmitt schmitz schneider scholz schreiber schröder schubert schulte schultz schulz
    schulze schumacher schuster schwarz scott seidel shah sharma silva simmons simpson singh smirnov smirnova smith
    sommer sorensen stein stewart sullivan suzuki takahashi tanaka taylor thompson torres tran turner vargas vasquez
    vogel vogt voigt volkov wagner wallace walter wang watanabe watson weber wei weiss werner wilson winkler winter
    wolff wright wu yamada yamamoto yang yılmaz yilmaz zhang zhao ziegler zimmermann
    """.split()  # noqa: SIM905
)
"""For cells that hold nothing else; none is a word of medicine, of measurement or of every day."""
_WORDS_TOO = frozenset(
    """
    black brown burns carter cook day fisher fox gray green grey hand hill hunter king lake lamb little long may moss
    potter rose sharp short small stone strong swift white wood woods young
    """.split()  # noqa: SIM905
)


def is_surname_too(word: str) -> bool:
    """Whether a word of terms is a common surname as well.

    >>> is_surname_too("BROWN"), is_surname_too("SODIUM")
    (True, False)
    """
    return word.casefold() in _WORDS_TOO


def is_common_surname(text: str) -> bool:
    """Whether a text is one word that is a common surname and nothing else.

    >>> is_common_surname("Müller"), is_common_surname("SMITH"), is_common_surname("Brown"), is_common_surname("Ward")
    (True, True, False, False)
    """
    word = text.strip()
    is_named = word[:1].isupper() and word.casefold().replace("’", "'") in _COMMON
    return is_named and not (are_terms([word]) or is_plain_word(word))
