"""What is measured, given and written in hospital: the series of a stay, its drugs, and the words of its note.

The codes of `SERIES` are the 60 LOINC codes recorded most often in the MIMIC-IV demo's hospital stays, and a few of our
own laboratory values. Descriptions are our own short words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.virtual.sampling import ClinicalState


@dataclass(frozen=True)
class SeriesSpec:
    """A code measured again and again in a stay.

    level: key of `levels_of`, or "" for values about `typical`. log: scatter acts on the logarithm; spread: sd on that
    scale. acute: shift, in spreads, at an acuity of 1. hours: mean time between two values in intensive care, and on a
    ward (0: not there). words: what is recorded in place of a number, the usual one first.
    """

    loinc: str
    words_for: str
    unit: str | None
    level: str
    log: bool
    spread: float
    digits: int
    acute: float
    hours: tuple[float, float]
    typical: float = 0.0
    words: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """As it stands in a record."""
        return f"LOINC//{self.loinc}"


def _number(
    loinc: str, words_for: str, unit: str | None, centre: str | float, spread: float, digits: int, acute: float,
    hours: tuple[float, float], log: bool = False,
) -> SeriesSpec:  # fmt: skip
    level, typical = (centre, 0.0) if isinstance(centre, str) else ("", centre)
    return SeriesSpec(loinc, words_for, unit, level, log, spread, digits, acute, hours, typical)


def _words(loinc: str, words_for: str, words: tuple[str, ...], hours: tuple[float, float] = (4.0, 0.0)) -> SeriesSpec:
    return SeriesSpec(loinc, words_for, None, "", False, 0.0, 0, 0.0, hours, 0.0, words)


_HOURLY, _FEW, _PANEL, _RARE = (1.05, 6.0), (4.0, 0.0), (9.0, 24.0), (16.0, 48.0)

SERIES: tuple[SeriesSpec, ...] = (
    _number("8867-4", "Heart rate", "/min", "heart_rate", 7.0, 0, 1.2, _HOURLY),
    _number("9279-1", "Respiratory rate", "/min", 17.5, 2.6, 0, 1.4, _HOURLY),
    _number("59408-5", "Oxygen saturation, pulse oximetry", "%", "spo2", 1.5, 0, -0.8, _HOURLY),
    _number("8480-6", "Systolic blood pressure", "mm[Hg]", "systolic", 9.0, 0, -0.9, (1.6, 6.0)),
    _number("8462-4", "Diastolic blood pressure", "mm[Hg]", "diastolic", 6.0, 0, -0.8, (1.6, 6.0)),
    _number("8478-0", "Mean blood pressure", "mm[Hg]", "mean_pressure", 7.0, 0, -0.9, (1.6, 0.0)),
    _number("76534-7", "Systolic blood pressure, cuff", "mm[Hg]", "systolic", 10.0, 0, -0.9, (3.0, 0.0)),
    _number("76535-4", "Diastolic blood pressure, cuff", "mm[Hg]", "diastolic", 7.0, 0, -0.8, (3.0, 0.0)),
    _number("76536-2", "Mean blood pressure, cuff", "mm[Hg]", "mean_pressure", 8.0, 0, -0.9, (3.0, 0.0)),
    _number("8310-5", "Body temperature", "Cel", 36.9, 0.35, 1, 1.0, (4.0, 8.0)),
    _words("8884-9", "Heart rhythm", ("Sinus rhythm", "Atrial fibrillation", "Sinus tachycardia"), (2.0, 0.0)),
    _words("8327-9", "Temperature site", ("Oral", "Axillary", "Bladder")),
    _words("54562-4", "Pain present", ("No", "Yes"), (4.0, 12.0)),
    _number("72514-3", "Pain level", "{score}", 2.0, 1.5, 0, 0.6, (4.0, 8.0)),
    _number("9267-6", "Glasgow coma score, eyes", "{score}", 3.8, 0.3, 0, -1.6, _FEW),
    _number("9270-0", "Glasgow coma score, speech", "{score}", 4.6, 0.5, 0, -1.8, _FEW),
    _number("9268-4", "Glasgow coma score, movement", "{score}", 5.8, 0.3, 0, -1.6, _FEW),
    _words("80271-0", "Abdomen", ("Soft", "Distended", "Tender")),
    _words("8643-9", "Pupil size, right", ("3 mm", "2 mm", "4 mm")),
    _words("8641-3", "Pupil size, left", ("3 mm", "2 mm", "4 mm")),
    _words("79815-7", "Pupil response, right", ("Brisk", "Sluggish")),
    _words("79899-1", "Pupil response, left", ("Brisk", "Sluggish")),
    _words("38877-7", "Oral care", ("Done", "Not done")),
    _words("44972-8", "Oedema", ("Absent", "Legs", "General"), (6.0, 24.0)),
    _words("80344-5", "Skin", ("Intact", "Impaired"), (8.0, 24.0)),
    _words("39106-0", "Skin temperature", ("Warm", "Cool")),
    _words("39107-8", "Skin colour", ("Normal", "Pale")),
    _number("76222-9", "Tidal volume, set", "mL", 450.0, 45.0, 0, 0.0, (8.0, 0.0)),
    _number("3150-0", "Inspired oxygen", "%", 40.0, 8.0, 0, 1.2, (6.0, 0.0)),
    _number("20077-4", "PEEP, set", "cm[H2O]", 5.5, 1.2, 0, 0.8, (8.0, 0.0)),
    _number("38222-6", "Braden scale, senses", "{score}", 3.4, 0.5, 0, -0.8, (12.0, 24.0)),
    _number("38229-1", "Braden scale, moisture", "{score}", 3.3, 0.5, 0, -0.5, (12.0, 24.0)),
    _number("38224-2", "Braden scale, mobility", "{score}", 2.7, 0.6, 0, -0.7, (12.0, 24.0)),
    _number("38223-4", "Braden scale, activity", "{score}", 1.9, 0.7, 0, -0.7, (12.0, 24.0)),
    _number("38226-7", "Braden scale, friction", "{score}", 2.2, 0.4, 0, -0.5, (12.0, 24.0)),
    _number("38225-9", "Braden scale, food", "{score}", 2.5, 0.5, 0, -0.5, (12.0, 24.0)),
    _number("2823-3", "Potassium", "mmol/L", "potassium", 0.3, 1, 0.5, _PANEL),
    _number("2951-2", "Sodium", "mmol/L", 138.5, 2.6, 0, -0.4, _PANEL),
    _number("2075-0", "Chloride", "mmol/L", 102.0, 3.0, 0, 0.3, _PANEL),
    _number("1963-8", "Bicarbonate", "mmol/L", "bicarbonate", 2.0, 0, -1.1, _PANEL),
    _number("1863-0", "Anion gap", "mmol/L", 13.0, 1.8, 0, 1.0, _PANEL),
    _number("2160-0", "Creatinine, serum", "mg/dL", "creatinine", 0.12, 2, 1.2, _PANEL, log=True),
    _number("3094-0", "Urea nitrogen", "mg/dL", "urea", 0.18, 0, 1.0, _PANEL, log=True),
    _number("2345-7", "Glucose", "mg/dL", "glucose", 0.2, 0, 0.8, _PANEL, log=True),
    _number("718-7", "Haemoglobin, blood", "g/dL", "haemoglobin", 0.6, 1, -0.8, _PANEL),
    _number("4544-3", "Haematocrit", "%", "haematocrit", 1.8, 1, -0.8, _PANEL),
    _number("789-8", "Red blood cells", "10*6/uL", "red_cells", 0.22, 2, -0.8, _PANEL),
    _number("777-3", "Platelets", "10*3/uL", 225.0, 45.0, 0, -0.6, _PANEL),
    _number("6690-2", "White blood cells", "10*3/uL", "white_cells", 0.2, 1, 1.3, _PANEL, log=True),
    _number("788-0", "Red cell width", "%", 14.8, 1.1, 1, 0.5, _PANEL),
    _number("21000-5", "Red cell width, sd", "fL", 49.0, 4.0, 1, 0.4, _RARE),
    _number("786-4", "MCHC", "g/dL", 32.7, 0.9, 1, 0.0, _PANEL),
    _number("785-6", "MCH", "pg", 30.0, 1.6, 1, 0.0, _PANEL),
    _number("787-2", "MCV", "fL", 91.0, 4.5, 0, 0.0, _PANEL),
    _number("19123-9", "Magnesium", "mg/dL", 2.0, 0.2, 1, 0.0, _PANEL),
    _number("17861-6", "Calcium", "mg/dL", "calcium", 0.35, 1, -0.5, _PANEL),
    _number("2777-1", "Phosphate", "mg/dL", 3.5, 0.7, 1, 0.5, _PANEL),
    _number("5902-2", "Prothrombin time", "s", "prothrombin", 0.1, 1, 0.7, _RARE, log=True),
    _number("6301-6", "INR", None, "inr", 0.1, 1, 0.7, _RARE, log=True),
    _number("14979-9", "aPTT", "s", 33.0, 0.18, 1, 0.6, _RARE, log=True),
    _words("5778-6", "Urine colour", ("Yellow", "Straw", "Amber"), (24.0, 72.0)),
    _words("5767-9", "Urine appearance", ("Clear", "Hazy", "Cloudy"), (24.0, 72.0)),
    _number("2524-7", "Lactate, serum", "mmol/L", "lactate", 0.25, 1, 1.6, (8.0, 72.0), log=True),
    _number("67151-1", "Troponin T, high sensitivity", "ng/L", "troponin", 0.35, 0, 1.0, (14.0, 72.0), log=True),
    _number("33762-6", "NT-proBNP, serum", "pg/mL", "nt_probnp", 0.4, 0, 0.8, (36.0, 96.0), log=True),
    _number("1751-7", "Albumin, serum", "g/dL", "albumin", 0.2, 1, -0.8, (24.0, 72.0)),
    _number("1988-5", "C-reactive protein", "mg/L", "crp", 0.4, 1, 1.4, (24.0, 48.0), log=True),
)

UNITS: dict[str, str] = {spec.code: spec.unit for spec in SERIES if spec.unit}

DRUGS: dict[str, tuple[str, str, float]] = {
    "ATC//B01AB05": ("Enoxaparin", "ward", 0.55),
    "ATC//B01AB01": ("Heparin", "intensive", 0.5),
    "ATC//A02BC02": ("Pantoprazole", "ward", 0.5),
    "ATC//N02BE01": ("Paracetamol", "ward", 0.6),
    "ATC//N02AA01": ("Morphine", "ward", 0.2),
    "ATC//B05BB01": ("Electrolytes", "ward", 0.6),
    "ATC//A10AB01": ("Insulin, fast-acting", "diabetes", 0.8),
    "ATC//C03CA01": ("Furosemide", "on_loop_diuretic", 0.9),
    "ATC//C07AB02": ("Metoprolol", "on_beta_blocker", 0.9),
    "ATC//C10AA05": ("Atorvastatin", "on_statin", 0.9),
    "ATC//H02AB07": ("Prednisone", "on_steroid", 0.9),
    "ATC//R03BB04": ("Tiotropium", "copd", 0.8),
    "ATC//J01CR05": ("Piperacillin", "acute", 0.5),
    "ATC//J01DD04": ("Ceftriaxone", "acute", 0.45),
    "ATC//J01XA01": ("Vancomycin", "acute", 0.3),
    "ATC//C01CA03": ("Norepinephrine", "shock", 0.8),
    "ATC//N01AX10": ("Propofol", "shock", 0.6),
    "ATC//N05CD08": ("Midazolam", "intensive", 0.25),
    "ATC//A06AD15": ("Macrogol", "ward", 0.3),
    "ATC//B03BB01": ("Folic acid", "ward", 0.1),
}
"""Drugs given in hospital: words, on what account (a trait of the patient, or of the stay), and the chance of it."""


def levels_of(state: ClinicalState) -> dict[str, float]:
    """The patient's level of what `SERIES` measures, where it follows the clinical state."""
    anticoagulated = 1.9 if state.on_anticoagulant else 1.1
    diastolic = 44 + 0.24 * state.systolic_bp_mmhg
    return {
        "heart_rate": state.heart_rate_bpm,
        "spo2": state.spo2_percent,
        "systolic": state.systolic_bp_mmhg - 6,
        "diastolic": diastolic,
        "mean_pressure": diastolic + (state.systolic_bp_mmhg - 6 - diastolic) / 3,
        "creatinine": state.creatinine_mg_dl,
        "urea": 17 * state.creatinine_mg_dl**0.8,
        "potassium": 4.0 + 0.25 * float(np.log(state.creatinine_mg_dl)),
        "bicarbonate": 25.5 - 1.2 * (state.lactate_mmol_l - 1.4),
        "glucose": 62 + 9.5 * state.hba1c_percent,
        "haemoglobin": state.haemoglobin_g_dl - 0.8,
        "haematocrit": 3.0 * (state.haemoglobin_g_dl - 0.8),
        "red_cells": (state.haemoglobin_g_dl - 0.8) / 3.0,
        "white_cells": 8.2 * (state.crp_mg_l / 12) ** 0.08,
        "calcium": 8.8 + 0.5 * (state.albumin_g_dl - 3.8),
        "prothrombin": 12.3 * anticoagulated / 1.1,
        "inr": anticoagulated,
        "lactate": state.lactate_mmol_l,
        "troponin": state.troponin_ng_l,
        "nt_probnp": state.nt_probnp_pg_ml,
        "albumin": state.albumin_g_dl - 0.25,
        "crp": state.crp_mg_l * 1.3,
    }


