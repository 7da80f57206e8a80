"""Codes that virtual records use: words, units, and how the external site spells them.

Diagnoses are ICD-10-CM, laboratory values and vital signs LOINC with UCUM units, drugs ATC, procedures CPT; visits and
demographics follow the MEDS convention. Descriptions are our own short words, not the licensed texts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabSpec:
    """A numeric code: where its true value lives and how much recording scatters it.

    field: attribute of `ClinicalState`, or "" for values that follow `typical`.
    log:   scatter acts on the logarithm. spread: population sd on that scale. typical: value where `field` is "".
    acute: measured mostly at the index encounter. missing: chance never to be measured at the internal site.
    """

    code: str
    field: str
    log: bool
    spread: float
    digits: int
    typical: float = 0.0
    acute: bool = False
    missing: float = 0.0


LABS: tuple[LabSpec, ...] = (
    LabSpec("LOINC//2160-0", "creatinine_mg_dl", True, 0.30, 2, missing=0.05),
    LabSpec("LOINC//718-7", "haemoglobin_g_dl", False, 1.5, 1, missing=0.05),
    LabSpec("LOINC//1751-7", "albumin_g_dl", False, 0.46, 1, missing=0.08),
    LabSpec("LOINC//33762-6", "nt_probnp_pg_ml", True, 1.0, 0, acute=True, missing=0.10),
    LabSpec("LOINC//67151-1", "troponin_ng_l", True, 0.8, 0, acute=True, missing=0.08),
    LabSpec("LOINC//2524-7", "lactate_mmol_l", True, 0.4, 1, acute=True, missing=0.12),
    LabSpec("LOINC//13457-7", "ldl_mg_dl", False, 32.0, 0, missing=0.08),
    LabSpec("LOINC//4548-4", "hba1c_percent", False, 0.9, 1, missing=0.10),
    LabSpec("LOINC//1988-5", "crp_mg_l", True, 1.0, 1, acute=True, missing=0.15),
    LabSpec("LOINC//777-3", "", False, 65.0, 0, typical=240.0, missing=0.06),
    LabSpec("LOINC//6690-2", "", True, 0.3, 1, typical=8.0, missing=0.06),
    LabSpec("LOINC//2951-2", "", False, 3.0, 0, typical=139.0, missing=0.05),
    LabSpec("LOINC//2823-3", "", False, 0.4, 1, typical=4.1, missing=0.05),
    LabSpec("LOINC//2345-7", "", True, 0.25, 0, typical=112.0, missing=0.06),
)
VITALS: tuple[LabSpec, ...] = (
    LabSpec("LOINC//8867-4", "heart_rate_bpm", False, 14.0, 0, missing=0.02),
    LabSpec("LOINC//8480-6", "systolic_bp_mmhg", False, 17.0, 0, missing=0.02),
    LabSpec("LOINC//59408-5", "spo2_percent", False, 2.0, 0, missing=0.04),
    LabSpec("LOINC//8462-4", "", False, 10.0, 0, typical=76.0, missing=0.02),
    LabSpec("LOINC//9279-1", "", False, 2.5, 0, typical=17.0, missing=0.10),
    LabSpec("LOINC//8310-5", "", False, 0.4, 1, typical=36.8, missing=0.10),
)

DIAGNOSES: dict[str, tuple[str, ...]] = {
    "cancer": ("ICD10CM//C50.911", "ICD10CM//C18.9", "ICD10CM//C61", "ICD10CM//C25.9", "ICD10CM//C85.90"),
    "metastatic_cancer": ("ICD10CM//C78.7", "ICD10CM//C79.51", "ICD10CM//C77.9"),
    "heart_failure": ("ICD10CM//I50.9", "ICD10CM//I50.22", "ICD10CM//I50.32"),
    "copd": ("ICD10CM//J44.9", "ICD10CM//J44.1"),
    "ckd": ("ICD10CM//N18.30", "ICD10CM//N18.4"),
    "diabetes": ("ICD10CM//E11.9", "ICD10CM//E11.65"),
    "hypertension": ("ICD10CM//I10",),
    "atrial_fibrillation": ("ICD10CM//I48.91", "ICD10CM//I48.0"),
    "prior_mi": ("ICD10CM//I25.2",),
    "prior_stroke": ("ICD10CM//I63.9", "ICD10CM//Z86.73"),
    "prior_vte": ("ICD10CM//Z86.711", "ICD10CM//I82.401"),
    "smoker": ("ICD10CM//F17.210", "ICD10CM//Z87.891"),
}
LUNG_CANCER_BY_ZONE: tuple[tuple[str, ...], ...] = (
    ("ICD10CM//C34.10", "ICD10CM//C34.11", "ICD10CM//C34.12"),
    ("ICD10CM//C34.00", "ICD10CM//C34.01", "ICD10CM//C34.02"),
    ("ICD10CM//C34.2",),
    ("ICD10CM//C34.30", "ICD10CM//C34.31", "ICD10CM//C34.32"),
)
"""Lung cancer by site, in the order of `ZONES` (upper lobe, main bronchus, middle lobe, lower lobe)."""

MINOR_DIAGNOSES: tuple[str, ...] = (
    "ICD10CM//K21.9", "ICD10CM//M54.50", "ICD10CM//F41.9", "ICD10CM//G47.33", "ICD10CM//E78.5", "ICD10CM//J45.909",
    "ICD10CM//N39.0", "ICD10CM//R51.9", "ICD10CM//H25.9", "ICD10CM//M17.11", "ICD10CM//Z00.00", "ICD10CM//R53.83",
    "ICD10CM//E55.9", "ICD10CM//L30.9", "ICD10CM//J06.9",
)  # fmt: skip
COMPLAINTS: tuple[str, ...] = ("ICD10CM//R07.9", "ICD10CM//R06.02", "ICD10CM//R05.9", "ICD10CM//R55")

DRUGS: dict[str, tuple[str, ...]] = {
    "on_anticoagulant": ("ATC//B01AF02", "ATC//B01AA03"),
    "on_statin": ("ATC//C10AA05", "ATC//C10AA07"),
    "on_beta_blocker": ("ATC//C07AB02", "ATC//C07AB07"),
    "on_loop_diuretic": ("ATC//C03CA01",),
    "on_steroid": ("ATC//H02AB07",),
    "diabetes": ("ATC//A10BA02",),
    "hypertension": ("ATC//C09AA05", "ATC//C08CA01"),
    "copd": ("ATC//R03BB04",),
    "prior_mi": ("ATC//B01AC06",),
}
MINOR_DRUGS: tuple[str, ...] = ("ATC//A02BC01", "ATC//N02BE01", "ATC//N05CF01", "ATC//J01CA04", "ATC//A11CC05")
SURGERY: tuple[str, ...] = ("CPT//27447", "CPT//27130", "CPT//44140", "CPT//47562")
MINOR_PROCEDURES: tuple[str, ...] = ("CPT//93000", "CPT//71046", "CPT//93306", "CPT//36415", "CPT//80053")
SMOKING_STATUS = "LOINC//72166-2"
BODY_MASS_INDEX = "LOINC//39156-5"
CT_CODE: dict[str, str] = {"pe_mortality": "CPT//71275", "mace": "CPT//71250"}

EXTERNAL_SPELLING: dict[str, str | None] = {
    "LOINC//1751-7": "LOINC//61151-7",
    "LOINC//67151-1": "LOINC//89579-7",
    "LOINC//59408-5": "LOINC//2708-6",
    "LOINC//1988-5": None,
    "LOINC//9279-1": None,
    "ICD10CM//I10": "SNOMED//38341003",
    "ICD10CM//E11.9": "SNOMED//44054006",
    "ICD10CM//I25.2": "ICD9CM//412",
    "ICD10CM//K21.9": "SNOMED//235595009",
    "ATC//C10AA05": "RxNorm//83367",
    "ATC//A02BC01": "RxNorm//7646",
    "ATC//N02BE01": "RxNorm//161",
    "CPT//36415": None,
    "CPT//80053": None,
    "CPT//93000": "HCPCS//G0403",
    SMOKING_STATUS: None,
}
"""How the external site writes a code, or None where it does not record it."""

UNITS: dict[str, str] = {
    "LOINC//2160-0": "mg/dL", "LOINC//718-7": "g/dL", "LOINC//1751-7": "g/dL", "LOINC//61151-7": "g/dL",
    "LOINC//33762-6": "pg/mL", "LOINC//67151-1": "ng/L", "LOINC//89579-7": "ng/L", "LOINC//2524-7": "mmol/L",
    "LOINC//13457-7": "mg/dL", "LOINC//4548-4": "%", "LOINC//1988-5": "mg/L", "LOINC//777-3": "10*3/uL",
    "LOINC//6690-2": "10*3/uL", "LOINC//2951-2": "mmol/L", "LOINC//2823-3": "mmol/L", "LOINC//2345-7": "mg/dL",
    "LOINC//8867-4": "/min", "LOINC//8480-6": "mm[Hg]", "LOINC//8462-4": "mm[Hg]", "LOINC//59408-5": "%",
    "LOINC//2708-6": "%", "LOINC//9279-1": "/min", "LOINC//8310-5": "Cel", "LOINC//39156-5": "kg/m2",
}  # fmt: skip

DESCRIPTIONS: dict[str, str] = {
    "MEDS_BIRTH": "Birth",
    "MEDS_DEATH": "Death",
    "ICD10CM//I21.4": "Myocardial infarction without ST elevation",
    "ICD10CM//I63.50": "Ischaemic stroke, artery unspecified",
    "ICD10CM//I50.21": "Acute systolic heart failure",
    "GENDER//F": "Female",
    "GENDER//M": "Male",
    "VISIT//OUTPATIENT": "Outpatient visit",
    "VISIT//ED": "Emergency department visit",
    "VISIT//INPATIENT": "Hospital admission",
    "LOINC//2160-0": "Creatinine, serum",
    "LOINC//718-7": "Haemoglobin, blood",
    "LOINC//1751-7": "Albumin, serum",
    "LOINC//61151-7": "Albumin, serum (bromocresol green)",
    "LOINC//33762-6": "NT-proBNP, serum",
    "LOINC//67151-1": "Troponin T, high sensitivity",
    "LOINC//89579-7": "Troponin I, high sensitivity",
    "LOINC//2524-7": "Lactate, serum",
    "LOINC//13457-7": "LDL cholesterol, calculated",
    "LOINC//4548-4": "Haemoglobin A1c",
    "LOINC//1988-5": "C-reactive protein",
    "LOINC//777-3": "Platelets",
    "LOINC//6690-2": "White blood cells",
    "LOINC//2951-2": "Sodium",
    "LOINC//2823-3": "Potassium",
    "LOINC//2345-7": "Glucose",
    "LOINC//8867-4": "Heart rate",
    "LOINC//8480-6": "Systolic blood pressure",
    "LOINC//8462-4": "Diastolic blood pressure",
    "LOINC//59408-5": "Oxygen saturation, pulse oximetry",
    "LOINC//2708-6": "Oxygen saturation, arterial blood",
    "LOINC//9279-1": "Respiratory rate",
    "LOINC//8310-5": "Body temperature",
    BODY_MASS_INDEX: "Body mass index",
    SMOKING_STATUS: "Tobacco smoking status",
    "ICD10CM//C50.911": "Breast cancer",
    "ICD10CM//C18.9": "Colon cancer",
    "ICD10CM//C61": "Prostate cancer",
    "ICD10CM//C25.9": "Pancreatic cancer",
    "ICD10CM//C85.90": "Non-Hodgkin lymphoma",
    "ICD10CM//C78.7": "Liver metastasis",
    "ICD10CM//C79.51": "Bone metastasis",
    "ICD10CM//C77.9": "Lymph node metastasis",
    "ICD10CM//C34.10": "Lung cancer, upper lobe, unspecified side",
    "ICD10CM//C34.11": "Lung cancer, right upper lobe",
    "ICD10CM//C34.12": "Lung cancer, left upper lobe",
    "ICD10CM//C34.00": "Lung cancer, main bronchus, unspecified side",
    "ICD10CM//C34.01": "Lung cancer, right main bronchus",
    "ICD10CM//C34.02": "Lung cancer, left main bronchus",
    "ICD10CM//C34.2": "Lung cancer, middle lobe",
    "ICD10CM//C34.30": "Lung cancer, lower lobe, unspecified side",
    "ICD10CM//C34.31": "Lung cancer, right lower lobe",
    "ICD10CM//C34.32": "Lung cancer, left lower lobe",
    "ICD10CM//I50.9": "Heart failure",
    "ICD10CM//I50.22": "Chronic systolic heart failure",
    "ICD10CM//I50.32": "Chronic diastolic heart failure",
    "ICD10CM//J44.9": "COPD",
    "ICD10CM//J44.1": "COPD with acute exacerbation",
    "ICD10CM//N18.30": "Chronic kidney disease, stage 3",
    "ICD10CM//N18.4": "Chronic kidney disease, stage 4",
    "ICD10CM//E11.9": "Type 2 diabetes",
    "ICD10CM//E11.65": "Type 2 diabetes with hyperglycaemia",
    "ICD10CM//I10": "Hypertension",
    "ICD10CM//I48.91": "Atrial fibrillation",
    "ICD10CM//I48.0": "Paroxysmal atrial fibrillation",
    "ICD10CM//I25.2": "Old myocardial infarction",
    "ICD10CM//I63.9": "Ischaemic stroke",
    "ICD10CM//Z86.73": "History of stroke or TIA",
    "ICD10CM//Z86.711": "History of pulmonary embolism",
    "ICD10CM//I82.401": "Deep vein thrombosis, right leg",
    "ICD10CM//F17.210": "Nicotine dependence, cigarettes",
    "ICD10CM//Z87.891": "History of nicotine dependence",
    "ICD10CM//E66.9": "Obesity",
    "ICD10CM//R07.9": "Chest pain",
    "ICD10CM//R06.02": "Shortness of breath",
    "ICD10CM//R05.9": "Cough",
    "ICD10CM//R55": "Syncope",
    "ICD10CM//I26.99": "Pulmonary embolism",
    "ICD10CM//J90": "Pleural effusion",
    "ICD10CM//R91.1": "Solitary pulmonary nodule",
    "ICD10CM//K21.9": "Gastro-oesophageal reflux",
    "ICD10CM//M54.50": "Low back pain",
    "ICD10CM//F41.9": "Anxiety disorder",
    "ICD10CM//G47.33": "Obstructive sleep apnoea",
    "ICD10CM//E78.5": "Hyperlipidaemia",
    "ICD10CM//J45.909": "Asthma",
    "ICD10CM//N39.0": "Urinary tract infection",
    "ICD10CM//R51.9": "Headache",
    "ICD10CM//H25.9": "Age-related cataract",
    "ICD10CM//M17.11": "Osteoarthritis, right knee",
    "ICD10CM//Z00.00": "Adult medical examination",
    "ICD10CM//R53.83": "Fatigue",
    "ICD10CM//E55.9": "Vitamin D deficiency",
    "ICD10CM//L30.9": "Dermatitis",
    "ICD10CM//J06.9": "Upper respiratory infection",
    "ATC//B01AF02": "Apixaban",
    "ATC//B01AA03": "Warfarin",
    "ATC//B01AB05": "Enoxaparin",
    "ATC//C10AA05": "Atorvastatin",
    "ATC//C10AA07": "Rosuvastatin",
    "ATC//C07AB02": "Metoprolol",
    "ATC//C07AB07": "Bisoprolol",
    "ATC//C03CA01": "Furosemide",
    "ATC//H02AB07": "Prednisone",
    "ATC//A10BA02": "Metformin",
    "ATC//C09AA05": "Ramipril",
    "ATC//C08CA01": "Amlodipine",
    "ATC//R03BB04": "Tiotropium",
    "ATC//B01AC06": "Aspirin",
    "ATC//A02BC01": "Omeprazole",
    "ATC//N02BE01": "Paracetamol",
    "ATC//N05CF01": "Zopiclone",
    "ATC//J01CA04": "Amoxicillin",
    "ATC//A11CC05": "Colecalciferol",
    "CPT//27447": "Total knee replacement",
    "CPT//27130": "Total hip replacement",
    "CPT//44140": "Partial colectomy",
    "CPT//47562": "Laparoscopic cholecystectomy",
    "CPT//93000": "Electrocardiogram",
    "CPT//71046": "Chest radiograph",
    "CPT//93306": "Echocardiography",
    "CPT//36415": "Venous blood draw",
    "CPT//80053": "Comprehensive metabolic panel",
    "CPT//71275": "CT angiography of the chest",
    "CPT//71250": "CT of the chest without contrast",
    "SNOMED//38341003": "Hypertension",
    "SNOMED//44054006": "Type 2 diabetes",
    "SNOMED//235595009": "Gastro-oesophageal reflux",
    "ICD9CM//412": "Old myocardial infarction",
    "RxNorm//83367": "Atorvastatin",
    "RxNorm//7646": "Omeprazole",
    "RxNorm//161": "Paracetamol",
    "HCPCS//G0403": "Electrocardiogram",
}
