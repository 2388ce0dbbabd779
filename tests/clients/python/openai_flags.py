"""The official OpenAI SDK for Python against dimmer with flags on: what they change, what a provider holds, what goes wrong."""

import asyncio
import functools
import re

import openai
import pydantic
from cases import DIMMER, KEY, Attempts, case, equal, eventually, last_body, last_path, raises, reload, run, seen

ASK = "How is the weather in Oslo?"
RESTING = "The assistant is resting."
PIRATE = "Talk like a pirate."
PRO = {"x-user-tier": "pro"}
CHAT = [{"role": "user", "content": ASK}]


def fresh(path, kind=openai.OpenAI, **more):
    return kind(**{"base_url": f"{DIMMER}{path}/v1", "api_key": KEY, "max_retries": 0, **more})


client = functools.cache(lambda path="": fresh(path))


def create(api, **more):
    return api.responses.create(**{"model": "gpt-a", "input": ASK, **more})


def decided(call, **more):
    """The model that dimmer says it asked, and the answer."""
    raw = call(**{"model": "whatever", **more})
    return raw.headers["x-dimmer-model"], raw.parse()


def respond(path, **more):
    return decided(client(path).responses.with_raw_response.create, **{"input": ASK, **more})


def streams(path, **more):
    """A stream of each API that has one."""
    api = client(path)
    return [
        lambda: create(api, stream=True, **more),
        lambda: api.chat.completions.create(model="gpt-a", messages=CHAT, stream=True, **more),
        lambda: api.completions.create(model="gpt-a", prompt=ASK, max_tokens=400, stream=True, **more),
    ]


@case
def replies():
    answer = create(client("/resting"))
    equal((answer.output_text, answer.status, answer.error), (RESTING, "completed", None))
    events = list(create(client("/resting"), stream=True))
    equal([event.sequence_number for event in events], list(range(len(events))))
    equal((events[-1].type, events[-1].response.output_text), ("response.completed", RESTING))
    with client("/resting").responses.stream(model="gpt-a", input=ASK) as stream:
        equal(stream.get_final_response().output_text, RESTING)
    whole = client("/resting").completions.create(model="gpt-a", prompt=ASK)
    equal((whole.choices[0].text, whole.choices[0].finish_reason), (RESTING, "stop"))
    chunks = list(client("/resting").completions.create(model="gpt-a", prompt=ASK, stream=True))
    equal("".join(chunk.choices[0].text for chunk in chunks), RESTING)

    async def asynchronous():
        async with fresh("/resting", openai.AsyncOpenAI) as api:
            equal((await create(api)).output_text, RESTING)
            deltas = [e.delta async for e in await create(api, stream=True) if e.type == "response.output_text.delta"]
            equal("".join(deltas), RESTING)

    asyncio.run(asynchronous())


@case
def parse_passes_a_text_over():
    class Weather(pydantic.BaseModel):
        city: str

    api = client("/resting")
    for call in (
        lambda: api.responses.parse(model="gpt-a", input=ASK, text_format=Weather),
        lambda: api.chat.completions.parse(model="gpt-a", messages=CHAT, response_format=Weather),
    ):
        error = raises(openai.InternalServerError, call)
        equal((error.status_code, error.code), (501, "dimmer_reply_unfit"))
        assert "does not fit" in error.body["message"], error.body


def read(stream):
    """What a stream gave, and the error that it ended with."""
    got, error = [], None
    try:
        for one in stream:
            got.append(one)
    except openai.APIError as raised:
        error = raised
    return got, error


