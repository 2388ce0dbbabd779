// The official Anthropic SDK for Node against dimmer and its simulated provider: threads, counting, models.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { DIMMER, KEY, raises, run } from './cases.mjs';

const ASK = [{ role: 'user', content: 'How is the weather in Oslo?' }];
const WEATHER = betaTool({
  name: 'weather',
  description: 'The weather in a city.',
  inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  run: ({ city }) => `Rain in ${city}`,
});

const client = (path = '', more = {}) =>
  new Anthropic({ baseURL: `${DIMMER}${path}`, apiKey: KEY, maxRetries: 0, ...more });

async function refused(kind, code, call) {
  const error = await raises(kind, call);
  assert.equal(error.error?.error?.details?.error_code, code, JSON.stringify(error.error));
  return error;
}

// What a thread's first answer says who it is told to be: the request's own prompt, or the flag's.
const ROUTES = [
  ['', '(claude-sim, told: Be brief.)'],
  ['/flagged', '(claude-other, told: Talk like a pirate.)'],
];

// Runs the SDK's tool runner: two requests, the second with only what is new.
async function thread(path, said, stream) {
  const bodies = [];
  const keeping = (url, init) => {
    bodies.push(JSON.parse(init.body));
    return fetch(url, init);
  };
  const runner = client(path, { fetch: keeping }).beta.messages.toolRunner({
    model: 'claude-sim',
    max_tokens: 400,
    system: 'Be brief.',
    tools: [WEATHER],
    messages: ASK,
    stream,
  });
  let final;
  for await (const one of runner) final = stream ? await one.finalMessage() : one;
  assert.deepEqual(bodies.map((body) => body.thread.type), ['create', 'continue']);
  assert.deepEqual(bodies.map((body) => body.messages.length), [1, 1]);
  assert.ok(!('system' in bodies[1]) && !('tools' in bodies[1]));
  assert.ok(final.content[0].text.startsWith(said), final.content[0].text);
  assert.match(final.content[0].text, /The tool says: Rain in/);
}

await run({
  async threads() {
    for (const [path, said] of ROUTES) for (const stream of [false, true]) await thread(path, said, stream);
  },

  async threads_asynchronous() {
    await Promise.all(ROUTES.map(([path, said]) => thread(path, said, false)));
  },

  async thread_errors() {
    const api = client();
    const betas = ['message-threads-2026-08-12'];
    const create = (thread, more = {}) =>
      api.beta.messages.create({ model: 'claude-sim', max_tokens: 400, messages: ASK, betas, thread, ...more });
    const follow = (message) => ({ type: 'continue', previous_message_id: message });
    await refused(Anthropic.Messages.ThreadNotFoundError, 'thread_not_found', () => create(follow('msg_unknown')));
    const first = await create({ type: 'create' }, { system: 'Be brief.' });
    const changed = () => create(follow(first.id), { system: 'Be long.' });
    await refused(Anthropic.Messages.ThreadFingerprintMismatchError, 'thread_fingerprint_mismatch', changed);
    const second = await create(follow(first.id));
    assert.match(second.content[0].text, /told: Be brief\./);
    const again = () => create(follow(first.id));
    await refused(Anthropic.Messages.ThreadAlreadyContinuedError, 'thread_already_continued', again);
  },

  async count_tokens() {
    const count = (path) => client(path).messages.countTokens({ model: 'claude-sim', messages: ASK });
    const plain = await count('');
    const { data, response } = await count('/flagged').withResponse();
    assert.equal(response.headers.get('x-dimmer-model'), 'claude-other');
    // The flag's prompt is counted with it.
    assert.equal(data.input_tokens - plain.input_tokens, 4);
    await refused(Anthropic.NotFoundError, 'dimmer_nothing_to_count', () => count('/resting'));
    await refused(Anthropic.ServiceUnavailableError, 'dimmer_kill_switch', () => count('/off'));
  },

  async models() {
    const listed = async (path, query) => {
      const ids = [];
      for await (const model of client(path).models.list(query)) ids.push(model.id);
      return ids;
    };
    const provider = ['gpt-sim', 'gpt-other', 'gpt-slow', 'gpt-failing', 'claude-sim', 'claude-other'];
    assert.deepEqual(await listed('/plain'), provider);
    for (const path of ['', '/named']) {
      assert.deepEqual(await listed(path), ['assistant', ...provider]);
      assert.deepEqual(await listed(path, { limit: 2 }), ['assistant', ...provider]);
      const entry = await client(path).models.retrieve('assistant');
      assert.deepEqual([entry.id, entry.type], ['assistant', 'model']);
    }
    await raises(Anthropic.NotFoundError, () => client('/plain').models.retrieve('assistant'));
  },
});
