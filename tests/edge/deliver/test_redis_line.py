"""The lean line to a Redis server: answers in order, no late answers, back after a loss."""

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError

from edge.deliver.redis_line import RedisLine
from tests.support.pacing import Server


async def test_answers_come_in_the_order_of_their_commands(control: Server) -> None:
    line = RedisLine(control.url, timeout_s=5)
    found = await asyncio.gather(*(line.ask("ECHO", str(number)) for number in range(200)))
    assert found == [str(number).encode() for number in range(200)]
    assert await line.ask("SET", "k", b"\x00\r\n\xff") == b"OK"
    assert await line.ask("GET", "k") == b"\x00\r\n\xff"
    line.close()


async def test_a_refused_command_is_an_answer_and_the_line_goes_on(control: Server) -> None:
    line = RedisLine(control.url, timeout_s=5)
    with pytest.raises(ResponseError):
        await line.ask("NONSENSE")
    assert await line.ask("PING") == b"PONG"
    line.close()


async def test_a_command_given_up_takes_its_answer_with_it(control: Server) -> None:
    line = RedisLine(control.url, timeout_s=5)
    await line.ask("SET", "a", "1")
    control.freeze(True)
    given_up = asyncio.create_task(line.ask("GET", "a"))
    await asyncio.sleep(0)  # it is on its way
    given_up.cancel()
    await asyncio.wait([given_up])
    control.freeze(False)
    assert await line.ask("ECHO", "later") == b"later"
    line.close()


async def test_it_connects_again_after_the_connection_was_lost(control: Server) -> None:
    line = RedisLine(control.url, timeout_s=5)
    await line.ask("SET", "a", "1")
    with pytest.raises((RedisError, OSError)):
        await line.ask("QUIT") and await line.ask("GET", "a")
        await line.ask("GET", "a")
    assert await line.ask("GET", "a") == b"1"
    line.close()


async def test_no_server_is_an_error_in_time() -> None:
    line = RedisLine("unix:///nowhere/at/all.sock", timeout_s=1)
    with pytest.raises(OSError):
        await line.ask("PING")


async def test_password_and_database_of_the_address_are_used(control: Server) -> None:
    admin = RedisLine(control.url, timeout_s=5)
    await admin.ask("CONFIG", "SET", "requirepass", "s3cret")
    try:
        with pytest.raises(ResponseError):
            await RedisLine(control.url, timeout_s=5).ask("GET", "a")
        line = RedisLine(control.url + "?password=s3cret", timeout_s=5)
        assert await line.ask("SET", "a", "1") == b"OK"
        line.close()
    finally:
        await admin.ask("CONFIG", "SET", "requirepass", "")
        admin.close()
