"""What keeps an image from being used: told by its kind, in the language of the page."""

from __future__ import annotations

import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from bad_data_for_tests import clean_folder, noise
from PIL import Image

import pocket
from pocket.data.decoding import FAULTS, UnreadableError, decode_image
from pocket.data.intake import IntakeError
from pocket.data.sources import LeftOutWarning
from pocket.presentation.check_page import console_lines, told
from pocket.presentation.i18n import texts, translator
from pocket.workflows.check import check


@pytest.fixture
def faults(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with a file a fault, and each one's fault by its name."""
    root = clean_folder(tmp_path / "images")
    holes = np.full((16, 16), 7, dtype=np.float32)
    holes[3, 3] = np.nan
    Image.fromarray(holes).save(root / "dent" / "holes.tif")
    buffer = io.BytesIO()
    noise(3).save(buffer, "PNG")
    bad = bytearray(whole := buffer.getvalue())
    bad[whole.index(b"IDAT") + 20] ^= 0xFF
    (root / "dent" / "bad.png").write_bytes(bad)
    (root / "dent" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "dent" / "words.png").write_bytes(b"no image")
    buffer = io.BytesIO()
    noise(4).save(buffer, "BMP")
    odd = bytearray(buffer.getvalue())
    odd[30] = 64  # its compression
    (root / "dent" / "odd.bmp").write_bytes(odd)
    named = {"holes.tif": "not_numbers", "bad.png": "damaged", "cut.png": "cut_off", "words.png": "no_image"}
    return root, named | {"odd.bmp": "other"}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_is_wrong_with_an_image_is_said_in_the_language_of_the_page(
    lang: str, faults: tuple[Path, dict[str, str]], home: Path
) -> None:
    root, t = faults[0], translator(lang)
    checked_once = check(root, out=home / "report", lang=lang, say=lambda _: None).record
    page = unescape((home / "report" / "check.html").read_text(encoding="utf-8"))
    lines = "\n".join(console_lines(checked_once, lang))
    (broken,) = (told(finding, lang) for finding in checked_once.findings if finding.kind == "broken")
    assert len(broken.affected) == len(faults[1])
    for name, fault in faults[1].items():
        words = "Unsupported BMP compression (64)" if fault == "other" else ""
        text = t(f"check.fault.{fault}", words=words)
        assert (f"dent/{name}", text) in broken.affected and f"dent/{name}" in page and text in page
        with pytest.raises(UnreadableError, match=re.escape(FAULTS[fault].format(words=words))):
            decode_image(root / "dent" / name, 16)
    assert (lang == "en") == ("not a whole image" in page)
    assert not re.search("cannot identify|file is truncated|data stream", page + lines), "words that add nothing"
    for image in root.rglob("*.png"):
        image.write_bytes(b"no image")
    (root / "free" / "00.png").write_bytes(b"")
    with pytest.warns(LeftOutWarning), pytest.raises(IntakeError) as nothing:
        pocket.load(root)
    found = told(nothing.value.finding, lang)
    assert found.kind == "none_readable"
    assert {text for _, text in found.affected} >= {t("check.fault.no_image"), t("check.fault.zero_bytes")}


def test_faults_are_called_alike_below_and_in_the_texts() -> None:
    assert {
        key.removeprefix("check.fault."): text for key, text in texts("en").items() if "check.fault" in key
    } == FAULTS