_HISTORY = (
    ("cancer", "cancer"), ("metastatic_cancer", "metastatic disease"), ("heart_failure", "heart failure"),
    ("copd", "COPD"), ("ckd", "chronic kidney disease"), ("diabetes", "diabetes"), ("hypertension", "hypertension"),
    ("atrial_fibrillation", "atrial fibrillation"), ("prior_mi", "an old myocardial infarction"),
    ("prior_stroke", "an earlier stroke"), ("prior_vte", "earlier thrombosis"), ("smoker", "a history of smoking"),
)  # fmt: skip


def note_of(
    state: ClinicalState, age_years: float, reason: str, acuity: float, days: float, intensive: bool, died: bool,
    rng: np.random.Generator,
) -> str:  # fmt: skip
    """A discharge note of a few sentences; it names most known diseases, in words of its own."""
    named = [words for field, words in _HISTORY if getattr(state, field) and rng.random() < 0.8]
    known = f"Known: {', '.join(named)}." if named else "No known disease of note."
    course = ("quiet", "slow", "difficult")[int(np.clip(np.floor(acuity + 1.2), 0, 2))]
    care = " Part of it in intensive care." if intensive else ""
    values = (
        f"Creatinine about {state.creatinine_mg_dl:.1f} mg/dL, haemoglobin about {state.haemoglobin_g_dl:.0f} g/dL."
        if rng.random() < 0.7
        else ""
    )
    frail = " Weak, needs help at home." if acuity > 0.9 else ""
    end = "Died in hospital." if died else f"Left after {max(round(days), 1)} days."
    sex = "woman" if state.sex == "F" else "man"
    opening = f"Virtual patient. {sex.capitalize()} of {age_years:.0f} years, admitted for {reason}."
    return " ".join(f"{opening} {known} A {course} course.{care} {values}{frail} {end}".split())