@case
def cut_streams():
    responses, *others = streams("/chosen", extra_headers={"x-fault": "cut"})
    # Here the SDK yields error events like any other, and raises at the broken transfer behind it.
    got, error = read(responses())
    equal((got[-1].type, got[-1].code), ("error", "dimmer_upstream_reset"))
    equal((type(error), got[-1].sequence_number), (openai.APIConnectionError, len(got) - 1))
    for call in others:
        got, error = read(call())
        assert got, "what came before the break was relayed"
        equal((type(error), error.code), (openai.APIError, "dimmer_upstream_reset"))

    async def asynchronous():
        async with fresh("/chosen", openai.AsyncOpenAI) as api:
            async for _ in await create(api, stream=True, extra_headers={"x-fault": "cut"}):
                pass

    raises(openai.APIConnectionError, lambda: asyncio.run(asynchronous()))


@case
def error_events():
    responses, *others = streams("/chosen", extra_headers={"x-fault": "error"})
    got, error = read(responses())
    equal((got[-1].type, got[-1].message, error), ("error", "too much", None))
    for call in others:
        got, error = read(call())
        assert got, "what came before the error was relayed"
        equal((type(error), error.message), (openai.APIError, "too much"))


@case
def prompts():
    kind = {"role": "developer", "content": "And kind."}
    pirate = {"role": "developer", "content": PIRATE}
    for path, instructions, items in (
        ("/replace", PIRATE, CHAT),
        ("/prepend", f"{PIRATE}\n\nBe brief.", [kind, *CHAT]),
        ("/append", "Be brief.", [kind, pirate, *CHAT]),
        ("/if_absent", "Be brief.", [kind, *CHAT]),
    ):
        model, answer = respond(path, instructions="Be brief.", input=[kind, *CHAT])
        equal((model, answer.instructions, last_body()["input"]), ("gpt-a", instructions, items))
        assert answer.output_text.startswith(f"(a-model, told: {instructions.splitlines()[0]}"), answer.output_text
        _, answer = respond(path)
        equal((answer.instructions, last_body()["input"]), (PIRATE, ASK))


@case
def parameters():
    model, answer = respond("/set", max_output_tokens=4000, reasoning={"effort": "high", "summary": "auto"})
    equal((model, answer.temperature, answer.max_output_tokens), ("gpt-a", 0.25, 300))
    equal((answer.reasoning.effort, answer.reasoning.summary), ("low", "auto"))
    _, answer = respond("/set", temperature=1, max_output_tokens=100, extra_headers=PRO)
    equal((answer.model, answer.temperature, answer.max_output_tokens), ("b-model", 0.25, 100))
    client("/set").completions.create(model="gpt-a", prompt=ASK, max_tokens=4000)
    equal([last_body().get(name) for name in ("temperature", "max_tokens", "reasoning_effort")], [0.25, 300, None])


