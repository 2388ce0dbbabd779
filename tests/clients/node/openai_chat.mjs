// The official OpenAI SDK for Node against dimmer: Chat Completions.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { alike, clientOf } from './alike.mjs';
import { IMAGE, KEY, run, seen } from './cases.mjs';

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

const asked = (more = {}) => ({ model: 'gpt-plain', messages: ASK, ...more });
const create = (api, more, options = {}) => api.chat.completions.create(asked(more), options);
const text = (completion) => completion.choices[0].message.content;
const arrived = (completion) => JSON.parse(text(completion));
const finish = (completion) => completion.choices[0].finish_reason;

const sdk = {
  Sdk: OpenAI,
  version: '/v1',
  plain: 'gpt-plain',
  fancy: 'gpt-fancy',
  other: 'claude-plain',
  route: 'chat',
  flag: 'chat_model',
  stop: 'stop',
  unavailable: OpenAI.InternalServerError,
  overloaded: OpenAI.InternalServerError,
  jsonAsked: { response_format: { type: 'json_object' } },
  create,
  text,
  finish,
  helper: (api, more) => api.chat.completions.stream(asked(more)).finalChatCompletion(),
  role: (completion) => completion.choices[0].message.role,
  outputTokens: (completion) => completion.usage.completion_tokens,
  delta: (chunk) => chunk.choices[0].delta.content ?? '',
  code: (error) => error.code,
  message: (error) => error.error.message,
  checkProviderError: (error) => assert.equal(error.param, 'n'),
  user: (id) => ({ safety_identifier: id }),

  async joined(stream) {
    let said = '';
    let reason = null;
    for await (const chunk of stream) {
      assert.ok(chunk.choices.length, 'nobody asked for a usage chunk');
      assert.ok(!('usage' in chunk), 'nobody asked for usage');
      said += sdk.delta(chunk);
      reason = chunk.choices[0].finish_reason ?? reason;
    }
    return [said, reason];
  },

  // Asks, runs the tool that is called, and hands its result back. `first` makes the first turn.
  async toolTurns(api, first) {
    const message = await first(api);
    const call = message.tool_calls[0];
    assert.equal(call.function.name, 'weather');
    const city = JSON.parse(call.function.arguments);
    const result = { role: 'tool', tool_call_id: call.id, content: 'Rain, 4 °C' };
    return [await create(api, { messages: [...ASK, message, result], tools: [TOOL] }), city];
  },

  async firstWhole(api) {
    const completion = await create(api, { tools: [TOOL] });
    assert.equal(finish(completion), 'tool_calls');
    return completion.choices[0].message;
  },

  async firstStreamed(api) {
    const stream = api.chat.completions.stream(asked({ tools: [TOOL] }));
    let pieces = 0;
    stream.on('tool_calls.function.arguments.delta', () => (pieces += 1));
    const completion = await stream.finalChatCompletion();
    assert.ok(pieces > 0);
    assert.equal(finish(completion), 'tool_calls');
    return completion.choices[0].message;
  },
};
const client = (path) => clientOf(sdk, path);

await run({
  ...alike(sdk),

  async plain() {
    const { data, response } = await create(client()).withResponse();
    const { system, model, snow } = arrived(data);
    assert.deepEqual([system, model, snow], ['Be brief.', 'gpt-plain', '☃ åäö']);
    assert.deepEqual([finish(data), data.usage.total_tokens, data._request_id], ['stop', 12, 'req_provider']);
    assert.ok(response.headers.get('x-dimmer-request-id'));
    const { last } = await seen();
    assert.ok(!JSON.stringify(last).includes(KEY), "the caller's key must not reach the provider");
    assert.deepEqual(Object.keys(last.headers).filter((name) => name.startsWith('x-dimmer-')), ['x-dimmer-hops']);
    assert.equal(last.path, '/v1/chat/completions');
  },

  async streamed() {
    const [said, reason] = await sdk.joined(await create(client(), { stream: true }));
    assert.deepEqual([JSON.parse(said).snow, reason], ['☃ åäö', 'stop']);
    const usage = [];
    for await (const chunk of await create(client(), { stream: true, stream_options: { include_usage: true } })) {
      if (chunk.usage) usage.push(chunk.usage.total_tokens);
    }
    assert.deepEqual(usage, [12]);
  },

  async stream_helper() {
    const stream = client().chat.completions.stream(asked());
    let said = '';
    stream.on('content', (delta) => (said += delta));
    const final = await stream.finalChatCompletion();
    assert.deepEqual([arrived(final).system, said, finish(final)], ['Be brief.', text(final), 'stop']);
  },

  async image() {
    const url = `data:image/png;base64,${IMAGE}`;
    const content = [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url } }];
    const completion = await create(client('/chat'), { messages: [{ role: 'user', content }] });
    assert.deepEqual(arrived(completion).images, [url]);
  },
});
