"""The official Anthropic SDK for Python against dimmer and its simulated provider: threads, counting, models."""

import asyncio
import json

import anthropic
from anthropic import beta_async_tool, beta_tool, types
from cases import DIMMER, KEY, case, equal, raises, run

ASK = [{"role": "user", "content": "How is the weather in Oslo?"}]
BETA = "message-threads-2026-08-12"


class Sent:
    """An event hook that keeps the bodies that leave the client."""

    def __init__(self):
        self.bodies = []

    def __call__(self, request):
        self.bodies.append(json.loads(request.content))

    async def later(self, request):
        self(request)


def client(path="", **more):
    return anthropic.Anthropic(base_url=f"{DIMMER}{path}", api_key=KEY, max_retries=0, **more)


def refused(kind, code, call):
    error = raises(kind, call)
    equal(error.error_code, code)
    assert error.type and error.api_message, error.body
    return error


def check_thread(bodies, final, said):
    """Two requests, the second with only what is new; the last answer knows the tool's result."""
    equal([body["thread"]["type"] for body in bodies], ["create", "continue"])
    equal([len(body["messages"]) for body in bodies], [1, 1])
    assert "system" not in bodies[1] and "tools" not in bodies[1], bodies[1].keys()
    text = final.content[0].text
    assert text.startswith(said) and "The tool says: Rain in" in text, text


# What a thread's first answer says who it is told to be: the request's own prompt, or the flag's.
ROUTES = (("", "(claude-sim, told: Be brief.)"), ("/flagged", "(claude-other, told: Talk like a pirate.)"))


@case
def threads():
    @beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}"

    for path, said in ROUTES:
        for stream in (False, True):
            sent = Sent()
            http = anthropic.DefaultHttpxClient(event_hooks={"request": [sent]})
            runner = client(path, http_client=http).beta.messages.tool_runner(
                model="claude-sim", max_tokens=400, system="Be brief.", tools=[weather], messages=ASK, stream=stream
            )
            if stream:
                for one in runner:
                    final = one.get_final_message()
            else:
                final = runner.until_done()
            check_thread(sent.bodies, final, said)


@case
def threads_asynchronous():
    @beta_async_tool
    async def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}"

    async def whole(path, said):
        sent = Sent()
        http = anthropic.DefaultAsyncHttpxClient(event_hooks={"request": [sent.later]})
        api = anthropic.AsyncAnthropic(base_url=f"{DIMMER}{path}", api_key=KEY, max_retries=0, http_client=http)
        async with api:
            runner = api.beta.messages.tool_runner(
                model="claude-sim", max_tokens=400, system="Be brief.", tools=[weather], messages=ASK
            )
            check_thread(sent.bodies, await runner.until_done(), said)

    async def both():
        await asyncio.gather(*(whole(path, said) for path, said in ROUTES))

    asyncio.run(both())


@case
def thread_errors():
    api = client()

    def create(thread, **more):
        plain = {"model": "claude-sim", "max_tokens": 400, "messages": ASK, "betas": [BETA]}
        return api.beta.messages.create(**{**plain, "thread": thread, **more})

    follow = lambda message: {"type": "continue", "previous_message_id": message}
    refused(types.ThreadNotFoundError, "thread_not_found", lambda: create(follow("msg_unknown")))
    first = create({"type": "create"}, system="Be brief.")
    changed = lambda: create(follow(first.id), system="Be long.")
    refused(types.ThreadFingerprintMismatchError, "thread_fingerprint_mismatch", changed)
    second = create(follow(first.id))
    assert "told: Be brief." in second.content[0].text
    again = lambda: create(follow(first.id))
    refused(types.ThreadAlreadyContinuedError, "thread_already_continued", again)


@case
def count_tokens():
    count = lambda path: client(path).messages.with_raw_response.count_tokens(model="claude-sim", messages=ASK)
    plain, flagged = count(""), count("/flagged")
    equal(flagged.headers["x-dimmer-model"], "claude-other")
    # The flag's prompt is counted with it.
    equal(flagged.parse().input_tokens - plain.parse().input_tokens, 4)
    message = client("/flagged").messages.create(model="claude-sim", max_tokens=400, messages=ASK)
    equal(flagged.parse().input_tokens, message.usage.input_tokens)
    error = refused(anthropic.NotFoundError, "dimmer_nothing_to_count", lambda: count("/resting"))
    equal(error.response.headers["x-should-retry"], "false")
    refused(anthropic.ServiceUnavailableError, "dimmer_kill_switch", lambda: count("/off"))


@case
def models():
    listed = lambda path, **more: [model.id for model in client(path).models.list(**more)]
    provider = ["gpt-sim", "gpt-other", "gpt-slow", "gpt-failing", "claude-sim", "claude-other"]
    equal(listed("/plain"), provider)
    for path in ("", "/named"):
        equal(listed(path), ["assistant", *provider])
        equal(listed(path, limit=2), ["assistant", *provider])
        entry = client(path).models.retrieve("assistant")
        equal((entry.id, entry.type, entry.display_name, entry.created_at.year), ("assistant", "model", "assistant", 2026))
    page = client("/named").models.list(limit=2, after_id="gpt-sim")
    equal((page.first_id, page.last_id, page.has_more), ("gpt-other", "gpt-slow", True))
    before = client("/named").models.list(limit=1, before_id="gpt-sim")
    equal(([model.id for model in before.data], before.has_more), (["assistant"], False))
    raises(anthropic.NotFoundError, lambda: client("/plain").models.retrieve("assistant"))


run()
