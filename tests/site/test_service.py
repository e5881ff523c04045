def test_health_says_that_the_database_is_connected(anonymous):
    body = anonymous.read("/health")
    assert (body["status"], body["database"], body["redis"]) == ("healthy", "connected", "disabled")


def test_both_spellings_of_a_path_are_served(anonymous):
    assert anonymous.read("/live") == anonymous.read("/live/") == {"status": "alive"}
