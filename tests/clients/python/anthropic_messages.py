"""The official Anthropic SDK for Python against dimmer: Messages."""

import json

import anthropic
from cases import DIMMER, IMAGE, KEY, Attempts, case, equal, eventually, raises, run, seen

ASK = [{"role": "user", "content": "How is the weather?"}]
TOOL = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def client(path="", key=KEY, retries=0, **more):
    return anthropic.Anthropic(base_url=f"{DIMMER}{path}", api_key=key, max_retries=retries, **more)


def counting(path, retries):
    attempts = Attempts()
    http = anthropic.DefaultHttpxClient(event_hooks={"request": [attempts]})
    return client(path, retries=retries, http_client=http), attempts


def asked(**more):
    return {"model": "claude-plain", "max_tokens": 1000, "system": "Be brief.", "messages": ASK, **more}


def create(api, **more):
    return api.messages.create(**asked(**more))


def arrived(message):
    return json.loads(message.content[0].text)


def joined(stream):
    text, stop = "", None
    for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        if event.type == "message_delta":
            stop = event.delta.stop_reason
    return text, stop


@case
def plain():
    message = create(client())
    equal(arrived(message)["system"], "Be brief.")
    equal(arrived(message)["model"], "claude-plain")
    equal(arrived(message)["snow"], "☃ åäö")
    equal(message.stop_reason, "end_turn")
    equal(message.usage.output_tokens, 5)
    equal(message._request_id, "req_provider")
    last = seen()["last"]
    assert KEY not in json.dumps(last), "the caller's key must not reach the provider"
    equal([name for name in last["headers"] if name.startswith("x-dimmer-")], ["x-dimmer-hops"])
    equal(last["path"], "/v1/messages")
    assert last["headers"]["anthropic-version"], "the version belongs to the request"


@case
def streamed():
    with create(client(), stream=True) as stream:
        text, stop = joined(stream)
    equal(json.loads(text)["snow"], "☃ åäö")
    equal(stop, "end_turn")


