"""What `llm-proxy manage` prints of the server's JSON."""

from gateway.cli.output import print_members, print_table

TITLES = {"spent_usd": "Spent USD", "remaining": "Remaining"}


def test_small_amounts_are_printed_without_exponents(capsys):
    token = {"spent_usd": 2.7e-05, "remaining": {"requests": None, "budget_usd": 1e-12}}

    print_table([token], TITLES)
    print_members(token, TITLES)

    left = "requests -, budget_usd 0.000000000001"
    assert capsys.readouterr().out.splitlines() == [
        "Spent USD  Remaining",
        f"0.000027   {left}",
        "Spent USD: 0.000027",
        f"Remaining: {left}",
    ]
