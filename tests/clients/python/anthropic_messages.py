"""The official Anthropic SDK for Python against dimmer: Messages."""

import json

import alike
import anthropic
from cases import IMAGE, KEY, case, equal, run, seen

ASK = [{"role": "user", "content": "How is the weather?"}]
TOOL = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
STATUS = {
    "type": "object",
    "properties": {"status": {"type": "string"}},
    "required": ["status"],
    "additionalProperties": False,
}


def asked(**more):
    return {"model": "claude-plain", "max_tokens": 1000, "system": "Be brief.", "messages": ASK, **more}


class Messages(alike.Sdk):
    module, kind = anthropic, anthropic.Anthropic
    plain, fancy, other = "claude-plain", "claude-fancy", "gpt-plain"
    route, flag, stop = "talk", "talk_model", "end_turn"
    unavailable, overloaded = anthropic.ServiceUnavailableError, anthropic.OverloadedError
    broken = anthropic.APIStatusError
    json_asked = {"output_config": {"format": {"type": "json_schema", "schema": STATUS}}}

    def create(self, api, **more):
        return api.messages.create(**asked(**more))

    def raw(self, api, **more):
        return api.messages.with_raw_response.create(**asked(**more))

    def helper(self, api):
        with api.messages.stream(**asked()) as stream:
            return stream.get_final_message()

    def text(self, message):
        return message.content[0].text

    def finish(self, message):
        return message.stop_reason

    def role(self, message):
        return message.role

    def output_tokens(self, message):
        return message.usage.output_tokens

    def delta(self, event):
        return event.delta.text if event.type == "content_block_delta" and event.delta.type == "text_delta" else ""

    def joined(self, stream):
        text, stop = "", None
        for event in stream:
            text += self.delta(event)
            if event.type == "message_delta":
                stop = event.delta.stop_reason
        return text, stop

    def code(self, error):
        return error.error_code

    def message(self, error):
        return error.api_message

    def users(self, user):
        return [{"extra_headers": {"x-user-id": user}}, {"metadata": {"user_id": user}}]

    def tool_turns(self, path, first):
        """Asks, runs the tool that is called, and hands its result back. `first` makes the first turn."""
        api = self.client(path)
        message = first(api)
        equal(message.stop_reason, "tool_use")
        call = next(block for block in message.content if block.type == "tool_use")
        equal(call.name, "weather")
        assert isinstance(call.input, dict), call.input
        content = [{"type": "text", "text": "Rain, 4 °C"}]
        turns = [
            *ASK,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": content}]},
        ]
        return self.create(api, messages=turns, tools=[TOOL]), call.input

    def first_whole(self, api):
        return self.create(api, tools=[TOOL])

    def first_streamed(self, api):
        with api.messages.stream(**asked(tools=[TOOL])) as stream:
            kinds = {event.type for event in stream}
            message = stream.get_final_message()
        assert "input_json" in kinds, kinds
        return message


sdk = Messages()


@case
def plain():
    message = sdk.create(sdk.client())
    arrived = sdk.arrived(message)
    equal((arrived["system"], arrived["model"], arrived["snow"]), ("Be brief.", "claude-plain", "☃ åäö"))
    equal((message.stop_reason, message.usage.output_tokens), ("end_turn", 5))
    equal(message._request_id, "req_provider")
    last = seen()["last"]
    assert KEY not in json.dumps(last), "the caller's key must not reach the provider"
    equal([name for name in last["headers"] if name.startswith("x-dimmer-")], ["x-dimmer-hops"])
    equal(last["path"], "/v1/messages")
    assert last["headers"]["anthropic-version"], "the version belongs to the request"


@case
def streamed():
    with sdk.create(sdk.client(), stream=True) as stream:
        text, stop = sdk.joined(stream)
    equal((json.loads(text)["snow"], stop), ("☃ åäö", "end_turn"))


@case
def stream_helper():
    with sdk.client().messages.stream(**asked()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    equal((json.loads(text)["system"], sdk.arrived(final)["system"]), ("Be brief.", "Be brief."))
    equal((final.stop_reason, final.usage.output_tokens), ("end_turn", 5))


@case
def image():
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    message = sdk.create(sdk.client("/talk"), messages=[{"role": "user", "content": content}])
    equal(sdk.arrived(message)["images"], [f"data:image/png;base64,{IMAGE}"])


alike.declare(sdk)
run()
