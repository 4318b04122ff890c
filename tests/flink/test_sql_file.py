"""SQL files: where statements begin and end, and on which line, whatever stands in them."""

from __future__ import annotations

from pathlib import Path

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
    statements = sql_file.split(TEXT, "f.sql")
    assert [(item.number, item.line, item.kind) for item in statements] == [
        (1, 2, "CREATE"),
        (2, 6, "INSERT"),
        (3, 9, "INSERT"),
    ]
    assert statements[0].text == "CREATE VIEW a AS SELECT ';' AS x, `od;d` FROM b"
    assert statements[2].bare == "INSERT INTO d SELECT 'it''s' FROM a"


def test_an_error_names_the_line_of_the_file() -> None:
    statement = sql_file.split(TEXT, "f.sql")[1]
    error = statement.error("From line 2, column 8 to line 2, column 9: no such function")
    assert (error.line, str(error).split(":")[0]) == (7, "f.sql, statement 2, line 7")


def test_names_in_arrays_with_their_lines() -> None:
    assert list(sql_file.array_members(sql_file.split(TEXT, "f.sql")[1])) == [("one", 7), ("two", 7), ("three", 8)]


def test_a_placeholder_without_a_value() -> None:
    with pytest.raises(SwitchyardError, match=r"f\.sql: no value for placeholder 'topic'"):
        sql_file.fill("'$topic'", {}, "f.sql")


NASTY = {
    "a backslash before a quote": r"SELECT REGEXP(a, '\d+\') FROM b",
    "quotes in quotes": "SELECT 'it''s; ''so''', '' FROM b",
    "dashes in a string": "SELECT '-- ;', 'a' --; no\nFROM b",
    "a quote in a comment": "SELECT a -- don't; do\nFROM b /* it's; */ WHERE c",
    "backticks": "SELECT `a;b`, `it's`, `a``;b` FROM b",
    "brackets": "SELECT a [1], m['k;'], ARRAY ['x;', 'y'] FROM b",
    "a hint": "SELECT a FROM b /*+ OPTIONS('a;b' = 'c') */ AS x",
    "JSON paths": "SELECT JSON_VALUE(data, '$.a;b'), JSON_VALUE(data, '$[0]'), '$$' FROM b",
    "CASE and END": "SELECT CASE WHEN a THEN ';' END AS `end` FROM b",
    "a namespace": "CREATE TABLE a (b STRING) WITH ('path' = '/x;/${namespace}')",
    "Unicode": "SELECT 'é; 漢', U&'\\00e9;' FROM b",
    "an empty comment": "SELECT /**/ a /* ** */ FROM b",
}


@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY.keys())
def test_nothing_but_a_semicolon_of_its_own_ends_a_statement(body: str) -> None:
    text = f"-- first\n{body};\n\nSELECT 2;;\n;-- last"
    first, second = sql_file.split(text, "f.sql")
    assert (first.text, first.line) == (body, 2)
    assert (second.text, second.line) == ("SELECT 2", body.count("\n") + 4)


def test_hints_are_no_comments() -> None:
    [statement] = sql_file.split("SELECT a /* gone */ FROM b /*+ OPTIONS('c'='d') */ -- gone", "f.sql")
    assert statement.bare == "SELECT a FROM b /*+ OPTIONS('c'='d') */"


def test_code_keeps_every_place() -> None:
    [statement] = sql_file.split("SELECT /* a\nb */ 'x -- y', -- z\n 1", "f.sql")
    assert statement.code == "SELECT     \n     'x -- y',     \n 1"


def test_an_array_with_a_blank_before_its_bracket_and_quotes_inside() -> None:
    [statement] = sql_file.split("SELECT m['no'],\n array /* a */ ['one',\n 'it''s'], ARRAY[ARRAY['two']]", "f.sql")
    assert list(sql_file.array_members(statement)) == [("one", 2), ("it's", 3), ("two", 3)]


def test_a_file_of_another_editor(tmp_path: Path) -> None:
    """Windows' line ends, and a byte order mark before the first word."""
    file = tmp_path / "f.sql"
    file.write_bytes("\ufeffSELECT 1;\r\n-- a\r\nSELECT\r\n  '${namespace}', '$.a';\r\n".encode())
    first, second = sql_file.read_own(file, "desk", "f.sql")
    assert (first.line, first.text, first.kind) == (1, "SELECT 1", "SELECT")
    assert (second.line, second.text) == (3, "SELECT\n  'desk', '$.a'")


def test_a_statement_that_is_never_closed_is_left_to_flink() -> None:
    [statement] = sql_file.split("SELECT 'a FROM b;\n", "f.sql")
    assert statement.text.startswith("SELECT 'a")
