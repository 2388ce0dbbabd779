// The official SDKs for Node where a model of the other dialect answers: what an app sees is its own API, to the last event.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { DIMMER, IMAGE, KEY, collected, raises, run } from './cases.mjs';

const ASK = 'How is the weather in Oslo?';
const SYSTEM = 'Be brief.';
const CITY = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const Weather = z.object({ city: z.string(), degrees: z.number() });
const RAIN = 'Rain, 4 °C';

const openai = (model) => new OpenAI({ baseURL: `${DIMMER}/anthropic/${model}/v1`, apiKey: KEY, maxRetries: 0 });
const anthropic = (model) => new Anthropic({ baseURL: `${DIMMER}/openai/${model}`, apiKey: KEY, maxRetries: 0 });

/** Chat Completions, answered through Messages. */
const chat = {
  rate: OpenAI.RateLimitError,
  bad: OpenAI.BadRequestError,
  too_much: { n: 2 },
  loses: ['seed', { seed: 7 }],
  ends: { length: 'length', stop: 'stop', refusal: 'content_filter' },
  call: ({ ask = ASK, ...more } = {}) => ({
    model: 'm',
    messages: [{ role: 'system', content: SYSTEM }, { role: 'user', content: ask }],
    ...more,
  }),
  create: (model = 'sim', more) => openai(model).chat.completions.create(chat.call(more)),
  final: (model = 'sim', more) => openai(model).chat.completions.stream(chat.call(more)).finalChatCompletion(),
  text: (answer) => answer.choices[0].message.content,
  finish: (answer) => answer.choices[0].finish_reason,
  async streamed(model = 'sim', more) {
    let [text, finish] = ['', null];
    const ids = new Set();
    for await (const chunk of await chat.create(model, { stream: true, ...more })) {
      ids.add(chunk.id);
      assert.ok(chunk.choices.length, 'nobody asked for a usage chunk');
      text += chunk.choices[0].delta.content ?? '';
      finish = chunk.choices[0].finish_reason ?? finish;
    }
    assert.equal(ids.size, 1);
    return [text, finish];
  },
  async usage() {
    const chunks = await collected(chat.create('sim', { stream: true, stream_options: { include_usage: true } }));
    const both = [chunks.at(-1).usage, (await chat.create()).usage];
    return both.map((one) => [one.prompt_tokens, one.completion_tokens]);
  },
  tools: (...names) =>
    names.map((name) => ({ type: 'function', function: { name, description: 'd', parameters: CITY } })),
  forced: (name) => ({ tool_choice: { type: 'function', function: { name } } }),
  calls: (answer) =>
    answer.choices[0].message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
  goes_on(answer, tools) {
    const { message } = answer.choices[0];
    const results = message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: RAIN }));
    return chat.create('sim', { messages: [...chat.call().messages, message, ...results], tools });
  },
  async schema() {
    const format = zodResponseFormat(Weather, 'weather');
    const answer = await openai('sim').chat.completions.parse(chat.call({ response_format: format }));
    return answer.choices[0].message.parsed;
  },
  image: () =>
    chat.create('sim', {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: ASK },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${IMAGE}` } },
          ],
        },
      ],
    }),
  cap: (tokens) => ({ max_completion_tokens: tokens }),
  stops: (text) => ({ stop: [text] }),
  code: (error) => error.code,
  tokens: (answer) => answer.usage.completion_tokens,
};

/** Responses, answered through Messages. */
const responses = {
  rate: OpenAI.RateLimitError,
  bad: OpenAI.BadRequestError,
  too_much: { background: true },
  loses: ['metadata', { metadata: { a: 'b' } }],
  ends: { length: 'max_output_tokens', stop: 'completed', refusal: 'content_filter' },
  call: ({ ask = ASK, ...more } = {}) => ({ model: 'm', instructions: SYSTEM, input: ask, ...more }),
  create: (model = 'sim', more) => openai(model).responses.create(responses.call(more)),
  final: (model = 'sim', more) => openai(model).responses.stream(responses.call(more)).finalResponse(),
  text: (answer) => answer.output_text ?? answer.output.flatMap((item) => item.content ?? []).map((part) => part.text).join(''),
  finish: (answer) => answer.incomplete_details?.reason ?? answer.status,
  async streamed(model = 'sim', more) {
    const events = await collected(responses.create(model, { stream: true, ...more }));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
    assert.equal(events[0].type, 'response.created');
    const deltas = events.filter((event) => event.type === 'response.output_text.delta');
    const text = deltas.map((event) => event.delta).join('');
    const { type, response } = events.at(-1);
    assert.ok(['response.completed', 'response.incomplete'].includes(type), type);
    return [text, responses.finish(response)];
  },
  async usage() {
    const both = [(await responses.final()).usage, (await responses.create()).usage];
    return both.map((one) => [one.input_tokens, one.output_tokens]);
  },
  tools: (...names) =>
    names.map((name) => ({ type: 'function', name, description: 'd', parameters: CITY, strict: true })),
  forced: (name) => ({ tool_choice: { type: 'function', name } }),
  calls: (answer) =>
    answer.output
      .filter((item) => item.type === 'function_call')
      .map((item) => [item.name, JSON.parse(item.arguments)]),
  goes_on(answer, tools) {
    const calls = answer.output.filter((item) => item.type === 'function_call');
    const said = calls.map(({ type, call_id, name, arguments: given }) => ({ type, call_id, name, arguments: given }));
    const results = calls.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: RAIN }));
    return responses.create('sim', { input: [{ role: 'user', content: ASK }, ...said, ...results], tools });
  },
  async schema() {
    const format = zodTextFormat(Weather, 'weather');
    return (await openai('sim').responses.parse(responses.call({ text: { format } }))).output_parsed;
  },
  image: () =>
    responses.create('sim', {
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: ASK },
            { type: 'input_image', image_url: `data:image/png;base64,${IMAGE}`, detail: 'auto' },
          ],
        },
      ],
    }),
  cap: (tokens) => ({ max_output_tokens: tokens }),
  code: (error) => error.code ?? error.error?.code,
  tokens: (answer) => answer.usage.output_tokens,
};

/** Messages, answered through Chat Completions. */
const messages = {
  rate: Anthropic.RateLimitError,
  bad: Anthropic.BadRequestError,
  too_much: { stop_sequences: ['a', 'b', 'c', 'd', 'e'] },
  loses: ['top_k', { top_k: 7 }],
  ends: { length: 'max_tokens', stop: 'end_turn', refusal: 'refusal' },
  call: ({ ask = ASK, ...more } = {}) => ({
    model: 'm',
    max_tokens: 20_000,
    system: SYSTEM,
    messages: [{ role: 'user', content: ask }],
    ...more,
  }),
  create: (model = 'sim', more) => anthropic(model).messages.create(messages.call(more)),
  final: (model = 'sim', more) => anthropic(model).messages.stream(messages.call(more)).finalMessage(),
  text: (answer) => answer.content.map((block) => block.text ?? '').join(''),
  finish: (answer) => answer.stop_reason,
  async streamed(model = 'sim', more) {
    let [text, finish, opened, last] = ['', null, null, null];
    for await (const event of await messages.create(model, { stream: true, ...more })) {
      last = event.type;
      if (last === 'content_block_start') {
        assert.equal(opened, null, 'blocks do not overlap');
        opened = event.index;
      } else if (last === 'content_block_delta') {
        assert.equal(event.index, opened);
        text += event.delta.text ?? '';
      } else if (last === 'content_block_stop') {
        assert.equal(event.index, opened);
        opened = null;
      } else if (last === 'message_delta') {
        finish = event.delta.stop_reason;
      }
    }
    assert.equal(last, 'message_stop');
    return [text, finish];
  },
  async usage() {
    const both = [(await messages.final()).usage, (await messages.create()).usage];
    return both.map((one) => [one.input_tokens + (one.cache_read_input_tokens ?? 0), one.output_tokens]);
  },
  tools: (...names) => names.map((name) => ({ name, description: 'd', input_schema: CITY })),
  forced: (name) => ({ tool_choice: { type: 'tool', name } }),
  calls: (answer) =>
    answer.content.filter((block) => block.type === 'tool_use').map((block) => [block.name, block.input]),
  goes_on(answer, tools) {
    const used = answer.content.filter((block) => block.type === 'tool_use');
    const results = used.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: RAIN }));
    const turns = [
      { role: 'user', content: ASK },
      { role: 'assistant', content: answer.content },
      { role: 'user', content: results },
    ];
    return messages.create('sim', { messages: turns, tools });
  },
  async schema() {
    const format = { type: 'json_schema', schema: { ...z.toJSONSchema(Weather), $schema: undefined } };
    return JSON.parse(messages.text(await messages.create('sim', { output_config: { format } })));
  },
  image: () =>
    messages.create('sim', {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: IMAGE } },
            { type: 'text', text: ASK },
          ],
        },
      ],
    }),
  cap: (tokens) => ({ max_tokens: tokens }),
  stops: (text) => ({ stop_sequences: [text] }),
  code: (error) => error.error?.error?.details?.error_code,
  tokens: (answer) => answer.usage.output_tokens,
};

/** The cases of one API. */
function cases(api) {
  const both = (ask, more) => Promise.all([api.create(ask, more), api.final(ask, more)]);
  return {
    async plain() {
      const answer = await api.create();
      assert.ok(api.text(answer).includes(`(sim, told: ${SYSTEM})`), api.text(answer));
      assert.equal(api.finish(answer), api.ends.stop);
    },
    async streamed() {
      assert.deepEqual(await api.streamed(), [api.text(await api.create()), api.ends.stop]);
    },
    async helper() {
      const [whole, streamed] = await both();
      assert.deepEqual([api.text(streamed), api.finish(streamed)], [api.text(whole), api.ends.stop]);
    },
    async limited() {
      const answer = await api.create('sim', api.cap(3));
      assert.deepEqual([api.finish(answer), api.tokens(answer)], [api.ends.length, 3]);
      assert.deepEqual(await api.streamed('sim', api.cap(3)), [api.text(answer), api.ends.length]);
    },
    async usage() {
      const [streamed, whole] = await api.usage();
      assert.deepEqual(streamed, whole);
      assert.ok(Math.min(...whole) > 0, whole);
    },
    async tool() {
      const tools = api.tools('weather');
      const first = await api.create('sim', { tools });
      const [[name, given]] = api.calls(first);
      assert.deepEqual([name, typeof given.city], ['weather', 'string']);
      assert.match(api.text(await api.goes_on(first, tools)), /The tool says: Rain, 4 °C/);
    },
    async tool_streamed() {
      const tools = api.tools('weather');
      const [whole, streamed] = await both('sim', { tools });
      assert.deepEqual(api.calls(streamed), api.calls(whole));
      assert.match(api.text(await api.goes_on(streamed, tools)), /The tool says: Rain, 4 °C/);
    },
    async parallel() {
      const tools = api.tools('weather', 'forecast');
      for (const answer of await both('sim', { ask: 'Tell me the weather and the forecast for Oslo.', tools })) {
        assert.deepEqual(api.calls(answer).map(([name]) => name), ['weather', 'forecast']);
        assert.match(api.text(await api.goes_on(answer, tools)), /The tool says: Rain, 4 °C/);
      }
    },
    async forced() {
      const tools = api.tools('weather', 'clock');
      const answer = await api.create('sim', { ask: 'Hi', tools, ...api.forced('clock') });
      assert.deepEqual(api.calls(answer).map(([name]) => name), ['clock']);
    },
    async schema() {
      Weather.parse(await api.schema());
    },
    async image() {
      assert.ok(api.text(await api.image()));
    },
    async long() {
      const whole = api.text(await api.create('long'));
      assert.ok(whole.length > 10_000, `${whole.length}`);
      assert.deepEqual(await api.streamed('long'), [whole, api.ends.stop]);
    },
    async stopped() {
      if (!api.stops) return;
      const word = api.text(await api.create()).split(' ')[3];
      assert.ok(!api.text(await api.create('sim', api.stops(word))).includes(word));
    },
    async refusal() {
      for (const answer of await both('refusing')) assert.equal(api.finish(answer), api.ends.refusal);
    },
    async error_429() {
      for (const more of [{}, { stream: true }]) {
        const error = await raises(api.rate, () => api.create('limited', more));
        assert.ok(error.headers.get('retry-after') && error.error, error.message);
      }
    },
    async error_500() {
      for (const more of [{}, { stream: true }]) {
        await assert.rejects(api.create('failing', more), (error) => {
          assert.ok(error.status >= 500 && error.message.includes('the simulated provider'), error.message);
          return true;
        });
      }
    },
    async cut() {
      await assert.rejects(api.streamed('cut'), (error) => {
        assert.equal(api.code(error), 'dimmer_upstream_reset', error.stack);
        return true;
      });
    },
    async left_out() {
      const [field, more] = api.loses;
      const { data, response } = await api.create('sim', more).withResponse();
      assert.ok(response.headers.get('x-dimmer-dropped').includes(field));
      assert.ok(api.text(data));
    },
    async refused() {
      const error = await raises(api.bad, () => api.create('sim', api.too_much));
      assert.equal(api.code(error), 'dimmer_cannot_translate');
      assert.ok(error.message.includes(Object.keys(api.too_much)[0]), error.message);
    },
  };
}

const all = Object.entries({ chat, responses, messages });
await run(
  Object.fromEntries(
    all.flatMap(([name, api]) => Object.entries(cases(api)).map(([key, body]) => [`${name}_${key}`, body])),
  ),
);
