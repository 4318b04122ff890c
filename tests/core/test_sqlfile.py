from __future__ import annotations

import pytest

from switchyard.core.errors import SwitchyardError
from switchyard.flink import sql_file

TEXT = """\
-- a file; with a semicolon in a comment
CREATE VIEW a AS SELECT ';' AS x, `od;d` FROM b; /* and ; here */

EXECUTE STATEMENT SET BEGIN
  -- first
  INSERT INTO c
  SELECT ARRAY['one', 'two'],  -- ARRAY['not this']
    ARRAY['three'] FROM a;
  INSERT INTO d SELECT 'it''s' FROM a;
END;
"""


def test_statements_know_their_line() -> None:
    found = sql_file.split(TEXT, "f.sql")
    assert [(item.number, item.line, item.kind) for item in found] == [
        (1, 2, "CREATE"),
        (2, 6, "INSERT"),
        (3, 9, "INSERT"),
    ]
    assert found[0].text == "CREATE VIEW a AS SELECT ';' AS x, `od;d` FROM b"
    assert found[2].bare == "INSERT INTO d SELECT 'it''s' FROM a"


def test_an_error_names_the_line_of_the_file() -> None:
    statement = sql_file.split(TEXT, "f.sql")[1]
    error = statement.error("From line 2, column 8 to line 2, column 9: no such function")
    assert (error.line, str(error).split(":")[0]) == (7, "f.sql, statement 2, line 7")


def test_names_in_arrays_with_their_lines() -> None:
    assert list(sql_file.literals(sql_file.split(TEXT, "f.sql")[1])) == [("one", 7), ("two", 7), ("three", 8)]


def test_a_placeholder_without_a_value() -> None:
    with pytest.raises(SwitchyardError, match=r"f\.sql: no value for placeholder 'topic'"):
        sql_file.fill("'$topic'", {}, "f.sql")
