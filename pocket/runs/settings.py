"""Settings are checked where they are made: what is wrong, where, and what is allowed."""

from __future__ import annotations


def check(settings: object, *rules: tuple[str, bool, str]) -> None:
    """Refuse settings of which one is outside what is allowed.

    Parameters
    ----------
    settings : object
        Has the fields that the rules name.
    *rules : tuple of (str, bool, str)
        Name of a field, whether its value is good, and what is allowed.

    Raises
    ------
    ValueError
        Of the first field that is not good.
    """
    for name, good, allowed in rules:
        if not good:
            raise ValueError(f"{name}={getattr(settings, name)!r}: must be {allowed}")