@case
def denied_tools():
    tool = lambda name: {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
    raw = client("/denied").responses.with_raw_response.create(
        model="gpt-a", input="Use the shell and look_up tools", tools=[tool("shell"), tool("look_up")],
    )
    equal(raw.headers["x-dimmer-dropped"], "tools.shell")
    answer = raw.parse()
    equal(([one.name for one in answer.tools], [call.name for call in answer.output]), (["look_up"], ["look_up"]))
    with client("/denied").responses.stream(
        model="gpt-a", input="Use the shell", tools=[tool("shell")], tool_choice="required"
    ) as stream:
        final = stream.get_final_response()
    equal((final.tools, final.tool_choice, final.output[0].type), ([], "auto", "message"))


@case
def chain_stays_where_it_began():
    model, first = respond("/chosen")
    equal(model, "gpt-a")
    for turn in range(3):
        # The flag moves the user to the other provider; the chain stays, and a new one begins there.
        model, first = respond("/chosen", previous_response_id=first.id, extra_headers=PRO)
        equal((model, first.model), ("gpt-a", "a-model"))
    model, other = respond("/chosen", extra_headers=PRO)
    equal((model, other.model), ("gpt-b", "b-model"))
    model, other = respond("/chosen", previous_response_id=other.id)
    equal((model, other.model), ("gpt-b", "b-model"))
    for held in (first, other):
        equal(client("/chosen").responses.retrieve(held.id).id, held.id)
    stream = client("/chosen").responses.stream(
        model="x", input=ASK, previous_response_id=other.id, extra_headers={"x-user-tier": "free"}
    )
    with stream as events:
        equal(events.get_final_response().model, "b-model")


@case
def background_stays_where_it_began():
    api = client("/chosen")
    model, queued = respond("/chosen", background=True, extra_headers=PRO)
    equal((model, queued.status), ("gpt-b", "queued"))
    done = lambda: api.responses.retrieve(queued.id).status == "completed"
    eventually(done, "the response gets done")
    slow = create(client("/slow"), background=True)
    eventually(lambda: api.responses.retrieve(slow.id).status == "in_progress", "it begins")
    equal(api.responses.cancel(slow.id).status, "cancelled")
    api.responses.delete(slow.id)
    raises(openai.NotFoundError, lambda: api.responses.retrieve(slow.id))

    async def asynchronous():
        async with fresh("/slow", openai.AsyncOpenAI) as api:
            slow = await create(api, background=True)
            equal((await api.responses.cancel(slow.id)).status, "cancelled")

    asyncio.run(asynchronous())


@case
def conversation_stays_where_it_began():
    api = client("/chosen")
    made = api.conversations.create()
    for headers in ({}, PRO):
        model, answer = respond("/chosen", conversation=made.id, extra_headers=headers)
        equal((model, answer.conversation.id), ("gpt-a", made.id))
    equal(len(list(api.conversations.items.list(made.id))), 4)
    api.conversations.delete(made.id)
    raises(openai.NotFoundError, lambda: create(api, conversation=made.id))


@case
def counted_and_compacted():
    api = client("/replace")
    count = lambda path: client(path).responses.input_tokens.count(model="gpt-a", input=ASK)
    plain, told = count("/chosen"), count("/replace")
    equal((told.input_tokens - plain.input_tokens, told.input_tokens), (4, create(api).usage.input_tokens))
    compacted = api.responses.compact(model="gpt-a", input=ASK, extra_headers=PRO)
    equal((last_path(), last_body()["model"], last_body()["instructions"]), ("/b/v1/responses/compact", "b-model", PIRATE))
    assert compacted.output[-1].encrypted_content.startswith("b-model"), compacted


@case
def completions():
    api = client("/replace")
    raw = api.completions.with_raw_response.create(model="whatever", prompt=ASK, max_tokens=400)
    equal((raw.headers["x-dimmer-model"], raw.headers["x-dimmer-dropped"]), ("gpt-a", "system_prompt"))
    whole = raw.parse()
    asked = {"model": "whatever", "prompt": ASK, "max_tokens": 400, "stream": True}
    hidden = list(api.completions.create(**asked))
    equal([chunk.usage for chunk in hidden], [None] * len(hidden))
    assert all(chunk.choices for chunk in hidden), "the chunk that dimmer asks for is taken out"
    equal("".join(chunk.choices[0].text for chunk in hidden), whole.choices[0].text)
    shown = list(api.completions.create(**asked, stream_options={"include_usage": True}))
    equal((len(shown), shown[-1].choices, shown[-1].usage), (len(hidden) + 1, [], whole.usage))


@case
def embeddings():
    for path in ("/chosen", "/library"):
        packed = client(path).embeddings.create(model="assistant", input=["one", "two"], dimensions=8)
        body = last_body()
        equal((last_path(), body["model"]), ("/b/v1/embeddings", "vectors-3-large"))
        equal(body["encoding_format"], "base64")
        plain = client(path).embeddings.create(model="x", input=["one", "two"], dimensions=8, encoding_format="float")
        for one, other in zip(packed.data, plain.data, strict=True):
            assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding, strict=True))
    client("").embeddings.create(model="assistant", input="one", dimensions=8)
    equal(last_body()["model"], "vectors-3-large")

    async def asynchronous():
        async with fresh("/library", openai.AsyncOpenAI) as api:
            equal(len((await api.embeddings.create(model="x", input="one", dimensions=8)).data[0].embedding), 8)

    asyncio.run(asynchronous())


