"""The official OpenAI SDK for Python against dimmer and its simulated provider: Responses, Completions, embeddings, models."""

import asyncio
import json
import time

import openai
import pydantic
from cases import DIMMER, KEY, case, equal, raises, run

ASK = "How is the weather in Oslo?"
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def client(path="", kind=openai.OpenAI):
    return kind(base_url=f"{DIMMER}{path}/v1", api_key=KEY, max_retries=0)


def create(api, **more):
    return api.responses.create(**{"model": "gpt-sim", "input": ASK, **more})


def refused(kind, code, call):
    error = raises(kind, call)
    equal(error.code, code)
    assert error.type and error.body["message"], error.body
    return error


@case
def response():
    answer = create(client(), instructions="Be brief.", metadata={"a": "b"})
    assert "(gpt-sim, told: Be brief.)" in answer.output_text, answer.output_text
    equal((answer.status, answer.error, answer.metadata), ("completed", None, {"a": "b"}))
    equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)
    short = create(client(), max_output_tokens=3)
    equal((short.status, short.incomplete_details.reason), ("incomplete", "max_output_tokens"))


@case
def response_streamed():
    events = list(create(client(), stream=True))
    equal([event.sequence_number for event in events], list(range(len(events))))
    equal([events[0].type, events[1].type], ["response.created", "response.in_progress"])
    equal(events[-1].type, "response.completed")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(events[-1].response.output_text, text)
    with client().responses.stream(model="gpt-sim", input=ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.content_part.added", "response.output_text.done"} <= kinds, kinds
    equal(final.output_text, text)


@case
def response_tools():
    api = client()
    first = create(api, tools=[TOOL], tool_choice="required")
    call = first.output[0]
    equal((call.type, call.name), ("function_call", "weather"))
    assert isinstance(json.loads(call.arguments)["city"], str), call.arguments
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain, 4 °C"}
    last = create(api, input=[result], previous_response_id=first.id, tools=[TOOL])
    assert "The tool says: Rain, 4 °C" in last.output_text, last.output_text
    with api.responses.stream(model="gpt-sim", input=ASK, tools=[TOOL], tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        equal(stream.get_final_response().output[0].name, "weather")
    assert "response.function_call_arguments.delta" in kinds, kinds


@case
def response_parsed():
    class Weather(pydantic.BaseModel):
        city: str
        degrees: int

    answer = client().responses.parse(model="gpt-sim", input=ASK, text_format=Weather)
    assert isinstance(answer.output_parsed, Weather), answer.output_text


@case
def response_flagged():
    raw = client("/flagged").responses.with_raw_response.create(model="whatever", input=ASK)
    equal(raw.headers["x-dimmer-model"], "gpt-other")
    assert "(gpt-other," in raw.parse().output_text


@case
def response_stored():
    api = client()
    made = create(api)
    equal(api.responses.retrieve(made.id).output_text, made.output_text)
    items = list(api.responses.input_items.list(made.id))
    equal([(item.role, item.content[0].text) for item in items], [("user", ASK)])
    equal(raises(openai.BadRequestError, lambda: api.responses.cancel(made.id)).status_code, 400)
    api.responses.delete(made.id)
    raises(openai.NotFoundError, lambda: api.responses.retrieve(made.id))
    unstored = create(api, store=False)
    raises(openai.NotFoundError, lambda: api.responses.retrieve(unstored.id))


@case
def response_follows():
    api = client()
    first = create(api)
    second = create(api, input="And tomorrow?", previous_response_id=first.id)
    assert second.usage.input_tokens > first.usage.total_tokens
    error = refused(
        openai.BadRequestError,
        "previous_response_not_found",
        lambda: create(api, previous_response_id="resp_unknown"),
    )
    equal(error.param, "previous_response_id")


@case
def response_in_the_background():
    api = client()
    queued = create(api, background=True)
    equal(queued.status, "queued")
    end = time.monotonic() + 10
    while api.responses.retrieve(queued.id).status in ("queued", "in_progress"):
        assert time.monotonic() < end, "it never gets done"
        time.sleep(0.02)
    equal(api.responses.retrieve(queued.id).status, "completed")
    slow = create(api, model="gpt-slow", background=True)
    equal(api.responses.retrieve(slow.id).status, "in_progress")
    equal(api.responses.cancel(slow.id).status, "cancelled")
    equal(api.responses.retrieve(slow.id).status, "cancelled")


@case
def conversation():
    api = client()
    made = api.conversations.create(items=[{"type": "message", "role": "user", "content": "Hello!"}])
    first = create(api, conversation=made.id)
    second = create(api, conversation=made.id, input="More?")
    equal(second.conversation.id, made.id)
    assert second.usage.input_tokens > first.usage.total_tokens
    equal(len(list(api.conversations.items.list(made.id))), 5)
    equal(api.conversations.retrieve(made.id).id, made.id)
    equal(api.conversations.delete(made.id).deleted, True)
    raises(openai.NotFoundError, lambda: create(api, conversation=made.id))


@case
def input_tokens():
    api = client("/flagged")
    raw = api.responses.input_tokens.with_raw_response.count(model="whatever", input=ASK)
    equal(raw.headers["x-dimmer-model"], "gpt-other")
    equal(raw.parse().input_tokens, create(api).usage.input_tokens)
    count = lambda path: client(path).responses.input_tokens.count(model="gpt-sim", input=ASK)
    refused(openai.NotFoundError, "dimmer_nothing_to_count", lambda: count("/resting"))
    refused(openai.InternalServerError, "dimmer_kill_switch", lambda: count("/off"))


@case
def compact():
    compacted = client("/flagged").responses.compact(model="gpt-sim", input=ASK)
    equal([item.type for item in compacted.output], ["message", "compaction"])
    assert compacted.output[1].encrypted_content.startswith("gpt-other")


@case
def completion():
    api = client("/flagged")
    whole = api.completions.create(model="whatever", prompt=ASK, max_tokens=400)
    assert whole.choices[0].text.startswith("(gpt-other,"), whole.choices[0].text
    equal(whole.choices[0].finish_reason, "stop")
    chunks = list(
        client().completions.create(
            model="gpt-other", prompt=ASK, max_tokens=400, stream=True, stream_options={"include_usage": True}
        )
    )
    equal("".join(chunk.choices[0].text for chunk in chunks[:-1]), whole.choices[0].text)
    equal(chunks[-1].usage, whole.usage)


@case
def embeddings():
    api = client()
    texts = ["one", "two"]
    packed = api.embeddings.create(model="embedding-sim", input=texts, dimensions=8)
    plain = api.embeddings.create(model="embedding-sim", input=texts, dimensions=8, encoding_format="float")
    equal([len(one.embedding) for one in packed.data], [8, 8])
    for one, other in zip(packed.data, plain.data):
        assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding))
    assert packed.data[0].embedding != packed.data[1].embedding
    equal(packed.usage.total_tokens, 2)


