"""What a shell offers when the tab key is pressed: names, read from files and nothing else.

Nothing numerical is loaded, and a file that cannot be read offers nothing: it is the command that
says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from metarho.errors import InputError
from metarho.spec.lookup import names

_PACKAGE = Path(__file__).resolve().parent.parent
TABLES = (".csv", ".tsv", ".parquet", ".xlsx")

# A prior's name in the catalogue, where its entry begins. Reading the entries would take a second.
_ENTRY = re.compile(r"^([a-z][a-z0-9.-]*):\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"^  parameter: (\S+)$", re.MULTILINE)

ROLES = (
    *("ri", "ni", "study", "sample", "effect", "reported", "alpha", "tests", "word_means"),
    *("statistic", "ri_low", "ri_high", "yi", "vi", "sei", "yi_low", "yi_high"),
    *("rxx", "ryy", "ux"),
)
"""What a column can be mapped to: the fields of ``spec.analysis.Columns``, which help spares."""


def _offered(find: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    """The names that go on with what is typed; none where a file or folder cannot be read."""
    try:
        return [name for name in find() if name.startswith(incomplete)]
    except (InputError, OSError):
        return []


def configs(incomplete: str) -> list[str]:
    """Names of configs."""
    return _offered(lambda: names("configs", Path.cwd()), incomplete)


def models(incomplete: str) -> list[str]:
    """Names of models."""
    return _offered(lambda: names("models", Path.cwd()), incomplete)


def sources(incomplete: str) -> list[str]:
    """Names of configs, and saved fits that lie here."""
    return configs(incomplete) + _offered(lambda: _here(".nc"), incomplete)


def runs(incomplete: str) -> list[str]:
    """Names of configs, whose results are meant, and folders that lie here."""
    folders = _offered(
        lambda: sorted(f"{path.name}/" for path in Path.cwd().iterdir() if path.is_dir()),
        incomplete,
    )
    return configs(incomplete) + folders


def data(incomplete: str) -> list[str]:
    """Shipped data sets, and tables that lie here."""
    return _offered(lambda: [*_shipped_data(), *_here(*TABLES)], incomplete)


def configs_and_tables(incomplete: str) -> list[str]:
    """Names of configs, and tables that lie here."""
    return configs(incomplete) + _offered(lambda: _here(*TABLES), incomplete)


def models_of_config(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models of the config that is named before."""
    return _offered(lambda: _of_config(ctx, "models"), incomplete)


def prior_sets_of_config(ctx: typer.Context, incomplete: str) -> list[str]:
    """The prior sets of the config that is named before."""
    return _offered(lambda: _of_config(ctx, "priors") or ["default"], incomplete)


def columns(incomplete: str) -> list[str]:
    """The roles that are not mapped yet, behind what is: ``ri=r,n`` becomes ``ri=r,ni=``."""
    before, comma, _ = incomplete.rpartition(",")
    mapped = {part.partition("=")[0] for part in before.split(",")}
    return _offered(
        lambda: [f"{before}{comma}{role}=" for role in ROLES if role not in mapped], incomplete
    )


def prior_names(incomplete: str) -> list[str]:
    """The catalogue's names."""
    return _offered(lambda: [name for name, _ in _catalogue()], incomplete)


def prior_parameters(incomplete: str) -> list[str]:
    """The parameters that the catalogue has priors of."""
    return _offered(lambda: dict.fromkeys(parameter for _, parameter in _catalogue()), incomplete)


def cited_priors(incomplete: str) -> list[str]:
    """A parameter with each of the priors that can be cited for it: ``mu=robma4-mu-z``."""
    return _offered(lambda: [f"{parameter}={name}" for name, parameter in _catalogue()], incomplete)


def _of_config(ctx: typer.Context, key: str) -> list[str]:
    """The names under a key of the config, the first argument; a saved fit has none."""
    # Where an option still lacks its value, arguments are read but not yet given to parameters.
    arguments = [ctx.params.get("config"), ctx.params.get("source"), *ctx.args]
    given = next((one for one in arguments if one is not None), None)
    if not isinstance(given, str) or given.endswith(".nc"):
        return []
    from metarho.spec.document import read_document
    from metarho.spec.lookup import find

    named = read_document(find(given, "configs", Path.cwd())).data.get(key)
    return (
        [name for name in named if isinstance(name, str)] if isinstance(named, list | dict) else []
    )


def _here(*suffixes: str) -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir() if path.suffix in suffixes)


def _shipped_data() -> list[str]:
    return sorted(path.stem for path in (_PACKAGE / "data" / "shipped").glob("*.csv"))


def _catalogue() -> list[tuple[str, str]]:
    """Each name of the catalogue and the parameter that it is a prior of."""
    text = (_PACKAGE / "spec" / "catalogue.yaml").read_text(encoding="utf-8")
    return list(zip(_ENTRY.findall(text), _PARAMETER.findall(text), strict=True))
