// Three server processes on one PostgreSQL: what one does the others know, and together they refresh once.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from '../lib/grantry.mjs';
import { Peer } from '../lib/peers.mjs';
import { until } from '../lib/process.mjs';
import { connect, expiry, needsConsent, served, user } from '../lib/provider-suite.mjs';
import { connectorOf, KEYS, world } from '../lib/world.mjs';

/** A revocation reaches every node within this (design §8). */
const HEARD_WITHIN_S = 2;

describe('three nodes on one database', () => {
  const nodes = [];
  let peer;

  before(async () => {
    nodes.push(await Grantry.start());
    peer = await Peer.start('oidc-provider', { callbacks: [nodes[0].callback], env: { AT_TTL: '5' } });
    await nodes[0].apply(world(connectorOf(peer, { id: 'scl_shared', uid: 'oidc/shared' })));
    nodes.push(...(await Promise.all([nodes[0].another(), nodes[0].another()])));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await peer?.stop();
  });

  it('a connection made on one is served by the others at once', async () => {
    const who = user('made-on-one');
    const { token } = await connect(nodes[0], 'scl_shared', who);
    for (const node of nodes) assert.equal((await served(node, 'scl_shared', who)).token, token);
  });

  it('200 callers on each of them cause one refresh', async () => {
    const who = user('popular');
    const first = await connect(nodes[0], 'scl_shared', who);
    await Promise.all(nodes.map((node) => served(node, 'scl_shared', who)));
    await expiry(peer, first);
    const before = await peer.refreshes();
    const callers = nodes.flatMap((node) => Array.from({ length: 200 }, () => served(node, 'scl_shared', who)));
    const tokens = new Set((await Promise.all(callers)).map(({ token }) => token));
    assert.equal((await peer.refreshes()) - before, 1);
    assert.equal(tokens.size, 1);
    assert.equal(await peer.honours([...tokens][0]), true);
  });

  it(`a connection revoked on one is refused by all within ${HEARD_WITHIN_S} s`, async () => {
    const who = user('revoked-on-one');
    await connect(nodes[0], 'scl_shared', who);
    await Promise.all(nodes.map((node) => served(node, 'scl_shared', who)));
    assert.equal((await nodes[1].revoke('scl_shared', { ...who, key: KEYS.admin })).status, 200);
    await needsConsent(nodes[1], 'scl_shared', who);
    await until(
      async () => {
        const answers = await Promise.all(nodes.map((node) => node.token('scl_shared', who)));
        return answers.every(({ status }) => status === 422);
      },
      'every node refuses',
      HEARD_WITHIN_S,
    );
  });

  it('a node that is killed takes nothing with it', async () => {
    const who = user('survivor');
    const { token } = await connect(nodes[0], 'scl_shared', who);
    await nodes[2].kill();
    assert.equal((await served(nodes[1], 'scl_shared', who)).token, token);
    await nodes[2].serve();
    assert.equal((await served(nodes[2], 'scl_shared', who)).token, token);
  });
});