@case
def models():
    listed = lambda path: [model.id for model in client(path).models.list()]
    provider = ["gpt-sim", "gpt-other", "gpt-slow", "gpt-failing", "claude-sim", "claude-other"]
    equal(listed("/plain"), provider)
    equal(listed("/named"), ["assistant", *provider])
    equal(listed(""), ["assistant", *provider])
    for path in ("", "/named"):
        entry = client(path).models.retrieve("assistant")
        equal((entry.id, entry.object, entry.owned_by), ("assistant", "model", "dimmer"))
    equal(client("/named").models.retrieve("gpt-sim").owned_by, "sim")
    raises(openai.NotFoundError, lambda: client("/plain").models.retrieve("assistant"))
    answer = create(client(), model="assistant")
    assert "(gpt-other," in answer.output_text, "what is listed can be asked for"


@case
def typed_errors():
    refused(openai.NotFoundError, "model_not_found", lambda: create(client(), model="gpt-0"))
    for stream in (False, True):
        error = raises(
            openai.InternalServerError, lambda stream=stream: create(client(), model="gpt-failing", stream=stream)
        )
        equal((error.status_code, error.type), (500, "server_error"))
    for call in (
        lambda api: create(api),
        lambda api: api.completions.create(model="gpt-sim", prompt=ASK),
        lambda api: api.embeddings.create(model="embedding-sim", input=ASK),
        lambda api: api.responses.compact(model="gpt-sim", input=ASK),
    ):
        error = refused(openai.InternalServerError, "dimmer_kill_switch", lambda call=call: call(client("/off")))
        equal(error.status_code, 503)
        equal(error.response.headers["x-should-retry"], "false")
    raises(openai.BadRequestError, lambda: client().embeddings.create(model="embedding-sim", input=[]))


@case
def asynchronous():
    async def both():
        async with client(kind=openai.AsyncOpenAI) as api:
            whole, stream = await asyncio.gather(create(api), create(api, stream=True))
            text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
            equal(text, whole.output_text)
            equal([model.id async for model in client("/named", openai.AsyncOpenAI).models.list()][0], "assistant")
            equal((await api.responses.retrieve(whole.id)).id, whole.id)

    asyncio.run(both())


run()
