"""``metarho compare``: the table that answers "which prior?"."""

from __future__ import annotations

import typer

from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    AsCsv,
    AsJson,
    AsLatex,
    AsMarkdown,
    Config,
    Output,
    config_path,
    one_form,
    print_csv,
    print_json,
)


def compare(
    config: Config,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
    markdown: AsMarkdown = False,
    latex: AsLatex = False,
) -> None:
    """Compare prior sets and models: estimates, evidence, prediction, conflict, information."""
    from metarho.batch.plan import plan as make_plan

    forms = {"--json": json, "--csv": csv, "--markdown": markdown, "--latex": latex}
    form = one_form(forms)
    plan = make_plan(config_path(config), output)
    # Only now, so that a bad config is refused at once.
    from metarho.batch.compare import TABLE
    from metarho.report.publish import publish_comparison
    from metarho.report.terminal import Progress, averaged, comparison, say

    with Progress(plan, fits=len(plan.cells), further=len(plan.cells)) as progress:
        compared = publish_comparison(plan, progress.announce, progress.warn)
    if form == "--json":
        print_json(list(compared.rows))
    elif form == "--csv":
        print_csv(compared.rows)
    elif form in ("--markdown", "--latex"):
        from metarho.report.comparison import comparison_note, comparison_rows
        from metarho.report.written_tables import latex_table, markdown_table

        write = markdown_table if form == "--markdown" else latex_table
        title = plan.analysis.title or plan.analysis.name
        table = write(comparison_rows(plan, compared.rows), title, comparison_note(plan))
        say(table.rstrip("\n"))
    else:
        comparison(plan, compared.rows)
        averaged(plan, compared.averages)
        for remark in compared.remarks:
            say(f"note: {remark}")
        say(f"all columns: {plan.folder / TABLE}")
    if any(row["status"] == "not reportable" for row in compared.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
