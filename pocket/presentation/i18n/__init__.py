"""English and Japanese text, and how money, shares, times and dates are written in each."""

from __future__ import annotations

import datetime
import hashlib
import math
import string
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, get_args

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Translate = Callable[..., str]

_MINUS, _SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
PLUS_MINUS = f"{_SPACE}±{_SPACE}"  # no line breaks within an interval
_MONTHS = ("January", "February", "March", "April", "May", "June",
           "July", "August", "September", "October", "November", "December")  # fmt: skip


@cache
def texts(lang: str) -> MappingProxyType[str, str]:
    """Return every text of a language by its dotted key, for example ``"roi.npv"``.

    Raises
    ------
    ValueError
        If the language is not one of ``"en"``, ``"ja"``.
    """
    return MappingProxyType({key: text for key, text in _flat(_table(lang)) if not key.startswith("source.")})


def translator(lang: str) -> Translate:
    """Return ``t(key, **values)``, which gives the text of ``key`` with its placeholders filled.

    Raises
    ------
    ValueError
        If the language is unknown. ``t`` raises KeyError for an unknown key or a missing placeholder.
    """
    known = texts(lang)

    def translate(key: str, **values: object) -> str:
        if key not in known:
            raise KeyError(f"no text {key!r} in {lang}.toml")
        try:
            return known[key].format(**values)
        except KeyError as error:
            raise KeyError(f"text {key!r} in {lang}.toml wants the placeholder {error}") from None

    return translate


def placeholders(text: str) -> set[str]:
    """Return the names in braces of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def source_hash(text: str) -> str:
    """Return the first 8 hex digits of the SHA-256 of an English text, as ja.toml stores them."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


def stale(lang: str = "ja") -> dict[str, str]:
    """Return the keys whose translation was made from another English text, with the hash now due."""
    noted = dict(_table(lang).get("source", {}))
    due = {key: source_hash(text) for key, text in texts("en").items()}
    return {key: digest for key, digest in due.items() if noted.get(key) != digest}


