// The official OpenAI SDK for Node against dimmer: Chat Completions.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { DIMMER, IMAGE, KEY, countingFetch, eventually, raises, run, seen } from './cases.mjs';

const ASK = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'How is the weather?' },
];
const TOOL = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const client = (path = '', more = {}) =>
  new OpenAI({ baseURL: `${DIMMER}${path}/v1`, apiKey: KEY, maxRetries: 0, ...more });
const create = (api, more = {}, options = {}) =>
  api.chat.completions.create({ model: 'gpt-plain', messages: ASK, ...more }, options);
const arrived = (completion) => JSON.parse(completion.choices[0].message.content);

async function joined(stream) {
  let text = '';
  let finish = null;
  for await (const chunk of stream) {
    assert.ok(chunk.choices.length, 'nobody asked for a usage chunk');
    assert.ok(!('usage' in chunk), 'nobody asked for usage');
    text += chunk.choices[0].delta.content ?? '';
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  return [text, finish];
}

// Asks, runs the tool that is called, and hands its result back. `first` makes the first turn.
async function toolTurns(path, model, first) {
  const api = client(path);
  const message = await first(api, model);
  const call = message.tool_calls[0];
  assert.equal(call.function.name, 'weather');
  const city = JSON.parse(call.function.arguments);
  const result = { role: 'tool', tool_call_id: call.id, content: 'Rain, 4 °C' };
  return [await create(api, { model, messages: [...ASK, message, result], tools: [TOOL] }), city];
}

async function firstWhole(api, model) {
  const completion = await create(api, { model, tools: [TOOL] });
  assert.equal(completion.choices[0].finish_reason, 'tool_calls');
  return completion.choices[0].message;
}

async function firstStreamed(api, model) {
  const stream = api.chat.completions.stream({ model, messages: ASK, tools: [TOOL] });
  let pieces = 0;
  stream.on('tool_calls.function.arguments.delta', () => (pieces += 1));
  const completion = await stream.finalChatCompletion();
  assert.ok(pieces > 0);
  assert.equal(completion.choices[0].finish_reason, 'tool_calls');
  return completion.choices[0].message;
}

async function providerError(status, kind) {
  const error = await raises(kind, () => create(client(), { model: `status-${status}` }));
  assert.equal(error.status, status);
  assert.equal(error.code, `provider_${status}`);
  assert.equal(error.type, 'provider_error');
  assert.equal(error.param, 'n');
  assert.equal(error.error.message, `the provider says ${status}`);
  assert.equal(error.requestID, 'req_provider');
  return error;
}

// An error that dimmer made: code, type and message are filled, and it says which request it was.
function fromDimmer(error, code) {
  assert.match(error.code ?? '', /^dimmer_/, String(error));
  if (code) assert.equal(error.code, code);
  assert.ok(error.type && error.error.message, JSON.stringify(error.error));
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
    assert.equal(arrived(data).model, 'gpt-plain');
    assert.equal(arrived(data).snow, '☃ åäö');
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.usage.total_tokens, 12);
    assert.equal(data._request_id, 'req_provider');
    assert.ok(response.headers.get('x-dimmer-request-id'));
    const { last } = await seen();
    assert.ok(!JSON.stringify(last).includes(KEY), "the caller's key must not reach the provider");
    assert.deepEqual(Object.keys(last.headers).filter((name) => name.startsWith('x-dimmer-')), ['x-dimmer-hops']);
    assert.equal(last.path, '/v1/chat/completions');
  },

  async streamed() {
    const [text, finish] = await joined(await create(client(), { stream: true }));
    assert.equal(JSON.parse(text).snow, '☃ åäö');
    assert.equal(finish, 'stop');
    const usage = [];
    for await (const chunk of await create(client(), { stream: true, stream_options: { include_usage: true } })) {
      if (chunk.usage) usage.push(chunk.usage.total_tokens);
    }
    assert.deepEqual(usage, [12]);
  },

  async stream_helper() {
    const stream = client().chat.completions.stream({ model: 'gpt-plain', messages: ASK });
    let text = '';
    stream.on('content', (delta) => (text += delta));
    const final = await stream.finalChatCompletion();
    assert.equal(arrived(final).system, 'Be brief.');
    assert.equal(text, final.choices[0].message.content);
    assert.equal(final.choices[0].finish_reason, 'stop');
  },

  async tool_loop() {
    const [last, city] = await toolTurns('', 'gpt-plain', firstWhole);
    assert.deepEqual(city, { city: 'Oslo' });
    assert.equal(last.choices[0].message.content, 'The tool says: Rain, 4 °C');
  },

  async tool_loop_streamed() {
    const [last, city] = await toolTurns('', 'gpt-plain', firstStreamed);
    assert.deepEqual(city, { city: 'Oslo' });
    assert.equal(last.choices[0].message.content, 'The tool says: Rain, 4 °C');
  },

  async image() {
    const url = `data:image/png;base64,${IMAGE}`;
    const content = [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url } }];
    const completion = await create(client('/chat'), { messages: [{ role: 'user', content }] });
    assert.deepEqual(arrived(completion).images, [url]);
  },

  error_400: () => providerError(400, OpenAI.BadRequestError),
  error_404: () => providerError(404, OpenAI.NotFoundError),
  error_500: () => providerError(500, OpenAI.InternalServerError),
  error_529: () => providerError(529, OpenAI.InternalServerError),
  async error_429() {
    const error = await providerError(429, OpenAI.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '1');
  },

  async error_401_from_dimmer() {
    const error = await raises(OpenAI.AuthenticationError, () => create(client('', { apiKey: 'not-a-key-of-ours' })));
    fromDimmer(error);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    assert.ok(!String(error).includes('not-a-key-of-ours'));
  },

  async error_401_from_provider() {
    // The credential is dimmer's own: the caller cannot mend it, so it is no 401 to the caller.
    const error = await raises(OpenAI.InternalServerError, () => create(client('/wrong-key'), { model: 'not-declared' }));
    assert.equal(error.status, 502);
    fromDimmer(error);
  },

  async error_404_wrong_base_url() {
    const error = await raises(OpenAI.NotFoundError, () => create(client('/v1')));
    fromDimmer(error);
    assert.match(error.message, /\/v1/);
  },

  async error_of_a_stream() {
    const error = await raises(OpenAI.RateLimitError, () => create(client(), { model: 'status-429', stream: true }));
    assert.equal(error.code, 'provider_429');
  },

  async retries_are_the_clients() {
    const fetch = countingFetch();
    const before = (await seen()).requests;
    const api = client('', { fetch, maxRetries: 1 });
    await raises(OpenAI.InternalServerError, () => create(api, { model: 'status-500' }));
    assert.equal(fetch.count, 2);
    assert.equal((await seen()).requests - before, 2);
  },

  async should_not_retry() {
    const fetch = countingFetch();
    await raises(OpenAI.InternalServerError, () => create(client('/off', { fetch, maxRetries: 2 })));
    assert.equal(fetch.count, 1);
  },

  async broken_stream() {
    let text = '';
    const error = await raises(OpenAI.APIError, async () => {
      for await (const chunk of await create(client(), { model: 'breaks', stream: true })) {
        text += chunk.choices[0].delta.content ?? '';
      }
    });
    assert.ok(text, 'what came before the break was relayed');
    assert.match(error.code ?? '', /^dimmer_/);
    // The helper must notice too.
    const helper = client().chat.completions.stream({ model: 'breaks', messages: ASK });
    await assert.rejects(helper.finalChatCompletion(), OpenAI.APIError);
  },

  async cancelled_stream() {
    const before = (await seen()).cancelled;
    for await (const chunk of await create(client(), { model: 'endless', stream: true })) {
      assert.ok(chunk.choices);
      break;
    }
    await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
  },

  async cancelled_before_the_answer() {
    const before = (await seen()).cancelled;
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 300);
    await raises(OpenAI.APIUserAbortError, () => create(client(), { model: 'silent' }, { signal: abort.signal }));
    await eventually(async () => (await seen()).cancelled === before + 1, 'the upstream request is cancelled');
  },

  async route_by_path() {
    const [headers] = await decided(client('/chat'), 'whatever');
    assert.equal(headers.get('x-dimmer-route'), 'chat');
  },

  async route_by_alias() {
    const [headers, got] = await decided(client(), 'chat');
    assert.equal(headers.get('x-dimmer-route'), 'chat');
    assert.equal(got.model, 'gpt-plain');
  },

  async route_by_header() {
    const [headers] = await decided(client(), 'whatever', { 'x-dimmer-route': 'chat' });
    assert.equal(headers.get('x-dimmer-route'), 'chat');
  },

  async route_unknown() {
    const call = () => decided(client(), 'gpt-plain', { 'x-dimmer-route': 'nowhere' });
    const error = await raises(OpenAI.NotFoundError, call);
    fromDimmer(error);
    assert.match(error.message, /chat/, 'the routes are listed');
  },

  async client_key_in_either_header() {
    const api = client('/chat', { apiKey: 'unused', defaultHeaders: { authorization: null, 'x-api-key': KEY } });
    const [headers] = await decided(api, 'whatever');
    assert.equal(headers.get('x-dimmer-route'), 'chat');
    assert.ok(!JSON.stringify((await seen()).last).includes(KEY));
  },

  async flags_decide() {
    const pro = { 'x-user-id': 'user-1', 'x-user-tier': 'pro' };
    let [headers, got] = await decided(client('/chat'), 'whatever', pro);
    assert.equal(got.model, 'gpt-fancy-2');
    assert.equal(got.system, 'Talk like a pirate.');
    assert.equal(headers.get('x-dimmer-model'), 'gpt-fancy');
    assert.match(headers.get('x-dimmer-flags'), /chat_model=gpt-fancy;TARGETING_MATCH/);
    assert.match(headers.get('x-dimmer-flags'), /prompt=pirate;TARGETING_MATCH/);
    const names = Object.keys((await seen()).last.headers);
    assert.ok(!names.includes('x-user-id') && !names.includes('x-user-tier'), "the context's headers are taken out");

    [headers, got] = await decided(client('/chat'), 'whatever', { 'x-user-id': 'user-2' });
    assert.equal(got.model, 'gpt-plain');
    assert.equal(got.system, 'Be brief.');
    assert.match(headers.get('x-dimmer-flags'), /chat_model=gpt-plain;DEFAULT/);
    assert.match(headers.get('x-dimmer-flags'), /prompt=as_sent;DEFAULT/);

    // The user may also come in the body, where the SDK has a field for it.
    const body = { stream: true, safety_identifier: 'user-1' };
    const { data, response } = await create(client('/chat'), body).withResponse();
    assert.match(response.headers.get('x-dimmer-flags'), /prompt=pirate;TARGETING_MATCH/);
    assert.equal(JSON.parse((await joined(data))[0]).system, 'Talk like a pirate.');

    const error = await raises(OpenAI.BadRequestError, () => decided(client(), 'status-400'));
    assert.equal(error.headers.get('x-dimmer-route'), 'default');
  },

  async other_dialects_model() {
    const error = await raises(OpenAI.BadRequestError, () => create(client(), { model: 'claude-plain' }));
    fromDimmer(error, 'dimmer_cannot_translate');
  },

  async reply_text() {
    const completion = await create(client('/resting'));
    assert.equal(completion.choices[0].message.content, 'The assistant is resting. ☃');
    assert.equal(completion.choices[0].finish_reason, 'stop');
    assert.equal(completion.choices[0].message.role, 'assistant');
  },

  async reply_streamed() {
    const stream = await create(client('/resting'), { stream: true });
    assert.deepEqual(await joined(stream), ['The assistant is resting. ☃', 'stop']);
    const helper = client('/resting').chat.completions.stream({ model: 'gpt-plain', messages: ASK });
    assert.equal((await helper.finalChatCompletion()).choices[0].message.content, 'The assistant is resting. ☃');
  },

  async reply_json() {
    const completion = await create(client('/resting'), { response_format: { type: 'json_object' } });
    assert.deepEqual(JSON.parse(completion.choices[0].message.content), { status: 'resting' });
  },

  async reply_error() {
    for (const more of [{}, { stream: true }]) {
      const error = await raises(OpenAI.InternalServerError, () => create(client('/off'), more));
      fromDimmer(error);
      assert.equal(error.status, 503);
      assert.equal(error.error.message, 'Feature temporarily disabled');
      assert.equal(error.headers.get('retry-after'), '300');
      assert.equal(error.headers.get('x-should-retry'), 'false');
    }
  },

  async mock_plain() {
    const completion = await create(client('/sim'));
    assert.ok(completion.choices[0].message.content);
    assert.ok(completion.usage.completion_tokens > 0);
  },

  async mock_streamed() {
    const [text, finish] = await joined(await create(client('/sim'), { stream: true }));
    assert.ok(text);
    assert.equal(finish, 'stop');
    const helper = client('/sim').chat.completions.stream({ model: 'gpt-plain', messages: ASK });
    assert.ok((await helper.finalChatCompletion()).choices[0].message.content);
  },

  async mock_tools() {
    for (const first of [firstWhole, firstStreamed]) {
      const [last] = await toolTurns('/sim', 'gpt-plain', first);
      assert.ok(last.choices[0].message.content);
    }
  },
});
