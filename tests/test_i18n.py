"""English and Japanese say the same, in glyphs that the packaged font has."""

from __future__ import annotations

import datetime
from importlib.resources import files

import pytest
from matplotlib.ft2font import FT2Font

from pocket.presentation import i18n, roi_text
from pocket.presentation.roi_figures import japanese_font
from pocket.presentation.roi_form import shown
from pocket.roi import SPECS
from pocket.roi.economics import REASONS


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, japanese = i18n.texts("en"), i18n.texts("ja")
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert i18n.placeholders(text) == i18n.placeholders(japanese[key]), key
        assert text.strip() and japanese[key].strip(), key


def test_no_translation_is_stale() -> None:
    due = "\n".join(f'"{key}" = "{digest}"' for key, digest in i18n.stale().items())
    assert not due, f"the English changed: check the Japanese text, then put under [source] of ja.toml\n{due}"
    noted = i18n._table("ja")["source"].keys()
    assert noted == i18n.texts("en").keys(), "ja.toml [source] has keys that are gone"


def test_every_character_is_in_the_packaged_font() -> None:
    known = FT2Font(japanese_font()).get_charmap()
    # It has no subscript two: hence CO2 in Japanese, and CO₂ in English alone.
    used = set("".join(i18n.texts("ja").values())) | set("●▲△◇■○×–−±→%\N{NO-BREAK SPACE}0123456789")
    assert not {c for c in used if ord(c) not in known}


def test_everything_that_is_computed_has_a_text() -> None:
    known = i18n.texts("en")
    for name in SPECS:
        assert f"input.{name}" in known and f"unit.{shown(name).unit}" in known, name
    assert all(f"reason.{reason}" in known for reason in REASONS)


def test_errors_name_the_key_the_placeholder_and_the_language() -> None:
    t = i18n.translator("en")
    assert t("roi.payback_value", months=3) == "3 months"
    with pytest.raises(KeyError, match=r"no text 'roi\.nope' in en\.toml"):
        t("roi.nope")
    with pytest.raises(KeyError, match="wants the placeholder 'months'"):
        t("roi.payback_value")
    for call in (i18n.translator, i18n.texts, lambda lang: i18n.money(1, "JPY", lang)):
        with pytest.raises(ValueError, match="unknown language 'fr'; choose one of en, ja"):
            call("fr")


@pytest.mark.parametrize(
    ("amount", "english", "japanese"),
    [
        (0, "JPY 0", "0円"),
        (0.35, "JPY 0.35", "0.35円"),
        (5_200, "JPY 5,200", "5,200円"),
        (52_000, "JPY 52,000", "5.2万円"),
        (50_000, "JPY 50,000", "5.0万円"),
        (999_999, "JPY 1.0 million", "1.0百万円"),
        (2_000_000, "JPY 2.0 million", "2.0百万円"),
        (1_234_567, "JPY 1.2 million", "1.2百万円"),
        (-3.2e8, "JPY −320 million", "−320百万円"),
        (4.56e9, "JPY 4.6 billion", "45.6億円"),
    ],
)
def test_money(amount: float, english: str, japanese: str) -> None:
    assert i18n.money(amount, "JPY", "en").replace("\N{NO-BREAK SPACE}", " ") == english
    assert i18n.money(amount, "JPY", "ja") == japanese


def test_amounts_beside_each_other_are_of_one_unit() -> None:
    assert i18n.money(950_000, "JPY", "ja", like=-2e6) == "0.9百万円" and i18n.money(950_000, "JPY", "ja") == "95.0万円"
    assert i18n.money(-950_000, "JPY", "en", like=2e6).replace("\xa0", " ") == "JPY −0.9 million"
    assert roi_text.amounts([0.5, 1_605_526], "JPY", "ja")(1_605_526) == "1,605,526円"
    assert roi_text.amounts([0.5, 1_605_526], "JPY", "ja")(0.5) == "0.50円"
    large = roi_text.amounts([3e9, -5e4], "JPY", "ja")
    assert (large(3e9), large(-5e4), large(0)) == ("3,000.0百万円", "−0.1百万円", "0.0百万円")
    assert roi_text.amounts([3e9], "EUR", "en")(2e6).replace("\xa0", " ") == "EUR 2.0 million"


def test_japanese_words_follow_a_figure_without_a_space() -> None:
    assert (i18n.with_unit("10", "人日"), i18n.with_unit("10", "days"), i18n.with_unit("300", "W")) == (
        "10人日", "10\xa0days", "300\xa0W",
    )  # fmt: skip


def test_other_currencies_keep_their_cents() -> None:
    assert i18n.money(52.5, "USD", "en") == "USD\N{NO-BREAK SPACE}52.50"


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (0.25, "0.25 s", "0.25秒"),
        (59.96, "1 min 0 s", "1分0秒"),
        (310, "5 min 10 s", "5分10秒"),
        (7500, "2 h 5 min", "2時間5分"),
        (200_000, "2 d 8 h", "2日8時間"),
    ],
)
def test_duration(seconds: float, english: str, japanese: str) -> None:
    assert (i18n.duration(seconds, "en"), i18n.duration(seconds, "ja")) == (english, japanese)


def test_numbers_dates_and_sizes() -> None:
    assert i18n.percent(0.953, "ja") == "95.3%"
    assert i18n.points(-0.026, "en") == "−2.6 points"
    assert i18n.points(-0.0001, "en") == "0.0 points", "a rounded zero has no sign"
    assert i18n.date(datetime.date(2026, 11, 1), "ja") == "2026年11月"
    assert i18n.date(datetime.date(2026, 11, 1), "en") == "November 2026"
    assert i18n.data_size(25_600, "en") == "25.6\N{NO-BREAK SPACE}kB"
    assert [i18n.plain(x) for x in (0.001, 1234.5, -2.25, 5e-5)] == ["0.001", "1,234", "−2.25", "0.00005"]
    with pytest.raises(ValueError, match="seconds = -1"):
        i18n.duration(-1, "en")


def test_the_files_are_utf8() -> None:
    for lang in i18n.LANGUAGES:
        assert files("pocket.presentation.i18n").joinpath(f"{lang}.toml").read_text(encoding="utf-8")


def test_japanese_texts_hold_no_half_width_semicolon() -> None:
    assert not [key for key, text in i18n.texts("ja").items() if ";" in text]


def test_a_commit_with_changes_says_so() -> None:
    assert i18n.commit_text("0123456789ab", "en", "`") == "`0123456789ab`"
    assert i18n.commit_text("0123456789ab+", "en", "`") == "`0123456789ab+` (with uncommitted changes)"
    assert i18n.commit_text("0123456789ab+", "ja") == "0123456789ab+（未コミットの変更を含みます）"
    assert i18n.commit_text(None, "en") == "not recorded"
