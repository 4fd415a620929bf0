"""The cash-flow schedule as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io

from pocket.roi.report import Period, RoiReport


def schedule_csv(report: RoiReport) -> str:
    """Return the monthly schedule as CSV text with a header row: a column per field of `Period`, currency and mark.

    Every row says in which currency it is and whether it comes from sample data, so that a row taken elsewhere still
    does. The text begins with a byte order mark, so that spreadsheet programs read it as UTF-8.
    """
    buffer = io.StringIO()
    said = {"currency": report.inputs.currency, "data": "sample" if report.sample else "own"}
    writer = csv.DictWriter(buffer, fieldnames=[*Period.model_fields, *said], lineterminator="\n")
    writer.writeheader()
    writer.writerows(period.model_dump(mode="json") | said for period in report.schedule)
    return "\ufeff" + buffer.getvalue()
