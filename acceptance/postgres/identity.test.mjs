// Workload identity on three nodes of one issuer: keys that rotate on one of them, tokens of outside issuers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as jose from 'jose';
import { Grantry } from '../lib/grantry.mjs';
import { until } from '../lib/process.mjs';
import { Sandbox } from '../lib/sandbox.mjs';
import { PROJECT, TEAM, world } from '../lib/world.mjs';

/** Whatever happens on one node holds on the others within this (design §8). */
const HEARD_WITHIN_S = 2;

const MAPS = {
  id: 'scl_maps', uid: 'maps', team: TEAM, name: 'Maps', type: 'api-key',
  data: { values: [{ value: 'maps-key' }] }, links: [{ project: PROJECT, environments: ['production'] }],
};

describe('one issuer on three nodes', () => {
  const nodes = [];
  let ci, issuer;

  before(async () => {
    ci = await Sandbox.start({ accessTtl: 60 });
    const config = `
[[workload.issuers]]
name = "ci"
issuer = "${ci.url}"
[[workload.issuers.rules]]
match = { repository = "acme/web" }
team = "acme"
project = "web"
environment = "production"
`;
    nodes.push(await Grantry.start(world({ connectors: [MAPS] }), { config }));
    issuer = nodes[0].url;
    const more = { publicUrl: issuer, config };
    nodes.push(...(await Promise.all([nodes[0].another(more), nodes[0].another(more)])));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await ci?.stop();
  });

  /** What each node answers who reads with `key`. */
  const read = (key) =>
    Promise.all(nodes.map(async (node) => (await node.token('maps', { key, subject: { type: 'app' } })).status));
  const keySets = () => Promise.all(nodes.map(async (node) => (await node.call('GET', '/.well-known/jwks')).body));
  const kid = (token) => jose.decodeProtectedHeader(token).kid;
  const all = (statuses, status) => statuses.every((each) => each === status);

  it('a token that one mints all accept, and verifiers find its key on each', async () => {
    const tokens = await Promise.all(nodes.map((node) => node.workloadToken(PROJECT, 'production')));
    assert.equal(new Set(tokens.map(kid)).size, 1, 'they sign with one key, though each was asked first at once');
    for (const token of tokens) {
      assert.deepEqual(await read(token), [200, 200, 200]);
      for (const keys of await keySets())
        await jose.jwtVerify(token, jose.createLocalJWKSet(keys), { issuer, audience: `${issuer}/acme`, typ: 'workload+jwt' });
    }
  });

  it('a key that is rotated on one signs and verifies on all', async () => {
    const old = await nodes[2].workloadToken(PROJECT, 'production');
    const made = JSON.parse(await nodes[0].command('signing-keys', 'rotate', '--lead', '3s', '--json'));
    await until(
      async () => (await keySets()).every(({ keys }) => keys.some((key) => key.kid === made.kid)),
      'every node publishes the new key',
      HEARD_WITHIN_S,
    );
    // When the lead is over, on every node.
    const fresh = [];
    await until(async () => {
      fresh.splice(0, 3, ...(await Promise.all(nodes.map((node) => node.workloadToken(PROJECT, 'production')))));
      return fresh.every((token) => kid(token) === made.kid);
    }, 'every node signs with it');
    for (const token of [old, ...fresh]) assert.deepEqual(await read(token), [200, 200, 200]);

    await nodes[1].command('signing-keys', 'retire', kid(old), '--yes');
    await until(async () => all(await read(old), 401), 'no node accepts what the retired key signed', HEARD_WITHIN_S);
    assert.deepEqual(await read(fresh[0]), [200, 200, 200]);
    for (const { keys } of await keySets()) assert.deepEqual(keys.map((key) => key.kid), [made.kid]);
  });

  it('a key that is needed at once is believed everywhere before its first token can arrive', async () => {
    const made = JSON.parse(await nodes[1].command('signing-keys', 'rotate', '--now', '--json'));
    const token = await nodes[1].workloadToken(PROJECT, 'production');
    assert.equal(kid(token), made.kid);
    // A node that has not heard of it looks before it refuses.
    assert.deepEqual(await read(token), [200, 200, 200]);
  });

  it('a token of an outside issuer is accepted by all, also after that issuer rotated', async () => {
    const build = async (repository) => {
      const query = new URLSearchParams({ audience: issuer, repository, ref: 'refs/heads/main' });
      return (await (await fetch(`${ci.url}/actions/id-token?${query}`)).json()).value;
    };
    assert.deepEqual(await read(await build('acme/web')), [200, 200, 200]);
    assert.deepEqual(await read(await build('mallory/web')), [401, 401, 401]);
    await fetch(`${ci.url}/_rotate`, { method: 'POST' });
    const token = await build('acme/web');
    await until(async () => all(await read(token), 200), 'each node fetches the new key', 20);
  });
});
