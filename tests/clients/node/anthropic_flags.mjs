// The official Anthropic SDK for Node against dimmer with flags on: what they change, what a provider holds, what goes wrong.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { DIMMER, KEY, collected, lastBody, lastPath, raises, run } from './cases.mjs';

const ASK = [{ role: 'user', content: 'How is the weather in Oslo?' }];
const ASKED = { model: 'whatever', max_tokens: 400, messages: ASK };
const RESTING = 'The assistant is resting.';
const PIRATE = 'Talk like a pirate.';
const CACHED = { cache_control: { type: 'ephemeral', ttl: '1h' } };
// What the provider is told, by `system_prompt.mode`, where the app says "Be brief."
const MODES = {
  '/replace': PIRATE,
  '/prepend': `${PIRATE}\n\nBe brief.`,
  '/append': `Be brief.\n\n${PIRATE}`,
  '/if_absent': 'Be brief.',
};
const WEATHER = betaTool({
  name: 'weather',
  description: 'The weather in a city.',
  inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  run: ({ city }) => `Rain in ${city}`,
});

const client = (path = '') => new Anthropic({ baseURL: `${DIMMER}${path}`, apiKey: KEY, maxRetries: 0 });
const create = (path, more = {}, options = {}) => client(path).messages.create({ ...ASKED, ...more }, options);

/** How the simulated provider begins its answer when it is told this. */
const told = (system) => `(c-model, told: ${system.split(/\s+/).join(' ')})`;

/** The error that a stream with this fault ends with, after it gave something. */
async function broken(fault) {
  let got = 0;
  const error = await raises(Anthropic.APIError, async () => {
    for await (const _ of await create('/replace', { stream: true }, { headers: { 'x-fault': fault } })) got += 1;
  });
  assert.ok(got, 'what came before was relayed');
  return error;
}

await run({
  async replies() {
    const answer = await create('/resting');
    assert.deepEqual([answer.content[0].text, answer.stop_reason], [RESTING, 'end_turn']);
    assert.equal(await client('/resting').messages.stream(ASKED).finalText(), RESTING);
  },

  async cut_streams() {
    const error = await broken('cut');
    assert.deepEqual([error.type, error.error.error.details.error_code], ['api_error', 'dimmer_upstream_reset']);
    const stream = client('/replace').messages.stream(ASKED, { headers: { 'x-fault': 'cut' } });
    await raises(Anthropic.APIError, () => stream.finalMessage());
  },

  async error_events() {
    assert.equal((await broken('error')).type, 'overloaded_error');
  },

  async count_tokens() {
    const count = async (path, more = {}) =>
      (await client(path).messages.countTokens({ model: 'x', messages: ASK, ...more })).input_tokens;
    const system = 'Be brief.';
    const [plain, brief] = [await count('/chosen'), await count('/chosen', { system })];
    const added = [];
    for (const path of Object.keys(MODES)) {
      added.push([(await count(path)) - plain, (await count(path, { system })) - brief]);
    }
    assert.deepEqual(added, [[4, 2], [4, 4], [4, 4], [4, 0]]);
    assert.deepEqual([await lastPath(), (await lastBody()).model], ['/c/v1/messages/count_tokens', 'c-model']);
    assert.equal(await count('/replace'), (await create('/replace')).usage.input_tokens);
  },

  async prompt_modes() {
    for (const [path, system] of Object.entries(MODES)) {
      const answer = await create(path, { system: 'Be brief.' });
      assert.equal((await lastBody()).system, system);
      assert.ok(answer.content[0].text.startsWith(told(system)), answer.content[0].text);
      await create(path);
      assert.equal((await lastBody()).system, PIRATE);
    }
  },

  async tool_runner() {
    for (const [path, system] of Object.entries(MODES)) {
      for (const stream of [false, true]) {
        const asked = { ...ASKED, system: 'Be brief.', tools: [WEATHER], stream };
        let final;
        for await (const one of client(path).beta.messages.toolRunner(asked)) {
          final = stream ? await one.finalMessage() : one;
        }
        const { thread, messages, system: again } = await lastBody();
        assert.deepEqual([thread.type, messages.length, again], ['continue', 1, undefined]);
        const text = final.content[0].text;
        assert.ok(text.startsWith(told(system)) && text.includes('The tool says: Rain in'), text);
      }
    }
  },

  async structured() {
    const output_config = { format: zodOutputFormat(z.object({ city: z.string(), degrees: z.number() })) };
    const answer = await client('/append').messages.parse({ ...ASKED, output_config });
    assert.equal(typeof answer.parsed_output.degrees, 'number');
    assert.equal((await lastBody()).system, PIRATE);
    const passed = () => client('/resting').messages.parse({ ...ASKED, output_config });
    const error = await raises(Anthropic.NotImplementedError, passed);
    assert.deepEqual([error.status, error.error.error.details.error_code], [501, 'dimmer_reply_unfit']);
  },

  async many_blocks() {
    const block = (_, number) => ({ type: 'text', text: `Block ${number}.`, ...([3, 20, 38].includes(number) && CACHED) });
    const system = Array.from({ length: 40 }, block);
    const pirate = { type: 'text', text: PIRATE };
    for (const [path, expected] of [
      ['/replace', [{ ...pirate, ...CACHED }]],
      ['/prepend', [pirate, ...system]],
      ['/append', [...system, pirate]],
      ['/if_absent', system],
    ]) {
      await create(path, { system });
      assert.deepEqual((await lastBody()).system, expected);
    }
  },

  async parameters() {
    const { response } = await client('/set').messages.create({ ...ASKED, max_tokens: 4000 }).withResponse();
    // The API's version that this SDK speaks refuses sampling parameters.
    assert.equal(response.headers.get('x-dimmer-dropped'), 'temperature');
    const body = await lastBody();
    assert.deepEqual([body.max_tokens, body.output_config, body.temperature], [300, { effort: 'low' }, undefined]);
  },

  async models() {
    const declared = ['gpt-a', 'gpt-b', 'gpt-b-slow', 'vectors', 'claude-c', 'gpt-azure', 'gpt-dated'];
    const expected = ['assistant', 'team/helper', ...declared];
    for (const path of ['', '/chosen']) {
      for (const limit of [1, 2, 3]) {
        const listed = await collected(client(path).models.list({ limit }));
        assert.deepEqual(listed.map((model) => model.id), expected);
      }
    }
    for (const alias of expected.slice(0, 2)) {
      assert.equal((await client('/chosen').models.retrieve(alias)).id, alias);
    }
    const error = await raises(Anthropic.NotFoundError, () => client('/chosen').models.retrieve('nobody'));
    assert.equal(error.type, 'not_found_error');
  },
});
