"""The official OpenAI SDK for Python against dimmer: Chat Completions."""

import json

import openai
from cases import DIMMER, IMAGE, KEY, Attempts, case, equal, eventually, raises, run, seen

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is the weather?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def client(path="", key=KEY, retries=0, **more):
    return openai.OpenAI(base_url=f"{DIMMER}{path}/v1", api_key=key, max_retries=retries, **more)


def counting(path, retries):
    attempts = Attempts()
    http = openai.DefaultHttpxClient(event_hooks={"request": [attempts]})
    return client(path, retries=retries, http_client=http), attempts


def create(api, **more):
    return api.chat.completions.create(**{"model": "gpt-plain", "messages": ASK, **more})


def arrived(completion):
    return json.loads(completion.choices[0].message.content)


def joined(stream):
    text, finish = "", None
    for chunk in stream:
        assert chunk.choices, "nobody asked for a usage chunk"
        assert "usage" not in chunk.model_fields_set, "nobody asked for usage"
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    return text, finish


@case
def plain():
    completion = create(client())
    equal(arrived(completion)["system"], "Be brief.")
    equal(arrived(completion)["model"], "gpt-plain")
    equal(arrived(completion)["snow"], "☃ åäö")
    equal(completion.choices[0].finish_reason, "stop")
    equal(completion.usage.total_tokens, 12)
    equal(completion._request_id, "req_provider")
    last = seen()["last"]
    assert KEY not in json.dumps(last), "the caller's key must not reach the provider"
    equal([name for name in last["headers"] if name.startswith("x-dimmer-")], ["x-dimmer-hops"])
    equal(last["path"], "/v1/chat/completions")


@case
def streamed():
    with create(client(), stream=True) as stream:
        text, finish = joined(stream)
    equal(json.loads(text)["snow"], "☃ åäö")
    equal(finish, "stop")
    usage = [
        chunk.usage.total_tokens
        for chunk in create(client(), stream=True, stream_options={"include_usage": True})
        if chunk.usage
    ]
    equal(usage, [12])


