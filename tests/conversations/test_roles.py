import pytest

BAD_ROLES = ["", "robot", None, 7]


@pytest.mark.parametrize("role", BAD_ROLES)
@pytest.mark.parametrize("extra", [{}, {"HTTP_ORIGIN": "http://a.test"}], ids=["fast", "ordinary"])
def test_unknown_role_is_refused_on_both_ways(api, role, extra):
    conversation = api.send("POST", "/api/v1/conversations", {})
    path = f"/api/v1/conversations/{conversation['id']}/messages"
    message = {"role": role, "content": "x"}
    for body, where in ((message, path), ({"messages": [message]}, f"{path}/batch")):
        (found,) = api.send("POST", where, body, expect=422, **extra)["detail"]
        assert found["loc"][-1] == "role"