@case
def models():
    aliases = ["assistant", "team/helper"]
    listed = [model.id for model in client().models.list()]
    equal(listed, [*aliases, "gpt-a", "gpt-b", "gpt-b-slow", "vectors", "claude-c", "gpt-azure", "gpt-dated"])
    equal([model.id for model in client("/chosen").models.list()], listed)
    for alias in aliases:
        equal(client("/chosen").models.retrieve(alias).id, alias)
    error = raises(openai.NotFoundError, lambda: client("/chosen").models.retrieve("nobody"))
    equal(error.code, "model_not_found")

    async def asynchronous():
        async with fresh("", openai.AsyncOpenAI) as api:
            equal([model.id async for model in api.models.list()], listed)

    asyncio.run(asynchronous())


@case
def azure():
    for path, model, called in (
        ("/azure", "gpt-azure", ["/azure/openai/v1/responses", "/azure/openai/v1/chat/completions"]),
        (
            "/dated",
            "gpt-dated",
            [
                "/azure/openai/responses?api-version=2024-10-21",
                "/azure/openai/deployments/azure-model/chat/completions?api-version=2024-10-21",
            ],
        ),
    ):
        asked, first = respond(path)
        equal((asked, first.model, last_path()), (model, "azure-model", called[0]))
        headers = seen()["last"]["headers"]
        assert "api-key" in headers and "authorization" not in headers, headers.keys()
        events = list(create(client(path), stream=True, previous_response_id=first.id))
        equal((events[-1].type, events[-1].response.model), ("response.completed", "azure-model"))
        chunks = list(client(path).chat.completions.create(model="x", messages=CHAT, stream=True))
        equal((last_path(), chunks[0].model), (called[1], "azure-model"))
        vectors = client(path).embeddings.create(model="text-3", input="one", dimensions=8)
        equal(len(vectors.data[0].embedding), 8)
        equal(client(path).responses.retrieve(first.id).id, first.id)


@case
def another_key():
    limited = {"x-user-id": "user-1", "x-fault": "limit-one"}
    error = raises(openai.RateLimitError, lambda: create(client("/chosen"), extra_headers=limited))
    equal((error.response.headers["retry-after"], error.code), ("1", "c"))
    assert create(client("/chosen"), extra_headers=limited).output_text, "the next try takes another key"
    attempts = Attempts()
    http = openai.DefaultHttpxClient(event_hooks={"request": [attempts]})
    api = fresh("/chosen", max_retries=2, http_client=http)
    for name, call in (
        ("two", lambda more: create(api, **more)),
        ("three", lambda more: list(create(api, stream=True, **more))),
    ):
        attempts.count = 0
        call({"extra_headers": {"x-user-id": "user-2", "x-fault": f"limit-{name}"}})
        equal(attempts.count, 2)


@case
def provider_removed():
    _, first = respond("/chosen", extra_headers=PRO)
    without = lambda text: re.sub(r"(?s)\[providers\.b\].*?(?=\[providers\.c\])", "", text.replace('= "b"', '= "a"'))
    before = reload(without)
    for more in ({}, {"stream": True}):
        error = raises(openai.BadRequestError, lambda: create(client("/chosen"), previous_response_id=first.id, **more))
        equal((error.code, error.param), ("previous_response_not_found", "previous_response_id"))
    gone = raises(openai.NotFoundError, lambda: client("/chosen").responses.retrieve(first.id))
    equal(gone.code, "not_found")
    again = create(client("/chosen"), input=[*CHAT, *first.output, {"role": "user", "content": "And tomorrow?"}])
    equal(again.model, "a-model")
    reload(lambda _: before)
    _, second = respond("/chosen", previous_response_id=first.id)
    equal(second.model, "b-model")


run()
