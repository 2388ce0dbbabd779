// The official Anthropic SDK for Node against dimmer: Messages.

import assert from 'node:assert/strict';
import Anthropic, { ServiceUnavailableError, OverloadedError } from '@anthropic-ai/sdk';
import { DIMMER, IMAGE, KEY, countingFetch, eventually, raises, run, seen } from './cases.mjs';

const ASK = [{ role: 'user', content: 'How is the weather?' }];
const TOOL = {
  name: 'weather',
  description: 'The weather in a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

const client = (path = '', more = {}) =>
  new Anthropic({ baseURL: `${DIMMER}${path}`, apiKey: KEY, maxRetries: 0, ...more });
const asked = (more = {}) => ({
  model: 'claude-plain',
  max_tokens: 1000,
  system: 'Be brief.',
  messages: ASK,
  ...more,
});
const create = (api, more = {}, options = {}) => api.messages.create(asked(more), options);
const arrived = (message) => JSON.parse(message.content[0].text);

async function joined(stream) {
  let text = '';
  let stop = null;
  for await (const event of stream) {
    if (event.type === 'content_block_delta') text += event.delta.text;
    if (event.type === 'message_delta') stop = event.delta.stop_reason;
  }
  return [text, stop];
}

// Asks, runs the tool that is called, and hands its result back. `first` makes the first turn.
async function toolTurns(path, model, first) {
  const api = client(path);
  const message = await first(api, model);
  assert.equal(message.stop_reason, 'tool_use');
  const call = message.content.find((block) => block.type === 'tool_use');
  assert.equal(call.name, 'weather');
  const result = { type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: 'Rain, 4 °C' }] };
  const messages = [...ASK, { role: 'assistant', content: message.content }, { role: 'user', content: [result] }];
  return [await create(api, { model, messages, tools: [TOOL] }), call.input];
}

const firstWhole = (api, model) => create(api, { model, tools: [TOOL] });

async function firstStreamed(api, model) {
  const stream = api.messages.stream(asked({ model, tools: [TOOL] }));
  let pieces = 0;
  stream.on('inputJson', () => (pieces += 1));
  const message = await stream.finalMessage();
  assert.ok(pieces > 0);
  return message;
}

async function providerError(status, kind) {
  const error = await raises(kind, () => create(client(), { model: `status-${status}` }));
  assert.equal(error.status, status);
  assert.equal(error.errorCode, `provider_${status}`);
  assert.equal(error.type, 'provider_error');
  assert.equal(error.apiMessage, `the provider says ${status}`);
  assert.equal(error.requestID, 'req_provider');
  return error;
}

// An error that dimmer made: code, type and message are filled, and it says which request it was.
function fromDimmer(error, code) {
  assert.match(error.errorCode ?? '', /^dimmer_/, String(error));
  if (code) assert.equal(error.errorCode, code);
  assert.ok(error.type && error.apiMessage, JSON.stringify(error.error));
  assert.ok(error.headers.get('x-dimmer-request-id'));
}

async function decided(api, model, headers = {}) {
  const { data, response } = await create(api, { model }, { headers }).withResponse();
  return [response.headers, arrived(data)];
}

