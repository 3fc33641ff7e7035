"""``metarho priors``: the catalogue, what a prior implies, elicitation, priors from a fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli import completion
from metarho.cli.examples import examples
from metarho.cli.options import AsJson, Intervals, Output, config_path, print_json
from metarho.cli.sections import Sections
from metarho.errors import InputError

if TYPE_CHECKING:
    from metarho.predict.before_data import Implied
    from metarho.spec.priors import Prior

app = typer.Typer(
    name="priors",
    cls=Sections,
    help="Priors one can cite, what they imply, and priors made from statements or from fits.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

# A typical correlation (Gignac and Szodorai 2016, 10.1016/j.paid.2016.06.069: .10, .20, .30).
TYPICAL_R = 0.2


@app.command("list", epilog=examples("priors list"))
def list_priors(
    parameter: Annotated[
        str | None,
        typer.Option(
            help="Only priors of this parameter: mu, tau, beta, …",
            autocompletion=completion.prior_parameters,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List the catalogue: published and default priors, by name."""
    from metarho.errors import did_you_mean
    from metarho.spec.catalogue import catalogue

    entries = list(catalogue().values())
    if parameter is not None:
        known = {one.parameter for one in entries}
        if parameter not in known:
            raise InputError(
                f"--parameter: the catalogue has no prior of {parameter!r}; "
                + did_you_mean(parameter, known)
            )
        entries = [one for one in entries if one.parameter == parameter]
    if json:
        print_json([one.as_dict() for one in entries])
        return
    from metarho.report.priors import list_lines

    print("\n".join(list_lines(entries)))


