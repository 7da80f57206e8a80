"""The commonest words of chest medicine in German, French, Spanish, Italian and Dutch, which are nobody's name."""

from __future__ import annotations

CHEST_WORDS = frozenset(
    """
    lungenembolie lungenarterienembolie lungenentzündung lungenödem lungeninfarkt lungenrundherd lungenemphysem
    lungenfibrose lungentumor lungenkarzinom bronchialkarzinom pleuraerguss pleuraergüsse perikarderguss vorhofflimmern
    vorhofflattern herzinsuffizienz herzinfarkt herzrhythmusstörung beinvenenthrombose thrombose tiefe
    rechtsherzbelastung bluthochdruck atemnot luftnot brustschmerz brustschmerzen husten auswurf fieber ausgeschlossen
    ausschluss nachweis hinweis verdacht zustand bekannt unauffällig unverändert vergrößert rechts links beidseits
    beidseitig rechtsseitig linksseitig rechter linker rechten linken oberlappen mittellappen unterlappen stauung
    infiltrat infiltrate verdichtung lymphknoten lymphknotenvergrößerung röntgen aufnahme entlassung raucher
    nichtraucher exraucher ebenen nikotinabusus keine kein keinen ohne mit bei nach seit wegen und oder einer eines
    eine ein der die das des dem den im am zur zum leichte leichter mäßige mäßiger deutliche deutlicher schwere akute
    akuter akutes chronische chronischer katheter embolie pulmonaire pulmonaires épanchement épanchements pleural
    pleurale péricardique pneumonie pneumopathie insuffisance cardiaque respiratoire fibrillation auriculaire veineuse
    profonde droite droit gauche bilatéral bilatérale dyspnée toux fièvre douleur thoracique tabac tabagisme absence
    pas sans avec aiguë aigu chronique nodule poumon poumons lobe supérieur inférieur moyen œdème oedème infarctus du
    myocarde embolia embolias pulmonar pulmonares tromboembolismo derrame neumonía insuficiencia cardíaca respiratoria
    fibrilación auricular trombosis venosa profunda derecha derecho izquierda izquierdo disnea esfuerzo tos fiebre
    dolor torácico tabaquismo fumador exfumador sin con aguda agudo crónica crónico nódulo pulmón pulmones lóbulo
    hipertensión edema polmonare polmonari versamento pleurico pericardico polmonite insufficienza cardiaca
    fibrillazione atriale trombosi profonda destra destro sinistra sinistro bilaterale dispnea tosse febbre dolore
    toracico fumatore senza acuta acuto cronica cronico nodulo polmone polmoni lobo ipertensione longembolie
    longembolieën longontsteking pleuravocht pleuraeffusie boezemfibrilleren atriumfibrilleren hartfalen diepe veneuze
    trombose kortademig kortademigheid hoesten koorts pijn borst uitgesloten aanwijzingen geen voor beiderzijds acute
    longkanker longtumor bovenkwab onderkwab middenkwab roker
    """.split()  # noqa: SIM905
)
