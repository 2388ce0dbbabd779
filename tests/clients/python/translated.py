"""The official SDKs for Python where a model of the other dialect answers: what an app sees is its own API, to the last event."""

import json

import anthropic
import openai
import pydantic
from cases import DIMMER, IMAGE, KEY, case, equal, raises, run

ASK = "How is the weather in Oslo?"
SYSTEM = "Be brief."
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


def openai_client(model):
    return openai.OpenAI(base_url=f"{DIMMER}/anthropic/{model}/v1", api_key=KEY, max_retries=0)


def anthropic_client(model):
    return anthropic.Anthropic(base_url=f"{DIMMER}/openai/{model}", api_key=KEY, max_retries=0)


class Chat:
    """Chat Completions, answered through Messages."""

    rate, broken, bad = openai.RateLimitError, openai.APIError, openai.BadRequestError
    too_much = {"n": 2}
    loses = ("seed", {"seed": 7})
    length, stop, refusal = "length", "stop", "content_filter"

    def call(self, model="sim", ask=ASK, **more):
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ask}]
        return {"model": "m", "messages": messages, **more}

    def create(self, model="sim", **more):
        return openai_client(model).chat.completions.create(**self.call(model, **more))

    def raw(self, model="sim", **more):
        return openai_client(model).chat.completions.with_raw_response.create(**self.call(model, **more))

    def final(self, model="sim", **more):
        with openai_client(model).chat.completions.stream(**self.call(model, **more)) as stream:
            kinds = {event.type for event in stream}
            return stream.get_final_completion(), kinds

    def text(self, answer):
        return answer.choices[0].message.content

    def finish(self, answer):
        return answer.choices[0].finish_reason

    def streamed(self, model="sim", **more):
        """The text and the end of a stream that is read event by event."""
        text, finish, ids = "", None, set()
        for chunk in self.create(model, stream=True, **more):
            ids.add(chunk.id)
            equal(chunk.object, "chat.completion.chunk")
            assert chunk.choices, "nobody asked for a usage chunk"
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        equal(len(ids), 1)
        return text, finish

    def usage(self):
        chunks = list(self.create(stream=True, stream_options={"include_usage": True}))
        equal([bool(chunk.usage) for chunk in chunks], [False] * (len(chunks) - 1) + [True])
        streamed, whole = chunks[-1].usage, self.create().usage
        return [(one.prompt_tokens, one.completion_tokens) for one in (streamed, whole)]

    def tools(self, *names):
        return [{"type": "function", "function": {"name": name, "description": "d", "parameters": CITY}} for name in names]

    def forced(self, name):
        return {"tool_choice": {"type": "function", "function": {"name": name}}}

    def calls(self, answer):
        return [(call.function.name, json.loads(call.function.arguments)) for call in answer.choices[0].message.tool_calls]

    def goes_on(self, answer, tools):
        message = answer.choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": "Rain, 4 °C"} for call in message.tool_calls]
        first = self.call()["messages"]
        return self.create(messages=[*first, message.model_dump(exclude_none=True), *results], tools=tools)

    def schema(self):
        api = openai_client("sim").chat.completions
        return api.parse(**self.call(), response_format=Weather).choices[0].message.parsed

    def image(self):
        url = f"data:image/png;base64,{IMAGE}"
        content = [{"type": "text", "text": ASK}, {"type": "image_url", "image_url": {"url": url}}]
        return self.create(messages=[{"role": "user", "content": content}])

    def cap(self, tokens):
        return {"max_completion_tokens": tokens}

    def stops(self, text):
        return {"stop": [text]}

    def code(self, error):
        return error.code

    def tokens(self, answer):
        return answer.usage.completion_tokens


