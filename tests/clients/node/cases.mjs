// Runs the cases of one SDK and says how each went: `ok NAME` on stdout, else a stack trace on stderr.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

export const DIMMER = process.env.DIMMER_URL;
export const PROVIDER = process.env.PROVIDER_URL;
export const KEY = process.env.CLIENT_KEY;

// A PNG of one pixel.
export const IMAGE =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Runs all cases, or those that the command line names; a case's key is what tests/it/sdk.rs waits for. */
export async function run(cases) {
  const wanted = process.argv.slice(2);
  let failed = 0;
  for (const [name, body] of Object.entries(cases)) {
    if (wanted.length && !wanted.includes(name)) continue;
    try {
      await body();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}`);
      console.error(`--- ${name}\n${error.stack ?? error}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

/** What the provider behind dimmer has seen so far. */
export async function seen() {
  return (await fetch(`${PROVIDER}/_seen`)).json();
}

/** The body that came to the provider last. */
export const lastBody = async () => (await seen()).last.body;

/** The path, with its query, that the provider was asked for last. */
export const lastPath = async () => (await seen()).last.path;

/** Everything that a stream, or a list with its further pages, gives. */
export async function collected(iterable) {
  const all = [];
  for await (const one of await iterable) all.push(one);
  return all;
}

/** Gives dimmer a changed configuration and waits until it serves; what it was before. */
export async function reload(change) {
  const file = process.env.DIMMER_CONFIG;
  const generation = async () => {
    const metrics = await (await fetch(`${process.env.DIMMER_ADMIN}/metrics`)).text();
    return /^dimmer_config_generation .*$/m.exec(metrics)[0];
  };
  const [before, served] = [readFileSync(file, 'utf8'), await generation()];
  writeFileSync(`${file}.new`, change(before));
  renameSync(`${file}.new`, file);
  await eventually(async () => (await generation()) !== served, 'the new configuration serves');
  return before;
}

/** Waits for a condition of the provider, at most ten seconds. */
export async function eventually(condition, what) {
  const end = Date.now() + 10_000;
  while (Date.now() < end) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`did not happen within ten seconds: ${what}`);
}

/** The error that `call` raises, which must be exactly of `kind`. */
export async function raises(kind, call) {
  let result;
  try {
    result = await call();
  } catch (error) {
    assert.equal(error.constructor.name, kind.name, `${error.stack}`);
    return error;
  }
  throw new Error(`expected ${kind.name}, but it answered ${JSON.stringify(result)}`);
}

/** A `fetch` that counts the requests that really leave the client. */
export function countingFetch() {
  const counting = (...given) => {
    counting.count += 1;
    return fetch(...given);
  };
  counting.count = 0;
  return counting;
}
