"""For pytest's -p: all steps that write tables run on Spark, and each is compared with DuckDB.

A test that is about DuckDB alone is marked `duckdb`, with the reason, and passed over.
"""

from contextlib import ExitStack
from importlib import import_module

import pytest

from tests.engines.application import application, lacking
from tests.engines.beside import beside, counted
from tests.engines.twins import Twins

# Where the steps are looked up when they are called; whoever imports one by name does so later.
_STEPS = {
    "recmtl.data.ingest": "ingest", "recmtl.data.rates.write": "write_rates",
    "recmtl.data.contract.check": "check", "recmtl.data.contract": "check", "recmtl.data.encoder": "fit",
}
_until_the_end = ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before any file of the tests is imported."""
    if reason := lacking():
        raise pytest.UsageError(reason)
    _until_the_end.enter_context(application())
    twins = Twins()
    _until_the_end.callback(twins.close)
    for module, name in _STEPS.items():
        found = import_module(module)
        setattr(found, name, beside(getattr(found, name), twins))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := item.get_closest_marker("duckdb"):
            item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = ", ".join(f"{count:,} {name}" for name, count in counted.items())
    terminalreporter.write_line(f"Spark beside DuckDB: {told}")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _until_the_end.close()