class Responses:
    """Responses, answered through Messages."""

    rate, broken, bad = openai.RateLimitError, openai.APIError, openai.BadRequestError
    too_much = {"background": True}
    loses = ("metadata", {"metadata": {"a": "b"}})
    length, stop, refusal = "max_output_tokens", "completed", "content_filter"

    def call(self, model="sim", ask=ASK, **more):
        return {"model": "m", "instructions": SYSTEM, "input": ask, **more}

    def create(self, model="sim", **more):
        return openai_client(model).responses.create(**self.call(model, **more))

    def raw(self, model="sim", **more):
        return openai_client(model).responses.with_raw_response.create(**self.call(model, **more))

    def final(self, model="sim", **more):
        with openai_client(model).responses.stream(**self.call(model, **more)) as stream:
            kinds = {event.type for event in stream}
            return stream.get_final_response(), kinds

    def text(self, answer):
        return answer.output_text

    def finish(self, answer):
        return answer.incomplete_details.reason if answer.incomplete_details else answer.status

    def streamed(self, model="sim", **more):
        events = []
        try:
            for event in self.create(model, stream=True, **more):
                events.append(event)
        except openai.APIConnectionError:
            equal(events[-1].type, "error")
        last = events[-1]
        equal([event.sequence_number for event in events], list(range(len(events))))
        equal(events[0].type, "response.created")
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        # This SDK gives an error event as any other.
        if last.type == "error":
            raise openai.APIError(last.message, request=None, body={"code": last.code})
        assert last.type in ("response.completed", "response.incomplete"), last.type
        equal(last.response.output_text, text)
        return text, self.finish(last.response)

    def usage(self):
        streamed, whole = self.final()[0].usage, self.create().usage
        return [(one.input_tokens, one.output_tokens) for one in (streamed, whole)]

    def tools(self, *names):
        return [{"type": "function", "name": name, "description": "d", "parameters": CITY, "strict": True} for name in names]

    def forced(self, name):
        return {"tool_choice": {"type": "function", "name": name}}

    def calls(self, answer):
        return [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]

    def goes_on(self, answer, tools):
        calls = [item for item in answer.output if item.type == "function_call"]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "Rain, 4 °C"} for call in calls]
        said = [{"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments} for call in calls]
        return self.create(input=[{"role": "user", "content": ASK}, *said, *results], tools=tools)

    def schema(self):
        return openai_client("sim").responses.parse(**self.call(), text_format=Weather).output_parsed

    def image(self):
        url = f"data:image/png;base64,{IMAGE}"
        content = [{"type": "input_text", "text": ASK}, {"type": "input_image", "image_url": url, "detail": "auto"}]
        return self.create(input=[{"role": "user", "content": content}])

    def cap(self, tokens):
        return {"max_output_tokens": tokens}

    stops = None

    def code(self, error):
        return error.code or (error.body or {}).get("code")

    def tokens(self, answer):
        return answer.usage.output_tokens


class Messages:
    """Messages, answered through Chat Completions."""

    rate, bad = anthropic.RateLimitError, anthropic.BadRequestError
    broken = anthropic.APIStatusError
    too_much = {"stop_sequences": ["a", "b", "c", "d", "e"]}
    loses = ("top_k", {"top_k": 7})
    length, stop, refusal = "max_tokens", "end_turn", "refusal"

    def call(self, model="sim", ask=ASK, **more):
        messages = [{"role": "user", "content": ask}]
        return {"model": "m", "max_tokens": 20_000, "system": SYSTEM, "messages": messages, **more}

    def create(self, model="sim", **more):
        return anthropic_client(model).messages.create(**self.call(model, **more))

    def raw(self, model="sim", **more):
        return anthropic_client(model).messages.with_raw_response.create(**self.call(model, **more))

    def final(self, model="sim", **more):
        with anthropic_client(model).messages.stream(**self.call(model, **more)) as stream:
            kinds = {event.type for event in stream}
            return stream.get_final_message(), kinds

    def text(self, answer):
        return "".join(block.text for block in answer.content if block.type == "text")

    def finish(self, answer):
        return answer.stop_reason

    def streamed(self, model="sim", **more):
        text, finish, opened, last = "", None, None, None
        for event in self.create(model, stream=True, **more):
            last = event.type
            if last == "content_block_start":
                assert opened is None, "blocks do not overlap"
                opened = event.index
            elif last == "content_block_delta":
                equal(event.index, opened)
                text += getattr(event.delta, "text", "")
            elif last == "content_block_stop":
                equal(event.index, opened)
                opened = None
            elif last == "message_delta":
                finish = event.delta.stop_reason
        equal(last, "message_stop")
        return text, finish

    def usage(self):
        streamed, whole = self.final()[0].usage, self.create().usage
        return [(one.input_tokens + (one.cache_read_input_tokens or 0), one.output_tokens) for one in (streamed, whole)]

    def tools(self, *names):
        return [{"name": name, "description": "d", "input_schema": CITY} for name in names]

    def forced(self, name):
        return {"tool_choice": {"type": "tool", "name": name}}

    def calls(self, answer):
        return [(block.name, block.input) for block in answer.content if block.type == "tool_use"]

    def goes_on(self, answer, tools):
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "Rain, 4 °C"}
            for block in answer.content
            if block.type == "tool_use"
        ]
        turns = [
            {"role": "user", "content": ASK},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
            {"role": "user", "content": results},
        ]
        return self.create(messages=turns, tools=tools)

    def schema(self):
        return anthropic_client("sim").messages.parse(**self.call(), output_format=Weather).parsed_output

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
        content = [{"type": "image", "source": source}, {"type": "text", "text": ASK}]
        return self.create(messages=[{"role": "user", "content": content}])

    def cap(self, tokens):
        return {"max_tokens": tokens}

    def stops(self, text):
        return {"stop_sequences": [text]}

    def code(self, error):
        return error.body["error"].get("details", {}).get("error_code")

    def tokens(self, answer):
        return answer.usage.output_tokens


