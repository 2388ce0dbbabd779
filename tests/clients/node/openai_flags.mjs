// The official OpenAI SDK for Node against dimmer with flags on: what they change, what a provider holds, what goes wrong.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { DIMMER, KEY, collected, countingFetch, eventually, lastBody, lastPath, raises, reload, run, seen } from './cases.mjs';

const ASK = 'How is the weather in Oslo?';
const RESTING = 'The assistant is resting.';
const PIRATE = 'Talk like a pirate.';
const PRO = { headers: { 'x-user-tier': 'pro' } };
const CHAT = [{ role: 'user', content: ASK }];
const Weather = z.object({ city: z.string() });

const client = (path = '', more = {}) =>
  new OpenAI({ baseURL: `${DIMMER}${path}/v1`, apiKey: KEY, maxRetries: 0, ...more });
const create = (api, more = {}, options = {}) => api.responses.create({ model: 'gpt-a', input: ASK, ...more }, options);

/** The model that dimmer says it asked, and the answer. */
async function respond(path, more = {}, options = {}) {
  const { data, response } = await create(client(path), more, options).withResponse();
  return [response.headers.get('x-dimmer-model'), data];
}

/** A stream of each API that has one, with this fault. */
function streams(path, fault) {
  const api = client(path);
  const options = { headers: { 'x-fault': fault } };
  const asked = { model: 'gpt-a', stream: true };
  return [
    () => create(api, { stream: true }, options),
    () => api.chat.completions.create({ ...asked, messages: CHAT }, options),
    () => api.completions.create({ ...asked, prompt: ASK, max_tokens: 400 }, options),
  ];
}

/** The error that a stream ends with, after it gave something. */
async function broken(call) {
  let got = 0;
  const error = await raises(OpenAI.APIError, async () => {
    for await (const _ of await call()) got += 1;
  });
  assert.ok(got, 'what came before was relayed');
  return error;
}