@app.command("show", epilog=examples("priors show"))
def show_prior(
    name: Annotated[
        str,
        typer.Argument(
            help="A name that metarho priors list prints.", autocompletion=completion.prior_names
        ),
    ],
    mu: Annotated[
        str | None, typer.Option(help="For priors of tau: the prior of mu beside it.")
    ] = None,
    tau: Annotated[
        str | None, typer.Option(help="For priors of mu: the prior of tau beside it.")
    ] = None,
    around: Annotated[
        float | None,
        typer.Option(help="For priors of tau: the mean correlation to spread around (0.2)."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show a prior: formula, scale, source, and what it implies before any study is seen."""
    from metarho.spec.catalogue import entry as find_entry

    entry = find_entry(name)
    for option, text in (("mu", mu), ("tau", tau)):
        if text is not None and {"mu": "tau", "tau": "mu"}.get(entry.parameter) != option:
            raise InputError(
                f"--{option}: {name} is a prior of {entry.parameter}; beside a prior of mu stands "
                "one of tau, beside one of tau one of mu"
            )
    if around is not None and (entry.parameter != "tau" or not -1 < around < 1):
        raise InputError(
            f"--around is a correlation between -1 and 1, for a prior of tau; not {around:g} for "
            f"{name}"
        )
    both = _beside(entry.parameter, str(entry.prior), mu, tau)
    from metarho.predict.before_data import as_dict, implied
    from metarho.report.priors import entry_lines, implied_lines, spread_line, wrapped

    shows = entry.parameter in ("mu", "tau") and entry.prior.proper
    found = implied(both["mu"], both["tau"]) if shows else None
    middle = TYPICAL_R if around is None else around
    spread = _around(middle, both["tau"]) if shows and entry.parameter == "tau" else None
    if json:
        content = entry.as_dict()
        content["implied"] = None if found is None else as_dict(found)
        content["around"] = None if spread is None else as_dict(spread)
        print_json(content)
        return
    lines = entry_lines(entry)
    if found is not None:
        lines += ["", "Before any study is seen:", *implied_lines(found)]
        if spread is not None:
            lines += ["", *wrapped(spread_line(middle, spread))]
        if entry.prior.is_reference:
            lines += wrapped("The prior is made of standard errors: here those of n = 100.")
    elif not entry.prior.proper:
        lines += ["", "It is improper: before data it gives no correlation a probability."]
    print("\n".join(lines))


def _beside(parameter: str, text: str, mu: str | None, tau: str | None) -> dict[str, Prior]:
    """The priors of mu and tau: the one shown, and the other as given or as the model has it."""
    from metarho.api import load_model
    from metarho.spec.catalogue import read_prior
    from metarho.spec.model import checked_priors

    own = load_model("random-effects").priors
    given = {name: read_prior(one) for name, one in (("mu", mu), ("tau", tau)) if one is not None}
    if parameter in ("mu", "tau"):
        given[parameter] = read_prior(text)
    try:
        return checked_priors({"mu": own["mu"], "tau": own["tau"], **given})
    except ValueError as error:
        raise InputError(str(error)) from None


def _around(mean: float, tau: Prior) -> Implied:
    """What is implied where the mean correlation is known."""
    import math

    from metarho.predict.before_data import implied
    from metarho.spec.priors import Prior

    return implied(Prior("DiracDelta", (("c", math.atanh(mean)),)), tau)


@app.command("elicit", epilog=examples("priors elicit"))
def elicit_priors(
    between: Annotated[
        tuple[float, float], typer.Option(help="True correlations of studies lie between these.")
    ],
    prob: Annotated[float, typer.Option(help="With this probability.")] = 0.9,
    mean_between: Annotated[
        tuple[float, float] | None, typer.Option(help="The mean lies between these.")
    ] = None,
    mean_prob: Annotated[float, typer.Option(help="With this probability.")] = 0.9,
    mu: Annotated[
        str | None, typer.Option(help="The prior of the mean, in place of --mean-between.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Share of heterogeneity in the spread (default: 0.5).")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the prior set.")] = "elicited",
    save: Annotated[Path | None, typer.Option(help="Write the prior set to this file.")] = None,
    json: AsJson = False,
) -> None:
    """Find the priors that a statement about studies implies, and show what else they imply."""
    if sum(given is not None for given in (mean_between, mu, share)) > 1:
        raise InputError(
            "--mean-between, --mu and --share all say how the spread is split; give one of them"
        )
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"--name: {name!r} is not a name; letters, digits, _ and - are")
    from ruamel.yaml import YAML

    # What is written must be read again: 123, null and - are no texts in YAML.
    if not isinstance(YAML(typ="safe").load(name), str):
        raise InputError(f"--name: YAML reads {name!r} as something else than a name; add a letter")
    _check_new(save)
    from metarho.predict.before_data import as_dict, implied
    from metarho.predict.elicitation import SHARE, elicit
    from metarho.predict.elicitation import mean_between as prior_between
    from metarho.report.priors import block_lines, implied_lines, statement_lines
    from metarho.spec.catalogue import read_prior

    mean = None
    if mean_between is not None:
        mean = prior_between(*mean_between, mean_prob)
    elif mu is not None:
        mean = read_prior(mu)
    share = SHARE if share is None else share
    found = elicit(*between, prob, share=share, mean=mean)
    consequences = implied(found.mu, found.tau)
    block = "\n".join(block_lines(name, found.priors)) + "\n"
    if save is not None:
        from metarho.store.files import write_text

        write_text(save, block)
    if json:
        priors = {parameter: str(prior) for parameter, prior in found.priors.items()}
        content = {"priors": priors, "probability": found.probability}
        print_json({**content, "implied": as_dict(consequences)})
        return
    said = statement_lines(between, prob, None if mean is not None else share)
    achieved = f"probability of the statement, by the exact engine: {found.probability:.7f}"
    shown = ["", "Before any study is seen:", *implied_lines(consequences)]
    print("\n".join([*said, "", block, achieved, *shown]))


def _check_new(save: Path | None) -> None:
    """Raises InputError where a file cannot be written, or would be written over."""
    if save is None:
        return
    if not save.parent.is_dir():
        raise InputError(f"there is no folder {save.parent}")
    if save.exists():
        raise InputError(f"{save} is there already; name another file, or remove it")


@app.command("from", epilog=examples("priors from"))
def priors_from(
    source: Annotated[
        str,
        typer.Argument(
            help="A config (name or path), or a saved fit (.nc).", autocompletion=completion.sources
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Which of its models (default: its first).",
            autocompletion=completion.models_of_config,
        ),
    ] = None,
    prior_set: Annotated[
        str | None,
        typer.Option(
            help="Which of its prior sets (default: its reference).",
            autocompletion=completion.prior_sets_of_config,
        ),
    ] = None,
    intervals: Annotated[
        Intervals | None, typer.Option(help="Whether rows that printed no r were used.")
    ] = None,
    robust: Annotated[
        float | None, typer.Option(help="Weight of a vague component (default: 0.1); 0 for none.")
    ] = None,
    robust_mean: Annotated[
        float | None, typer.Option(help="Mean of the vague component, as a correlation.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write a model file: models/NAME.yaml.")
    ] = None,
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Turn what a fit expects of a new study into a prior of mu, and into a model file."""
    if write is not None and write.suffix != ".yaml":
        raise InputError(f"--write writes a model: the name ends in .yaml, not {write.name!r}")
    _check_new(write)
    from metarho.batch import predictive
    from metarho.predict.predictive_prior import ROBUST

    weight = ROBUST if robust is None else robust
    if source.endswith(".nc"):
        if any(option is not None for option in (model, prior_set, intervals, output)):
            raise InputError(
                "a saved fit is one fit: --model, --prior-set, --intervals and --output are for "
                "configs"
            )
        made = predictive.predictive_prior_of_saved(Path(source), weight, robust_mean)
    else:
        from metarho.batch.plan import cell_of
        from metarho.batch.plan import plan as make_plan

        plan = make_plan(config_path(source), output)
        cell = cell_of(plan, model, prior_set, intervals)
        made = predictive.predictive_prior_of(plan, cell, weight, robust_mean)
    if write is not None:
        from metarho.store.files import write_text

        write_text(write, predictive.model_text(made))
    if json:
        print_json(made.as_dict())
        return
    from metarho.report.priors import predictive_lines

    print("\n".join(predictive_lines(made)))
