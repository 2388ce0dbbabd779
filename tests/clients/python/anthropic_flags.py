"""The official Anthropic SDK for Python against dimmer with flags on: what they change, what a provider holds, what goes wrong."""

import asyncio
import functools

import anthropic
import pydantic
from anthropic import beta_tool
from cases import DIMMER, KEY, case, equal, last_body, last_path, raises, run

ASK = [{"role": "user", "content": "How is the weather in Oslo?"}]
RESTING = "The assistant is resting."
PIRATE = "Talk like a pirate."
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
# What the provider is told, by `system_prompt.mode`, where the app says "Be brief."
MODES = {
    "/replace": PIRATE,
    "/prepend": f"{PIRATE}\n\nBe brief.",
    "/append": f"Be brief.\n\n{PIRATE}",
    "/if_absent": "Be brief.",
}


def fresh(path, kind=anthropic.Anthropic):
    return kind(base_url=f"{DIMMER}{path}", api_key=KEY, max_retries=0)


client = functools.cache(lambda path="": fresh(path))


def create(api, **more):
    return api.messages.create(**{"model": "whatever", "max_tokens": 400, "messages": ASK, **more})


def told(system):
    """How the simulated provider begins its answer when it is told this."""
    return f"(c-model, told: {' '.join(system.split())})"


@case
def replies():
    answer = create(client("/resting"))
    equal((answer.content[0].text, answer.stop_reason), (RESTING, "end_turn"))
    with client("/resting").messages.stream(model="x", max_tokens=9, messages=ASK) as stream:
        equal(stream.get_final_text(), RESTING)


def broken(fault):
    """The error that a stream with this fault ends with, after it gave something."""
    got = []

    def read():
        for event in create(client("/replace"), stream=True, extra_headers={"x-fault": fault}):
            got.append(event)

    error = raises(anthropic.APIStatusError, read)
    assert got, "what came before was relayed"
    return error


@case
def cut_streams():
    error = broken("cut")
    equal((error.error_code, error.type), ("dimmer_upstream_reset", "api_error"))
    with client("/replace").messages.stream(
        model="x", max_tokens=400, messages=ASK, extra_headers={"x-fault": "cut"}
    ) as stream:
        raises(anthropic.APIStatusError, stream.get_final_message)


@case
def error_events():
    equal(broken("error").type, "overloaded_error")


@case
def count_tokens():
    count = lambda path, **more: client(path).messages.count_tokens(model="x", messages=ASK, **more).input_tokens
    plain = count("/chosen")
    equal([count(path) - plain for path in MODES], [4, 4, 4, 4])
    brief = count("/chosen", system="Be brief.")
    equal([count(path, system="Be brief.") - brief for path in MODES], [2, 4, 4, 0])
    equal((last_path(), last_body()["model"]), ("/c/v1/messages/count_tokens", "c-model"))
    equal(count("/replace"), create(client("/replace")).usage.input_tokens)

    async def asynchronous():
        api = fresh("/replace", anthropic.AsyncAnthropic)
        equal((await api.messages.count_tokens(model="x", messages=ASK)).input_tokens, plain + 4)

    asyncio.run(asynchronous())


@case
def prompt_modes():
    for path, system in MODES.items():
        answer = create(client(path), system="Be brief.")
        equal(last_body()["system"], system)
        assert answer.content[0].text.startswith(told(system)), answer.content[0].text
        create(client(path))
        equal(last_body()["system"], PIRATE)


@case
def tool_runner():
    @beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}"

    for path, system in MODES.items():
        for stream in (False, True):
            runner = client(path).beta.messages.tool_runner(
                model="x", max_tokens=400, system="Be brief.", tools=[weather], messages=ASK, stream=stream
            )
            final = None
            for one in runner:
                final = one.get_final_message() if stream else one
            body = last_body()
            equal((body["thread"]["type"], len(body["messages"]), body.get("system")), ("continue", 1, None))
            text = final.content[0].text
            assert text.startswith(told(system)) and "The tool says: Rain in" in text, text


@case
def structured():
    class Weather(pydantic.BaseModel):
        city: str
        degrees: int

    answer = client("/append").messages.parse(model="x", max_tokens=400, messages=ASK, output_format=Weather)
    assert isinstance(answer.parsed_output, Weather), answer
    equal(last_body()["system"], PIRATE)
    call = lambda: client("/resting").messages.parse(model="x", max_tokens=9, messages=ASK, output_format=Weather)
    error = raises(anthropic.HTTPNotImplementedError, call)
    equal((error.status_code, error.error_code), (501, "dimmer_reply_unfit"))


@case
def many_blocks():
    blocks = [{"type": "text", "text": f"Block {number}."} for number in range(40)]
    for number in (3, 20, 38):
        blocks[number].update(CACHED)
    pirate = {"type": "text", "text": PIRATE}
    for path, expected in (
        ("/replace", [{**pirate, **CACHED}]),
        ("/prepend", [pirate, *blocks]),
        ("/append", [*blocks, pirate]),
        ("/if_absent", blocks),
    ):
        create(client(path), system=blocks)
        equal(last_body()["system"], expected)


@case
def parameters():
    raw = client("/set").messages.with_raw_response.create(model="x", max_tokens=4000, messages=ASK)
    # The API's version that this SDK speaks refuses sampling parameters.
    equal(raw.headers["x-dimmer-dropped"], "temperature")
    body = last_body()
    equal((body["max_tokens"], body["output_config"], "temperature" in body), (300, {"effort": "low"}, False))


@case
def models():
    listed = [model.id for model in client().models.list()]
    declared = ["gpt-a", "gpt-b", "gpt-b-slow", "vectors", "claude-c", "gpt-azure", "gpt-dated"]
    equal(listed, ["assistant", "team/helper", *declared])
    for path in ("", "/chosen"):
        for limit in (1, 2, 3):
            equal([model.id for model in client(path).models.list(limit=limit)], listed)

    async def asynchronous():
        api = fresh("", anthropic.AsyncAnthropic)
        equal([model.id async for model in api.models.list(limit=1)], listed)

    asyncio.run(asynchronous())
    for alias in ("assistant", "team/helper"):
        equal(client("/chosen").models.retrieve(alias).id, alias)
    error = raises(anthropic.NotFoundError, lambda: client("/chosen").models.retrieve("nobody"))
    equal(error.type, "not_found_error")


run()
