import socket

import pytest
from page.server import listen

from jaxcolor.errors import UserError


def test_a_port_in_use_is_one_line() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError) as error:
            listen("127.0.0.1", port)
    assert str(error.value) == f"cannot listen on port {port}: Address already in use; choose another --port"


def test_it_listens_on_one_address_alone() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.family == socket.AF_INET
        assert listener.getsockname()[0] == "127.0.0.1"


def test_an_unknown_address_is_one_line() -> None:
    with pytest.raises(UserError, match="cannot listen on port 7860 of 1.2.3.4.5: .*; choose another --host"):
        listen("1.2.3.4.5", 7860)