@case
def stream_helper():
    with client().chat.completions.stream(model="gpt-plain", messages=ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    equal(arrived(final)["system"], "Be brief.")
    equal(final.choices[0].finish_reason, "stop")


def tool_turns(path, model, first):
    """Asks, runs the tool that is called, and hands its result back. `first` makes the first turn."""
    api = client(path)
    message = first(api, model)
    call = message.tool_calls[0]
    equal(call.function.name, "weather")
    city = json.loads(call.function.arguments)
    assert isinstance(city, dict), city
    turns = [
        *ASK,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Rain, 4 °C"},
    ]
    return create(api, model=model, messages=turns, tools=[TOOL]), city


def first_whole(api, model):
    completion = create(api, model=model, tools=[TOOL])
    equal(completion.choices[0].finish_reason, "tool_calls")
    return completion.choices[0].message


def first_streamed(api, model):
    with api.chat.completions.stream(model=model, messages=ASK, tools=[TOOL]) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds, kinds
    equal(completion.choices[0].finish_reason, "tool_calls")
    return completion.choices[0].message


@case
def tool_loop():
    last, city = tool_turns("", "gpt-plain", first_whole)
    equal(city, {"city": "Oslo"})
    equal(last.choices[0].message.content, "The tool says: Rain, 4 °C")


@case
def tool_loop_streamed():
    last, city = tool_turns("", "gpt-plain", first_streamed)
    equal(city, {"city": "Oslo"})
    equal(last.choices[0].message.content, "The tool says: Rain, 4 °C")


@case
def image():
    url = f"data:image/png;base64,{IMAGE}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    completion = create(client("/chat"), messages=[{"role": "user", "content": content}])
    equal(arrived(completion)["images"], [url])


def provider_error(status, kind, seen_as=None):
    error = raises(kind, lambda: create(client(), model=f"status-{status}"))
    equal(error.status_code, seen_as or status)
    return error


def from_provider(status, kind):
    error = provider_error(status, kind)
    equal(error.code, f"provider_{status}")
    equal(error.type, "provider_error")
    equal(error.param, "n")
    equal(error.body["message"], f"the provider says {status}")
    equal(error.request_id, "req_provider")


def from_dimmer(error, code=None):
    """An error that dimmer made: code, type and message are filled, and it says which request it was."""
    assert error.code and error.code.startswith("dimmer_"), f"{error.code!r}: {error}"
    assert code is None or error.code == code, error.code
    assert error.type and error.body["message"], error.body
    assert error.response.headers["x-dimmer-request-id"]
    return error


@case
def error_400():
    from_provider(400, openai.BadRequestError)


@case
def error_401_from_dimmer():
    error = raises(openai.AuthenticationError, lambda: create(client(key="not-a-key-of-ours")))
    from_dimmer(error)
    equal(error.response.headers["x-should-retry"], "false")
    assert "not-a-key-of-ours" not in str(error)


@case
def error_401_from_provider():
    # The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
    error = raises(openai.InternalServerError, lambda: create(client("/wrong-key"), model="not-declared"))
    equal(error.status_code, 502)
    from_dimmer(error)


@case
def error_404():
    from_provider(404, openai.NotFoundError)


@case
def error_404_wrong_base_url():
    error = raises(openai.NotFoundError, lambda: create(client("/v1")))
    from_dimmer(error)
    assert "/v1" in error.message, error.message


@case
def error_429():
    error = provider_error(429, openai.RateLimitError)
    equal(error.code, "provider_429")
    equal(error.response.headers["retry-after"], "1")


@case
def error_500():
    from_provider(500, openai.InternalServerError)


@case
def error_529():
    from_provider(529, openai.InternalServerError)


@case
def error_of_a_stream():
    error = raises(openai.RateLimitError, lambda: create(client(), model="status-429", stream=True))
    equal(error.code, "provider_429")


@case
def retries_are_the_clients():
    api, attempts = counting("", retries=1)
    before = seen()["requests"]
    raises(openai.InternalServerError, lambda: create(api, model="status-500"))
    equal(attempts.count, 2)
    equal(seen()["requests"] - before, 2)


@case
def should_not_retry():
    api, attempts = counting("/off", retries=2)
    raises(openai.InternalServerError, lambda: create(api))
    equal(attempts.count, 1)


@case
def broken_stream():
    stream = create(client(), model="breaks", stream=True)
    text = ""

    def read():
        nonlocal text
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""

    error = raises(openai.APIError, read)
    assert text, "what came before the break was relayed"
    assert error.code and error.code.startswith("dimmer_"), error.body


@case
def cancelled_stream():
    before = seen()["cancelled"]
    with create(client(), model="endless", stream=True) as stream:
        next(iter(stream))
    eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")


@case
def cancelled_before_the_answer():
    before = seen()["cancelled"]
    raises(openai.APITimeoutError, lambda: create(client(timeout=0.5), model="silent"))
    eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")


def decided(api, model, **headers):
    raw = api.chat.completions.with_raw_response.create(model=model, messages=ASK, extra_headers=headers)
    return raw.headers, arrived(raw.parse())


@case
def route_by_path():
    headers, _ = decided(client("/chat"), "whatever")
    equal(headers["x-dimmer-route"], "chat")


@case
def route_by_alias():
    headers, got = decided(client(), "chat")
    equal(headers["x-dimmer-route"], "chat")
    equal(got["model"], "gpt-plain")


@case
def route_by_header():
    headers, _ = decided(client(), "whatever", **{"x-dimmer-route": "chat"})
    equal(headers["x-dimmer-route"], "chat")


@case
def route_unknown():
    api = client()
    headers = {"x-dimmer-route": "nowhere"}
    error = raises(openai.NotFoundError, lambda: decided(api, "gpt-plain", **headers))
    from_dimmer(error)
    assert "chat" in error.message, f"the routes are listed: {error.message}"


@case
def client_key_in_either_header():
    either = {"Authorization": openai.Omit(), "x-api-key": KEY}
    headers, _ = decided(client("/chat", key="unused"), "whatever", **either)
    equal(headers["x-dimmer-route"], "chat")
    assert KEY not in json.dumps(seen()["last"])


@case
def flags_decide():
    headers, got = decided(client("/chat"), "whatever", **{"x-user-id": "user-1", "x-user-tier": "pro"})
    equal(got["model"], "gpt-fancy-2")
    equal(got["system"], "Talk like a pirate.")
    equal(headers["x-dimmer-model"], "gpt-fancy")
    flags = headers["x-dimmer-flags"]
    assert "chat_model=gpt-fancy;TARGETING_MATCH" in flags, flags
    assert "prompt=pirate;TARGETING_MATCH" in flags, flags
    names = seen()["last"]["headers"]
    assert "x-user-id" not in names and "x-user-tier" not in names, "the context's headers are taken out"

    headers, got = decided(client("/chat"), "whatever", **{"x-user-id": "user-2"})
    equal(got["model"], "gpt-plain")
    equal(got["system"], "Be brief.")
    flags = headers["x-dimmer-flags"]
    assert "chat_model=gpt-plain;DEFAULT" in flags, flags
    assert "prompt=as_sent;DEFAULT" in flags, flags

    raw = client("/chat").chat.completions.with_raw_response.create(
        model="whatever", messages=ASK, stream=True, extra_headers={"x-user-id": "user-1"}
    )
    assert "prompt=pirate;TARGETING_MATCH" in raw.headers["x-dimmer-flags"]
    equal(json.loads(joined(raw.parse())[0])["system"], "Talk like a pirate.")

    error = raises(openai.BadRequestError, lambda: decided(client(), "status-400"))
    equal(error.response.headers["x-dimmer-route"], "default")


@case
def other_dialects_model():
    error = raises(openai.BadRequestError, lambda: create(client(), model="claude-plain"))
    from_dimmer(error, "dimmer_cannot_translate")


@case
def reply_text():
    completion = create(client("/resting"))
    equal(completion.choices[0].message.content, "The assistant is resting. ☃")
    equal(completion.choices[0].finish_reason, "stop")
    equal(completion.choices[0].message.role, "assistant")


@case
def reply_streamed():
    text, finish = joined(create(client("/resting"), stream=True))
    equal((text, finish), ("The assistant is resting. ☃", "stop"))
    with client("/resting").chat.completions.stream(model="gpt-plain", messages=ASK) as stream:
        final = stream.get_final_completion()
    equal(final.choices[0].message.content, "The assistant is resting. ☃")


@case
def reply_json():
    completion = create(client("/resting"), response_format={"type": "json_object"})
    equal(json.loads(completion.choices[0].message.content), {"status": "resting"})


@case
def reply_error():
    for more in ({}, {"stream": True}):
        error = raises(openai.InternalServerError, lambda more=more: create(client("/off"), **more))
        from_dimmer(error)
        equal(error.status_code, 503)
        equal(error.body["message"], "Feature temporarily disabled")
        equal(error.response.headers["retry-after"], "300")
        equal(error.response.headers["x-should-retry"], "false")


@case
def mock_plain():
    completion = create(client("/sim"))
    assert completion.choices[0].message.content
    assert completion.usage.completion_tokens > 0


@case
def mock_streamed():
    text, finish = joined(create(client("/sim"), stream=True))
    assert text
    equal(finish, "stop")
    with client("/sim").chat.completions.stream(model="gpt-plain", messages=ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content


@case
def mock_tools():
    for first in (first_whole, first_streamed):
        last, _ = tool_turns("/sim", "gpt-plain", first)
        assert last.choices[0].message.content


run()
