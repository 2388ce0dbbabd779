// The official OpenAI SDK for Node against dimmer and its simulated provider: Responses, Completions, embeddings, models.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { DIMMER, KEY, collected, eventually, raises, run } from './cases.mjs';

const ASK = 'How is the weather in Oslo?';
const TOOL = {
  type: 'function',
  name: 'weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
  strict: true,
};

const client = (path = '') => new OpenAI({ baseURL: `${DIMMER}${path}/v1`, apiKey: KEY, maxRetries: 0 });
const create = (api, more = {}) => api.responses.create({ model: 'gpt-sim', input: ASK, ...more });

async function refused(kind, code, call) {
  const error = await raises(kind, call);
  assert.equal(error.code, code);
  assert.ok(error.type && error.error.message, JSON.stringify(error.error));
  return error;
}

await run({
  async response() {
    const answer = await create(client(), { instructions: 'Be brief.', metadata: { a: 'b' } });
    assert.match(answer.output_text, /\(gpt-sim, told: Be brief\.\)/);
    assert.deepEqual([answer.status, answer.error, answer.metadata], ['completed', null, { a: 'b' }]);
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
    const short = await create(client(), { max_output_tokens: 3 });
    assert.deepEqual([short.status, short.incomplete_details.reason], ['incomplete', 'max_output_tokens']);
  },

  async response_streamed() {
    const events = await collected(create(client(), { stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
    assert.deepEqual([events[0].type, events[1].type], ['response.created', 'response.in_progress']);
    const last = events.at(-1);
    assert.equal(last.type, 'response.completed');
    const deltas = events.filter((event) => event.type === 'response.output_text.delta');
    const text = deltas.map((event) => event.delta).join('');
    assert.equal(last.response.output[0].content[0].text, text);
    const stream = client().responses.stream({ model: 'gpt-sim', input: ASK });
    let pieces = 0;
    stream.on('response.output_text.delta', () => (pieces += 1));
    assert.equal((await stream.finalResponse()).output_text, text);
    assert.equal(pieces, deltas.length);
  },

  async response_tools() {
    const api = client();
    const first = await create(api, { tools: [TOOL], tool_choice: 'required' });
    const call = first.output[0];
    assert.deepEqual([call.type, call.name], ['function_call', 'weather']);
    assert.equal(typeof JSON.parse(call.arguments).city, 'string');
    const result = { type: 'function_call_output', call_id: call.call_id, output: 'Rain, 4 °C' };
    const last = await create(api, { input: [result], previous_response_id: first.id, tools: [TOOL] });
    assert.match(last.output_text, /The tool says: Rain, 4 °C/);
    const stream = api.responses.stream({ model: 'gpt-sim', input: ASK, tools: [TOOL], tool_choice: 'required' });
    let pieces = 0;
    stream.on('response.function_call_arguments.delta', () => (pieces += 1));
    assert.equal((await stream.finalResponse()).output[0].name, 'weather');
    assert.ok(pieces > 0);
  },

  async response_parsed() {
    const Weather = z.object({ city: z.string(), degrees: z.number() });
    const format = zodTextFormat(Weather, 'weather');
    const answer = await client().responses.parse({ model: 'gpt-sim', input: ASK, text: { format } });
    assert.equal(typeof answer.output_parsed.degrees, 'number', answer.output_text);
  },

  async response_flagged() {
    const asked = create(client('/flagged'), { model: 'whatever' });
    const { data, response } = await asked.withResponse();
    assert.equal(response.headers.get('x-dimmer-model'), 'gpt-other');
    assert.match(data.output_text, /\(gpt-other,/);
  },

  async response_stored() {
    const api = client();
    const made = await create(api);
    assert.equal((await api.responses.retrieve(made.id)).output_text, made.output_text);
    const items = await collected(api.responses.inputItems.list(made.id));
    assert.deepEqual(items.map((item) => [item.role, item.content[0].text]), [['user', ASK]]);
    await raises(OpenAI.BadRequestError, () => api.responses.cancel(made.id));
    await api.responses.delete(made.id);
    await raises(OpenAI.NotFoundError, () => api.responses.retrieve(made.id));
    const unstored = await create(api, { store: false });
    await raises(OpenAI.NotFoundError, () => api.responses.retrieve(unstored.id));
  },

  async response_follows() {
    const api = client();
    const first = await create(api);
    const second = await create(api, { input: 'And tomorrow?', previous_response_id: first.id });
    assert.ok(second.usage.input_tokens > first.usage.total_tokens);
    const lost = () => create(api, { previous_response_id: 'resp_unknown' });
    const error = await refused(OpenAI.BadRequestError, 'previous_response_not_found', lost);
    assert.equal(error.param, 'previous_response_id');
  },

  async response_in_the_background() {
    const api = client();
    const queued = await create(api, { background: true });
    assert.equal(queued.status, 'queued');
    const done = async () => (await api.responses.retrieve(queued.id)).status === 'completed';
    await eventually(done, 'the response gets done');
    const slow = await create(api, { model: 'gpt-slow', background: true });
    assert.equal((await api.responses.retrieve(slow.id)).status, 'in_progress');
    assert.equal((await api.responses.cancel(slow.id)).status, 'cancelled');
  },

  async conversation() {
    const api = client();
    const made = await api.conversations.create({ items: [{ type: 'message', role: 'user', content: 'Hello!' }] });
    const first = await create(api, { conversation: made.id });
    const second = await create(api, { conversation: made.id, input: 'More?' });
    assert.ok(second.usage.input_tokens > first.usage.total_tokens);
    assert.equal((await collected(api.conversations.items.list(made.id))).length, 5);
    assert.equal((await api.conversations.delete(made.id)).deleted, true);
    await raises(OpenAI.NotFoundError, () => create(api, { conversation: made.id }));
  },

  async input_tokens() {
    const count = (path) => client(path).responses.inputTokens.count({ model: 'gpt-sim', input: ASK });
    const { data, response } = await count('/flagged').withResponse();
    assert.equal(response.headers.get('x-dimmer-model'), 'gpt-other');
    assert.equal(data.input_tokens, (await create(client('/flagged'))).usage.input_tokens);
    await refused(OpenAI.NotFoundError, 'dimmer_nothing_to_count', () => count('/resting'));
    await refused(OpenAI.InternalServerError, 'dimmer_kill_switch', () => count('/off'));
  },

  async compact() {
    const compacted = await client('/flagged').responses.compact({ model: 'gpt-sim', input: ASK });
    assert.deepEqual(compacted.output.map((item) => item.type), ['message', 'compaction']);
    assert.match(compacted.output[1].encrypted_content, /^gpt-other/);
  },

  async completion() {
    const asked = { prompt: ASK, max_tokens: 400 };
    const whole = await client('/flagged').completions.create({ model: 'whatever', ...asked });
    assert.match(whole.choices[0].text, /^\(gpt-other,/);
    const chunks = await collected(
      client().completions.create({
        model: 'gpt-other',
        ...asked,
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    const text = chunks.slice(0, -1).map((chunk) => chunk.choices[0].text);
    assert.equal(text.join(''), whole.choices[0].text);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
  },

  async embeddings() {
    const asked = { model: 'embedding-sim', input: ['one', 'two'], dimensions: 8 };
    const packed = await client().embeddings.create(asked);
    const plain = await client().embeddings.create({ ...asked, encoding_format: 'float' });
    for (const [place, one] of packed.data.entries()) {
      assert.equal(one.embedding.length, 8);
      const other = plain.data[place].embedding;
      assert.ok(one.embedding.every((part, at) => Math.abs(part - other[at]) < 1e-6));
    }
  },

  async models() {
    const listed = async (path) => (await collected(client(path).models.list())).map((model) => model.id);
    const provider = ['gpt-sim', 'gpt-other', 'gpt-slow', 'gpt-failing', 'claude-sim', 'claude-other'];
    assert.deepEqual(await listed('/plain'), provider);
    assert.deepEqual(await listed('/named'), ['assistant', ...provider]);
    assert.deepEqual(await listed(''), ['assistant', ...provider]);
    const entry = await client('/named').models.retrieve('assistant');
    assert.deepEqual([entry.id, entry.object, entry.owned_by], ['assistant', 'model', 'dimmer']);
    await raises(OpenAI.NotFoundError, () => client('/plain').models.retrieve('assistant'));
    assert.match((await create(client(), { model: 'assistant' })).output_text, /\(gpt-other,/);
  },

  async typed_errors() {
    await refused(OpenAI.NotFoundError, 'model_not_found', () => create(client(), { model: 'gpt-0' }));
    for (const stream of [false, true]) {
      const failing = () => create(client(), { model: 'gpt-failing', stream });
      assert.equal((await raises(OpenAI.InternalServerError, failing)).type, 'server_error');
    }
    const api = client('/off');
    for (const call of [
      () => create(api),
      () => api.completions.create({ model: 'gpt-sim', prompt: ASK }),
      () => api.embeddings.create({ model: 'embedding-sim', input: ASK }),
      () => api.responses.compact({ model: 'gpt-sim', input: ASK }),
    ]) {
      const error = await refused(OpenAI.InternalServerError, 'dimmer_kill_switch', call);
      assert.deepEqual([error.status, error.headers.get('x-should-retry')], [503, 'false']);
    }
  },

  async asynchronous() {
    const api = client();
    const [whole, events] = await Promise.all([create(api), collected(create(api, { stream: true }))]);
    const deltas = events.filter((event) => event.type === 'response.output_text.delta');
    assert.equal(deltas.map((event) => event.delta).join(''), whole.output_text);
  },
});
