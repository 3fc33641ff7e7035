"""Examples: what the help of each command ends with. All are parsed by the tests, some are run."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "init": ("metarho init mine",),
    "models list": ("metarho models list", "metarho models list --json"),
    "models show": ("metarho models show three-level",),
    "configs list": ("metarho configs list",),
    "schema": ("metarho schema model", "metarho schema --write .schemas"),
    "fit": (
        """metarho fit internet-alliance --where 'role == "main"'""",
        "metarho fit mydata.csv --columns ri=r,ni=n,study=study,effect=id \\\n"
        "    --model three-level --prior 'mu=Normal(mu=0, sigma=0.5)'",
        "metarho fit internet-alliance --mods '~ guidance' --intervals drop --save fit.nc",
    ),
    "script": (
        "metarho script internet-alliance --to pymc --intervals drop",
        "metarho script alliance-priors --to metafor --output check.R",
    ),
    "show": (
        "metarho show internet-alliance --apa",
        "metarho show fit.nc --latex",
    ),
    "classical": (
        "metarho classical internet-alliance",
        "metarho classical internet-alliance --test knha --mods '~ guidance'",
        "metarho classical mydata.csv --columns ri=r,ni=n,study=study --influence --csv",
    ),
    "check": ("metarho check internet-alliance",),
    "run": (
        "metarho run internet-alliance",
        "metarho run alliance-decisions --dry-run",
        "metarho run alliance-decisions --workers 0",
    ),
    "priors list": ("metarho priors list --parameter tau",),
    "priors show": ("metarho priors show robma4-tau-z --around 0.2",),
    "priors elicit": (
        "metarho priors elicit --between .10 .45 --prob .9",
        "metarho priors elicit --between .10 .45 --mean-between .2 .35 --name mine",
    ),
    "priors from": (
        "metarho priors from internet-alliance --write models/next.yaml",
        "metarho priors from fit.nc --robust 0.2",
    ),
    "compare": (
        "metarho compare internet-alliance",
        "metarho compare alliance-priors --csv",
    ),
    "sensitivity": (
        "metarho sensitivity alliance-priors",
        "metarho sensitivity alliance-priors --match median",
        "metarho sensitivity publication-bias --ensemble --intervals drop",
    ),
    "tipping": (
        "metarho tipping alliance-priors --claim 'P(rho > 0.1) >= 0.95'",
        "metarho tipping alliance-priors --claim 'lower > 0' --adversary --sizes 50,200",
        "metarho tipping alliance-priors --claim 'lower > 0' --vary 'omega[p > 0.025]'",
    ),
    "reporting": (
        "metarho reporting internet-alliance",
        "metarho reporting internet-alliance --model random-effects --threshold 0.1",
    ),
    "ensemble": (
        "metarho ensemble publication-bias",
        "metarho ensemble publication-bias --ranges --csv",
    ),
    "diff": ("metarho diff outputs/spring outputs/autumn", "metarho diff spring autumn --csv"),
    "predict": (
        "metarho predict internet-alliance",
        "metarho predict internet-alliance --ni 80 --set guidance=guided --law exact",
        "metarho predict fit.nc --ni 80 --set guidance=guided",
    ),
    "update": (
        "metarho update internet-alliance --ri .05 --ni 210",
        "metarho update internet-alliance --reported 'not significant' --ni 64",
    ),
    "cumulative": ("metarho cumulative internet-alliance --by year",),
    "assurance": (
        "metarho assurance internet-alliance --claim 'P(rho > 0.1) >= 0.95' --ni 60,180",
        "metarho assurance internet-alliance --width 0.12 --studies 1,3",
    ),
    "ppc": (
        "metarho ppc internet-alliance",
        "metarho ppc internet-alliance --model three-level --simulations 0",
    ),
    "store ls": ("metarho store ls", "metarho store ls --keys --csv"),
    "store verify": ("metarho store verify",),
    "store gc": ("metarho store gc --dry-run", "metarho store gc --days 30"),
}
"""Command -> command lines that work: in the repository or a workspace, with files of one's own."""


def examples(command: str) -> str | None:
    """The end of a command's help; None where it has no examples."""
    if command not in EXAMPLES:
        return None
    indented = [line.replace("\n", "\n  ") for line in EXAMPLES[command]]
    # The first keeps click from filling the lines up.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in indented)])
