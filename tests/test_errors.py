"""What an error says, and the nearest right name."""

from recmtl.errors import RecmtlError, nearest


def test_an_error_names_place_problem_expectation_and_remedy() -> None:
    error = RecmtlError(
        "wrong type", where="log.parquet: clicks", expected="BIGINT", found="VARCHAR", fix="cast it"
    )
    assert str(error).splitlines() == [
        "log.parquet: clicks: wrong type",
        "  expected: BIGINT",
        "  found:    VARCHAR",
        "  to do:    cast it",
    ]
    assert error.problem == "wrong type"


def test_parts_that_say_nothing_are_left_out() -> None:
    assert str(RecmtlError("no rows")) == "no rows"
    assert str(RecmtlError("no rows", found=0)) == "no rows\n  found:    0"


def test_nearest_finds_a_typing_error_and_lists_where_nothing_is_near() -> None:
    assert nearest("batchsize", ["epochs", "batch_size"]) == "did you mean 'batch_size'?"
    assert nearest("zzz", ["epochs", "batch_size"]) == "known: batch_size, epochs"
    assert nearest("zzz", []) == "there are none"
