"""The types of FHIR resources (https://hl7.org/fhir/resourcelist.html, R4 to R5), and which carry no events."""

from __future__ import annotations

NO_EVENTS = frozenset(
    ("Account", "AuditEvent", "Basic", "ChargeItem", "Claim", "ClaimResponse", "Coverage", "Device", "Endpoint",
     "ExplanationOfBenefit", "Group", "HealthcareService", "Invoice", "List", "Location", "Medication", "MessageHeader",
     "OperationOutcome", "Organization", "Parameters", "PaymentNotice", "PaymentReconciliation", "Person",
     "Practitioner", "PractitionerRole", "Provenance", "RelatedPerson", "Subscription", "Substance")
)  # fmt: skip
"""Bills, provenance and people."""
_OTHERS = frozenset(
    """ActivityDefinition ActorDefinition AdministrableProductDefinition AdverseEvent AllergyIntolerance Appointment
    AppointmentResponse ArtifactAssessment Binary BiologicallyDerivedProduct BiologicallyDerivedProductDispense
    BodySite BodyStructure CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItemDefinition Citation
    ClinicalImpression ClinicalUseDefinition CodeSystem Communication CommunicationRequest CompartmentDefinition
    Composition ConceptMap ConditionDefinition Consent Contract CoverageEligibilityRequest CoverageEligibilityResponse
    DataElement DetectedIssue DeviceAssociation DeviceComponent DeviceDefinition DeviceDispense DeviceMetric
    DeviceRequest DeviceUsage DeviceUseStatement DocumentManifest DocumentReference EffectEvidenceSynthesis
    EligibilityRequest EligibilityResponse EncounterHistory EnrollmentRequest EnrollmentResponse EpisodeOfCare
    EventDefinition Evidence EvidenceReport EvidenceVariable ExampleScenario FamilyMemberHistory Flag
    FormularyItem GenomicStudy Goal GraphDefinition GuidanceResponse ImagingManifest ImagingSelection
    ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan InventoryItem
    InventoryReport Library Linkage ManufacturedItemDefinition Measure MeasureReport Media MedicationDispense
    MedicationKnowledge MedicationUsage MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication
    MedicinalProductDefinition MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction
    MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
    MedicinalProductUndesirableEffect MessageDefinition MolecularSequence NamingSystem NutritionIntake NutritionOrder
    NutritionProduct ObservationDefinition OperationDefinition OrganizationAffiliation PackagedProductDefinition
    Permission PlanDefinition ProcedureRequest ProcessRequest ProcessResponse Questionnaire QuestionnaireResponse
    ReferralRequest RegulatedAuthorization RequestGroup RequestOrchestration Requirements ResearchDefinition
    ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule
    SearchParameter Sequence ServiceDefinition ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition
    StructureMap SubscriptionStatus SubscriptionTopic SubstanceDefinition SubstanceNucleicAcid SubstancePolymer
    SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery
    SupplyRequest Task TerminologyCapabilities TestPlan TestReport TestScript Transport ValueSet VerificationResult
    VisionPrescription""".split()  # noqa: SIM905
)

_READ = frozenset(
    """Condition DiagnosticReport Encounter ImagingStudy Immunization MedicationAdministration MedicationRequest
    MedicationStatement Observation Patient Procedure""".split()  # noqa: SIM905
)


def is_kind(kind: str) -> bool:
    """Whether FHIR has resources of this type.

    >>> is_kind("Patient"), is_kind("Goal"), is_kind("Smith")
    (True, True, False)
    """
    return kind in _READ or kind in _OTHERS or kind in NO_EVENTS


def unread_kind(kind: str) -> str:
    """Why a resource whose type is not read is no event; a type that is none of FHIR may be anybody's name.

    >>> unread_kind("Goal"), unread_kind("Smith")
    ('of a kind that is not read (Goal)', 'of a kind that is not read (unknown)')
    """
    return f"of a kind that is not read ({kind if kind in _OTHERS else 'unknown'})"