await run({
  async replies() {
    const api = client('/resting');
    const answer = await create(api);
    assert.deepEqual([answer.output_text, answer.status, answer.error], [RESTING, 'completed', null]);
    const events = await collected(create(api, { stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
    assert.equal((await api.responses.stream({ model: 'gpt-a', input: ASK }).finalResponse()).output_text, RESTING);
    const whole = await api.completions.create({ model: 'gpt-a', prompt: ASK });
    assert.deepEqual([whole.choices[0].text, whole.choices[0].finish_reason], [RESTING, 'stop']);
    const chunks = await collected(api.completions.create({ model: 'gpt-a', prompt: ASK, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), RESTING);
  },

  async parse_passes_a_text_over() {
    const api = client('/resting');
    const asked = { model: 'gpt-a' };
    for (const call of [
      () => api.responses.parse({ ...asked, input: ASK, text: { format: zodTextFormat(Weather, 'weather') } }),
      () => api.chat.completions.parse({ ...asked, messages: CHAT, response_format: zodResponseFormat(Weather, 'w') }),
    ]) {
      const error = await raises(OpenAI.InternalServerError, call);
      assert.deepEqual([error.status, error.code], [501, 'dimmer_reply_unfit']);
    }
  },

  async cut_streams() {
    for (const call of streams('/chosen', 'cut')) assert.equal((await broken(call)).code, 'dimmer_upstream_reset');
    const stream = client('/chosen').responses.stream({ model: 'gpt-a', input: ASK }, { headers: { 'x-fault': 'cut' } });
    assert.equal((await raises(OpenAI.APIError, () => stream.finalResponse())).code, 'dimmer_upstream_reset');
  },

  async error_events() {
    for (const call of streams('/chosen', 'error')) assert.match((await broken(call)).message, /too much/);
  },

  async prompts() {
    const kind = { role: 'developer', content: 'And kind.' };
    const pirate = { role: 'developer', content: PIRATE };
    for (const [path, instructions, items] of [
      ['/replace', PIRATE, CHAT],
      ['/prepend', `${PIRATE}\n\nBe brief.`, [kind, ...CHAT]],
      ['/append', 'Be brief.', [kind, pirate, ...CHAT]],
      ['/if_absent', 'Be brief.', [kind, ...CHAT]],
    ]) {
      const [model, answer] = await respond(path, { instructions: 'Be brief.', input: [kind, ...CHAT] });
      assert.deepEqual([model, answer.instructions, (await lastBody()).input], ['gpt-a', instructions, items]);
      assert.deepEqual((await respond(path))[1].instructions, PIRATE);
    }
  },

  async parameters() {
    const [, moved] = await respond('/set', { max_output_tokens: 4000, reasoning: { effort: 'high', summary: 'auto' } });
    assert.deepEqual([moved.temperature, moved.max_output_tokens], [0.25, 300]);
    assert.deepEqual(moved.reasoning, { effort: 'low', summary: 'auto' });
    const [, kept] = await respond('/set', { temperature: 1, max_output_tokens: 100 }, PRO);
    assert.deepEqual([kept.model, kept.temperature, kept.max_output_tokens], ['b-model', 0.25, 100]);
  },

  async denied_tools() {
    const parameters = { type: 'object', properties: {} };
    const [shell, lookUp] = ['shell', 'look_up'].map((name) => ({ type: 'function', name, parameters, strict: false }));
    const asked = { input: 'Use the shell and look_up tools', tools: [shell, lookUp] };
    const { data, response } = await create(client('/denied'), asked).withResponse();
    assert.equal(response.headers.get('x-dimmer-dropped'), 'tools.shell');
    assert.deepEqual([data.tools, data.output.map((call) => call.name)], [[lookUp], ['look_up']]);
    const forced = { model: 'gpt-a', input: 'Use the shell', tools: [shell], tool_choice: 'required' };
    const final = await client('/denied').responses.stream(forced).finalResponse();
    assert.deepEqual([final.tools, final.tool_choice, final.output[0].type], [[], 'auto', 'message']);
  },

  async chain_stays_where_it_began() {
    const [, first] = await respond('/chosen');
    // The flag moves the user to the other provider; the chain stays, and a new one begins there.
    const [model, second] = await respond('/chosen', { previous_response_id: first.id }, PRO);
    assert.deepEqual([model, second.model], ['gpt-a', 'a-model']);
    const [, other] = await respond('/chosen', {}, PRO);
    const [moved] = await respond('/chosen', { previous_response_id: other.id });
    assert.deepEqual([other.model, moved], ['b-model', 'gpt-b']);
    for (const held of [second, other]) {
      assert.equal((await client('/chosen').responses.retrieve(held.id)).id, held.id);
    }
    const stream = client('/chosen').responses.stream({ model: 'x', input: ASK, previous_response_id: other.id });
    assert.equal((await stream.finalResponse()).model, 'b-model');
  },

  async background_stays_where_it_began() {
    const api = client('/chosen');
    const [model, queued] = await respond('/chosen', { background: true }, PRO);
    assert.deepEqual([model, queued.status], ['gpt-b', 'queued']);
    const done = async () => (await api.responses.retrieve(queued.id)).status === 'completed';
    await eventually(done, 'the response gets done');
    const slow = await create(client('/slow'), { background: true });
    assert.equal((await api.responses.cancel(slow.id)).status, 'cancelled');
    await api.responses.delete(slow.id);
    await raises(OpenAI.NotFoundError, () => api.responses.retrieve(slow.id));
  },

  async conversation_stays_where_it_began() {
    const api = client('/chosen');
    const made = await api.conversations.create({});
    for (const options of [{}, PRO]) {
      const [model, answer] = await respond('/chosen', { conversation: made.id }, options);
      assert.deepEqual([model, answer.conversation.id], ['gpt-a', made.id]);
    }
    assert.equal((await collected(api.conversations.items.list(made.id))).length, 4);
    await api.conversations.delete(made.id);
    await raises(OpenAI.NotFoundError, () => create(api, { conversation: made.id }));
  },

  async counted_and_compacted() {
    const count = async (path) =>
      (await client(path).responses.inputTokens.count({ model: 'gpt-a', input: ASK })).input_tokens;
    const told = await count('/replace');
    assert.equal(told - (await count('/chosen')), 4);
    assert.equal(told, (await create(client('/replace'))).usage.input_tokens);
    const compacted = await client('/replace').responses.compact({ model: 'gpt-a', input: ASK }, PRO);
    assert.equal(await lastPath(), '/b/v1/responses/compact');
    assert.equal((await lastBody()).instructions, PIRATE);
    assert.match(compacted.output.at(-1).encrypted_content, /^b-model/);
  },

  async completions() {
    const api = client('/replace');
    const asked = { model: 'whatever', prompt: ASK, max_tokens: 400 };
    const { data: whole, response } = await api.completions.create(asked).withResponse();
    assert.equal(response.headers.get('x-dimmer-dropped'), 'system_prompt');
    const hidden = await collected(api.completions.create({ ...asked, stream: true }));
    assert.ok(hidden.every((chunk) => !('usage' in chunk) && chunk.choices.length));
    const stream_options = { include_usage: true };
    const shown = await collected(api.completions.create({ ...asked, stream: true, stream_options }));
    assert.deepEqual([shown.length, shown.at(-1).usage], [hidden.length + 1, whole.usage]);
  },

  async embeddings() {
    const asked = { model: 'assistant', input: ['one', 'two'], dimensions: 8 };
    for (const path of ['/chosen', '/library', '']) {
      const packed = await client(path).embeddings.create(asked);
      const body = await lastBody();
      assert.deepEqual([body.model, body.encoding_format], ['vectors-3-large', 'base64']);
      const plain = await client(path).embeddings.create({ ...asked, encoding_format: 'float' });
      for (const [place, { embedding }] of packed.data.entries()) {
        const other = plain.data[place].embedding;
        assert.ok(embedding.length === 8 && embedding.every((part, at) => Math.abs(part - other[at]) < 1e-6));
      }
    }
  },

  async models() {
    const aliases = ['assistant', 'team/helper'];
    for (const path of ['', '/chosen']) {
      const listed = (await collected(client(path).models.list())).map((model) => model.id);
      assert.deepEqual(listed, [...aliases, 'gpt-a', 'gpt-b', 'gpt-b-slow', 'vectors', 'claude-c', 'gpt-azure', 'gpt-dated']);
    }
    for (const alias of aliases) assert.equal((await client('/chosen').models.retrieve(alias)).id, alias);
    const error = await raises(OpenAI.NotFoundError, () => client('/chosen').models.retrieve('nobody'));
    assert.equal(error.code, 'model_not_found');
  },

  async azure() {
    const dated = '?api-version=2024-10-21';
    for (const [path, model, responses, chat] of [
      ['/azure', 'gpt-azure', '/responses', '/v1/chat/completions'],
      ['/dated', 'gpt-dated', `/responses${dated}`, `/deployments/azure-model/chat/completions${dated}`],
    ]) {
      const [asked, first] = await respond(path);
      assert.deepEqual([asked, first.model], [model, 'azure-model']);
      assert.ok((await lastPath()).endsWith(responses), await lastPath());
      const follow = { stream: true, previous_response_id: first.id };
      assert.equal((await collected(create(client(path), follow))).at(-1).response.model, 'azure-model');
      const chunks = await collected(client(path).chat.completions.create({ model: 'x', messages: CHAT, stream: true }));
      assert.deepEqual([await lastPath(), chunks[0].model], [`/azure/openai${chat}`, 'azure-model']);
      const { headers } = (await seen()).last;
      assert.ok('api-key' in headers && !('authorization' in headers));
    }
  },

  async another_key() {
    const limited = (user, name) => ({ headers: { 'x-user-id': user, 'x-fault': `limit-${name}` } });
    const error = await raises(OpenAI.RateLimitError, () => create(client('/chosen'), {}, limited('user-1', 'one')));
    assert.deepEqual([error.headers.get('retry-after'), error.code], ['1', 'c']);
    assert.ok((await create(client('/chosen'), {}, limited('user-1', 'one'))).output_text);
    for (const [name, more] of [['two', {}], ['three', { stream: true }]]) {
      const fetch = countingFetch();
      const answer = await create(client('/chosen', { fetch, maxRetries: 2 }), more, limited('user-2', name));
      if (more.stream) await collected(answer);
      assert.equal(fetch.count, 2);
    }
  },

  async provider_removed() {
    const [, first] = await respond('/chosen', {}, PRO);
    const without = (text) =>
      text.replaceAll('= "b"', '= "a"').replace(/\[providers\.b\][^]*?(?=\[providers\.c\])/, '');
    const before = await reload(without);
    const follow = { previous_response_id: first.id };
    for (const more of [{}, { stream: true }]) {
      const error = await raises(OpenAI.BadRequestError, () => create(client('/chosen'), { ...follow, ...more }));
      assert.deepEqual([error.code, error.param], ['previous_response_not_found', 'previous_response_id']);
    }
    const gone = await raises(OpenAI.NotFoundError, () => client('/chosen').responses.retrieve(first.id));
    assert.equal(gone.code, 'not_found');
    const again = await create(client('/chosen'), { input: [...CHAT, ...first.output, ...CHAT] });
    assert.equal(again.model, 'a-model');
    await reload(() => before);
    assert.equal((await respond('/chosen', follow))[1].model, 'b-model');
  },
});
