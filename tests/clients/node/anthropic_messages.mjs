// The official Anthropic SDK for Node against dimmer: Messages.

import assert from 'node:assert/strict';
import Anthropic, { OverloadedError, ServiceUnavailableError } from '@anthropic-ai/sdk';
import { alike, clientOf } from './alike.mjs';
import { IMAGE, KEY, run, seen } from './cases.mjs';

const ASK = [{ role: 'user', content: 'How is the weather?' }];
const TOOL = {
  name: 'weather',
  description: 'The weather in a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const STATUS = {
  type: 'object',
  properties: { status: { type: 'string' } },
  required: ['status'],
  additionalProperties: false,
};

const asked = (more = {}) => ({
  model: 'claude-plain',
  max_tokens: 1000,
  system: 'Be brief.',
  messages: ASK,
  ...more,
});
const create = (api, more, options = {}) => api.messages.create(asked(more), options);
const text = (message) => message.content[0].text;
const arrived = (message) => JSON.parse(text(message));

const sdk = {
  Sdk: Anthropic,
  version: '',
  plain: 'claude-plain',
  fancy: 'claude-fancy',
  other: 'gpt-plain',
  route: 'talk',
  flag: 'talk_model',
  stop: 'end_turn',
  unavailable: ServiceUnavailableError,
  overloaded: OverloadedError,
  jsonAsked: { output_config: { format: { type: 'json_schema', schema: STATUS } } },
  create,
  text,
  finish: (message) => message.stop_reason,
  helper: (api, more) => api.messages.stream(asked(more)).finalMessage(),
  role: (message) => message.role,
  outputTokens: (message) => message.usage.output_tokens,
  delta: (event) => (event.type === 'content_block_delta' ? event.delta.text : ''),
  code: (error) => error.errorCode,
  message: (error) => error.apiMessage,
  user: (id) => ({ metadata: { user_id: id } }),

  async joined(stream) {
    let said = '';
    let stop = null;
    for await (const event of stream) {
      said += sdk.delta(event);
      if (event.type === 'message_delta') stop = event.delta.stop_reason;
    }
    return [said, stop];
  },

  // Asks, runs the tool that is called, and hands its result back. `first` makes the first turn.
  async toolTurns(api, first) {
    const message = await first(api);
    assert.equal(message.stop_reason, 'tool_use');
    const call = message.content.find((block) => block.type === 'tool_use');
    assert.equal(call.name, 'weather');
    const result = { type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: 'Rain, 4 °C' }] };
    const messages = [...ASK, { role: 'assistant', content: message.content }, { role: 'user', content: [result] }];
    return [await create(api, { messages, tools: [TOOL] }), call.input];
  },

  firstWhole: (api) => create(api, { tools: [TOOL] }),

  async firstStreamed(api) {
    const stream = api.messages.stream(asked({ tools: [TOOL] }));
    let pieces = 0;
    stream.on('inputJson', () => (pieces += 1));
    const message = await stream.finalMessage();
    assert.ok(pieces > 0);
    return message;
  },
};
const client = (path) => clientOf(sdk, path);

await run({
  ...alike(sdk),

  async plain() {
    const { data, response } = await create(client()).withResponse();
    const { system, model, snow } = arrived(data);
    assert.deepEqual([system, model, snow], ['Be brief.', 'claude-plain', '☃ åäö']);
    assert.deepEqual([data.stop_reason, data.usage.output_tokens, data._request_id], ['end_turn', 5, 'req_provider']);
    assert.ok(response.headers.get('x-dimmer-request-id'));
    const { last } = await seen();
    assert.ok(!JSON.stringify(last).includes(KEY), "the caller's key must not reach the provider");
    assert.deepEqual(Object.keys(last.headers).filter((name) => name.startsWith('x-dimmer-')), ['x-dimmer-hops']);
    assert.equal(last.path, '/v1/messages');
    assert.ok(last.headers['anthropic-version'], 'the version belongs to the request');
  },

  async streamed() {
    const [said, stop] = await sdk.joined(await create(client(), { stream: true }));
    assert.deepEqual([JSON.parse(said).snow, stop], ['☃ åäö', 'end_turn']);
  },

  async stream_helper() {
    const stream = client().messages.stream(asked());
    let said = '';
    stream.on('text', (delta) => (said += delta));
    const final = await stream.finalMessage();
    assert.deepEqual([arrived(final).system, said], ['Be brief.', text(final)]);
    assert.deepEqual([final.stop_reason, final.usage.output_tokens], ['end_turn', 5]);
  },

  async image() {
    const source = { type: 'base64', media_type: 'image/png', data: IMAGE };
    const content = [{ type: 'image', source }, { type: 'text', text: 'What is this?' }];
    const message = await create(client('/talk'), { messages: [{ role: 'user', content }] });
    assert.deepEqual(arrived(message).images, [`data:image/png;base64,${IMAGE}`]);
  },
});
