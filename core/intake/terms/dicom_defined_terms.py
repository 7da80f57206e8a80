"""Defined terms that are no plain words: what the standard (PS3.3) and makers write, by attribute.

A term stays in its own attribute only: CONE is a collimator there and a name elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TABLE = """
    AcquisitionContrast DIFFUSION FLOW_ENCODED FLUID_ATTENUATED PROTON_DENSITY STIR T2_STAR TAGGING TOF
    ApplicatorType ELECTRON_SQUARE INTRAOPERATIVE STEREOTACTIC
    ApprovalStatus REJECTED
    BlockType APERTURE SHIELDING
    CardiacSignalSource PP VCG
    CardiacSynchronizationTechnique PACED REALTIME
    CollimatorType ASTG CIRCULAR CONE DIVG FANB PARA PINH POLYGONAL RECTANGULAR ROUND SLNT SQUARE UNKN
    ComplexImageComponent IMAGINARY MAGNITUDE REAL
    ContourGeometricType CLOSEDPLANAR_XOR OPEN_NONPLANAR OPEN_PLANAR
    ContrastBolusIngredient BARIUM CARBON DIOXIDE GADOLINIUM
    ConversionType DF DRW SD
    CorrectedImage CLN COUCH DCAL DECY DTIM LIN MOTN NRGY PMOT RADL RAN RANDOM SCAT UNIF
    CountsSource TRANSMISSION
    DVHType CUMULATIVE DIFFERENTIAL NATURAL
    DecayCorrection ADMIN
    DetectorType FILM SCINTILLATOR STORAGE
    DimensionOrganizationType TILED_SPARSE
    DoseReferenceStructureType COORDINATES SITE
    DoseReferenceType ORGAN_AT_RISK
    DoseSummationType BEAM_SESSION BRACHY FRACTION FRACTION_SESSION MULTI_PLAN PLAN PLAN_OVERVIEW
    DoseType EFFECTIVE ERROR
    DoseUnits GY
    DoseValuePurpose QA
    ExposureModulationType ACS AUTOMA AUTO_SUPERVISION CARE_DOSE4D D-DOM DOSERIGHT ECG_BASED OFF ORGAN_BASED
        SMARTMA SUREEXPOSURE ZDOM
    ExposureStatus ABORTED
    FilterMaterial EUROPIUM LEAD NIOBIUM SILVER TIN
    FrameOfInterestType HI LO
    FrameType BASIS_MATERIAL CARDIAC_CASCORE DIFFUSION DUAL_SOURCE EFF_ATOMIC_NUM ENERGY_PROP_WT ENERGY_WEIGHTED
        MAGNITUDE MATERIAL_REMOVED MATERIAL_SPECIFIC MAX_IP MIN_IP PET_TRANSMISSION PROTON_DENSITY QUANTITATIVE
        REALTIME RESPIRATORY_GATED TEMPORAL_AVG VALUE_BASED VMI
    Grid CROSSED FIXED FOCUSED RECIPROCATING
    HighDoseTechniqueType HDR TBI TSEI
    ImageType BATCH BESTPHASE BIN_1 CSAMANIPULATED CSAPARALLEL CT_SOM5_PROT CT_SOM5_SEQ CT_SOM7_PROT CT_SOM7_SEQ
        CT_SOM8_PROT CT_SOM8_SEQ CT_SOM8_SPI CT_SOM8_TOP DISPLAY DOSE_INFO EFFECTIVE_Z IODINE_NO_WATER KEYIMAGE
        LUNGMINIP MATERIAL MONTAGE OVERVIEW POSDISP RAW RHO_Z SECONDARYCAPTURE STERES SUM
    LossyImageCompressionMethod ISO_10918_1 ISO_13818_2 ISO_14495_1 ISO_14496_10 ISO_15444_1 ISO_23008_2
    MRAcquisitionType 2D
    MultienergySourceTechnique CONSTANT_SOURCE SWITCHING_SOURCE
    PatientPosition AFDL AFDR LFP LFS PFDL PFDR RFP RFS SITTING
    PatientSupportType CHAIR
    PhotometricInterpretation XYB
    PixelIntensityRelationship DISP LIN LOG
    PlanIntent CURATIVE MACHINE_QA PALLIATIVE PROPHYLACTIC VERIFICATION
    PositionMeasuringDeviceUsed FREEHAND RIGID
    PresentationIntentType FOR_PRESENTATION FOR_PROCESSING
    PrimaryDosimeterUnit MU NP
    RTBeamLimitingDeviceType ASYMX ASYMY MLCX MLCY
    RTPlanGeometry TREATMENT_DEVICE
    RTROIInterpretedType AVOIDANCE BRACHY_CHANNEL CAVITY CONTRAST_AGENT CTV DOSE_MEASUREMENT DOSE_REGION
        FIXATION GTV IRRAD_VOLUME ISOCENTER MARKER PTV REGISTRATION SUPPORT TREATED_VOLUME
    RadiationType ION NEUTRON PROTON
    RandomsCorrectionMethod DLYD SING
    RescaleType ED EDW HUMOD HU_MOD MGML OD PCT Z_EFF
    ReconstructionAlgorithm FILTER_BACK_PROJ
    ReportedValuesOrigin ACTUAL OPERATOR PLAN
    ReprojectionMethod MAX_PIXEL SUM
    RespiratoryMotionCompensationTechnique PHASE_ORDERING PHASE_RESCAN REALTIME
    RespiratorySignalSource BELT CAPNOGRAPH CO2_SENSOR NASAL_PROBE NAVIGATOR SPIROMETER
    RespiratoryTriggerType AMPLITUDE
    SUVType BSA BW IBW LBM LBMJAMES128 LBMJANMA
    ScanOptions DE DVOLUME_CT HELI SHUTTLE SMART_PREP STEP_AND_SHOOT TOMOSCAN
    ScanningSequence EP RM
    SegmentationType LABELMAP
    SegmentsOverlap UNDEFINED
    SequenceVariant MP MTC OSP SK TRSS
    SeriesType REPROJECTION
    SliceProgressionDirection ANT_TO_POST POST_TO_ANT
    SpatialLocationsPreserved REORIENTED_ONLY
    TissueHeterogeneityCorrection ROI_OVERRIDE WATER
    TreatmentDeliveryType CONTINUATION OPEN_PORTFILM SETUP TRMT_PORTFILM
    TypeOfDetectorMotion CLAMSHELL STEP_AND_SHOOT WOBBLE
    Units BQML CM2ML CNTS CPS GML MGMINML MLMIN MLMING PCNT PROPCPS STDDEV UMOLMINML UMOLML
    ValueType DATE DATETIME SCOORD3D WAVEFORM
    ViewPosition FB LL LLD LLO LM LMO MLO PA RL RLD RLO SIO XCC XCCL
    VolumeBasedCalculationTechnique MAX_IP MIN_IP SURFACE_RENDER VOLUME_RENDER
    WedgeType MOTORIZED
