"""The official OpenAI SDK for Python against dimmer: Chat Completions."""

import json

import alike
import openai
from cases import IMAGE, KEY, case, equal, run, seen

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is the weather?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Chat(alike.Sdk):
    module, kind, version = openai, openai.OpenAI, "/v1"
    plain, fancy, other = "gpt-plain", "gpt-fancy", "claude-plain"
    route, flag, stop = "chat", "chat_model", "stop"
    unavailable = overloaded = openai.InternalServerError
    broken = openai.APIError
    json_asked = {"response_format": {"type": "json_object"}}

    def create(self, api, **more):
        return api.chat.completions.create(**{"model": "gpt-plain", "messages": ASK, **more})

    def raw(self, api, **more):
        return api.chat.completions.with_raw_response.create(messages=ASK, **more)

    def helper(self, api):
        with api.chat.completions.stream(model="gpt-plain", messages=ASK) as stream:
            return stream.get_final_completion()

    def text(self, completion):
        return completion.choices[0].message.content

    def finish(self, completion):
        return completion.choices[0].finish_reason

    def role(self, completion):
        return completion.choices[0].message.role

    def output_tokens(self, completion):
        return completion.usage.completion_tokens

    def delta(self, chunk):
        return chunk.choices[0].delta.content or ""

    def joined(self, stream):
        text, finish = "", None
        for chunk in stream:
            assert chunk.choices, "nobody asked for a usage chunk"
            assert "usage" not in chunk.model_fields_set, "nobody asked for usage"
            text += self.delta(chunk)
            finish = chunk.choices[0].finish_reason or finish
        return text, finish

    def code(self, error):
        return error.code

    def message(self, error):
        return error.body["message"]

    def from_provider(self, status, kind):
        equal(super().from_provider(status, kind).param, "n")

    def users(self, user):
        return [{"extra_headers": {"x-user-id": user}}, {"safety_identifier": user}]

    def tool_turns(self, path, first):
        """Asks, runs the tool that is called, and hands its result back. `first` makes the first turn."""
        api = self.client(path)
        message = first(api)
        call = message.tool_calls[0]
        equal(call.function.name, "weather")
        city = json.loads(call.function.arguments)
        assert isinstance(city, dict), city
        turns = [
            *ASK,
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "Rain, 4 °C"},
        ]
        return self.create(api, messages=turns, tools=[TOOL]), city

    def first_whole(self, api):
        completion = self.create(api, tools=[TOOL])
        equal(self.finish(completion), "tool_calls")
        return completion.choices[0].message

    def first_streamed(self, api):
        with api.chat.completions.stream(model="gpt-plain", messages=ASK, tools=[TOOL]) as stream:
            kinds = {event.type for event in stream}
            completion = stream.get_final_completion()
        assert "tool_calls.function.arguments.delta" in kinds, kinds
        equal(self.finish(completion), "tool_calls")
        return completion.choices[0].message


sdk = Chat()


@case
def plain():
    completion = sdk.create(sdk.client())
    arrived = sdk.arrived(completion)
    equal((arrived["system"], arrived["model"], arrived["snow"]), ("Be brief.", "gpt-plain", "☃ åäö"))
    equal((sdk.finish(completion), completion.usage.total_tokens), ("stop", 12))
    equal(completion._request_id, "req_provider")
    last = seen()["last"]
    assert KEY not in json.dumps(last), "the caller's key must not reach the provider"
    equal([name for name in last["headers"] if name.startswith("x-dimmer-")], ["x-dimmer-hops"])
    equal(last["path"], "/v1/chat/completions")


@case
def streamed():
    with sdk.create(sdk.client(), stream=True) as stream:
        text, finish = sdk.joined(stream)
    equal((json.loads(text)["snow"], finish), ("☃ åäö", "stop"))
    chunks = sdk.create(sdk.client(), stream=True, stream_options={"include_usage": True})
    equal([chunk.usage.total_tokens for chunk in chunks if chunk.usage], [12])


@case
def stream_helper():
    with sdk.client().chat.completions.stream(model="gpt-plain", messages=ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    equal((sdk.arrived(final)["system"], sdk.finish(final)), ("Be brief.", "stop"))


@case
def image():
    url = f"data:image/png;base64,{IMAGE}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    completion = sdk.create(sdk.client("/chat"), messages=[{"role": "user", "content": content}])
    equal(sdk.arrived(completion)["images"], [url])


alike.declare(sdk)
run()
