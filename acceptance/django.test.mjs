// PyPI django-oauth-toolkit: the forgiving one, when told to be.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { connect, expiry, holdsWith, served, user } from './lib/provider-suite.mjs';
import { connectorOf, world } from './lib/world.mjs';
import { Wire } from './lib/proxy.mjs';

holdsWith('django-oauth-toolkit');

describe('when django-oauth-toolkit with a grace period rotates and its answer is lost', () => {
  let server, peer, wire;
  before(async () => {
    server = await Grantry.start();
    peer = await Peer.start('django-oauth-toolkit', {
      callbacks: [server.callback],
      env: { AT_TTL: '3', GRACE: '60' },
    });
    wire = await Wire.to(peer.url);
    await server.apply(world(connectorOf(peer, { id: 'scl_wire', uid: 'django/wire', tokenOrigin: wire.url })));
  });
  after(async () => {
    await server?.stop();
    await wire?.stop();
    await peer?.stop();
  });

  it('the same refresh token is presented again at once and nobody notices', async () => {
    const who = user('lucky');
    await expiry(peer, await connect(server, 'scl_wire', who));
    wire.swallow();
    const grant = await served(server, 'scl_wire', who);
    assert.equal(await peer.honours(grant.token), true);
    assert.deepEqual([wire.swallowed, await peer.refreshes()], [1, 2]);

    await expiry(peer, grant);
    assert.equal(await peer.honours((await served(server, 'scl_wire', who)).token), true);
  });
});
