"""NPV, payback, internal rate of return and break-even: monthly periods, period 0 undiscounted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

IrrReason = Literal["no_sign_change", "several_sign_changes", "out_of_range"]


class Irr(NamedTuple):
    """A yearly internal rate of return, or the reason why there is none."""

    yearly: float | None
    reason: IrrReason | None


def monthly_rate(yearly: float) -> float:
    """Return the monthly rate that compounds to ``yearly``: (1 + r)^(1/12) − 1.

    Parameters
    ----------
    yearly : float
        Yearly rate as a fraction (0.05 is 5 %), above −1.

    Raises
    ------
    ValueError
        If the rate is not finite or not above −1.
    """
    if not math.isfinite(yearly) or yearly <= -1:
        raise ValueError(f"yearly = {yearly!r} is outside the allowed range: above -1 (0.05 is 5 % a year)")
    return math.expm1(math.log1p(yearly) / 12)


def discounted(flows: Sequence[float], yearly: float) -> NDArray[np.float64]:
    """Return each monthly flow at its present value.

    Parameters
    ----------
    flows : sequence of float
        Currency; ``flows[0]`` falls now and is not discounted, ``flows[m]`` at the end of month m.
    yearly : float
        Yearly discount rate as a fraction, above −1.

    Raises
    ------
    ValueError
        If there is no flow, a flow is not finite, or the rate is out of range.
    """
    values = _checked(flows)
    weights: NDArray[np.float64] = (1 + monthly_rate(yearly)) ** -np.arange(len(values), dtype=np.float64)
    return values * weights


def npv(flows: Sequence[float], yearly: float) -> float:
    """Return the net present value, in the currency of ``flows``.

    A spreadsheet's ``NPV(rate, range)`` discounts its first value too; to reproduce this number there,
    write ``flows[0] + NPV(monthly rate, flows[1:])``. Parameters and errors as for `discounted`.

    Examples
    --------
    >>> round(npv([-100.0] + [10.0] * 12, 0.0), 6)
    20.0
    """
    return math.fsum(discounted(flows, yearly))


def payback(flows: Sequence[float], yearly: float = 0.0) -> int | None:
    """Return the first month at whose end the cumulative flow is no longer negative.

    Parameters
    ----------
    flows : sequence of float
        Currency, monthly, as for `discounted`.
    yearly : float
        0 gives the simple payback, any other rate the discounted one.

    Returns
    -------
    int or None
        Months; None means "not within the horizon".

    Raises
    ------
    ValueError
        As for `discounted`.

    Examples
    --------
    >>> payback([-100.0, 50.0, 50.0, 50.0]), payback([-100.0, 10.0])
    (2, None)
    """
    values = discounted(flows, yearly)
    # Rounding must not turn an exact repayment into one more month.
    reached = np.flatnonzero(np.cumsum(values) >= -1e-12 * np.abs(values).sum())
    return int(reached[0]) if reached.size else None


def irr(flows: Sequence[float]) -> Irr:
    """Return the internal rate of return, yearly, where exactly one exists.

    Monthly flows that change sign exactly once have exactly one root (Descartes' rule of signs). With no
    change there is none, with several there may be several: the reason is returned instead of a number.

    Parameters
    ----------
    flows : sequence of float
        Currency, monthly, as for `discounted`.

    Raises
    ------
    ValueError
        If there is no flow or a flow is not finite.
    """
    values = np.trim_zeros(_checked(flows))
    signs = np.sign(values[values != 0])
    changes = int(np.count_nonzero(signs[1:] != signs[:-1]))
    if changes != 1:
        return Irr(None, "no_sign_change" if changes == 0 else "several_sign_changes")
    values = values / np.abs(values).max()
    # f(x) = Σ flows[m] x^m with x = 1 / (1 + monthly rate). Bisection on log x, from a rate beyond any use
    # down to a loss of 99.99 % a year, where the yearly figure still has digits to show.
    lower, upper = -7.0, math.log(1e4) / 12
    start = _sign_at(values, lower)
    if start == _sign_at(values, upper):
        return Irr(None, "out_of_range")
    for _ in range(200):
        middle = (lower + upper) / 2
        if _sign_at(values, middle) == start:
            lower = middle
        else:
            upper = middle
    return Irr(math.expm1(-12 * (lower + upper) / 2), None)


def break_even(one_off: float, per_training_full: float, per_training_condensed: float) -> float | None:
    """Return the number of trainings after which making the condensed set has paid for itself.

    ``(T_teacher + T_pool + T_condense) / (T_full − T_condensed)``.

    Parameters
    ----------
    one_off : float
        Seconds (or currency) to make the condensed set, at least 0.
    per_training_full, per_training_condensed : float
        Seconds (or currency) of one training on all data and on the condensed set, at least 0.

    Returns
    -------
    float or None
        Trainings; None means "never": a training on the condensed set saves nothing.

    Raises
    ------
    ValueError
        If a value is negative or not finite.

    Examples
    --------
    >>> break_even(30.0, 9.0, 3.0), break_even(30.0, 3.0, 3.0)
    (5.0, None)
    """
    named = {
        "one_off": one_off,
        "per_training_full": per_training_full,
        "per_training_condensed": per_training_condensed,
    }
    for name, value in named.items():
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} = {value!r} is outside the allowed range: 0 or more")
    saved = per_training_full - per_training_condensed
    if saved <= 0:
        return None
    trainings = one_off / saved
    return trainings if math.isfinite(trainings) else None


def _checked(flows: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(flows, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"flows has shape {values.shape}; allowed: one flow a month, at least one")
    if not np.isfinite(values).all():
        month = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"flows[{month}] = {values[month]!r} is outside the allowed range: finite numbers")
    return values


def _sign_at(values: NDArray[np.float64], log_x: float) -> bool:
    """Whether Σ values[m] x^m is positive, scaled so that no power overflows."""
    powers = log_x * np.arange(len(values))
    return bool(np.dot(values, np.exp(powers - powers.max())) > 0)