def declare(name, api):
    """The cases of one API."""

    def named(function):
        function.__name__ = f"{name}_{function.__name__}"
        return case(function)

    @named
    def plain():
        answer = api.create()
        assert f"(sim, told: {SYSTEM})" in api.text(answer), api.text(answer)
        equal(api.finish(answer), api.stop)

    @named
    def streamed():
        equal(api.streamed(), (api.text(api.create()), api.stop))

    @named
    def helper():
        answer, kinds = api.final()
        equal((api.text(answer), api.finish(answer)), (api.text(api.create()), api.stop))
        assert len(kinds) > 2, kinds

    @named
    def limited():
        # The accumulators raise errors of their own at such an end.
        answer = api.create(**api.cap(3))
        equal((api.finish(answer), api.tokens(answer)), (api.length, 3))
        equal(api.streamed(**api.cap(3)), (api.text(answer), api.length))

    @named
    def usage():
        streamed, whole = api.usage()
        equal(streamed, whole)
        assert min(whole) > 0, whole

    @named
    def tool():
        tools = api.tools("weather")
        first = api.create(tools=tools)
        [(called, arguments)] = api.calls(first)
        equal((called, type(arguments["city"])), ("weather", str))
        last = api.goes_on(first, tools)
        assert "The tool says: Rain, 4 °C" in api.text(last), api.text(last)

    @named
    def tool_streamed():
        tools = api.tools("weather")
        first, _ = api.final(tools=tools)
        equal(api.calls(first), api.calls(api.create(tools=tools)))
        assert "The tool says: Rain, 4 °C" in api.text(api.goes_on(first, tools))

    @named
    def parallel():
        tools = api.tools("weather", "forecast")
        ask = "Tell me the weather and the forecast for Oslo."
        for answer in (api.create(ask=ask, tools=tools), api.final(ask=ask, tools=tools)[0]):
            equal([called for called, _ in api.calls(answer)], ["weather", "forecast"])
            assert "The tool says: Rain, 4 °C" in api.text(api.goes_on(answer, tools))

    @named
    def forced():
        tools = api.tools("weather", "clock")
        answer = api.create(ask="Hi", tools=tools, **api.forced("clock"))
        equal([called for called, _ in api.calls(answer)], ["clock"])

    @named
    def schema():
        assert isinstance(api.schema(), Weather)

    @named
    def image():
        assert api.text(api.image())

    @named
    def long():
        whole, streamed = api.text(api.create("long", timeout=120)), api.streamed("long")
        assert len(whole) > 10_000, len(whole)
        equal(streamed, (whole, api.stop))

    @named
    def stopped():
        if api.stops is None:
            return
        word = api.text(api.create()).split()[3]
        answer = api.create(**api.stops(word))
        assert word not in api.text(answer)

    @named
    def refusal():
        equal(api.finish(api.create("refusing")), api.refusal)
        equal(api.streamed("refusing")[1], api.refusal)

    @named
    def error_429():
        for more in ({}, {"stream": True}):
            error = raises(api.rate, lambda more=more: api.create("limited", **more))
            assert error.body and "error" in str(error).lower(), error.body
            assert error.response.headers["retry-after"]

    @named
    def error_500():
        for more in ({}, {"stream": True}):
            try:
                api.create("failing", **more)
            except (openai.APIStatusError, anthropic.APIStatusError) as error:
                assert error.status_code >= 500 and "the simulated provider" in str(error), error
            else:
                raise AssertionError("it answered")

    @named
    def cut():
        try:
            api.streamed("cut")
        except api.broken as error:
            equal(api.code(error), "dimmer_upstream_reset")
        else:
            raise AssertionError("half an answer passed for a whole one")

    @named
    def left_out():
        field, more = api.loses
        raw = api.raw(extra_body=more)
        assert field in raw.headers["x-dimmer-dropped"], raw.headers
        assert api.text(raw.parse())

    @named
    def refused():
        error = raises(api.bad, lambda: api.create(extra_body=api.too_much))
        equal(api.code(error), "dimmer_cannot_translate")
        assert next(iter(api.too_much)) in str(error), error


declare("chat", Chat())
declare("responses", Responses())
declare("messages", Messages())
run()