def number(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """Return a number with thousands separators and a true minus sign."""
    text = f"{abs(value):,.{digits}f}"
    zero = not any(digit in "123456789" for digit in text)
    sign = "" if zero else _MINUS if value < 0 else "+" if signed else ""
    return sign + text


def plain(value: float) -> str:
    """Return a number with as many digits as it needs, up to four significant ones below 1,000."""
    if value == 0 or abs(value) >= 1000 or float(value).is_integer():
        return number(value)
    text = f"{abs(value):.4g}"
    if "e" in text:
        text = f"{abs(value):.6f}".rstrip("0").rstrip(".")
    return (_MINUS if value < 0 else "") + text


def money(amount: float, currency: str, lang: str, like: float | None = None) -> str:
    """Return an amount as business readers write it: in a large unit with one decimal below 100, and none above.

    ``like`` is another amount whose unit to take: figures that are read beside each other are of one.

    Examples
    --------
    >>> money(1_234_567, "JPY", "ja"), money(50_000, "JPY", "ja"), money(2_000_000, "JPY", "en")
    ('1.2百万円', '5.0万円', 'JPY\\xa02.0\\xa0million')
    >>> money(950_000, "JPY", "ja", like=2_000_000)
    '0.9百万円'
    """
    texts(lang)
    size = abs(amount if like is None else like)
    if lang == "ja":
        yen = "円" if currency == "JPY" else _SPACE + currency
        # Compared after rounding, so that 999,999 is not written as 100.0万円.
        for least, unit, word in ((1e9, 1e8, "億"), (1e6, 1e6, "百万"), (1e4, 1e4, "万")):
            if round(size / least, 3) >= 1:
                return f"{_scaled(amount / unit)}{word}{yen}"
        return exact(amount, currency, lang)
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if round(size / unit, 1) >= 1:
            return f"{currency}{_SPACE}{_scaled(amount / unit)}{_SPACE}{word}"
    return exact(amount, currency, lang)


def about(value: float, lang: str) -> str:
    """Return a large number of things with two significant figures.

    Examples
    --------
    >>> about(2_512_345, "en"), about(25_123, "en"), about(2_512_345, "ja"), about(25_123, "ja")
    ('about 2.5\\xa0million', 'about 25,000', '約250万', '約2.5万')
    """
    texts(lang)
    value = float(f"{value:.2g}")
    units = ((1e12, "兆"), (1e8, "億"), (1e4, "万")) if lang == "ja" else ((1e9, "billion"), (1e6, "million"))
    unit, word = next(((unit, word) for unit, word in units if value >= unit), (1.0, ""))
    figure = with_unit(plain(value / unit), word) if word else plain(value)
    return f"約{figure}" if lang == "ja" else f"about {figure}"


def exact(amount: float, currency: str, lang: str) -> str:
    """Return an amount in full: "JPY 1,605,526", 1,605,526円; with cents where these count."""
    return _with_currency(_small(amount, currency), currency, lang)


def price(amount: float, currency: str, lang: str) -> str:
    """Return a small amount with as many digits as it needs: "JPY 10", 0.5円."""
    return _with_currency(plain(amount), currency, lang)


def at_most(amount: float, currency: str, lang: str) -> str:
    """Return an amount in full, rounded up: a limit on costs that holds all that is planned.

    Examples
    --------
    >>> at_most(30_099.2, "JPY", "ja"), at_most(86.712, "JPY", "ja")
    ('30,100円', '86.72円')
    """
    parts = 10 ** _digits(amount, currency)
    return exact(math.ceil(round(amount * parts, 6)) / parts, currency, lang)


def millions(amount: float, currency: str, lang: str) -> str:
    """Return an amount in millions, whatever its size, with one decimal."""
    texts(lang)
    if lang == "ja":
        return f"{number(amount / 1e6, 1)}百万" + ("円" if currency == "JPY" else _SPACE + currency)
    return f"{currency}{_SPACE}{number(amount / 1e6, 1)}{_SPACE}million"


def with_unit(figure: str, unit: str) -> str:
    """Join a figure and its unit: no space before Japanese words (10人日), one that does not break before others."""
    return figure + ("" if unit[:1] > "\u2e80" else _SPACE) + unit


def currency_name(currency: str, lang: str) -> str:
    """Return the currency as units are written with it: 円 for JPY in Japanese, else its ISO code."""
    texts(lang)
    return "円" if (currency, lang) == ("JPY", "ja") else currency


def percent(value: float, lang: str, digits: int = 1, *, signed: bool = False) -> str:
    """Return a fraction as a percentage: 0.95 is "95.0 %", in Japanese "95.0%"."""
    texts(lang)
    return number(100 * value, digits, signed=signed) + ("%" if lang == "ja" else f"{_SPACE}%")


def points(difference: float, lang: str) -> str:
    """Return a difference of mAP in points, with its sign: −0.026 is "−2.6 points"."""
    return translator(lang)("format.points", value=number(100 * difference, 1, signed=True))


def seeds_of(count: int, lang: str) -> str:
    """Return a number of seeds with its noun: "1 seed", "3 seeds", シード3個."""
    return translator(lang)("format.seed_one" if count == 1 else "format.seeds", count=number(count))


def duration(seconds: float, lang: str, *, up: bool = False) -> str:
    """Return a time span in its two leading units; ``up`` rounds up, for a limit.

    Raises
    ------
    ValueError
        If it is negative.
    """
    if not seconds >= 0:
        raise ValueError(f"seconds = {seconds!r} is outside the allowed range: 0 or more")
    t = translator(lang)
    if up:
        steps = {1.0: 0.01, 59.95: 0.1, 3599.5: 1.0, 48 * 3600.0: 60.0, math.inf: 3600.0}
        step = next(step for end, step in steps.items() if seconds < end)
        seconds = math.ceil(round(seconds / step, 6)) * step
    if seconds < 59.95:
        return t("format.seconds", seconds=number(seconds, 2 if seconds < 1 else 1))
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return t("format.minutes", minutes=minutes, seconds=rest)
    if seconds < 48 * 3600:
        hours, rest = divmod(round(seconds / 60), 60)
        return t("format.hours", hours=hours, minutes=rest)
    days, rest = divmod(round(seconds / 3600), 24)
    return t("format.days", days=number(days), hours=rest)


def colon(lang: str) -> str:
    """Return the colon between a label and what it is of."""
    texts(lang)
    return "：" if lang == "ja" else ": "


def listed(names: Iterable[str], lang: str) -> str:
    """Return names in a row, with the comma of the language."""
    texts(lang)
    return ("、" if lang == "ja" else ", ").join(names)


def sentences(told: Iterable[str], lang: str) -> str:
    """Return sentences one after another, empty ones left out; Japanese has no space between them."""
    texts(lang)
    return ("" if lang == "ja" else " ").join(one for one in told if one)


def dated(lang: str) -> str:
    """Return a regular expression of the dates that `date` and `full_date` write, and in Japanese of weeks."""
    texts(lang)
    return (
        r"\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d+週間"
        if lang == "ja"
        else rf"(?:\d{{1,2}} )?(?:{'|'.join(_MONTHS)}) \d{{4}}"
    )


def in_brackets(text: str, aside: str, lang: str) -> str:
    """Return a text with an aside in the brackets of its language."""
    texts(lang)
    return f"{text}（{aside}）" if lang == "ja" else f"{text} ({aside})"


def commit_text(commit: str | None, lang: str, mark: str = "") -> str:
    """Return a commit between two ``mark``; a ``+`` at its end, which means uncommitted changes, is told in words."""
    t = translator(lang)
    if commit is None:
        return t("brief.unknown")
    shown = f"{mark}{commit}{mark}"
    return in_brackets(shown, t("brief.uncommitted"), lang) if commit.endswith("+") else shown


def date(day: datetime.date, lang: str) -> str:
    """Return the month of a date: "November 2026", 2026年11月."""
    name = f"{day.month}月" if lang == "ja" else _MONTHS[day.month - 1]
    return translator(lang)("format.month", year=day.year, name=name)


def full_date(day: datetime.date, lang: str) -> str:
    """Return a date to the day: "24 November 2026", 2026年11月24日."""
    return translator(lang)("format.day", day=day.day, month=date(day, lang))


def data_size(count: float, lang: str) -> str:
    """Return a number of bytes in B, kB, MB, GB or TB (powers of 1,000)."""
    texts(lang)
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{_scaled(count / size).removesuffix('.0')}{_SPACE}{unit}"
    return f"{number(count)}{_SPACE}B"


def _scaled(value: float) -> str:
    return number(value, 1 if abs(value) < 99.95 else 0)


def _with_currency(figure: str, currency: str, lang: str) -> str:
    texts(lang)
    if lang == "ja":
        return figure + ("円" if currency == "JPY" else _SPACE + currency)
    return f"{currency}{_SPACE}{figure}"


def _small(amount: float, currency: str) -> str:
    return number(amount, _digits(amount, currency))


def _digits(amount: float, currency: str) -> int:
    """Return the decimals of an amount in full: what is small has to add up over months."""
    if currency == "JPY":  # a yen has no cents, so that none are written where there are none
        return 2 if abs(amount) < 100 and not float(round(amount, 2)).is_integer() else 0
    return 2 if 0.005 <= abs(amount) < 1e4 else 0


def _flat(table: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in table.items():
        pairs += _flat(value, f"{above}{key}.") if isinstance(value, dict) else [(above + key, value)]
    return pairs


@cache
def _table(lang: str) -> dict[str, Any]:
    if lang not in LANGUAGES:
        raise ValueError(f"unknown language {lang!r}; choose one of {', '.join(LANGUAGES)}")
    return tomllib.loads(files(__package__).joinpath(f"{lang}.toml").read_text(encoding="utf-8"))
