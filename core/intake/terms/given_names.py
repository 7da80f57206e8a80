"""Usual given names of people: those that are nothing else, and those that are everyday words as well."""

from __future__ import annotations

_GIVEN = frozenset(
    """
    aaron abdul abigail ada adam adele adrian agnes ahmad ahmed aisha alan albert alejandro alessandro alex
    alexander alexandra alfred ali alice alicia alina amanda amelia amina amy ana andre andrea andreas andrew
    andrzej andré angela angelika anita anja ann anna anne anneliese annette annika anthony antoine antonia antonio
    arthur astrid axel ayse barbara bart beate beatrice ben benjamin bernard bernd bertha betty birgit björn brandon
    brian bridget brigitte bruno carina carl carla carlos carmen carol caroline catherine cecilia charlotte chloe
    chris christa christiane christina christine christoph christopher claire clara claudia claus colin connor craig
    cynthia dagmar daniel daniela darren david deborah denise dennis diana diane diego dieter dirk dmitri dolores
    donald donna dora doris dorothy douglas edith eduardo edward eileen elaine eleanor elena elif elisabeth
    elizabeth elke ella ellen elsa emil emilia emily emma enrique eric erica erik erika ernst esther eugene eva
    evelyn fatima fatma felix fernando florian francesca francesco francis francisco frank franz françois frederick
    frieda friedrich fritz gabriel gabriela gabriele gary geoffrey georg george gerald gerd gerda gerhard gertrud
    giovanni gisela giulia giuseppe gordon greg gregory greta guido gustav günter günther hanna hannah hanne
    hannelore hannes hans harald harold harry hartmut hassan heather heidi heike heinrich heinz helen helena helga
    helmut henri henrik henry herbert hermann hilda hilde hildegard horst howard hubert hugo ian ibrahim ingeborg
    ingrid irene irina irma isabel isabella isabelle ivan jacob jacqueline jakob jakub james jamie jan jane janet
    janine jason javier jean jeanne jeffrey jennifer jens jeremy jessica jill joachim joan joanna joaquin jochen joe
    joel johann johanna johannes john jonas jonathan jorge josef josefina joseph josephine joshua josé juan judith
    julia julian juliane julie jutta jürgen kai karen karin karl karl-heinz katarzyna katharina katherine kathleen
    kathrin katja kayla keith kelly kenneth kerstin kevin khalid kim kimberly klaus konrad kristin kristina kurt
    kyle lars laura lauren laurent lea leila lena leon leonie lieselotte linda lisa liselotte lorenzo lothar louis
    louise lucas lucia ludwig luigi luis luisa lukas lydia magdalena manfred manuel manuela marc marcel marco marcus
    margaret margarete maria mariam marianne marie marina mario marion markus marlene marta martha martin martina
    mary maría matteo matthew matthias maureen maurice mehmet melanie melissa michael michaela michel michelle
    miguel mohamed mohammad mohammed monica monika mustafa nadine nancy natalia natalie natasha nathan nicholas
    nicola nicolas nicole nina norbert norman olga oliver olivia omar oscar oskar otto pablo pamela pascal patricia
    patrick paul paula pauline pedro peter petra philip philipp philippe phyllis pierre piotr rachel rainer ralf
    ralph ramona raymond rebecca regina reinhard renate rené ricardo richard rita robert roberto robin roger roland
    russell rolf ronald rosa rosemarie rosemary roswitha roy rudolf ruth ryan sabine salvatore samantha samuel sandra
    sara sarah sascha scott sean sebastian sergei sharon sheila shirley siegfried sigrid silke silvia simon simone sofia
    sonja sophia sophie stefan stefanie stella stephanie stephen steven stuart sue susan susanne suzanne sven
    svetlana sylvia tamara tanja teresa theodor theresa therese thomas thorsten tim timothy tina tobias todd tom
    tomasz torsten tracy ulrich ulrike ursula ute uwe valentina vanessa vera veronica veronika victor viktor vincent
    vincenzo virginia vivian volker walter waltraud wendy werner wilhelm willi william winfried wolfgang xavier
    yasmin youssef yusuf yvette yvonne zoe zoë
    """.split()  # noqa: SIM905
)
"""Usual given names, but for those that are everyday or medical words as well ("April", "Grace", "Mark")."""
GIVEN_TOO = frozenset(
    """
    amber april art bill bob carol chase chuck crystal daisy dale dawn dean drew earl faith frank gene glen grace grant
    hazel heather heath holly hope iris ivy jack jade jasmine jean joy june lance lily mark mason may mercy myrtle
    olive pat patience pearl peg penny ray reed rich robin rose ruby rusty sandy sue summer terry violet wade will
    """.split()  # noqa: SIM905
)
"""Given names that are everyday words as well."""


def is_given_name(word: str) -> bool:
    """Whether a word is a usual given name, or two with a hyphen.

    >>> is_given_name("Karl-Heinz"), is_given_name("Lung")
    (True, False)
    """
    return not _GIVEN.isdisjoint((word.casefold(), *word.casefold().split("-")))