@case
def stream_helper():
    with client().messages.stream(**asked()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    equal(json.loads(text)["system"], "Be brief.")
    equal(arrived(final)["system"], "Be brief.")
    equal(final.stop_reason, "end_turn")
    equal(final.usage.output_tokens, 5)


def tool_turns(path, model, first):
    """Asks, runs the tool that is called, and hands its result back. `first` makes the first turn."""
    api = client(path)
    message = first(api, model)
    equal(message.stop_reason, "tool_use")
    call = next(block for block in message.content if block.type == "tool_use")
    equal(call.name, "weather")
    assert isinstance(call.input, dict), call.input
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Rain, 4 °C"}]}
    turns = [
        *ASK,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    return create(api, model=model, messages=turns, tools=[TOOL]), call.input


def first_whole(api, model):
    return create(api, model=model, tools=[TOOL])


def first_streamed(api, model):
    with api.messages.stream(**asked(model=model, tools=[TOOL])) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()
    assert "input_json" in kinds, kinds
    return message


@case
def tool_loop():
    last, city = tool_turns("", "claude-plain", first_whole)
    equal(city, {"city": "Oslo"})
    equal(last.content[0].text, "The tool says: Rain, 4 °C")


@case
def tool_loop_streamed():
    last, city = tool_turns("", "claude-plain", first_streamed)
    equal(city, {"city": "Oslo"})
    equal(last.content[0].text, "The tool says: Rain, 4 °C")


@case
def image():
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    message = create(client("/talk"), messages=[{"role": "user", "content": content}])
    equal(arrived(message)["images"], [f"data:image/png;base64,{IMAGE}"])


def provider_error(status, kind):
    error = raises(kind, lambda: create(client(), model=f"status-{status}"))
    equal(error.status_code, status)
    return error


def from_provider(status, kind):
    error = provider_error(status, kind)
    equal(error.error_code, f"provider_{status}")
    equal(error.type, "provider_error")
    equal(error.api_message, f"the provider says {status}")
    equal(error.request_id, "req_provider")


def from_dimmer(error, code=None):
    """An error that dimmer made: code, type and message are filled, and it says which request it was."""
    assert error.error_code and error.error_code.startswith("dimmer_"), f"{error.error_code!r}: {error}"
    assert code is None or error.error_code == code, error.error_code
    assert error.type and error.api_message, error.body
    assert error.response.headers["x-dimmer-request-id"]
    return error


@case
def error_400():
    from_provider(400, anthropic.BadRequestError)


@case
def error_401_from_dimmer():
    error = raises(anthropic.AuthenticationError, lambda: create(client(key="not-a-key-of-ours")))
    from_dimmer(error)
    equal(error.response.headers["x-should-retry"], "false")
    assert "not-a-key-of-ours" not in str(error)


@case
def error_401_from_provider():
    # The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
    error = raises(anthropic.InternalServerError, lambda: create(client("/wrong-key"), model="not-declared"))
    equal(error.status_code, 502)
    from_dimmer(error)


@case
def error_404():
    from_provider(404, anthropic.NotFoundError)


@case
def error_404_wrong_base_url():
    error = raises(anthropic.NotFoundError, lambda: create(client("/v1")))
    from_dimmer(error)
    assert "/v1" in error.api_message, error.api_message


@case
def error_429():
    error = provider_error(429, anthropic.RateLimitError)
    equal(error.error_code, "provider_429")
    equal(error.response.headers["retry-after"], "1")


@case
def error_500():
    from_provider(500, anthropic.InternalServerError)


@case
def error_529():
    from_provider(529, anthropic.OverloadedError)


@case
def error_of_a_stream():
    error = raises(anthropic.RateLimitError, lambda: create(client(), model="status-429", stream=True))
    equal(error.error_code, "provider_429")


@case
def retries_are_the_clients():
    api, attempts = counting("", retries=1)
    before = seen()["requests"]
    raises(anthropic.InternalServerError, lambda: create(api, model="status-500"))
    equal(attempts.count, 2)
    equal(seen()["requests"] - before, 2)


@case
def should_not_retry():
    api, attempts = counting("/off", retries=2)
    raises(anthropic.ServiceUnavailableError, lambda: create(api))
    equal(attempts.count, 1)


@case
def broken_stream():
    stream = create(client(), model="breaks", stream=True)
    text = ""

    def read():
        nonlocal text
        for event in stream:
            if event.type == "content_block_delta":
                text += event.delta.text

    error = raises(anthropic.APIStatusError, read)
    assert text, "what came before the break was relayed"
    assert error.error_code and error.error_code.startswith("dimmer_"), error.body


@case
def cancelled_stream():
    before = seen()["cancelled"]
    with create(client(), model="endless", stream=True) as stream:
        next(iter(stream))
    eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")


@case
def cancelled_before_the_answer():
    before = seen()["cancelled"]
    raises(anthropic.APITimeoutError, lambda: create(client(timeout=0.5), model="silent"))
    eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")


def decided(api, model, **headers):
    raw = api.messages.with_raw_response.create(**asked(model=model), extra_headers=headers)
    return raw.headers, arrived(raw.parse())


@case
def route_by_path():
    headers, _ = decided(client("/talk"), "whatever")
    equal(headers["x-dimmer-route"], "talk")


@case
def route_by_alias():
    headers, got = decided(client(), "talk")
    equal(headers["x-dimmer-route"], "talk")
    equal(got["model"], "claude-plain")


@case
def route_by_header():
    headers, _ = decided(client(), "whatever", **{"x-dimmer-route": "talk"})
    equal(headers["x-dimmer-route"], "talk")


@case
def route_unknown():
    api = client()
    headers = {"x-dimmer-route": "nowhere"}
    error = raises(anthropic.NotFoundError, lambda: decided(api, "claude-plain", **headers))
    from_dimmer(error)
    assert "talk" in error.api_message, f"the routes are listed: {error.api_message}"


@case
def client_key_in_either_header():
    # Today's SDK sends `Authorization: Bearer`, older ones `x-api-key`.
    for headers in (
        {"Authorization": anthropic.Omit(), "x-api-key": KEY},
        {"Authorization": f"Bearer {KEY}", "x-api-key": anthropic.Omit()},
    ):
        got, _ = decided(client("/talk", key="unused", default_headers=headers), "whatever")
        equal(got["x-dimmer-route"], "talk")
        assert KEY not in json.dumps(seen()["last"])


@case
def flags_decide():
    headers, got = decided(client("/talk"), "whatever", **{"x-user-id": "user-1", "x-user-tier": "pro"})
    equal(got["model"], "claude-fancy-2")
    equal(got["system"], "Talk like a pirate.")
    equal(headers["x-dimmer-model"], "claude-fancy")
    flags = headers["x-dimmer-flags"]
    assert "talk_model=claude-fancy;TARGETING_MATCH" in flags, flags
    assert "prompt=pirate;TARGETING_MATCH" in flags, flags
    names = seen()["last"]["headers"]
    assert "x-user-id" not in names and "x-user-tier" not in names, "the context's headers are taken out"

    headers, got = decided(client("/talk"), "whatever", **{"x-user-id": "user-2"})
    equal(got["model"], "claude-plain")
    equal(got["system"], "Be brief.")
    flags = headers["x-dimmer-flags"]
    assert "talk_model=claude-plain;DEFAULT" in flags, flags
    assert "prompt=as_sent;DEFAULT" in flags, flags

    # The user may also come in the body, where the SDK has a field for it.
    raw = client("/talk").messages.with_raw_response.create(**asked(metadata={"user_id": "user-1"}), stream=True)
    assert "prompt=pirate;TARGETING_MATCH" in raw.headers["x-dimmer-flags"]
    equal(json.loads(joined(raw.parse())[0])["system"], "Talk like a pirate.")

    error = raises(anthropic.BadRequestError, lambda: decided(client(), "status-400"))
    equal(error.response.headers["x-dimmer-route"], "default")


@case
def other_dialects_model():
    error = raises(anthropic.BadRequestError, lambda: create(client(), model="gpt-plain"))
    from_dimmer(error, "dimmer_cannot_translate")


@case
def reply_text():
    message = create(client("/resting"))
    equal(message.content[0].text, "The assistant is resting. ☃")
    equal(message.stop_reason, "end_turn")
    equal(message.role, "assistant")


@case
def reply_streamed():
    text, stop = joined(create(client("/resting"), stream=True))
    equal((text, stop), ("The assistant is resting. ☃", "end_turn"))
    with client("/resting").messages.stream(**asked()) as stream:
        final = stream.get_final_message()
    equal(final.content[0].text, "The assistant is resting. ☃")


@case
def reply_json():
    schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    wanted = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    message = create(client("/resting"), output_config=wanted)
    equal(json.loads(message.content[0].text), {"status": "resting"})


@case
def reply_error():
    for more in ({}, {"stream": True}):
        kind = anthropic.ServiceUnavailableError
        error = raises(kind, lambda more=more: create(client("/off"), **more))
        from_dimmer(error)
        equal(error.status_code, 503)
        equal(error.api_message, "Feature temporarily disabled")
        equal(error.response.headers["retry-after"], "300")
        equal(error.response.headers["x-should-retry"], "false")


@case
def mock_plain():
    message = create(client("/sim"))
    assert message.content[0].text
    assert message.usage.output_tokens > 0


@case
def mock_streamed():
    text, stop = joined(create(client("/sim"), stream=True))
    assert text
    equal(stop, "end_turn")
    with client("/sim").messages.stream(**asked()) as stream:
        assert stream.get_final_message().content[0].text


@case
def mock_tools():
    for first in (first_whole, first_streamed):
        last, _ = tool_turns("/sim", "claude-plain", first)
        assert last.content[0].text


run()
