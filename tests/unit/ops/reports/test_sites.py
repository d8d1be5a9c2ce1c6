"""`report sites`: lines to the letter, however the summaries come in."""

from __future__ import annotations

import json

from ops.reports.sites import coverage, operators, periods, totals

SUMMARIES = [
    {"site_id": site, "messages": chats, "emails": emails, "operators": 2, "visitors": 5, "revision": 9}
    for site, chats, emails in [("1", 4, 4), ("10", 1, 2), ("2", 0, 7), ("100", 0, 0)]
]


def test_sites_are_sorted_as_text_by_code_point() -> None:
    """`1, 10, 100, 2`: and what lies outside the BMP comes after what lies in it, as code points do."""
    sites = [*SUMMARIES, {**SUMMARIES[0], "site_id": "\U0001f600"}, {**SUMMARIES[0], "site_id": "\uffff"}]
    assert [line.split(",")[0] for line in totals(sites).text()] == ["1", "10", "100", "2", "\uffff", "\U0001f600"]


def test_a_line_reads_as_the_contract_says() -> None:
    assert list(totals(SUMMARIES[:1]).text()) == ["1,messages=4,emails=4,operators=2,visitors=5"]


def test_control_characters_of_a_site_are_escaped_and_nothing_else() -> None:
    """A line stays one line; quotes, commas, backslashes and foreign letters stay as they are."""
    site = {**SUMMARIES[0], "site_id": 'a\n\x00\x1b\x7f\x85"\\,ü\u2028'}
    assert next(totals([site]).text()).startswith('a\\u000a\\u0000\\u001b\\u007f\\u0085"\\,ü\u2028,messages=')


def test_rank_puts_most_emails_first_and_equal_ones_by_site() -> None:
    more = [*SUMMARIES, {**SUMMARIES[0], "site_id": "0"}]
    assert [row[0] for row in totals(more, rank="emails").rows] == ["2", "0", "1", "10", "100"]


def test_a_site_that_did_not_exist_yet_is_left_out() -> None:
    assert list(totals([None, SUMMARIES[0]]).text()) == ["1,messages=4,emails=4,operators=2,visitors=5"]


def test_coverage_is_the_share_of_messages_that_met_an_operator() -> None:
    """A site without messages has none."""
    assert list(coverage(SUMMARIES).text()) == ["1,0.5", "10,0.3333333333333333", "100,", "2,0.0"]


def test_periods_and_intervals_are_sorted_by_site_then_time() -> None:
    counts = {"messages": 1, "emails": 0, "operators": 0, "visitors": 1}
    answers = [("b", [{"period_start": 3600, **counts}]), ("a", None), ("1", [{"period_start": 0, **counts}])]
    assert list(periods(answers).text()) == [
        "1,0,messages=1,emails=0,operators=0,visitors=1",
        "b,3600,messages=1,emails=0,operators=0,visitors=1",
    ]
    signed = [("a", [{"operator": "o", "from": 5, "to": None}, {"operator": "o", "from": 1, "to": 3}])]
    assert list(operators(signed).text()) == ["a,o,1,3", "a,o,5,"]


def test_json_is_an_array_named_like_the_columns() -> None:
    objects = json.loads("\n".join(totals(SUMMARIES).json()))
    assert objects[0] == {"site_id": "1", "messages": 4, "emails": 4, "operators": 2, "visitors": 5}
    assert json.loads("\n".join(totals([]).json())) == []


def test_csv_has_a_header_and_quotes() -> None:
    site = {**SUMMARIES[0], "site_id": 'a,"b"\n\r'}
    assert list(totals([site]).csv()) == ["site_id,messages,emails,operators,visitors", '"a,""b""\n\r",4,4,2,5']
