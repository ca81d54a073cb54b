"""What an evaluation shows in Prefect: the table per task, links to the runs in MLflow, a summary."""

from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from recmtl.evaluate.brief import by_part

Report = dict[str, Any]


def show(report: Report) -> None:
    """The comparison as artifacts of the running task: a table, and a summary with links."""
    create_table_artifact(
        by_part(report["models"]), key="per-task",
        description=f"{report['name']}: each model on each task",
    )
    create_markdown_artifact(summary(report), key="summary", description=report["name"])
    for name, page in report["run_urls"].items():
        if page is not None:  # MLflow was away: its run follows when the spool is replayed
            create_link_artifact(page, name, key="mlflow-run", description=f"{name} in MLflow")


def show_champion(champion: Report, report: Report) -> None:
    """A link to the champion's run in MLflow."""
    name = f"{champion['model']} seed {champion['seed']}"
    text = f"{champion['name']} version {champion['version']}: {name}"
    page = str(report["run_urls"][name])
    create_link_artifact(page, text, key="champion", description=f"`{champion['uri']}`")


def summary(report: Report) -> str:
    """A few lines of Markdown: the winner, every run with its link, and what to look at."""
    winner = report["champion"]
    return "\n".join([
        f"**Best on {report['monitor']}:** {winner['model']}, seed {winner['seed']}",
        "",
        *(f"- [{name}]({page})" for name, page in report["run_urls"].items()),
        "",
        *(f"- Warning: {warning}" for warning in report["warnings"]),
    ])
