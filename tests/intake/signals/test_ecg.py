"""ECGs: WFDB and DICOM against wfdb and pydicom, every lead to a nanovolt; what cannot be read says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import wfdb

from core.errors import UserFacingError
from core.intake.signals.lead_names import lead_of
from core.intake.signals.load import load_ecg
from core.intake.signals.wfdb import FORMATS
from core.records.ecg import STANDARD_LEADS, Ecg

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "ecg"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the real ECGs are not beside the project")


def written(folder: Path, form: str, signals: np.ndarray, names: list[str], **more: object) -> Path:
    wfdb.wrsamp(
        "one", fs=500, units=["mV"] * len(names), sig_name=names, p_signal=signals, fmt=[form] * len(names),
        write_dir=str(folder), **more,
    )  # fmt: skip
    return folder / "one.hea"


def beats(leads: int, samples: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(0, 0.02, (samples, leads)), axis=0)


@real
@pytest.mark.parametrize("name", ["s0010_re.hea", "s0010_re.dat", "s0010_re"])
def test_a_wfdb_record_is_what_wfdb_reads(name: str) -> None:
    ecg, oracle = load_ecg(DATA / name), wfdb.rdrecord(str(DATA / "s0010_re"))
    assert ecg.leads == STANDARD_LEADS
    assert ecg.rate_hz == oracle.fs
    for lead in STANDARD_LEADS:
        wanted = oracle.p_signal[:, oracle.sig_name.index(lead.lower())]
        np.testing.assert_allclose(ecg.lead_mv(lead), wanted, atol=1e-6, rtol=0)
    assert ecg.notes == ("Channels beside the twelve leads, which are not read: 3.",)


@real
def test_a_dicom_ecg_is_what_pydicom_reads() -> None:
    ecg, dataset = load_ecg(DATA / "waveform_ecg.dcm"), pydicom.dcmread(DATA / "waveform_ecg.dcm")
    microvolts = dataset.waveform_array(0)
    assert ecg.leads == STANDARD_LEADS
    assert (ecg.rate_hz, ecg.seconds) == (1000, 10)
    for place in range(12):
        np.testing.assert_allclose(ecg.signal_mv[:, place], microvolts[:, place] / 1000, atol=1e-6, rtol=0)
    assert str(ecg.start) == "2013-01-25 10:59:19"
    assert "Hz" in ecg.filters


@pytest.mark.parametrize("form", [str(one) for one in FORMATS if one != 61])
def test_each_format_is_unpacked_as_wfdb_does(tmp_path: Path, form: str) -> None:
    signals = beats(3)
    signals[100:110, 1] = np.nan
    header = written(tmp_path, form, signals, ["I", "II", "V6"])
    ecg, oracle = load_ecg(header), wfdb.rdrecord(str(tmp_path / "one"))
    np.testing.assert_allclose(ecg.signal_mv, oracle.p_signal, atol=1e-6, rtol=0)
    assert np.isnan(ecg.signal_mv[105, 1])
    assert ecg.missing_leads == tuple(lead for lead in STANDARD_LEADS if lead not in ("I", "II", "V6"))
    assert any("marked as none" in note for note in ecg.notes)


def test_big_endian_numbers_are_the_same_the_other_way_round(tmp_path: Path) -> None:
    header = written(tmp_path, "16", beats(2), ["I", "II"])
    plain = load_ecg(header).signal_mv
    numbers = np.fromfile(tmp_path / "one.dat", "<i2")
    numbers.astype(">i2").tofile(tmp_path / "one.dat")
    header.write_text(header.read_text().replace("one.dat 16", "one.dat 61"))
    np.testing.assert_array_equal(load_ecg(header).signal_mv, plain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("/mV", "/mmHg"), "not in volts"),
        (lambda text: text.replace("one.dat 16", "one.dat 310"), "format"),
        (lambda text: text.replace("one 2", "one/3 2"), "several segments"),
        (lambda text: text.replace("one 2", "one 5"), "another number of signals"),
        (lambda text: text.replace("one.dat", "two.dat"), "not beside it"),
        (lambda text: text.replace("one.dat", "../../one.dat"), None),
        (lambda text: "", "is empty"),
        (lambda text: text.replace(" I\n", " pleth\n").replace(" II\n", " resp\n"), "none of the twelve leads"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, change: object, words: str | None) -> None:
    header = written(tmp_path, "16", beats(2), ["I", "II"])
    header.write_text(change(header.read_text()))  # type: ignore[operator]
    if words is None:  # a path that leads elsewhere is read as the file beside the header
        assert load_ecg(header).leads == ("I", "II")
        return
    with pytest.raises(UserFacingError, match=words):
        load_ecg(header)


def test_other_files_and_too_short_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"nothing")
    with pytest.raises(UserFacingError, match="no ECG"):
        load_ecg(tmp_path / "photo.png")
    with pytest.raises(UserFacingError, match="does not exist"):
        load_ecg(tmp_path / "none.dcm")
    short = written(tmp_path, "16", beats(1, samples=300), ["I"])
    with pytest.raises(UserFacingError, match="too short"):
        load_ecg(short)


def test_names_of_leads() -> None:
    assert [lead_of(f"Lead {lead}") for lead in STANDARD_LEADS] == list(STANDARD_LEADS)
    assert lead_of("") is None


def test_an_ecg_keeps_its_promises() -> None:
    with pytest.raises(ValueError, match="each once"):
        Ecg(np.zeros((10, 2)), ("I", "I"), 500.0)
    with pytest.raises(ValueError, match="rate_hz"):
        Ecg(np.zeros((10, 1)), ("I",), 0.0)
    one, other = Ecg(np.zeros((10, 1)), ("I",), 500.0), Ecg(np.zeros((10, 1)), ("II",), 500.0)
    assert one.digest != other.digest
