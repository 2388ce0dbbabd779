"""The cases that both SDKs must pass alike, told once; each program says in its `Sdk` what differs."""

import json

from cases import DIMMER, KEY, Attempts, case, equal, eventually, raises, seen

RESTING = "The assistant is resting. ☃"


class Sdk:
    """What the programs say of their SDK: its module and client, the names in the gateway's configuration, and `create`,
    `raw`, `text`, `finish`, `joined`, `delta`, `code`, `message`, `tool_turns` as they are spelled there."""

    # Where its base URL ends.
    version = ""

    def client(self, path="", key=KEY, retries=0, **more):
        return self.kind(base_url=f"{DIMMER}{path}{self.version}", api_key=key, max_retries=retries, **more)

    def counting(self, path, retries):
        """A client, and how many requests really leave it."""
        attempts = Attempts()
        http = self.module.DefaultHttpxClient(event_hooks={"request": [attempts]})
        return self.client(path, retries=retries, http_client=http), attempts

    def arrived(self, answer):
        """What the provider says that came to it."""
        return json.loads(self.text(answer))

    def decided(self, api, model, headers=None):
        raw = self.raw(api, model=model, extra_headers=headers or {})
        return raw.headers, self.arrived(raw.parse())

    def provider_error(self, status, kind):
        error = raises(kind, lambda: self.create(self.client(), model=f"status-{status}"))
        equal((error.status_code, self.code(error)), (status, f"provider_{status}"))
        return error

    def from_provider(self, status, kind):
        error = self.provider_error(status, kind)
        equal((error.type, self.message(error)), ("provider_error", f"the provider says {status}"))
        equal(error.request_id, "req_provider")
        return error

    def from_dimmer(self, error, code=None):
        """An error that dimmer made: code, type and message are filled, and it says which request it was."""
        found = self.code(error)
        assert found and found.startswith("dimmer_"), f"{found!r}: {error}"
        assert code is None or found == code, found
        assert error.type and self.message(error), error.body
        assert error.response.headers["x-dimmer-request-id"]


def errors(sdk):
    """Errors of the provider and of dimmer, as the classes that the SDK has for them."""
    module = sdk.module

    @case
    def error_400():
        sdk.from_provider(400, module.BadRequestError)

    @case
    def error_401_from_dimmer():
        unknown = sdk.client(key="not-a-key-of-ours")
        error = raises(module.AuthenticationError, lambda: sdk.create(unknown))
        sdk.from_dimmer(error)
        equal(error.response.headers["x-should-retry"], "false")
        assert "not-a-key-of-ours" not in str(error)

    @case
    def error_401_from_provider():
        # The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
        wrong = sdk.client("/wrong-key")
        error = raises(module.InternalServerError, lambda: sdk.create(wrong, model="not-declared"))
        equal(error.status_code, 502)
        sdk.from_dimmer(error)

    @case
    def error_404():
        sdk.from_provider(404, module.NotFoundError)

    @case
    def error_404_wrong_base_url():
        error = raises(module.NotFoundError, lambda: sdk.create(sdk.client("/v1")))
        sdk.from_dimmer(error)
        assert "/v1" in sdk.message(error), sdk.message(error)

    @case
    def error_429():
        error = sdk.provider_error(429, module.RateLimitError)
        equal(error.response.headers["retry-after"], "1")

    @case
    def error_500():
        sdk.from_provider(500, module.InternalServerError)

    @case
    def error_529():
        sdk.from_provider(529, sdk.overloaded)

    @case
    def error_of_a_stream():
        call = lambda: sdk.create(sdk.client(), model="status-429", stream=True)
        equal(sdk.code(raises(module.RateLimitError, call)), "provider_429")


def breaks(sdk):
    """Retries, broken streams, callers that leave."""
    module = sdk.module

    @case
    def retries_are_the_clients():
        api, attempts = sdk.counting("", retries=1)
        before = seen()["requests"]
        raises(module.InternalServerError, lambda: sdk.create(api, model="status-500"))
        equal(attempts.count, 2)
        equal(seen()["requests"] - before, 2)

    @case
    def should_not_retry():
        api, attempts = sdk.counting("/off", retries=2)
        raises(sdk.unavailable, lambda: sdk.create(api))
        equal(attempts.count, 1)

    @case
    def broken_stream():
        stream = sdk.create(sdk.client(), model="breaks", stream=True)
        text = ""

        def read():
            nonlocal text
            for event in stream:
                text += sdk.delta(event)

        error = raises(sdk.broken, read)
        assert text, "what came before the break was relayed"
        assert sdk.code(error) and sdk.code(error).startswith("dimmer_"), error.body

    @case
    def cancelled_stream():
        before = seen()["cancelled"]
        with sdk.create(sdk.client(), model="endless", stream=True) as stream:
            next(iter(stream))
        eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")

    @case
    def cancelled_before_the_answer():
        before = seen()["cancelled"]
        raises(module.APITimeoutError, lambda: sdk.create(sdk.client(timeout=0.5), model="silent"))
        eventually(lambda: seen()["cancelled"] == before + 1, "the upstream request is cancelled")