await run({
  async plain() {
    const { data, response } = await create(client()).withResponse();
    assert.equal(arrived(data).system, 'Be brief.');
    assert.equal(arrived(data).model, 'claude-plain');
    assert.equal(arrived(data).snow, '☃ åäö');
    assert.equal(data.stop_reason, 'end_turn');
    assert.equal(data.usage.output_tokens, 5);
    assert.equal(data._request_id, 'req_provider');
    assert.ok(response.headers.get('x-dimmer-request-id'));
    const { last } = await seen();
    assert.ok(!JSON.stringify(last).includes(KEY), "the caller's key must not reach the provider");
    assert.deepEqual(Object.keys(last.headers).filter((name) => name.startsWith('x-dimmer-')), ['x-dimmer-hops']);
    assert.equal(last.path, '/v1/messages');
    assert.ok(last.headers['anthropic-version'], 'the version belongs to the request');
  },

  async streamed() {
    const [text, stop] = await joined(await create(client(), { stream: true }));
    assert.equal(JSON.parse(text).snow, '☃ åäö');
    assert.equal(stop, 'end_turn');
  },

  async stream_helper() {
    const stream = client().messages.stream(asked());
    let text = '';
    stream.on('text', (delta) => (text += delta));
    const final = await stream.finalMessage();
    assert.equal(arrived(final).system, 'Be brief.');
    assert.equal(text, final.content[0].text);
    assert.equal(final.stop_reason, 'end_turn');
    assert.equal(final.usage.output_tokens, 5);
  },

  async tool_loop() {
    const [last, city] = await toolTurns('', 'claude-plain', firstWhole);
    assert.deepEqual(city, { city: 'Oslo' });
    assert.equal(last.content[0].text, 'The tool says: Rain, 4 °C');
  },

  async tool_loop_streamed() {
    const [last, city] = await toolTurns('', 'claude-plain', firstStreamed);
    assert.deepEqual(city, { city: 'Oslo' });
    assert.equal(last.content[0].text, 'The tool says: Rain, 4 °C');
  },

  async image() {
    const source = { type: 'base64', media_type: 'image/png', data: IMAGE };
    const content = [{ type: 'image', source }, { type: 'text', text: 'What is this?' }];
    const message = await create(client('/talk'), { messages: [{ role: 'user', content }] });
    assert.deepEqual(arrived(message).images, [`data:image/png;base64,${IMAGE}`]);
  },

  error_400: () => providerError(400, Anthropic.BadRequestError),
  error_404: () => providerError(404, Anthropic.NotFoundError),
  error_500: () => providerError(500, Anthropic.InternalServerError),
  error_529: () => providerError(529, OverloadedError),
  async error_429() {
    const error = await providerError(429, Anthropic.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '1');
  },

  async error_401_from_dimmer() {
    const call = () => create(client('', { apiKey: 'not-a-key-of-ours' }));
    const error = await raises(Anthropic.AuthenticationError, call);
    fromDimmer(error);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    assert.ok(!String(error).includes('not-a-key-of-ours'));
  },

  async error_401_from_provider() {
    // The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
    const error = await raises(Anthropic.InternalServerError, () => create(client('/wrong-key'), { model: 'not-declared' }));
    assert.equal(error.status, 502);
    fromDimmer(error);
  },

  async error_404_wrong_base_url() {
    const error = await raises(Anthropic.NotFoundError, () => create(client('/v1')));
    fromDimmer(error);
    assert.match(error.apiMessage, /\/v1/);
  },

  async error_of_a_stream() {
    const error = await raises(Anthropic.RateLimitError, () => create(client(), { model: 'status-429', stream: true }));
    assert.equal(error.errorCode, 'provider_429');
  },

  async retries_are_the_clients() {
    const fetch = countingFetch();
    const before = (await seen()).requests;
    const api = client('', { fetch, maxRetries: 1 });
    await raises(Anthropic.InternalServerError, () => create(api, { model: 'status-500' }));
    assert.equal(fetch.count, 2);
    assert.equal((await seen()).requests - before, 2);
  },

  async should_not_retry() {
    const fetch = countingFetch();
    await raises(ServiceUnavailableError, () => create(client('/off', { fetch, maxRetries: 2 })));
    assert.equal(fetch.count, 1);
  },

  async broken_stream() {
    let text = '';
    const error = await raises(Anthropic.APIError, async () => {
      for await (const event of await create(client(), { model: 'breaks', stream: true })) {
        if (event.type === 'content_block_delta') text += event.delta.text;
      }
    });
    assert.ok(text, 'what came before the break was relayed');
    assert.match(error.errorCode ?? '', /^dimmer_/);
    // The helper must notice too.
    const helper = client().messages.stream(asked({ model: 'breaks' }));
    await assert.rejects(helper.finalMessage(), Anthropic.APIError);
  },

  async cancelled_stream() {
    const before = (await seen()).cancelled;
    for await (const event of await create(client(), { model: 'endless', stream: true })) {
      assert.ok(event.type);
      break;
    }
    await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
  },

  async cancelled_before_the_answer() {
    const before = (await seen()).cancelled;
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 300);
    await raises(Anthropic.APIUserAbortError, () => create(client(), { model: 'silent' }, { signal: abort.signal }));
    await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
  },

  async route_by_path() {
    const [headers] = await decided(client('/talk'), 'whatever');
    assert.equal(headers.get('x-dimmer-route'), 'talk');
  },

  async route_by_alias() {
    const [headers, got] = await decided(client(), 'talk');
    assert.equal(headers.get('x-dimmer-route'), 'talk');
    assert.equal(got.model, 'claude-plain');
  },

  async route_by_header() {
    const [headers] = await decided(client(), 'whatever', { 'x-dimmer-route': 'talk' });
    assert.equal(headers.get('x-dimmer-route'), 'talk');
  },

  async route_unknown() {
    const call = () => decided(client(), 'claude-plain', { 'x-dimmer-route': 'nowhere' });
    const error = await raises(Anthropic.NotFoundError, call);
    fromDimmer(error);
    assert.match(error.apiMessage, /talk/, 'the routes are listed');
  },

  async client_key_in_either_header() {
    // Today's SDK sends `Authorization: Bearer`, older ones `x-api-key`.
    for (const defaultHeaders of [
      { authorization: null, 'x-api-key': KEY },
      { authorization: `Bearer ${KEY}`, 'x-api-key': null },
    ]) {
      const [headers] = await decided(client('/talk', { apiKey: 'unused', defaultHeaders }), 'whatever');
      assert.equal(headers.get('x-dimmer-route'), 'talk');
      assert.ok(!JSON.stringify((await seen()).last).includes(KEY));
    }
  },

  async flags_decide() {
    const pro = { 'x-user-id': 'user-1', 'x-user-tier': 'pro' };
    let [headers, got] = await decided(client('/talk'), 'whatever', pro);
    assert.equal(got.model, 'claude-fancy-2');
    assert.equal(got.system, 'Talk like a pirate.');
    assert.equal(headers.get('x-dimmer-model'), 'claude-fancy');
    assert.match(headers.get('x-dimmer-flags'), /talk_model=claude-fancy;TARGETING_MATCH/);
    assert.match(headers.get('x-dimmer-flags'), /prompt=pirate;TARGETING_MATCH/);
    const names = Object.keys((await seen()).last.headers);
    assert.ok(!names.includes('x-user-id') && !names.includes('x-user-tier'), "the context's headers are taken out");

    [headers, got] = await decided(client('/talk'), 'whatever', { 'x-user-id': 'user-2' });
    assert.equal(got.model, 'claude-plain');
    assert.equal(got.system, 'Be brief.');
    assert.match(headers.get('x-dimmer-flags'), /talk_model=claude-plain;DEFAULT/);
    assert.match(headers.get('x-dimmer-flags'), /prompt=as_sent;DEFAULT/);

    // The user may also come in the body, where the SDK has a field for it.
    const body = { stream: true, metadata: { user_id: 'user-1' } };
    const { data, response } = await create(client('/talk'), body).withResponse();
    assert.match(response.headers.get('x-dimmer-flags'), /prompt=pirate;TARGETING_MATCH/);
    assert.equal(JSON.parse((await joined(data))[0]).system, 'Talk like a pirate.');

    const error = await raises(Anthropic.BadRequestError, () => decided(client(), 'status-400'));
    assert.equal(error.headers.get('x-dimmer-route'), 'default');
  },

  async other_dialects_model() {
    const error = await raises(Anthropic.BadRequestError, () => create(client(), { model: 'gpt-plain' }));
    fromDimmer(error, 'dimmer_cannot_translate');
  },

  async reply_text() {
    const message = await create(client('/resting'));
    assert.equal(message.content[0].text, 'The assistant is resting. ☃');
    assert.equal(message.stop_reason, 'end_turn');
    assert.equal(message.role, 'assistant');
  },

  async reply_streamed() {
    const stream = await create(client('/resting'), { stream: true });
    assert.deepEqual(await joined(stream), ['The assistant is resting. ☃', 'end_turn']);
    const helper = client('/resting').messages.stream(asked());
    assert.equal((await helper.finalMessage()).content[0].text, 'The assistant is resting. ☃');
  },

  async reply_json() {
    const schema = {
      type: 'object',
      properties: { status: { type: 'string' } },
      required: ['status'],
      additionalProperties: false,
    };
    const output_config = { format: { type: 'json_schema', schema } };
    const message = await create(client('/resting'), { output_config });
    assert.deepEqual(JSON.parse(message.content[0].text), { status: 'resting' });
  },

  async reply_error() {
    for (const more of [{}, { stream: true }]) {
      const error = await raises(ServiceUnavailableError, () => create(client('/off'), more));
      fromDimmer(error);
      assert.equal(error.status, 503);
      assert.equal(error.apiMessage, 'Feature temporarily disabled');
      assert.equal(error.headers.get('retry-after'), '300');
      assert.equal(error.headers.get('x-should-retry'), 'false');
    }
  },

  async mock_plain() {
    const message = await create(client('/sim'));
    assert.ok(message.content[0].text);
    assert.ok(message.usage.output_tokens > 0);
  },

  async mock_streamed() {
    const [text, stop] = await joined(await create(client('/sim'), { stream: true }));
    assert.ok(text);
    assert.equal(stop, 'end_turn');
    const helper = client('/sim').messages.stream(asked());
    assert.ok((await helper.finalMessage()).content[0].text);
  },

  async mock_tools() {
    for (const first of [firstWhole, firstStreamed]) {
      const [last] = await toolTurns('/sim', 'claude-plain', first);
      assert.ok(last.content[0].text);
    }
  },
});
