"""The cash-flow schedule as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io

from pocket.roi.report import Period, RoiReport


def schedule_csv(report: RoiReport) -> str:
    """Return the monthly schedule as CSV text with a header row: one column per field of `Period`.

    The text begins with a byte order mark, so that spreadsheet programs read it as UTF-8.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(Period.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(period.model_dump(mode="json") for period in report.schedule)
    return "\ufeff" + buffer.getvalue()