def decisions(sdk):
    """Routes, clients and flags."""
    path = f"/{sdk.route}"

    @case
    def route_by_path():
        equal(sdk.decided(sdk.client(path), "whatever")[0]["x-dimmer-route"], sdk.route)

    @case
    def route_by_alias():
        headers, got = sdk.decided(sdk.client(), sdk.route)
        equal((headers["x-dimmer-route"], got["model"]), (sdk.route, sdk.plain))

    @case
    def route_by_header():
        headers, _ = sdk.decided(sdk.client(), "whatever", {"x-dimmer-route": sdk.route})
        equal(headers["x-dimmer-route"], sdk.route)

    @case
    def route_unknown():
        call = lambda: sdk.decided(sdk.client(), sdk.plain, {"x-dimmer-route": "nowhere"})
        error = raises(sdk.module.NotFoundError, call)
        sdk.from_dimmer(error)
        assert sdk.route in sdk.message(error), f"the routes are listed: {sdk.message(error)}"

    @case
    def client_key_in_either_header():
        # Today's SDKs send `Authorization: Bearer`, Anthropic's older ones `x-api-key`.
        omit = sdk.module.Omit()
        for either in (
            {"Authorization": omit, "x-api-key": KEY},
            {"Authorization": f"Bearer {KEY}", "x-api-key": omit},
        ):
            got, _ = sdk.decided(sdk.client(path, key="unused"), "whatever", either)
            equal(got["x-dimmer-route"], sdk.route)
            assert KEY not in json.dumps(seen()["last"])

    @case
    def flags_decide():
        api = sdk.client(path)
        headers, got = sdk.decided(api, "whatever", {"x-user-id": "user-1", "x-user-tier": "pro"})
        equal((got["model"], got["system"]), (f"{sdk.fancy}-2", "Talk like a pirate."))
        equal(headers["x-dimmer-model"], sdk.fancy)
        flags = headers["x-dimmer-flags"]
        assert f"{sdk.flag}={sdk.fancy};TARGETING_MATCH" in flags, flags
        assert "prompt=pirate;TARGETING_MATCH" in flags, flags
        names = seen()["last"]["headers"]
        assert "x-user-id" not in names and "x-user-tier" not in names, "the context's headers are taken out"

        headers, got = sdk.decided(api, "whatever", {"x-user-id": "user-2"})
        equal((got["model"], got["system"]), (sdk.plain, "Be brief."))
        flags = headers["x-dimmer-flags"]
        assert f"{sdk.flag}={sdk.plain};DEFAULT" in flags, flags
        assert "prompt=as_sent;DEFAULT" in flags, flags

        # The user may also come in the body, where the SDK has a field for it.
        for user in sdk.users("user-1"):
            raw = sdk.raw(api, model="whatever", stream=True, **user)
            assert "prompt=pirate;TARGETING_MATCH" in raw.headers["x-dimmer-flags"]
            equal(json.loads(sdk.joined(raw.parse())[0])["system"], "Talk like a pirate.")

        error = raises(sdk.module.BadRequestError, lambda: sdk.decided(sdk.client(), "status-400"))
        equal(error.response.headers["x-dimmer-route"], "default")

    @case
    def other_dialects_model():
        # It is asked in its own API, and answers in ours.
        arrived = sdk.arrived(sdk.create(sdk.client(), model=sdk.other))
        equal((arrived["model"], arrived["system"], arrived["snow"]), (sdk.other, "Be brief.", "☃ åäö"))


def answers(sdk):
    """Replies without a model, the simulated provider, and tools."""
    resting = lambda **more: sdk.create(sdk.client("/resting"), **more)

    @case
    def reply_text():
        answer = resting()
        equal((sdk.text(answer), sdk.finish(answer), sdk.role(answer)), (RESTING, sdk.stop, "assistant"))

    @case
    def reply_streamed():
        equal(sdk.joined(resting(stream=True)), (RESTING, sdk.stop))
        equal(sdk.text(sdk.helper(sdk.client("/resting"))), RESTING)

    @case
    def reply_json():
        equal(json.loads(sdk.text(resting(**sdk.json_asked))), {"status": "resting"})

    @case
    def reply_error():
        for more in ({}, {"stream": True}):
            error = raises(sdk.unavailable, lambda more=more: sdk.create(sdk.client("/off"), **more))
            sdk.from_dimmer(error)
            equal((error.status_code, sdk.message(error)), (503, "Feature temporarily disabled"))
            equal(error.response.headers["retry-after"], "300")
            equal(error.response.headers["x-should-retry"], "false")

    @case
    def mock_plain():
        answer = sdk.create(sdk.client("/sim"))
        assert sdk.text(answer)
        assert sdk.output_tokens(answer) > 0

    @case
    def mock_streamed():
        text, finish = sdk.joined(sdk.create(sdk.client("/sim"), stream=True))
        assert text
        equal(finish, sdk.stop)
        assert sdk.text(sdk.helper(sdk.client("/sim")))

    @case
    def mock_tools():
        for first in (sdk.first_whole, sdk.first_streamed):
            last, _ = sdk.tool_turns("/sim", first)
            assert sdk.text(last)

    @case
    def tool_loop():
        last, city = sdk.tool_turns("", sdk.first_whole)
        equal((sdk.text(last), city), ("The tool says: Rain, 4 °C", {"city": "Oslo"}))

    @case
    def tool_loop_streamed():
        last, city = sdk.tool_turns("", sdk.first_streamed)
        equal((sdk.text(last), city), ("The tool says: Rain, 4 °C", {"city": "Oslo"}))


def declare(sdk):
    """Declares all of them for one SDK."""
    for group in (errors, breaks, decisions, answers):
        group(sdk)
