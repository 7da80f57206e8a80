"""Codes under their ancestors: known paths, agreement with the tabular list, and a real data set's own parents."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import simple_icd_10_cm

from core.events.ancestors import path_of, standard_parents
from core.events.icd9_blocks import icd10_block_of_icd9
from core.events.icd10 import icd10_block, icd10_blocks, icd10_chapter
from core.events.standard_codes import standard_code

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ehr"


def test_blocks_and_chapters_agree_with_the_package_of_the_tabular_list() -> None:
    """Oracle: the tree that simple_icd_10_cm builds of the same list."""
    for category in ("A09", "B20", "C34", "C50", "D64", "E11", "I26", "I5A", "J44", "M17", "O9A", "T81", "Z79", "Z99"):
        tree = simple_icd_10_cm.get_ancestors(category)
        assert str(icd10_chapter(category)) == tree[-1]
        block = icd10_block(category)
        assert block is not None
        assert tree[0] == (block if block[:3] != block[4:] else block[:3]) or block[:3] == block[4:]


def test_every_section_of_icd9_names_a_block_of_icd10_and_none_is_without() -> None:
    blocks = set(icd10_blocks())
    found = {number: icd10_block_of_icd9(f"ICD9CM//{number:03d}") for number in range(1, 1000)}
    assert {block for block in found.values() if block} <= blocks
    named = [number for number, block in found.items() if block]
    assert len(named) > 850
    known = {"410.71": "I20-I25", "428.0": "I30-I5A", "496": "J40-J4A", "250.00": "E08-E13", "162.9": "C30-C39",
             "585.9": "N17-N19", "038.9": "A30-A49", "V45.81": "Z77-Z99"}  # fmt: skip
    assert {code: icd10_block_of_icd9(f"ICD9CM//{code}") for code in known} == known


def test_paths_go_from_the_code_to_its_chapter() -> None:
    assert path_of("ICD10CM//I26.99")[-2:] == ("ICD10CM//I26-I28", "ICD10CM//chapter 9")
    assert path_of("ICD9CM//415.19")[-2:] == path_of("ICD10CM//I26.99")[-2:]
    assert path_of("ICD9CM//E812.0")[-1] == "ICD10CM//chapter 20"
    assert path_of("ATC//C10AA05")[-1] == "ATC//C"
    assert path_of("LOINC//718-7") == ("LOINC//718-7",)
    circle = {"A//1": ("B//1",), "B//1": ("A//1",)}
    assert path_of("A//1", circle) == ("A//1", "B//1")


def test_a_real_data_set_s_parents_put_its_diagnoses_under_chapters() -> None:
    source = SHARED / "mimic_iv_demo_codes.parquet"
    if not source.is_file():
        pytest.skip("../shared is not here")
    table = pd.read_parquet(source)
    parents = standard_parents(zip(table["code"], table["parent_codes"], strict=True))
    diagnoses = [standard_code(code) for code in table["code"] if code.startswith("DIAGNOSIS//")]
    with_chapter = [path_of(code, parents)[-1].startswith("ICD10CM//chapter") for code in diagnoses]
    assert sum(with_chapter) > 0.99 * len(with_chapter)
    heart_rate = standard_code("LAB//220045//bpm")
    assert "LOINC//8867-4" in path_of(heart_rate, parents)
