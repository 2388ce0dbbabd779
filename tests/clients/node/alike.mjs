// The cases that both SDKs must pass alike, told once; each program says in its `sdk` what differs.

import assert from 'node:assert/strict';
import { DIMMER, KEY, countingFetch, eventually, raises, seen } from './cases.mjs';

const RESTING = 'The assistant is resting. ☃';

/**
 * The cases for one SDK. `sdk` has its class `Sdk` and the ending of its base URL, the names in the gateway's configuration, and
 * `create`, `helper`, `text`, `finish`, `delta`, `joined`, `code`, `message`, `toolTurns` as they are spelled there.
 */
export function alike(sdk) {
  const { Sdk, create, text, code, message } = sdk;
  const path = `/${sdk.route}`;
  const client = (at = '', more = {}) => clientOf(sdk, at, more);

  async function providerError(status, kind) {
    const error = await raises(kind, () => create(client(), { model: `status-${status}` }));
    assert.deepEqual([error.status, code(error), error.type], [status, `provider_${status}`, 'provider_error']);
    assert.deepEqual([message(error), error.requestID], [`the provider says ${status}`, 'req_provider']);
    sdk.checkProviderError?.(error);
    return error;
  }

  // An error that dimmer made: code, type and message are filled, and it says which request it was.
  function fromDimmer(error, expected) {
    assert.match(code(error) ?? '', /^dimmer_/, String(error));
    if (expected) assert.equal(code(error), expected);
    assert.ok(error.type && message(error), JSON.stringify(error.error));
    assert.ok(error.headers.get('x-dimmer-request-id'));
  }

  async function decided(api, model, headers = {}) {
    const { data, response } = await create(api, { model }, { headers }).withResponse();
    return [response.headers, JSON.parse(text(data))];
  }

  const errors = {
    error_400: () => providerError(400, Sdk.BadRequestError),
    error_404: () => providerError(404, Sdk.NotFoundError),
    error_500: () => providerError(500, Sdk.InternalServerError),
    error_529: () => providerError(529, sdk.overloaded),

    async error_429() {
      const error = await providerError(429, Sdk.RateLimitError);
      assert.equal(error.headers.get('retry-after'), '1');
    },

    async error_401_from_dimmer() {
      const call = () => create(client('', { apiKey: 'not-a-key-of-ours' }));
      const error = await raises(Sdk.AuthenticationError, call);
      fromDimmer(error);
      assert.equal(error.headers.get('x-should-retry'), 'false');
      assert.ok(!String(error).includes('not-a-key-of-ours'));
    },

    async error_401_from_provider() {
      // The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
      const call = () => create(client('/wrong-key'), { model: 'not-declared' });
      const error = await raises(Sdk.InternalServerError, call);
      assert.equal(error.status, 502);
      fromDimmer(error);
    },

    async error_404_wrong_base_url() {
      const error = await raises(Sdk.NotFoundError, () => create(client('/v1')));
      fromDimmer(error);
      assert.match(message(error), /\/v1/);
    },

    async error_of_a_stream() {
      const call = () => create(client(), { model: 'status-429', stream: true });
      assert.equal(code(await raises(Sdk.RateLimitError, call)), 'provider_429');
    },
  };

  const breaks = {
    async retries_are_the_clients() {
      const fetch = countingFetch();
      const before = (await seen()).requests;
      const api = client('', { fetch, maxRetries: 1 });
      await raises(Sdk.InternalServerError, () => create(api, { model: 'status-500' }));
      assert.equal(fetch.count, 2);
      assert.equal((await seen()).requests - before, 2);
    },

    async should_not_retry() {
      const fetch = countingFetch();
      await raises(sdk.unavailable, () => create(client('/off', { fetch, maxRetries: 2 })));
      assert.equal(fetch.count, 1);
    },

    async broken_stream() {
      let said = '';
      const error = await raises(Sdk.APIError, async () => {
        for await (const event of await create(client(), { model: 'breaks', stream: true })) said += sdk.delta(event);
      });
      assert.ok(said, 'what came before the break was relayed');
      assert.match(code(error) ?? '', /^dimmer_/);
      // The helper must notice too.
      await assert.rejects(sdk.helper(client(), { model: 'breaks' }), Sdk.APIError);
    },

    async cancelled_stream() {
      const before = (await seen()).cancelled;
      for await (const event of await create(client(), { model: 'endless', stream: true })) {
        assert.ok(event);
        break;
      }
      await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
    },

    async cancelled_before_the_answer() {
      const before = (await seen()).cancelled;
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 300);
      const call = () => create(client(), { model: 'silent' }, { signal: abort.signal });
      await raises(Sdk.APIUserAbortError, call);
      await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
    },
  };

  const decisions = {
    async route_by_path() {
      const [headers] = await decided(client(path), 'whatever');
      assert.equal(headers.get('x-dimmer-route'), sdk.route);
    },

    async route_by_alias() {
      const [headers, got] = await decided(client(), sdk.route);
      assert.deepEqual([headers.get('x-dimmer-route'), got.model], [sdk.route, sdk.plain]);
    },

    async route_by_header() {
      const [headers] = await decided(client(), 'whatever', { 'x-dimmer-route': sdk.route });
      assert.equal(headers.get('x-dimmer-route'), sdk.route);
    },

    async route_unknown() {
      const call = () => decided(client(), sdk.plain, { 'x-dimmer-route': 'nowhere' });
      const error = await raises(Sdk.NotFoundError, call);
      fromDimmer(error);
      assert.ok(message(error).includes(sdk.route), 'the routes are listed');
    },

    async client_key_in_either_header() {
      // Today's SDKs send `Authorization: Bearer`, Anthropic's older ones `x-api-key`.
      for (const defaultHeaders of [
        { authorization: null, 'x-api-key': KEY },
        { authorization: `Bearer ${KEY}`, 'x-api-key': null },
      ]) {
        const [headers] = await decided(client(path, { apiKey: 'unused', defaultHeaders }), 'whatever');
        assert.equal(headers.get('x-dimmer-route'), sdk.route);
        assert.ok(!JSON.stringify((await seen()).last).includes(KEY));
      }
    },

    async flags_decide() {
      const api = client(path);
      const pro = { 'x-user-id': 'user-1', 'x-user-tier': 'pro' };
      let [headers, got] = await decided(api, 'whatever', pro);
      assert.deepEqual([got.model, got.system], [`${sdk.fancy}-2`, 'Talk like a pirate.']);
      assert.equal(headers.get('x-dimmer-model'), sdk.fancy);
      let flags = headers.get('x-dimmer-flags');
      assert.ok(flags.includes(`${sdk.flag}=${sdk.fancy};TARGETING_MATCH`), flags);
      assert.ok(flags.includes('prompt=pirate;TARGETING_MATCH'), flags);
      const names = Object.keys((await seen()).last.headers);
      assert.ok(!names.includes('x-user-id') && !names.includes('x-user-tier'), "the context's headers are taken out");

      [headers, got] = await decided(api, 'whatever', { 'x-user-id': 'user-2' });
      assert.deepEqual([got.model, got.system], [sdk.plain, 'Be brief.']);
      flags = headers.get('x-dimmer-flags');
      assert.ok(flags.includes(`${sdk.flag}=${sdk.plain};DEFAULT`), flags);
      assert.ok(flags.includes('prompt=as_sent;DEFAULT'), flags);

      // The user may also come in the body, where the SDK has a field for it.
      const { data, response } = await create(api, { stream: true, ...sdk.user('user-1') }).withResponse();
      assert.match(response.headers.get('x-dimmer-flags'), /prompt=pirate;TARGETING_MATCH/);
      assert.equal(JSON.parse((await sdk.joined(data))[0]).system, 'Talk like a pirate.');

      const error = await raises(Sdk.BadRequestError, () => decided(client(), 'status-400'));
      assert.equal(error.headers.get('x-dimmer-route'), 'default');
    },

    async other_dialects_model() {
      // It is asked in its own API, and answers in ours.
      const arrived = JSON.parse(text(await create(client(), { model: sdk.other })));
      assert.deepEqual([arrived.model, arrived.system, arrived.snow], [sdk.other, 'Be brief.', '☃ åäö']);
    },
  };

  const answers = {
    async reply_text() {
      const answer = await create(client('/resting'));
      assert.deepEqual([text(answer), sdk.finish(answer), sdk.role(answer)], [RESTING, sdk.stop, 'assistant']);
    },

    async reply_streamed() {
      const stream = await create(client('/resting'), { stream: true });
      assert.deepEqual(await sdk.joined(stream), [RESTING, sdk.stop]);
      assert.equal(text(await sdk.helper(client('/resting'))), RESTING);
    },

    async reply_json() {
      const answer = await create(client('/resting'), sdk.jsonAsked);
      assert.deepEqual(JSON.parse(text(answer)), { status: 'resting' });
    },

    async reply_error() {
      for (const more of [{}, { stream: true }]) {
        const error = await raises(sdk.unavailable, () => create(client('/off'), more));
        fromDimmer(error);
        assert.deepEqual([error.status, message(error)], [503, 'Feature temporarily disabled']);
        assert.equal(error.headers.get('retry-after'), '300');
        assert.equal(error.headers.get('x-should-retry'), 'false');
      }
    },

    async mock_plain() {
      const answer = await create(client('/sim'));
      assert.ok(text(answer));
      assert.ok(sdk.outputTokens(answer) > 0);
    },

    async mock_streamed() {
      const [said, finish] = await sdk.joined(await create(client('/sim'), { stream: true }));
      assert.ok(said);
      assert.equal(finish, sdk.stop);
      assert.ok(text(await sdk.helper(client('/sim'))));
    },

    async mock_tools() {
      for (const first of [sdk.firstWhole, sdk.firstStreamed]) {
        const [last] = await sdk.toolTurns(client('/sim'), first);
        assert.ok(text(last));
      }
    },

    async tool_loop() {
      const [last, city] = await sdk.toolTurns(client(), sdk.firstWhole);
      assert.deepEqual([text(last), city], ['The tool says: Rain, 4 °C', { city: 'Oslo' }]);
    },

    async tool_loop_streamed() {
      const [last, city] = await sdk.toolTurns(client(), sdk.firstStreamed);
      assert.deepEqual([text(last), city], ['The tool says: Rain, 4 °C', { city: 'Oslo' }]);
    },
  };

  return { ...errors, ...breaks, ...decisions, ...answers };
}

/** A client of `sdk` for the route at this path. */
export function clientOf(sdk, path = '', more = {}) {
  return new sdk.Sdk({ baseURL: `${DIMMER}${path}${sdk.version}`, apiKey: KEY, maxRetries: 0, ...more });
}