"""
_BODY_PARTS = """
    abdomen abdom abdo abd aorta arteries artery body brain breast calcaneus cardiac carotid cervical chest clavicle
    coccyx colon coronary esophagus extremity extremt femur foot hand head heart hip humerus kidney knee larynx leg
    lower liver lumbar lung mandible mediastinum nasopharynx neck orbit pancreas pelvis pelv prostate pulm pulmonary
    renal rib sacrum scalp sella shoulder sinus skull spine spleen sternum temporal thoracic thorax tibia toe tongue
    trachea trunk upper uterus whole wrist cspine tspine lspine sspine lsspine tlspine ctspine to and cap tap iac
    circleofwillis umbilical unknown lowextremt
"""


def _table() -> Mapping[str, frozenset[str]]:
    rows = re.split(r"\n    (?=\w)", _TABLE.rstrip())
    return {keyword: frozenset(terms) for keyword, *terms in map(str.split, filter(None, rows))}


_TERMS = _table()
_BODY = re.compile(f"(?:{'|'.join(sorted(_BODY_PARTS.split(), key=len, reverse=True))})+")
_DIRECTIONS = re.compile("[LPARFH]{1,3}")


def is_defined_term(keyword: str, value: str) -> bool:
    """Whether a value is a term of its attribute; words of a term may stand apart.

    >>> is_defined_term("Units", "BQML"), is_defined_term("BodyPartExamined", "CHESTABDPELVIS")
    (True, True)
    >>> is_defined_term("CollimatorType", "CONE"), is_defined_term("Modality", "CONE")
    (True, False)
    """
    if keyword == "BodyPartExamined":
        return bool(_BODY.fullmatch(re.sub("[ _]", "", value).casefold()))
    if keyword == "PatientOrientation":
        return bool(_DIRECTIONS.fullmatch(value))
    return value.strip().upper().replace(" ", "_") in _TERMS.get(keyword, frozenset())
