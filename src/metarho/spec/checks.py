"""Which posterior predictive checks an analysis asks for: read here, run by ``metarho ppc`` only.

checks:
  - q                                              # a named statistic
  - {statistic: spread, by: guidance}              # at each level of a column
  - {file: my_checks.py, function: kurtosis}       # of a Python file beside the config
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.custom import CustomFile, read_python
from metarho.spec.document import Frozen

STATISTICS: Mapping[str, str] = {
    "q": "Cochran's Q",
    "largest_z": "largest standardised residual",
    "spread": "standard deviation",
    "skew": "skewness",
    "range": "largest less smallest",
    "negative": "share below 0",
    "asymmetry": "funnel asymmetry, Egger's t",
    "significant": "share significant",
    "words": "rows that say not significant",
}
"""Named statistics, in words for readers. Their formulas are in ``checks/discrepancies.py``."""

# Of ASCII: also read by those of JSON Schema.
FILE = r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.py"
FUNCTION = "[A-Za-z_][A-Za-z0-9_]*"
_FILE, _FUNCTION = re.compile(FILE), re.compile(FUNCTION)

type Name = Annotated[str, Field(min_length=1, max_length=200)]


class Check(Frozen):
    """A statistic of the rows: a named one, or a function of a file; of all rows, or by level."""

    statistic: Name | None = None
    by: Name | None = None
    file: Name | None = None
    function: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_statistic(cls, value: object) -> object:
        return {"statistic": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Check:
        custom = self.file is not None or self.function is not None
        if (self.statistic is not None) == custom:
            raise ValueError("a check has a statistic, or a file and a function")
        if self.statistic is not None:
            if self.statistic not in STATISTICS:
                near = did_you_mean(self.statistic, STATISTICS)
                raise ValueError(f"no statistic {shown(self.statistic)}; {near}")
            return self
        if self.file is None or self.function is None:
            raise ValueError("a check from a file names the file and the function")
        if not _FILE.fullmatch(self.file):
            raise ValueError(
                f"file is a Python file in the config's folder, for instance my_checks.py, not "
                f"{shown(self.file)}"
            )
        if not _FUNCTION.fullmatch(self.function):
            raise ValueError(f"function is the name of a function, not {shown(self.function)}")
        if self.function in STATISTICS:
            raise ValueError(f"{self.function} is a named statistic; call the function otherwise")
        return self

    @property
    def name(self) -> str:
        """What tables call it: the statistic, or the function."""
        return str(self.statistic or self.function)


DEFAULT: tuple[Check, ...] = tuple(Check(statistic=name) for name in STATISTICS)
"""What is checked where a config asks for nothing: all named statistics of all rows."""


def read_check_file(name: str, folder: Path) -> CustomFile:
    """The file of a check, as text. ``folder`` is the config's; links may not lead out of it.

    Raises InputError when it is not there, lies elsewhere or is no UTF-8 text of at most 1 MB.
    """
    try:
        return read_python("checks", name, folder.resolve())
    except OSError as error:
        raise InputError(f"checks: {folder / name} cannot be read: {error.strerror}") from None
